"""A witness cosigns what continues the tree it has seen, and refuses all else with one status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.log.cosignature import cosignatures
from discovery.log.note import Note
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.witness import (
    SIZE_TYPE,
    STATUS,
    AddCheckpoint,
    SizeConflict,
    Witness,
    WitnessedTree,
    parse_add_checkpoint,
    read_cosignatures,
)
from tests.support.log_world import NOW, MemoryLog, cosigner, log_signer

W1 = cosigner(1)


def witness() -> Witness:
    signer = log_signer()
    return Witness(W1, {signer.name: (signer.verifier,)})


def grown(*sizes: int) -> MemoryLog:
    log = MemoryLog()
    for size in sizes:
        log.append_raw([b"%d" % n for n in range(log.tree.size, size)])
    return log


def request(log: MemoryLog, old_size: int) -> AddCheckpoint:
    return AddCheckpoint(old_size, tuple(log.consistency(old_size)), log.checkpoint())


def refusal(asked: AddCheckpoint, latest: WitnessedTree) -> LogRefusal:
    def judge() -> None:
        one = witness()
        one.admit(asked)
        one.cosign(asked, latest, NOW)

    with pytest.raises(LogRefused) as caught:
        judge()
    assert caught.value.reason in STATUS
    return caught.value.reason


def test_a_log_that_grows_is_cosigned_each_time() -> None:
    log, latest, judge = MemoryLog(), WitnessedTree(), witness()
    for size in (1, 5, 5, 300):
        log.append_raw([b"%d" % n for n in range(log.tree.size, size)])
        asked = parse_add_checkpoint(request(log, latest.size).encode())
        judge.admit(asked)
        latest, line = judge.cosign(asked, latest, NOW)
        assert latest == WitnessedTree(size, log.tree.root())
        note = asked.checkpoint.note
        (found,) = read_cosignatures(200, "text/plain", str(line).encode(), note, [W1.verifier])
        shown = replace(asked.checkpoint, note=note.with_signatures([found]))
        assert [one.at for one in cosignatures(shown, [W1.verifier])] == [int(NOW)]


def test_a_request_that_forgot_the_last_tree_learns_its_size() -> None:
    latest = WitnessedTree(5, grown(5).tree.root())
    with pytest.raises(SizeConflict) as caught:
        witness().cosign(request(grown(5, 9), 0), latest, NOW)
    assert caught.value.size == 5
    with pytest.raises(SizeConflict) as told:
        read_cosignatures(409, SIZE_TYPE, b"5\n", Note("", ()), [W1.verifier])
    assert told.value.size == 5


def test_a_forked_log_is_not_cosigned() -> None:
    fork = MemoryLog()
    fork.append_raw([b"another"] * 9)
    latest = WitnessedTree(5, grown(5).tree.root())
    assert refusal(request(fork, 5), latest) is LogRefusal.INCONSISTENT
    same_size = MemoryLog()
    same_size.append_raw([b"another"] * 5)
    assert refusal(request(same_size, 5), latest) is LogRefusal.SPLIT_VIEW


def test_strangers_and_forgers_are_turned_away_before_anything_is_looked_up() -> None:
    stranger = MemoryLog(log_signer(1, "other.example/log"))
    stranger.append_raw([b"x"])
    assert refusal(request(stranger, 0), WitnessedTree()) is LogRefusal.UNKNOWN_LOG
    other_key = MemoryLog(log_signer(2))
    other_key.append_raw([b"x"])
    assert refusal(request(other_key, 0), WitnessedTree()) is LogRefusal.WRONG_LOG
    good = request(grown(3), 0)
    text = good.checkpoint.note.text.replace("\n3\n", "\n4\n")
    body = good.encode().replace(good.checkpoint.note.text.encode(), text.encode())
    assert refusal(parse_add_checkpoint(body), WitnessedTree()) is LogRefusal.FORGED
    assert refusal(replace(good, old_size=4), WitnessedTree()) is LogRefusal.MALFORMED


def test_a_proof_from_nothing_is_empty() -> None:
    asked = replace(request(grown(3), 0), path=(b"h" * 32,))
    assert refusal(asked, WitnessedTree()) is LogRefusal.INCONSISTENT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 00\n\nx",
        b"old -1\n\nx",
        b"new 0\n\nx",
        b"old 9\n\xff\n\nx",
        b"old 9\nAAAA\n\nx",
        b"old 99999999999999999999\n\nx",
        b"old 0\n" + b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" * 64 + b"\n",
    ],
)
def test_a_broken_request_is_malformed(body: bytes) -> None:
    with pytest.raises(LogRefused) as caught:
        parse_add_checkpoint(body)
    assert caught.value.reason is LogRefusal.MALFORMED


def test_an_oversized_request_is_not_read() -> None:
    with pytest.raises(LogRefused) as caught:
        parse_add_checkpoint(b"x" * 100_000)
    assert caught.value.reason is LogRefusal.OVERSIZED


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (409, b"", LogRefusal.SPLIT_VIEW),
        (422, b"", LogRefusal.INCONSISTENT),
        (500, b"", LogRefusal.UNWITNESSED),
        (200, b"", LogRefusal.MALFORMED),
        (200, b"\xff", LogRefusal.MALFORMED),
        (200, str(cosigner(2).cosign("text\n", NOW)).encode(), LogRefusal.UNWITNESSED),
        (200, str(W1.cosign("another\n", NOW)).encode(), LogRefusal.FORGED),
    ],
)
def test_an_answer_without_a_good_cosignature_is_refused(
    status: int, body: bytes, reason: LogRefusal
) -> None:
    with pytest.raises(LogRefused) as caught:
        read_cosignatures(status, "text/plain", body, Note("text\n", ()), [W1.verifier])
    assert caught.value.reason is reason
