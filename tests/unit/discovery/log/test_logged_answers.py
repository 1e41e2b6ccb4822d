"""A relying gateway believes a logged answer, and refuses every other for one closed reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.log.entry import EntryType, commit, derived_nonce
from discovery.log.logged import (
    InclusionProof,
    LoggedAnswer,
    LogPolicy,
    parse_proof,
    verify_logged,
)
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.seen import SeenCheckpoints, SplitView
from tests.support.log_world import (
    NONCE,
    NOW,
    RECORD,
    MemoryLog,
    cosigner,
    label,
    log_signer,
    logged_answer,
    policy,
)

W1, W2 = cosigner(1), cosigner(2)


def refusal(answer: LoggedAnswer, demanded: LogPolicy, now: float = NOW) -> LogRefusal:
    with pytest.raises(LogRefused) as caught:
        verify_logged(answer, demanded, now)
    return caught.value.reason


def with_note(answer: LoggedAnswer, note: str) -> LoggedAnswer:
    assert answer.proof is not None
    return replace(answer, proof=replace(answer.proof, checkpoint=note))


def test_a_logged_and_witnessed_answer_is_believed() -> None:
    answer = logged_answer(MemoryLog(), W1)
    found = verify_logged(answer, policy(W1), NOW + 60)
    assert found.size == 306
    assert answer.proof == parse_proof(str(answer.proof))


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"another record"},
        {"nonce": b"m" * 32},
        {"label": label(43)},
        {"type": EntryType.CERTIFICATE},
        {"proof": None},
    ],
)
def test_an_answer_that_is_not_the_one_logged_is_not_logged(change: dict[str, object]) -> None:
    answer = replace(logged_answer(MemoryLog(), W1), **change)  # type: ignore[arg-type]
    assert refusal(answer, policy(W1)) is LogRefusal.NOT_LOGGED


def test_a_proof_of_another_place_is_not_one() -> None:
    answer = logged_answer(MemoryLog(), W1)
    assert answer.proof is not None
    moved = replace(answer, proof=replace(answer.proof, index=6))
    assert refusal(moved, policy(W1)) is LogRefusal.NOT_LOGGED


def test_a_short_label_or_nonce_is_malformed() -> None:
    answer = logged_answer(MemoryLog(), W1)
    assert refusal(replace(answer, nonce=b"x"), policy(W1)) is LogRefusal.MALFORMED


def test_a_checkpoint_without_enough_witnesses_is_unwitnessed() -> None:
    assert refusal(logged_answer(MemoryLog()), policy(W1)) is LogRefusal.UNWITNESSED
    answer = logged_answer(MemoryLog(), W1)
    assert refusal(answer, policy(W1, W2, quorum=2)) is LogRefusal.UNWITNESSED
    assert refusal(answer, policy(W2)) is LogRefusal.UNWITNESSED
    verify_logged(answer, policy(W1, W2, quorum=1), NOW)
    verify_logged(logged_answer(MemoryLog()), policy(quorum=0), NOW + 1e9)


def test_a_witness_from_the_future_is_none() -> None:
    answer = logged_answer(MemoryLog(), W1, at=NOW + 3_600)
    assert refusal(answer, policy(W1)) is LogRefusal.UNWITNESSED


def test_an_old_checkpoint_is_stale_by_the_last_witness_that_counts() -> None:
    log = MemoryLog()
    answer = logged_answer(log, W1)
    assert refusal(answer, policy(W1), NOW + 3_601) is LogRefusal.STALE_CHECKPOINT
    again = W2.cosign(log.checkpoint().checkpoint.text, NOW + 3_000)
    both = log.checkpoint(W1).note.with_signatures([again])
    renewed = with_note(answer, str(both))
    verify_logged(renewed, policy(W1, W2), NOW + 3_601)
    two = policy(W1, W2, quorum=2)
    assert refusal(renewed, two, NOW + 3_601) is LogRefusal.STALE_CHECKPOINT


def test_a_checkpoint_of_another_log_is_of_the_wrong_log() -> None:
    other = logged_answer(MemoryLog(log_signer(2, "other.example/log")), W1)
    assert refusal(other, policy(W1)) is LogRefusal.WRONG_LOG
    other_key = logged_answer(MemoryLog(log_signer(2)), W1)
    assert refusal(other_key, policy(W1)) is LogRefusal.WRONG_LOG


def test_a_checkpoint_whose_text_was_changed_is_forged() -> None:
    answer = logged_answer(MemoryLog(), W1)
    assert answer.proof is not None
    note = answer.proof.checkpoint.replace("\n306\n", "\n305\n")
    assert refusal(with_note(answer, note), policy(W1)) is LogRefusal.FORGED


def test_a_forged_cosignature_condemns_the_note() -> None:
    log = MemoryLog()
    answer = logged_answer(log, W1)
    line = W1.cosign("another text\n", NOW)
    note = log.checkpoint(W2).note.with_signatures([line])
    assert refusal(with_note(answer, str(note)), policy(W1, W2)) is LogRefusal.FORGED


def test_two_trees_of_one_size_are_a_split_view() -> None:
    seen = SeenCheckpoints()
    one, other = MemoryLog(), MemoryLog()
    answer = logged_answer(one, W1)
    verify_logged(answer, policy(W1), NOW, seen=seen)
    verify_logged(answer, policy(W1), NOW, seen=seen)
    other.append_raw([b"z" * 66])
    logged_answer(other)
    forked = MemoryLog()
    forked.append_raw(other.entries[:7][1:] + [b"q" * 66] * 300)
    proof = forked.proof(5, forked.checkpoint(W1))
    with pytest.raises(SplitView) as caught:
        verify_logged(replace(answer, proof=proof), policy(W1), NOW, seen=seen)
    assert caught.value.reason is LogRefusal.SPLIT_VIEW
    assert caught.value.one.checkpoint.size == caught.value.other.checkpoint.size == 306


def test_the_memory_of_checkpoints_is_bounded() -> None:
    seen, log = SeenCheckpoints(max_entries=3), MemoryLog()
    for _ in range(10):
        log.append_raw([b"e" * 66])
        seen.add(log.checkpoint())
    assert len(seen) == 3
    assert [signed.checkpoint.size for signed in seen.unproven()] == [8, 9, 10]
    seen.proven(seen.unproven()[0])
    assert [signed.checkpoint.size for signed in seen.unproven()] == [9, 10]


def test_a_label_that_does_not_verify_is_the_wrong_one() -> None:
    class Labels:
        def is_label_of(self, found: bytes, identifier: str, proof: bytes) -> bool:
            return found == label(42) and identifier == "tel:+12125550142" and proof == b"p"

    answer = replace(logged_answer(MemoryLog(), W1), label_proof=b"p")
    demanded = replace(policy(W1), labels=Labels())
    verify_logged(answer, demanded, NOW, identifier="tel:+12125550142")
    with pytest.raises(LogRefused) as caught:
        verify_logged(answer, demanded, NOW, identifier="tel:+12125550143")
    assert caught.value.reason is LogRefusal.WRONG_LABEL


def test_a_policy_that_counts_a_witness_twice_is_none() -> None:
    with pytest.raises(ValueError, match="quorum"):
        policy(W1, replace(W1, name="witness.example/alias"), quorum=2)
    with pytest.raises(ValueError, match="one name"):
        LogPolicy(())


def test_commitments_show_nothing_and_are_one_for_one_content() -> None:
    assert commit(RECORD, NONCE) != commit(RECORD, b"o" * 32)
    nonce = derived_nonce(b"k" * 32, label(42), RECORD)
    assert nonce == derived_nonce(b"k" * 32, label(42), RECORD)
    assert nonce != derived_nonce(b"k" * 32, label(42), b"another")
    with pytest.raises(ValueError, match="octets"):
        commit(RECORD, b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\nextra aaa=\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 1\nnothash\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + "A" * 43 + "=\n" * 64 + "\n\nx",
    ],
)
def test_a_broken_proof_is_malformed(text: str) -> None:
    with pytest.raises(LogRefused) as caught:
        parse_proof(text)
    assert caught.value.reason is LogRefusal.MALFORMED


def test_an_oversized_proof_is_not_read() -> None:
    with pytest.raises(LogRefused) as caught:
        parse_proof("x" * 100_000)
    assert caught.value.reason is LogRefusal.OVERSIZED
    assert parse_proof("c2sp.org/tlog-proof@v1\nextra QQ==\nindex 0\n\nnote") == InclusionProof(
        0, (), "note"
    )
