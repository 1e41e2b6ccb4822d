"""The fuzz targets of the log, run over their seeds and over cut and flipped forms of them."""

from __future__ import annotations

import json
from random import Random

import pytest

from discovery.log.entry import EntryType, Label, log_entry
from discovery.log.proof_members import proof_members
from discovery.log.tiles import Bundle
from discovery.log.witness import AddCheckpoint
from tests.fuzz.discovery.log.targets import KEY, TARGETS, W1
from tests.support.log_world import NONCE, MemoryLog, label, logged_answer

RUNS = {"tiles": 40}


def seeds(name: str) -> list[bytes]:
    log = MemoryLog()
    answer = logged_answer(log, W1)
    assert answer.proof is not None
    members = proof_members(Label(answer.label), answer.nonce, answer.proof)
    signed = log.checkpoint(W1)
    note = str(signed.note).encode()
    small = MemoryLog()
    small.append(log_entry(EntryType.CLAIM, label(1), b"x", NONCE))
    return {
        "note": [note, b"text\n\n\xe2\x80\x94 name AAAAAAAA\n"],
        "checkpoint": [note],
        "key": [str(KEY).encode(), str(W1.verifier).encode()],
        "bundle": [b"\x01" + small.bundle(Bundle(0, 1)), b"\x05" + log.bundle(Bundle(0, 5))],
        "path": [b"000", b"x001/x234/067.p/12", b"999.p/255"],
        "proof": [json.dumps(members).encode(), str(answer.proof).encode()],
        "witness": [AddCheckpoint(0, (), signed).encode()],
        "tiles": [b"", b"\x01" * 64],
    }[name]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in seeds(name):
        TARGETS[name](seed)
        for _ in range(RUNS.get(name, 300)):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(6)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
