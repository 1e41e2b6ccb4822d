"""Split storage: a record is found by its identifier alone, by neither server alone."""

from __future__ import annotations

import pytest

from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import (
    MAX_BUCKET,
    MAX_SEALED,
    BlindEvaluator,
    EvaluationKeys,
    LabelMaker,
    StorageQuestion,
    StorageSecrets,
    bucket_of,
    encode_bucket,
    find_sealed,
)
from discovery.privacy.voprf import Blinding, Evaluator

BOB = "tel:+14155550123"
CAROL = "tel:+14155550124"
LABEL_SEED, RECORD_SEED = b"1" * 32, b"2" * 32
SERVER_A = BlindEvaluator(LABEL_SEED, RECORD_SEED)
SERVER_B = LabelMaker(LABEL_SEED)


def ask(identifier: str, server: BlindEvaluator = SERVER_A) -> StorageSecrets:
    question = StorageQuestion(identifier)
    return question.finish(server.evaluate(question.request), SERVER_A.public_keys)


def test_a_caller_opens_what_the_owner_sealed() -> None:
    sealed = ask(BOB).seal(b"record of Bob")
    label = SERVER_B.label(BOB)
    bucket = encode_bucket([(label, sealed), (SERVER_B.label(CAROL), ask(CAROL).seal(b"Carol"))])
    secrets = ask(BOB)
    assert (secrets.label, secrets.bucket) == (label, bucket_of(label))
    assert secrets.open(find_sealed(bucket, secrets.label) or b"") == b"record of Bob"
    assert find_sealed(bucket, ask("tel:+14155550199").label) is None


def test_two_questions_about_one_number_have_nothing_in_common() -> None:
    first, second = StorageQuestion(BOB).request, StorageQuestion(BOB).request
    assert {first[:32], first[32:]}.isdisjoint({second[:32], second[32:]})


def test_sealed_records_of_one_class_have_one_size() -> None:
    secrets = ask(BOB)
    assert len(secrets.seal(b"")) == len(secrets.seal(b"x" * 1_000))
    assert len(secrets.seal(b"x" * 4_094)) == MAX_SEALED
    with pytest.raises(PrivacyError, match="oversized"):
        secrets.seal(b"x" * 4_095)


def test_a_record_opens_under_its_own_label_and_key_only() -> None:
    bob, carol = ask(BOB), ask(CAROL)
    sealed = bob.seal(b"record")
    swapped = StorageSecrets(carol.label, bob.record_key)
    for secrets in (carol, swapped):
        with pytest.raises(PrivacyError, match="undecryptable"):
            secrets.open(sealed)
    for bad in (b"", sealed[:5], sealed[:-1], bytes(len(sealed)), sealed + bytes(5_000)):
        with pytest.raises(PrivacyError):
            bob.open(bad)


def test_a_server_that_uses_another_key_is_caught() -> None:
    for server in (BlindEvaluator(b"3" * 32, RECORD_SEED), BlindEvaluator(LABEL_SEED, b"3" * 32)):
        with pytest.raises(PrivacyError, match="forged"):
            ask(BOB, server)


def test_questions_and_answers_that_are_none_are_refused() -> None:
    request = StorageQuestion(BOB).request
    for bad in (b"", request[:-1], bytes(64), b"\xff" * 64, request[:32] + bytes(32)):
        with pytest.raises(PrivacyError, match="malformed"):
            SERVER_A.evaluate(bad)
    question = StorageQuestion(BOB)
    answer = SERVER_A.evaluate(question.request)
    for bad in (b"", answer[:-1], bytes(192), b"\xff" * 192):
        with pytest.raises(PrivacyError, match="malformed"):
            question.finish(bad, SERVER_A.public_keys)
    with pytest.raises(PrivacyError, match="malformed"):
        question.finish(answer, EvaluationKeys(bytes(32), b""))


@pytest.mark.parametrize("value", [b"", b"x" * 1_025])
def test_values_outside_their_length_are_refused(value: bytes) -> None:
    with pytest.raises(PrivacyError, match="malformed"):
        Blinding(value)
    with pytest.raises(PrivacyError, match="malformed"):
        Evaluator(bytes(32), b"").evaluate(value)
    with pytest.raises(ValueError, match="seed"):
        Evaluator(b"short", b"")


def test_an_identifier_that_is_no_text_is_refused() -> None:
    for hostile in ("\ud800", ""):
        with pytest.raises(PrivacyError, match="malformed"):
            SERVER_B.label(hostile)
        with pytest.raises(PrivacyError, match="malformed"):
            StorageQuestion(hostile)


def test_buckets_are_bounded_and_cut_ones_refused() -> None:
    sealed = ask(BOB).seal(b"r")
    bucket = encode_bucket([(bytes(32), sealed)])
    for bad in (bucket[:-1], bucket[:33], bucket + b"x", bytes(MAX_BUCKET + 1)):
        with pytest.raises(PrivacyError):
            find_sealed(bad, bytes(32))
    with pytest.raises(PrivacyError, match="oversized"):
        encode_bucket((bytes((i,)) * 32, sealed) for i in range(100))


def test_secrets_are_in_no_representation() -> None:
    secrets = ask(BOB)
    assert secrets.record_key.hex() not in repr(secrets)
    assert repr(secrets.record_key) not in repr((secrets, SERVER_A, SERVER_B))
