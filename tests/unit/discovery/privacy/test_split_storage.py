"""Split storage: a record is found by its identifier alone, by neither server alone."""

from __future__ import annotations

import pytest

from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    ENTRY_SIZES,
    MAX_PREFIX_BITS,
    MAX_SEALED,
    SEALED_SIZES,
    BlindEvaluator,
    Dummies,
    EvaluationKeys,
    StorageQuestion,
    StorageSecrets,
    blind_evaluator,
    bucket_of,
    decode_entries,
    encode_bucket,
    encode_entries,
    find_sealed,
    parse_evaluation_keys,
)
from discovery.privacy.voprf import Blinding, Evaluator

BOB = "tel:+14155550123"
CAROL = "tel:+14155550124"
LABEL_SEED, RECORD_SEED = b"1" * 32, b"2" * 32
SERVER_A = BlindEvaluator(LABEL_SEED, RECORD_SEED)


def ask(identifier: str, server: BlindEvaluator = SERVER_A) -> StorageSecrets:
    question = StorageQuestion(identifier)
    return question.finish(server.evaluate(question.request), SERVER_A.public_keys)


def test_a_caller_opens_what_the_directory_sealed() -> None:
    bob, carol = ask(BOB), ask(CAROL)
    sealed = bob.seal(b"record of Bob")
    bucket = encode_bucket([(bob.label, sealed), (carol.label, carol.seal(b"Carol"))])
    secrets = ask(BOB)
    assert (secrets.label, secrets.bucket(16)) == (bob.label, bucket_of(bob.label, 16))
    assert secrets.open(find_sealed(bucket, secrets.label) or b"") == b"record of Bob"
    assert find_sealed(bucket, ask("tel:+14155550199").label) is None


def test_two_questions_about_one_number_have_nothing_in_common() -> None:
    first, second = StorageQuestion(BOB).request, StorageQuestion(BOB).request
    assert {first[:32], first[32:]}.isdisjoint({second[:32], second[32:]})


def test_sealed_records_of_one_class_have_one_size() -> None:
    secrets = ask(BOB)
    assert len(secrets.seal(b"")) == len(secrets.seal(b"x" * 3_000))
    assert {len(secrets.seal(b"x" * (size - 2))) for size in ENTRY_SIZES.sizes} == SEALED_SIZES
    assert len(secrets.seal(b"x" * 12_286)) == MAX_SEALED
    with pytest.raises(PrivacyError, match="oversized"):
        secrets.seal(b"x" * 12_287)


def test_a_record_opens_under_its_own_label_and_key_only() -> None:
    bob, carol = ask(BOB), ask(CAROL)
    sealed = bob.seal(b"record")
    swapped = StorageSecrets(carol.label, bob.record_key)
    for secrets in (carol, swapped):
        with pytest.raises(PrivacyError, match="undecryptable"):
            secrets.open(sealed)
    for bad in (b"", sealed[:5], sealed[:-1], bytes(len(sealed)), sealed + bytes(13_000)):
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
            StorageQuestion(hostile)


def test_buckets_have_one_size_whatever_is_in_them() -> None:
    sealed = ask(BOB).seal(b"r")
    label = bytes((1,)) * 32
    dummies = Dummies(b"s" * 32, "0" * 16, 5, 3)
    for count in (0, 1, 18, 19):
        entries = [(bytes((i, *bytes(31))), sealed) for i in range(count)]
        assert len(encode_bucket(entries)) == len(encode_bucket(entries, dummies)) == BUCKET_OCTETS
    full = [(bytes((i, *bytes(31))), sealed) for i in range(20)]
    with pytest.raises(PrivacyError, match="oversized"):
        encode_bucket(full)
    bucket = encode_bucket([(label, sealed)])
    assert find_sealed(bucket, label) == sealed
    for bad in (b"", bucket[:-1], bucket + b"x", label + b"\xff\xff" + bytes(BUCKET_OCTETS - 34)):
        with pytest.raises(PrivacyError):
            find_sealed(bad, bytes(32))


def test_dummies_belong_to_their_bucket_and_stay_the_same() -> None:
    def made(number: int, secret: bytes = b"s" * 32) -> bytes:
        return encode_bucket([], Dummies(secret, "0" * 16, 12, number))

    assert made(5) == made(5) != made(6)
    assert made(5) != made(5, b"t" * 32)
    for number in (0, 5, 4_095):
        entries = decode_entries(made(number))
        assert len({label for label, _ in entries}) == 19
        assert {bucket_of(label, 12) for label, _ in entries} == {number}
    whole = decode_entries(encode_bucket([], Dummies(b"s" * 32, "0" * 16, 0, 0)))
    assert {bucket_of(label, 0) for label, _ in whole} == {0}
    exact = decode_entries(encode_bucket([], Dummies(b"s" * 32, "0" * 16, MAX_PREFIX_BITS, 7)))
    assert {label[:4] for label, _ in exact} == {bytes((0, 0, 0, 7))}


def test_entries_of_other_sizes_and_cut_ones_are_refused() -> None:
    sealed = ask(BOB).seal(b"r")
    encoded = encode_entries([(bytes(32), sealed), (b"1" * 32, sealed)])
    assert decode_entries(encoded) == [(bytes(32), sealed), (b"1" * 32, sealed)]
    assert decode_entries(b"") == []
    for bad in (encoded[:-1], encoded[:33], encoded + b"x", bytes(34), bytes(32) + b"\0\x02xx"):
        with pytest.raises(PrivacyError):
            decode_entries(bad)


def test_keys_are_pinned_as_text_and_name_their_generation() -> None:
    keys = SERVER_A.public_keys
    assert parse_evaluation_keys(str(keys)) == keys
    assert len(keys.generation) == 16
    other = blind_evaluator(b"x" * 32).public_keys
    assert other.generation != keys.generation
    assert blind_evaluator(b"x" * 32).public_keys == other
    for bad in ("", str(keys)[:-1], str(keys).replace("+", "-"), str(keys).upper() + "0"):
        with pytest.raises(PrivacyError, match="malformed"):
            parse_evaluation_keys(bad)


def test_secrets_are_in_no_representation() -> None:
    secrets = ask(BOB)
    assert secrets.record_key.hex() not in repr(secrets)
    assert repr(secrets.record_key) not in repr((secrets, SERVER_A))
