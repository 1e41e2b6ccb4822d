"""ENUM as a source: what is found, what is not believed, and who is to blame."""

from __future__ import annotations

import asyncio
import itertools
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest

from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.domain import Tree
from discovery.model import Assurance, Outcome, Service
from gateway.dns import DnsResolver, DnsSettings
from gateway.enum_source import EnumSource, PinnedTree
from sip.dns import DnsUnavailable
from tests.support.dns_server import DnsServer, serving
from tests.support.signed_zones import NOW, SignedWorld, SignedZone, zone_key

BOB = "12125550123"
TREE = Tree("1", "e164.test")
DOMAIN = TREE.domain(BOB)


class WorldDns:
    """Answers from zones in memory, or fails."""

    def __init__(self, world: SignedWorld, *, fails: bool = False) -> None:
        self.world = world
        self.fails = fails

    async def signed_message(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        nameservers: tuple[tuple[str, int], ...] = (),
    ) -> dns.message.QueryMessage:
        if self.fails:
            raise DnsUnavailable("x", "nameserver 192.0.2.53:53", "no answer")
        message = self.world.reply(name, kind)
        assert isinstance(message, dns.message.QueryMessage)
        return message


def _world(*records: str, name: str = DOMAIN) -> SignedWorld:
    zone = SignedZone("e164.test")
    if records:
        zone.add(name, "NAPTR", *records)
    return SignedWorld([zone])


def _source(world: SignedWorld, *, now: float = NOW, fails: bool = False) -> EnumSource:
    pinned = PinnedTree(TREE, world.anchor())
    return EnumSource((pinned,), WorldDns(world, fails=fails), wall_clock=lambda: now)


SIP = '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@beta.example!" .'
OTHER = '100 20 "u" "E2U+sip" "!^.*$!sip:info@gamma.example!" .'


async def test_a_number_is_found_with_its_assurance_and_lifetime() -> None:
    source = _source(_world(OTHER, SIP))
    answer = await source.find(BOB, Service.VOICE, caller="")
    assert answer.outcome is Outcome.FOUND
    assert [(uri.uri, uri.msp, uri.prio) for uri in answer.uris] == [
        ("sip:+12125550123@beta.example", "beta.example", 10),
        ("sip:info@gamma.example", "gamma.example", 20),
    ]
    assert {uri.assurance for uri in answer.uris} == {Assurance.DNSSEC}
    assert {uri.expires_at for uri in answer.uris} == {NOW + 300}
    assert source.validations == {("secure", ""): 1}


@pytest.mark.parametrize(
    ("records", "outcome", "detail"),
    [
        ((), Outcome.NOT_FOUND, ""),
        (('1 1 "u" "E2U+email:mailto" "!.*!mailto:a@b.example!" .',), Outcome.NOT_FOUND,
         "no record for the service"),
        (('1 1 "u" "E2U+sip" "!.*!sip:a@192.0.2.1!" .',), Outcome.REFUSED,
         "URI: not a plain sip, sips, mimi or https URI at a DNS name"),
    ],
)  # fmt: skip
async def test_nothing_found_says_why(
    records: tuple[str, ...], outcome: Outcome, detail: str
) -> None:
    answer = await _source(_world(*records)).find(BOB, Service.VOICE, caller="")
    assert (answer.outcome, answer.detail, answer.uris) == (outcome, detail, ())


async def test_a_number_without_tree_is_asked_nowhere() -> None:
    world = _world(SIP)
    answer = await _source(world).find("442079460123", Service.VOICE, caller="")
    assert answer.outcome is Outcome.NOT_FOUND
    assert world.asked == []


async def test_what_does_not_validate_is_refused() -> None:
    answer = await _source(_world(SIP), now=NOW + 1e7).find(BOB, Service.VOICE, caller="")
    assert (answer.outcome, answer.detail) == (Outcome.REFUSED, "bogus: signature expired")


async def test_an_unsigned_delegation_is_refused() -> None:
    top, child = SignedZone("e164.test"), SignedZone("1.e164.test", signed=False)
    child.add(DOMAIN, "NAPTR", SIP)
    top.delegate(child, ds=False)
    answer = await _source(SignedWorld([top, child])).find(BOB, Service.VOICE, caller="")
    assert answer.outcome is Outcome.REFUSED
    assert answer.detail == "insecure: a delegation without DS"


async def test_dns_that_fails_is_unavailable_and_named() -> None:
    answer = await _source(_world(SIP), fails=True).find(BOB, Service.VOICE, caller="")
    assert answer.outcome is Outcome.UNAVAILABLE
    assert answer.detail == "nameserver 192.0.2.53:53: no answer"


