"""Fuzz targets: each takes octets, and must let nothing escape.

Run one under atheris (`pip install atheris`), which a normal test run does not need:

    python -m tests.fuzz.discovery.enum.targets naptr tests/fuzz/discovery/enum/corpus/naptr
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from discovery.enum.dnssec.chain import KeyStore, validate
from discovery.enum.dnssec.outcome import Status, Verdict
from discovery.enum.naptr import Rule, select
from discovery.model import Service
from discovery.service_uri import parse_service_uri
from gateway.enum_server.server import datagram_of, read_query, truncated
from tests.support.enum_server import BOB, zone
from tests.support.signed_zones import NOW, SignedWorld, SignedZone

_NUMBER = "3.2.1.0.5.5.5.2.1.2.1.e164.test"
_NAPTR = '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@beta.example!" .'


def naptr(data: bytes) -> None:
    """Take the octets as expression, and after a line feed as services; select."""
    text = data.decode("latin-1")
    regexp, _, services = text.partition("\n")
    rules = [
        Rule(1, 1, "u", services or "E2U+sip", regexp),
        Rule(2, 2, "u", "E2U+sip", f"!{regexp}!sip:\\1@beta.example!i"),
    ]
    for service in Service:
        for uri in select(rules, "12125550123", service).uris:
            parse_service_uri(uri.text)


@cache
def _worlds() -> tuple[SignedWorld, ...]:
    worlds = []
    for denial in ("nsec", "nsec3"):
        zone = SignedZone("e164.test", denial=denial)
        zone.add(_NUMBER, "NAPTR", _NAPTR)
        worlds.append(SignedWorld([zone]))
    return tuple(worlds)


def dnssec(data: bytes) -> None:
    """Change octets of true answers; what still is secure has to be what was signed.

    The first octet chooses the zone, the question and the answer changed; each three after it are
    a place and what is added there.
    """
    if not data:
        return
    choice = data[0]
    world = _worlds()[choice & 1]
    name = dns.name.from_text(_NUMBER if choice & 2 else "9" + _NUMBER[1:])
    asking = validate(name, dns.rdatatype.NAPTR, world.anchor(), KeyStore(), NOW)
    question, answers = next(asking), 0
    try:
        while True:
            wire = bytearray(world.reply(question.name, question.kind).to_wire(max_size=65535))
            if answers == choice >> 2 & 3 or choice & 16:
                for place in range(1, len(data) - 2, 3):
                    offset = int.from_bytes(data[place : place + 2], "big") % len(wire)
                    wire[offset] = (wire[offset] + data[place + 2]) & 0xFF
            answers += 1
            try:
                message = dns.message.from_wire(bytes(wire))
            except (dns.exception.DNSException, ValueError):
                asking.close()
                return
            question = asking.send(message)
    except StopIteration as end:
        verdict = end.value
    assert isinstance(verdict, Verdict)
    if verdict.status is Status.SECURE:
        held = verdict.records
        texts = None if held is None else [record.to_text() for record in held]
        if texts != ([_NAPTR] if choice & 2 else None):
            raise AssertionError("a changed answer is believed")


_zone = cache(zone)


def query(data: bytes) -> None:
    """Ask the server of published numbers; what is answered can be sent, and is no amplifier."""
    asked = read_query(data)
    if asked is None:
        return
    published = _zone()
    rules = (Rule(100, 10, "u", "E2U+sip", "!^.*$!sip:a@beta.example!"),)
    number = published.number_asked(asked)
    response = published.answer(asked, rules if number == BOB else (), NOW)
    wire = datagram_of(response, asked)
    assert wire is None or len(wire) <= 1232
    assert response.to_wire(max_size=65_535)
    assert len(truncated(asked)) <= max(len(data), 12)


TARGETS: dict[str, Callable[[bytes], None]] = {"naptr": naptr, "dnssec": dnssec, "query": query}


def main() -> None:
    """Run the target named first on the command line under atheris."""
    atheris = import_module("atheris")

    name = sys.argv.pop(1)
    atheris.instrument_all()
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
