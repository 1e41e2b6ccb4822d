"""The directory's fuzz targets, run over their seeds and over cut and flipped forms of them."""

from __future__ import annotations

from random import Random

import pytest

from discovery.directory.answer import Answer, LoggedRecord, Status, build_answer
from discovery.directory.canonical_json import canonical
from discovery.directory.identifier import parse_identifier
from discovery.directory.jws import Kind, read
from discovery.directory.prefix_map import DirectoryName, PrefixMap
from discovery.directory.record import Map, Record, sign_record
from discovery.directory.statements import Release, Removal
from discovery.model import Service
from tests.fuzz.discovery.directory_targets import ANYBODY, CSI, DIRECTORY, NOW, TARGETS

AT = int(NOW)
BOB = parse_identifier(CSI)
RECORD = Record(
    csi=BOB,
    seq=1,
    issued_at=AT,
    expires_at=AT + 86_400,
    maps=(
        Map("b.example", (Service.VOICE,), "sip:+14155550123@b.example;user=phone", 10, ("enum",)),
        Map("b.example", (Service.IM,), "mimi://b.example/u/bob", 20, ()),
    ),
    x5u="https://ca.example/c/1",
)
TOKEN = sign_record(RECORD, ANYBODY)
NAMES = (DirectoryName(DIRECTORY, "x" * 43),)
PREFIXES = PrefixMap(AT, AT + 60, {"+1": NAMES, "mailto": NAMES, "mailto:mail.example": NAMES})


def an_answer() -> bytes:
    digest = read(TOKEN, Kind.RECORD, max_length=8192).digest
    said = Answer(DIRECTORY, BOB, AT, Status.MAPS, (digest,))
    return build_answer(said, [LoggedRecord(TOKEN, ("AAAA",), None)], ANYBODY)


def seeds(name: str) -> list[bytes]:
    payloads = (
        RECORD.claims(),
        PREFIXES.claims(),
        Removal("https://dp.example", BOB, 2, AT).claims(),
        Release(BOB, "x" * 43, AT).claims(),
    )
    return {
        "tokens": [TOKEN.encode()],
        "claims": [canonical(each) for each in payloads],
        "prefixes": [canonical(PREFIXES.claims())],
        "answer": [an_answer()],
        "identifier": [CSI.encode(), b"mailto:bob@mail.example", b"+1 415 555 0123"],
    }[name]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in seeds(name):
        TARGETS[name](seed)
        for _ in range(300):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(4)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
