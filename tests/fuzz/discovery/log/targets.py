"""Fuzz targets of the log: what logs, witnesses and strangers send gives a value or LogRefused.

With atheris installed: `python -m tests.fuzz.discovery.log.targets note [CORPUS] [options]`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable
from typing import Final

from discovery.log.checkpoint import parse_checkpoint
from discovery.log.cosignature import cosignatures, parse_witness
from discovery.log.entry import EntryType, parse_entry
from discovery.log.following import prove_consistency
from discovery.log.logged import parse_proof, verify_logged
from discovery.log.note import parse_note, parse_verifier, verified
from discovery.log.proof_members import read_proof
from discovery.log.reason import LogRefused
from discovery.log.tiles import Bundle, Tile, decode_bundle, encode_bundle, parse_index_path
from discovery.log.witness import Witness, WitnessedTree, parse_add_checkpoint
from tests.support.log_world import NOW, ORIGIN, MemoryLog, cosigner, log_signer, policy

KEY: Final = log_signer().verifier
W1: Final = cosigner(1)


def note(data: bytes) -> None:
    """Read and verify a note; what was read is written as it came."""
    with contextlib.suppress(LogRefused):
        read = parse_note(data)
        assert str(read).encode() == data
        verified(read, [KEY, W1.verifier])


def checkpoint(data: bytes) -> None:
    """Read a checkpoint and its cosignatures; its text says what it says."""
    with contextlib.suppress(LogRefused):
        signed = parse_checkpoint(data)
        assert signed.checkpoint.text == signed.note.text
        cosignatures(signed, [W1.verifier])


def key(data: bytes) -> None:
    """Read a public key of a log and of a witness."""
    text = data.decode("utf-8", "replace")
    for parse in (parse_verifier, parse_witness):
        with contextlib.suppress(LogRefused):
            assert str(parse(text)) == text.strip()


def bundle(data: bytes) -> None:
    """Read an entry bundle and its entries."""
    with contextlib.suppress(LogRefused):
        entries = decode_bundle(data[1:], data[0] if data else 0)
        assert encode_bundle(entries) == data[1:]
        for entry in entries:
            assert parse_entry(entry).encode() == entry


def path(data: bytes) -> None:
    """Read where a tile lies; a tile has one path."""
    text = data.decode("latin-1")
    with contextlib.suppress(LogRefused):
        index, width = parse_index_path(text)
        assert Tile(0, index, width).path == f"tile/0/{text}"
        assert Bundle(index, width).path == f"tile/entries/{text}"


def proof(data: bytes) -> None:
    """Read a proof from an answer and verify it."""
    with contextlib.suppress(LogRefused):
        parse_proof(data.decode("utf-8", "replace"))
    with contextlib.suppress(ValueError, RecursionError):
        members = json.loads(data)
        if isinstance(members, dict):
            with contextlib.suppress(LogRefused):
                answer = read_proof(EntryType.RECORD, b"record", members)
                verify_logged(answer, policy(W1), NOW)


def witness(data: bytes) -> None:
    """Ask a witness."""
    judge = Witness(W1, {ORIGIN: (KEY,)})
    with contextlib.suppress(LogRefused):
        request = parse_add_checkpoint(data)
        judge.admit(request)
        judge.cosign(request, WitnessedTree(), NOW)


def tiles(data: bytes) -> None:
    """Prove consistency from tiles that a log makes up."""
    log = MemoryLog()
    log.append_raw([b"x"] * 5)
    older = log.checkpoint()
    log.append_raw([b"y"] * 600)
    procedure = prove_consistency(older, log.checkpoint())
    with contextlib.suppress(LogRefused, StopIteration):
        wanted = next(procedure)
        while True:
            given = [
                data[n * 32 :] + log.read(each)[len(data[n * 32 :]) :]
                for n, each in enumerate(wanted)
                if isinstance(each, Tile)
            ]
            wanted = procedure.send(given)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "note": note,
    "checkpoint": checkpoint,
    "key": key,
    "bundle": bundle,
    "path": path,
    "proof": proof,
    "witness": witness,
    "tiles": tiles,
}


def main() -> None:
    """Fuzz the target named by the first argument."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
