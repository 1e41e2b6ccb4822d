"""The resolver against a real DNS server on loopback, well and badly behaved."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from sip.dns import DnsUnavailable, Naptr, Srv
from tests.support.dns_server import DnsServer, serving

pytestmark = pytest.mark.real

ZONE = {
    ("beta.example", "NAPTR"): ['50 50 "s" "SIPS+D2T" "" _sips._tcp.beta.example.'],
    ("_sips._tcp.beta.example", "SRV"): [
        "1 10 5061 One.beta.example.",
        "2 0 5061 two.beta.example.",
    ],
    ("one.beta.example", "A"): ["127.0.0.2", "127.0.0.3"],
    ("one.beta.example", "AAAA"): ["::1"],
    ("alias.example", "CNAME"): ["one.beta.example."],
    ("loop.example", "CNAME"): ["pool.example."],
    ("pool.example", "CNAME"): ["loop.example."],
    ("none.example", "SRV"): ["0 0 0 ."],
    ("half.example", "A"): ["127.0.0.9"],
}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def resolver(
    server: DnsServer, *others: tuple[str, int], clock: Clock | None = None, **changes: float
) -> DnsResolver:
    settings = DnsSettings((*others, ("127.0.0.1", server.port)), timeout=1.0, attempt=0.15)
    return DnsResolver(replace(settings, **changes), clock=clock or Clock())  # type: ignore[arg-type]


async def test_records_come_as_values_with_lower_case_names() -> None:
    async with serving(DnsServer(ZONE)) as server:
        dns = resolver(server)
        assert await dns.naptr("beta.example") == (
            Naptr(50, 50, "s", "SIPS+D2T", "", "_sips._tcp.beta.example"),
        )
        assert set(await dns.srv("_sips._tcp.beta.example.")) == {
            Srv(1, 10, 5061, "one.beta.example"),
            Srv(2, 0, 5061, "two.beta.example"),
        }
        assert await dns.srv("none.example") == (Srv(0, 0, 0, ""),)
        assert sorted(await dns.addresses("one.beta.example")) == ["127.0.0.2", "127.0.0.3", "::1"]


async def test_numeric_names_are_not_asked() -> None:
    async with serving(DnsServer(ZONE)) as server:
        dns = resolver(server)
        assert await dns.addresses("127.0.0.1") == ("127.0.0.1",)
        assert await dns.addresses("[::1]") == ("::1",)
        assert not server.asked


async def test_a_name_that_does_not_exist_gives_nothing() -> None:
    async with serving(DnsServer(ZONE)) as server:
        dns = resolver(server)
        assert await dns.addresses("absent.example") == ()
        assert await dns.srv("beta.example") == ()
        assert await dns.addresses("not..a..name") == ()
        assert await dns.addresses("x" * 64 + ".example") == ()


async def test_an_alias_into_another_zone_is_followed() -> None:
    async with serving(DnsServer(ZONE)) as server:
        assert "127.0.0.2" in await resolver(server).addresses("alias.example")


async def test_a_loop_of_aliases_ends_and_is_named() -> None:
    async with serving(DnsServer(ZONE)) as server:
        with pytest.raises(DnsUnavailable, match="a chain of aliases"):
            await resolver(server).srv("loop.example")


async def test_answers_are_cached_until_their_ttl_passes() -> None:
    async with serving(DnsServer(ZONE, ttl=60)) as server:
        clock = Clock()
        dns = resolver(server, clock=clock)
        for _ in range(3):
            await dns.srv("_sips._tcp.beta.example")
        clock.now = 59.0
        await dns.srv("_sips._tcp.beta.example")
        assert server.asked["_sips._tcp.beta.example"] == 1
        clock.now = 61.0
        await dns.srv("_sips._tcp.beta.example")
        assert server.asked["_sips._tcp.beta.example"] == 2


async def test_a_ttl_is_kept_between_the_configured_limits() -> None:
    async with serving(DnsServer(ZONE, ttl=1_000_000)) as server:
        clock = Clock()
        dns = resolver(server, clock=clock, max_ttl=100.0)
        await dns.srv("none.example")
        clock.now = 101.0
        await dns.srv("none.example")
        assert server.asked["none.example"] == 2


async def test_absence_is_cached_too_and_shorter() -> None:
    async with serving(DnsServer(ZONE)) as server:
        clock = Clock()
        dns = resolver(server, clock=clock, negative_ttl=5.0)
        await dns.srv("absent.example")
        await dns.srv("absent.example")
        assert server.asked["absent.example"] == 1
        clock.now = 6.0
        await dns.srv("absent.example")
        assert server.asked["absent.example"] == 2


async def test_the_cache_holds_no_more_than_its_limit() -> None:
    async with serving(DnsServer(ZONE)) as server:
        dns = resolver(server, cache_entries=2)
        for name in ("a.example", "b.example", "c.example", "a.example"):
            await dns.srv(name)
        assert server.asked["a.example"] == 2
        await dns.srv("c.example")
        assert server.asked["c.example"] == 1


async def test_equal_questions_under_way_are_asked_once() -> None:
    async with serving(DnsServer(ZONE, delay={"none.example": 0.05})) as server:
        dns = resolver(server)
        answers = await asyncio.gather(*(dns.srv("none.example") for _ in range(50)))
        assert len(set(answers)) == 1
        assert server.asked["none.example"] == 1


async def test_one_caller_giving_up_leaves_the_answer_to_the_others() -> None:
    async with serving(DnsServer(ZONE, delay={"none.example": 0.05})) as server:
        dns = resolver(server)
        first = asyncio.ensure_future(dns.srv("none.example"))
        second = asyncio.ensure_future(dns.srv("none.example"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == (Srv(0, 0, 0, ""),)


async def test_questions_under_way_are_bounded() -> None:
    async with serving(DnsServer(ZONE, silent={f"n{i}.example" for i in range(5)})) as server:
        dns = resolver(server, max_questions=4)
        asked = await asyncio.gather(
            *(dns.srv(f"n{i}.example") for i in range(5)), return_exceptions=True
        )
        assert "our own limit" in str(asked[4])
        assert dns._under_way == {}


async def test_silence_ends_in_time_and_names_the_server() -> None:
    async with serving(DnsServer(ZONE, silent={"mute.example"})) as server:
        dns = resolver(server)
        async with asyncio.timeout(10):
            with pytest.raises(DnsUnavailable) as raised:
                await dns.srv("mute.example")
        assert raised.value.name == "mute.example SRV"
        assert raised.value.culprit == f"nameserver 127.0.0.1:{server.port}"
        assert "no answer" in raised.value.detail
        # Remembered for a moment, so that a flood of calls does not wait each time.
        before = server.asked["mute.example"]
        with pytest.raises(DnsUnavailable):
            await dns.srv("mute.example")
        assert server.asked["mute.example"] == before


async def test_a_slow_name_does_not_delay_another() -> None:
    async with serving(DnsServer(ZONE, silent={f"n{i}.example" for i in range(20)})) as server:
        dns = resolver(server)
        slow = [asyncio.ensure_future(dns.srv(f"n{i}.example")) for i in range(20)]
        assert await dns.srv("none.example")
        assert not any(question.done() for question in slow)
        await asyncio.gather(*slow, return_exceptions=True)


async def test_an_answer_that_takes_longer_than_an_attempt_still_counts() -> None:
    async with serving(DnsServer(ZONE, delay={"none.example": 0.4})) as server:
        assert await resolver(server).srv("none.example") == (Srv(0, 0, 0, ""),)
        assert server.asked["none.example"] == 2


async def test_servfail_is_unavailable_and_not_absent() -> None:
    async with serving(DnsServer(ZONE, servfail={"ill.example"})) as server:
        with pytest.raises(DnsUnavailable, match="SERVFAIL"):
            await resolver(server).srv("ill.example")
        assert server.asked["ill.example"] == 1


async def test_the_next_server_is_asked_when_the_first_fails() -> None:
    ill = DnsServer({}, servfail={"none.example"})
    async with serving(DnsServer(ZONE)) as server, serving(ill):
        dns = resolver(server, ("127.0.0.1", ill.port))
        assert await dns.srv("none.example") == (Srv(0, 0, 0, ""),)


async def test_the_next_server_is_asked_when_the_first_is_not_there() -> None:
    async with serving(DnsServer(ZONE)) as server, serving(DnsServer({})) as gone:
        port = gone.port
        async with serving(DnsServer({})):
            pass
        gone_away = resolver(server, ("127.0.0.99", port))
        assert await gone_away.srv("none.example") == (Srv(0, 0, 0, ""),)


async def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    async with serving(DnsServer(ZONE, truncated={"_sips._tcp.beta.example"})) as server:
        assert len(await resolver(server).srv("_sips._tcp.beta.example")) == 2
        assert server.over_tcp["_sips._tcp.beta.example"] == 1


async def test_an_answer_with_a_wrong_id_is_passed_over() -> None:
    odd = DnsServer(ZONE, wrong_id_first={"none.example"}, only_wrong_id={"half.example"})
    async with serving(odd) as server:
        dns = resolver(server)
        assert await dns.srv("none.example") == (Srv(0, 0, 0, ""),)
        with pytest.raises(DnsUnavailable, match="no answer"):
            await dns.srv("half.example")


async def test_one_family_is_enough() -> None:
    async with serving(DnsServer(ZONE, silent_kinds={"AAAA"})) as server:
        assert await resolver(server).addresses("half.example") == ("127.0.0.9",)


def test_servers_are_read_from_a_resolv_conf(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.53\nnameserver 192.0.2.54\n")
    assert system_nameservers(str(path)) == (("192.0.2.53", 53), ("192.0.2.54", 53))
