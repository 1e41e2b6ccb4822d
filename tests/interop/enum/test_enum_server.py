"""Published numbers over real sockets: found, denied, and validated by us and by others."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import dns.asyncquery
import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.opcode
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.rrset
import pytest

from discovery.enum.naptr import Rule
from discovery.model import Assurance, Outcome, Service
from gateway.enum_server.server import NumbersUnavailable
from tests.support.enum_server import (
    BOB,
    TREE,
    anchors_of_delv,
    ask,
    enum_server,
    numbers,
    output_of,
    program,
    settings_of_unbound,
    source_of,
    zone,
)

pytestmark = pytest.mark.real
DOMAIN = TREE.domain(BOB)
ABSENT = TREE.domain("12125550124")
NOW = time.time()


async def test_our_own_validator_finds_what_is_published() -> None:
    async with enum_server() as server:
        source = source_of(server, NOW)
        voice = await source.find(BOB, Service.VOICE, caller="")
        assert [uri.uri for uri in voice.uris] == [f"sip:+{BOB}@beta.example;user=phone"]
        assert voice.uris[0].assurance is Assurance.DNSSEC
        message = await source.find(BOB, Service.IM, caller="")
        assert [uri.msp for uri in message.uris] == ["beta.example", "beta.example"]
        absent = await source.find("12125550124", Service.VOICE, caller="")
        assert (absent.outcome, absent.detail) == (Outcome.NOT_FOUND, "")
        assert source.validations == {("secure", ""): 3}


async def test_our_own_validator_refuses_it_when_it_has_expired() -> None:
    async with enum_server() as server:
        answer = await source_of(server, NOW + 40 * 86_400).find(BOB, Service.VOICE, caller="")
    assert (answer.outcome, answer.detail) == (Outcome.REFUSED, "bogus: signature expired")


async def test_dnspython_validates_answers_and_denials() -> None:
    async with enum_server() as server:
        keys = await ask(server, TREE.suffix, "DNSKEY")
        named: dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset]
        named = {keys.answer[0].name: keys.answer[0]}
        dns.dnssec.validate(keys.answer[0], keys.answer[1], named)
        found = await ask(server, DOMAIN, "NAPTR")
        dns.dnssec.validate(found.answer[0], found.answer[1], named)
        absent = await ask(server, ABSENT, "NAPTR")
        for records, signature in zip(absent.authority[::2], absent.authority[1::2], strict=True):
            dns.dnssec.validate(records, signature, named)


async def test_delv_validates_answers_and_denials(tmp_path: Path) -> None:
    delv = program("delv")
    anchors = str(anchors_of_delv(tmp_path))
    async with enum_server() as server:
        asking = (
            delv, "@127.0.0.1", "-p", str(server.port), "-a", anchors, f"+root={TREE.suffix}",
        )  # fmt: skip
        said = await output_of(*asking, DOMAIN, "NAPTR")
        assert "; fully validated" in said
        assert "beta.example;user=phone" in said
        said = await output_of(*asking, ABSENT, "NAPTR")
        assert "; negative response, fully validated" in said
        said = await output_of(*asking, f"www.{TREE.suffix}", "A")
        assert "; negative response, fully validated" in said


async def test_unbound_validates_answers_and_denials(tmp_path: Path) -> None:
    host = program("unbound-host")
    async with enum_server() as server:
        settings = str(settings_of_unbound(tmp_path, server))
        for name, kind, says in (
            (DOMAIN, "NAPTR", "beta.example;user=phone"),
            (ABSENT, "NAPTR", "has no NAPTR record"),
            (DOMAIN, "TXT", "has no TXT record"),
            (f"www.{TREE.suffix}", "A", "has no address"),
            (f"5.5.5.2.1.2.1.{TREE.suffix}", "NAPTR", "has no NAPTR record"),
        ):
            said = await output_of(host, "-C", settings, "-v", "-t", kind, name)
            assert says in said
            assert said.count("(secure)") == said.count("\n"), said


@pytest.mark.parametrize("kind", ["AXFR", "IXFR", "RRSIG"])
async def test_the_zone_is_given_to_nobody(kind: str) -> None:
    async with enum_server() as server:
        query = dns.message.make_query(TREE.suffix, kind)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        wire = query.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        size = int.from_bytes(await reader.readexactly(2), "big")
        response = dns.message.from_wire(await reader.readexactly(size))
        assert response.rcode() == dns.rcode.REFUSED
        assert not response.answer
        writer.close()
        await writer.wait_closed()


async def test_names_with_and_without_numbers_below_are_denied_alike() -> None:
    """Otherwise one could ask digit by digit, and find every number."""
    async with enum_server() as server:
        shapes = set()
        for digits in ("1", "9", "1212555012", "1212555013", "12125550124", "99999999999"):
            for flags in (0, 0x4000):
                name = TREE.domain(digits) if len(digits) > 2 else f"{digits}.{TREE.suffix}"
                message = await ask(server, name, "NAPTR", ednsflags=0x8000 | flags)
                nsec = next(each for each in message.authority if each.rdtype == 47)
                assert nsec.name == dns.name.from_text(name)
                types = nsec[0].to_text().partition(" ")[2]
                shapes.add((flags, message.rcode(), types, len(message.authority)))
        assert shapes == {(0, 0, "RRSIG NSEC", 4), (0x4000, 0, "RRSIG NSEC", 4)}


async def test_other_names_do_not_exist() -> None:
    async with enum_server() as server:
        name = f"www.{TREE.suffix}"
        assert (await ask(server, name, "A")).rcode() == dns.rcode.NOERROR
        assert (await ask(server, name, "A", ednsflags=0xC000)).rcode() == dns.rcode.NXDOMAIN
        plain = await ask(server, name, "A", want_dnssec=False)
        assert plain.rcode() == dns.rcode.NXDOMAIN
        assert [each.rdtype for each in plain.authority] == [dns.rdatatype.SOA]


async def test_an_answer_too_long_for_udp_comes_over_tcp() -> None:
    uris = [(Service.VOICE, f"sip:{'x' * 60}{n}@{'long' * 12}.beta.example") for n in range(8)]
    async with enum_server(numbers({BOB: uris})) as server:
        short = await ask(server, DOMAIN, "NAPTR", payload=512)
        assert short.flags & dns.flags.TC
        assert not short.answer
        whole = await ask(server, DOMAIN, "NAPTR", tcp=True)
        assert len(whole.answer[0]) == 8
        answer = await source_of(server, NOW).find(BOB, Service.VOICE, caller="")
        assert len(answer.uris) == 8


async def test_udp_answers_are_no_longer_than_their_query_once_there_are_too_many() -> None:
    async with enum_server(responses_per_second=0.001, responses_burst=2) as server:
        sizes = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", server.port))
            query = dns.message.make_query(DOMAIN, "NAPTR", want_dnssec=True).to_wire()
            loop = asyncio.get_running_loop()
            for _ in range(12):
                client.send(query)
                try:
                    async with asyncio.timeout(0.1):
                        sizes.append(len(await loop.sock_recv(client, 4096)))
                except TimeoutError:
                    sizes.append(0)
        assert min(sizes[:2]) > len(query)
        assert max(sizes[2:]) <= len(query)
        assert sizes[2:].count(0) == 5
        # Whoever is throttled can still ask over TCP.
        assert (await ask(server, DOMAIN, "NAPTR", tcp=True)).answer


async def test_junk_gets_no_answer_and_does_no_harm() -> None:
    async with enum_server() as server:
        response = dns.message.make_response(dns.message.make_query(DOMAIN, "NAPTR"))
        notify = dns.message.make_query(DOMAIN, "SOA")
        notify.set_opcode(dns.opcode.NOTIFY)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for junk in (b"", b"x", b"\x00" * 12, b"\xff" * 600, response.to_wire(), bytes(1300)):
                client.sendto(junk, ("127.0.0.1", server.port))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\xff\xff" + b"x" * 100)
        assert await reader.read() == b""
        writer.close()
        assert (await ask(server, DOMAIN, "NAPTR")).answer
        told = await dns.asyncquery.udp(notify, "127.0.0.1", timeout=2, port=server.port)
        assert told.rcode() == dns.rcode.NOTIMP
        foreign = await ask(server, "elsewhere.example", "NAPTR")
        assert foreign.rcode() == dns.rcode.REFUSED
        assert (await ask(server, DOMAIN, "TYPE128")).rcode() == dns.rcode.FORMERR
        assert server.counts["malformed"] == 5


async def test_numbers_that_cannot_be_looked_up_are_a_failure_not_an_absence() -> None:
    class Failing:
        async def rules(self, number: str) -> tuple[Rule, ...]:
            raise NumbersUnavailable("database: closed")

    async with enum_server(Failing()) as server:
        assert (await ask(server, DOMAIN, "NAPTR")).rcode() == dns.rcode.SERVFAIL
        answer = await source_of(server, NOW).find(BOB, Service.VOICE, caller="")
        assert answer.outcome is Outcome.UNAVAILABLE


async def test_connections_are_few_and_end() -> None:
    async with enum_server(max_per_source=2, idle=0.2) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        assert await held[2][0].read() == b""
        async with asyncio.timeout(2):
            assert await held[0][0].read() == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        assert server.counts["connection refused"] == 1


async def test_signatures_are_made_once_and_bounded() -> None:
    published = zone(max_signatures=20)
    async with enum_server(published=published, responses_burst=1e6) as server:
        for _ in range(5):
            await ask(server, DOMAIN, "NAPTR")
        assert published.signatures_made == 1
        for last in range(200, 260):
            await ask(server, TREE.domain(f"12125550{last}"), "NAPTR")
        made = published.signatures_made
        await ask(server, DOMAIN, "NAPTR")
        assert published.signatures_made == made


async def test_a_flood_from_many_networks_leaves_room_for_others() -> None:
    """Twenty networks ask for absent numbers as fast as they can; nothing grows without bound."""
    published = zone(max_signatures=200)
    async with enum_server(
        published=published, responses_per_second=5.0, responses_burst=20.0
    ) as server:
        for network in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((f"127.1.{network}.1", 0))
                for number in range(200):
                    name = TREE.domain(f"1213{network:03d}{number:04d}")
                    query = dns.message.make_query(name, "NAPTR", want_dnssec=True).to_wire()
                    client.sendto(query, ("127.0.0.1", server.port))
                    if number % 20 == 0:
                        await asyncio.sleep(0)  # or the kernel drops what nobody reads
        assert (await source_of(server, NOW).find(BOB, Service.VOICE, caller="")).uris
        assert (await ask(server, DOMAIN, "NAPTR", tcp=True)).answer
        # Of each network twenty and a few are answered; the rest is dropped or sent to TCP.
        assert 0 < server.counts["absent"] <= 20 * 30
        assert server.counts["rate limited"] + server.counts["dropped"] > 0
        assert published.signatures_held <= 200 + 20
