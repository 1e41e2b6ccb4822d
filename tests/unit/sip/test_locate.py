"""RFC 3263 in tables: which places a URI may be sent to, and in which order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from sip.dns import DnsUnavailable, Naptr, Srv
from sip.flow import Hop, Transport
from sip.locate import MAX_ADDRESS_LOOKUPS, MAX_HOPS, MAX_UNANSWERED, NotLocated, locate, order_srv
from sip.uri import parse_sip_uri

ALL: frozenset[Transport] = frozenset(("udp", "tcp", "tls"))


class FakeDns:
    """Answers from tables, counts questions, and fails for the names it is told to."""

    def __init__(
        self,
        naptr: Mapping[str, Sequence[Naptr]] | None = None,
        srv: Mapping[str, Sequence[Srv]] | None = None,
        addresses: Mapping[str, Sequence[str]] | None = None,
        down: Sequence[str] = (),
    ) -> None:
        self._naptr = naptr or {}
        self._srv = srv or {}
        self._addresses = addresses or {}
        self._down = down
        self.asked: Counter[str] = Counter()

    def _check(self, name: str) -> None:
        self.asked[name] += 1
        if name in self._down:
            raise DnsUnavailable(name, "nameserver 192.0.2.53:53", "no answer in 2 s")

    async def naptr(self, name: str) -> tuple[Naptr, ...]:
        self._check(name)
        return tuple(self._naptr.get(name, ()))

    async def srv(self, name: str) -> tuple[Srv, ...]:
        self._check(name)
        return tuple(self._srv.get(name, ()))

    async def addresses(self, name: str) -> tuple[str, ...]:
        self._check(name)
        return tuple(self._addresses.get(name, ()))


def naptr(order: int, preference: int, service: str, replacement: str, flags: str = "s") -> Naptr:
    return Naptr(order, preference, flags, service, "", replacement)


ZONE = FakeDns(
    naptr={
        "beta.example": [
            naptr(90, 50, "SIP+D2T", "_sip._tcp.beta.example"),
            naptr(50, 50, "SIPS+D2T", "_sips._tcp.beta.example"),
            naptr(100, 50, "SIP+D2U", "_sip._udp.beta.example"),
        ],
        "odd.example": [
            naptr(1, 1, "E2U+sip", "_sips._tcp.beta.example", "u"),
            naptr(1, 2, "SIP+D2T", "beta.example", ""),
            naptr(1, 3, "SIPS+D2S", "_sips._sctp.beta.example"),
            Naptr(1, 4, "s", "SIP+D2U", "!^.*$!sip:x@evil.example!", ""),
            naptr(1, 5, "SIP+D2U", ""),
            naptr(9, 9, "sips+d2t", "_sips._tcp.beta.example", "S"),
        ],
        "loop.example": [naptr(1, 1, "SIP+D2T", "loop.example", "")],
        "circle.example": [naptr(1, 1, "SIP+D2T", "circle.example")],
    },
    srv={
        "_sips._tcp.beta.example": [
            Srv(1, 1, 5061, "one.beta.example"),
            Srv(2, 1, 5071, "two.beta.example"),
        ],
        "_sip._tcp.beta.example": [Srv(0, 0, 5060, "one.beta.example")],
        "_sip._udp.beta.example": [Srv(0, 0, 5060, "one.beta.example")],
        "_sip._tcp.srvonly.example": [Srv(0, 0, 5070, "one.beta.example")],
        "_sip._udp.srvonly.example": [Srv(0, 0, 5072, "one.beta.example")],
        "_sips._tcp.none.example": [Srv(0, 0, 0, "")],
        "_sip._tcp.none.example": [Srv(0, 0, 0, "")],
        "_sip._udp.none.example": [Srv(0, 0, 0, "")],
        "_sip._udp.gaps.example": [
            Srv(0, 0, 0, "one.beta.example"),
            Srv(1, 0, 5060, "missing.example"),
            Srv(2, 0, 5060, "one.beta.example"),
        ],
    },
    addresses={
        "one.beta.example": ["192.0.2.1", "2001:db8::1"],
        "two.beta.example": ["192.0.2.2"],
        "plain.example": ["192.0.2.9"],
        "none.example": ["192.0.2.66"],
        "beta.example": ["192.0.2.77"],
        "loop.example": ["192.0.2.10"],
    },
)


def shown(hops: Sequence[Hop]) -> list[str]:
    return [f"{h.transport} {h.address}" + (f" {h.tls_name}" if h.tls_name else "") for h in hops]


async def found(uri: str, transports: frozenset[Transport] = ALL, dns: FakeDns = ZONE) -> list[str]:
    return shown(await locate(parse_sip_uri(uri), dns, transports=transports, rand=Random(1)))


TLS_OF_BETA = [
    "tls 192.0.2.1:5061 beta.example",
    "tls [2001:db8::1]:5061 beta.example",
    "tls 192.0.2.2:5071 beta.example",
]


@pytest.mark.rfc("3263", "4.1")
@pytest.mark.parametrize(
    ("uri", "hops"),
    [
        ("sip:192.0.2.7", ["udp 192.0.2.7:5060"]),
        ("sip:192.0.2.7:5080", ["udp 192.0.2.7:5080"]),
        ("sip:[2001:DB8::7]", ["udp [2001:db8::7]:5060"]),
        ("sips:192.0.2.7", ["tls 192.0.2.7:5061 192.0.2.7"]),
        ("sip:192.0.2.7;transport=tcp", ["tcp 192.0.2.7:5060"]),
        ("sip:192.0.2.7;transport=TLS", ["tls 192.0.2.7:5061 192.0.2.7"]),
        ("sips:192.0.2.7;transport=tcp", ["tls 192.0.2.7:5061 192.0.2.7"]),
        ("sip:plain.example:5070", ["udp 192.0.2.9:5070"]),
        ("sips:plain.example:5070", ["tls 192.0.2.9:5070 plain.example"]),
        ("sip:plain.example:5070;transport=tcp", ["tcp 192.0.2.9:5070"]),
        ("sip:plain.example", ["udp 192.0.2.9:5060"]),
        ("sips:plain.example", ["tls 192.0.2.9:5061 plain.example"]),
        ("sip:plain.example;transport=tcp", ["tcp 192.0.2.9:5060"]),
        ("sip:someone@far.example;maddr=192.0.2.7", ["udp 192.0.2.7:5060"]),
        ("sips:far.example;maddr=plain.example", ["tls 192.0.2.9:5061 far.example"]),
        ("sips:beta.example", TLS_OF_BETA),
        ("sips:BETA.Example", TLS_OF_BETA),
        (
            "sip:beta.example",
            [
                *TLS_OF_BETA,
                "tcp 192.0.2.1:5060",
                "tcp [2001:db8::1]:5060",
                "udp 192.0.2.1:5060",
                "udp [2001:db8::1]:5060",
            ],
        ),
        (
            "sip:beta.example;transport=udp",
            ["udp 192.0.2.1:5060", "udp [2001:db8::1]:5060"],
        ),
        (
            "sip:srvonly.example",
            [
                "tcp 192.0.2.1:5070",
                "tcp [2001:db8::1]:5070",
                "udp 192.0.2.1:5072",
                "udp [2001:db8::1]:5072",
            ],
        ),
        # Only terminal records of services we speak count, in any case of letters.
        ("sip:odd.example", [h.replace(" beta.ex", " odd.ex") for h in TLS_OF_BETA]),
        ("sip:loop.example", ["udp 192.0.2.10:5060"]),
        ("sip:gaps.example", ["udp 192.0.2.1:5060", "udp [2001:db8::1]:5060"]),
    ],
)
async def test_a_uri_leads_to_its_hops_in_order(uri: str, hops: list[str]) -> None:
    assert await found(uri) == hops


@pytest.mark.parametrize(
    ("uri", "cause"),
    [
        ("sip:absent.example", "absent"),
        ("sip:none.example", "absent"),  # SRV says that the service is not offered: no A fallback
        ("sip:circle.example", "absent"),
        ("sip:192.0.2.7:0", "absent"),
        ("sips:plain.example;transport=udp", "unsupported"),
        ("sip:plain.example;transport=sctp", "unsupported"),
        ("sip:plain.example;transport=ws", "unsupported"),
    ],
)
async def test_a_uri_without_server_says_why(uri: str, cause: str) -> None:
    with pytest.raises(NotLocated) as raised:
        await found(uri)
    assert raised.value.cause == cause


async def test_only_transports_we_have_are_chosen() -> None:
    assert await found("sip:beta.example", frozenset(("udp",))) == [
        "udp 192.0.2.1:5060",
        "udp [2001:db8::1]:5060",
    ]
    assert await found("sip:192.0.2.7", frozenset(("tls",))) == ["tls 192.0.2.7:5061 192.0.2.7"]
    with pytest.raises(NotLocated, match="not spoken here"):
        await found("sips:beta.example", frozenset(("udp", "tcp")))


async def test_the_certificate_must_be_for_the_domain_and_not_for_the_srv_target() -> None:
    hops = await locate(parse_sip_uri("sip:odd.example"), ZONE, transports=ALL, rand=Random(1))
    assert {hop.tls_name for hop in hops} == {"odd.example"}


async def test_silent_dns_is_not_taken_for_an_absent_record() -> None:
    dns = FakeDns(addresses={"far.example": ["192.0.2.1"]}, down=["_sips._tcp.far.example"])
    with pytest.raises(NotLocated) as raised:
        await found("sip:far.example", dns=dns)
    assert raised.value.cause == "unavailable"
    assert "nameserver 192.0.2.53:53" in raised.value.detail


async def test_what_was_found_counts_although_a_part_was_not_answered() -> None:
    dns = FakeDns(
        srv={"_sips._tcp.far.example": [Srv(1, 0, 5061, "a.far.example"), Srv(2, 0, 5061, "b")]},
        addresses={"b": ["192.0.2.2"]},
        down=["a.far.example", "far.example", "_sip._udp.far.example"],
    )
    assert await found("sip:far.example", dns=dns) == ["tls 192.0.2.2:5061 far.example"]


async def test_a_thousand_records_cost_no_more_than_the_limits() -> None:
    dns = FakeDns(
        naptr={"big.example": [naptr(i, 0, "SIP+D2T", f"_sip._tcp.n{i}") for i in range(1000)]},
        srv={
            f"_sip._tcp.n{i}": [Srv(0, 1, 5060, f"h{i}-{j}") for j in range(1000)]
            for i in range(10)
        },
        addresses={f"h0-{j}": [f"192.0.2.{n}" for n in range(200)] for j in range(1000)},
    )
    assert len(await found("sip:big.example", dns=dns)) == MAX_HOPS
    assert sum(dns.asked.values()) < 16


async def test_targets_without_addresses_are_not_followed_for_ever() -> None:
    dns = FakeDns(
        srv={"_sip._udp.big.example": [Srv(0, 1, 5060, f"h{j}") for j in range(1000)]},
    )
    with pytest.raises(NotLocated):
        await found("sip:big.example", dns=dns)
    assert sum(n for name, n in dns.asked.items() if name.startswith("h")) <= MAX_ADDRESS_LOOKUPS


@pytest.mark.rfc("2782", "")
def test_srv_weights_share_the_first_place_in_proportion() -> None:
    records = [Srv(1, 60, 1, "a"), Srv(1, 40, 1, "b"), Srv(1, 0, 1, "c"), Srv(0, 0, 1, "first")]
    rand = Random(7)
    seconds = Counter(order_srv(records, rand)[1].target for _ in range(4000))
    assert seconds["a"] / 4000 == pytest.approx(0.6, abs=0.04)
    assert seconds["b"] / 4000 == pytest.approx(0.39, abs=0.04)
    assert 0 < seconds["c"] < 200
    assert all(order_srv(records, rand)[0].target == "first" for _ in range(50))
    assert len(order_srv(records, rand)) == 4


async def test_a_domain_whose_names_are_never_answered_costs_three_time_outs() -> None:
    names = [f"gw{number}.slow.example" for number in range(12)]
    records = [Srv(1, 0, 5061, name) for name in names]
    dns = FakeDns(srv={"_sips._tcp.slow.example": records}, down=names)
    with pytest.raises(NotLocated) as caught:
        await found("sips:slow.example", dns=dns)
    assert caught.value.cause == "unavailable"
    assert sum(dns.asked[name] for name in names) == MAX_UNANSWERED