async def test_a_rule_leads_on_within_the_tree_and_not_for_ever() -> None:
    world = _world('1 1 "" "" "" carrier.e164.test.')
    world.top.add("carrier.e164.test", "NAPTR", SIP)
    assert (await _source(world).find(BOB, Service.VOICE, caller="")).outcome is Outcome.FOUND
    circle = _world(f'1 1 "" "" "" {DOMAIN}.')
    answer = await _source(circle).find(BOB, Service.VOICE, caller="")
    assert answer.detail == "rules that lead on without end"
    away = _world('1 1 "" "" "" elsewhere.example.')
    answer = await _source(away).find(BOB, Service.VOICE, caller="")
    assert answer.detail == "indeterminate: an alias out of the tree"


async def test_a_hostile_zone_costs_little_time() -> None:
    hostile = "(((.*)*)*)*" * 12 + "x"
    records = [f'{n} 1 "u" "E2U+sip" "!{hostile}!sip:a@b.example!" .' for n in range(40)]
    zone = SignedZone("e164.test", [zone_key(15)])
    zone.add(DOMAIN, "NAPTR", *records)
    answer = await _source(SignedWorld([zone])).find(BOB, Service.VOICE, caller="")
    assert answer.outcome is Outcome.REFUSED


async def test_signed_questions_go_out_with_do_and_cd_and_over_tcp_when_truncated() -> None:
    seen: list[dns.message.Message] = []

    class Noting(DnsServer):
        def answer(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
            seen.append(query)
            return super().answer(query, tcp=tcp)

    zone = {(DOMAIN, "NAPTR"): [SIP]}
    name = dns.name.from_text(DOMAIN)
    async with serving(Noting(zone, truncated={DOMAIN}, servfail={"bad.test"})) as server:
        resolver = DnsResolver(DnsSettings((("127.0.0.1", 9),), timeout=1.0, attempt=0.2))
        there = (("127.0.0.1", server.port),)
        message = await resolver.signed_message(name, dns.rdatatype.NAPTR, there)
        assert message.answer[0].rdtype == dns.rdatatype.NAPTR
        assert server.over_tcp[DOMAIN] == 1
        assert seen[0].flags & dns.flags.CD
        assert seen[0].ednsflags & dns.flags.DO
        with pytest.raises(DnsUnavailable, match="SERVFAIL"):
            await resolver.signed_message(dns.name.from_text("bad.test"), dns.rdatatype.DS, there)
        await resolver.close()


async def test_signed_questions_are_bounded_in_number_and_time() -> None:
    name = dns.name.from_text(DOMAIN)
    async with serving(DnsServer({}, silent={DOMAIN})) as server:
        there = (("127.0.0.1", server.port),)
        resolver = DnsResolver(DnsSettings(there, timeout=0.1, attempt=0.05))
        with pytest.raises(DnsUnavailable, match="no answer"):
            await resolver.signed_message(name, dns.rdatatype.NAPTR)
        none = DnsResolver(DnsSettings(there, max_questions=0))
        with pytest.raises(DnsUnavailable, match="our own limit"):
            await none.signed_message(name, dns.rdatatype.NAPTR)


async def test_questions_differ_in_id_and_source_port_and_nothing_else_is_taken() -> None:
    """What an off-path forger has to guess, beside the signature: 16 bits and a port."""
    seen: set[tuple[int, int]] = set()

    class Listening(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            query = dns.message.from_wire(data)
            seen.add((query.id, addr[1]))
            forged = dns.message.make_response(query)
            forged.id = (query.id + 1) & 0xFFFF
            self.transport.sendto(forged.to_wire(), addr)
            self.transport.sendto(dns.message.make_response(query).to_wire(), addr)

    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Listening, local_addr=("127.0.0.1", 0))
    place = (("127.0.0.1", server.get_extra_info("sockname")[1]),)
    resolver = DnsResolver(DnsSettings(place, timeout=2.0))
    name = dns.name.from_text("e164.test")
    for _ in range(40):
        answer = await resolver.signed_message(name, dns.rdatatype.NAPTR)
        assert answer.rcode() == 0
    server.close()
    assert len({query for query, _ in seen}) > 35
    assert len({port for _, port in seen}) > 30
    steps = {later[0] - earlier[0] for earlier, later in itertools.pairwise(sorted(seen))}
    assert len(steps) > 20


async def test_either_of_two_pinned_ds_will_do_while_a_key_is_changed() -> None:
    """RFC 5011 is not followed: who pins adds the new DS before the change, drops the old after."""
    old, new = zone_key(13, 0), zone_key(13, 1)
    pinned = [
        *SignedZone("e164.test", keys=[old]).ds(),
        *SignedZone("e164.test", keys=[new]).ds(),
    ]
    for keys in ([old], [old, new], [new]):
        zone = SignedZone("e164.test", keys=keys)
        zone.add(DOMAIN, "NAPTR", SIP)
        tree = PinnedTree(TREE, trust_anchor("e164.test", pinned))
        source = EnumSource((tree,), WorldDns(SignedWorld([zone])), wall_clock=lambda: NOW)
        assert (await source.find(BOB, Service.VOICE, caller="")).outcome is Outcome.FOUND
