"""Oblivious HTTP with whole messages: what is opened, once, and what answers say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from discovery.privacy.alike import REQUEST_SIZES, RESPONSE_SIZES, Beat, SizeClasses
from discovery.privacy.bhttp import BinaryRequest, BinaryResponse, encode_request
from discovery.privacy.bhttp_decoding import BhttpLimits
from discovery.privacy.encapsulation import (
    REQUEST_OVERHEAD,
    RESPONSE_OVERHEAD,
    encapsulate_request,
)
from discovery.privacy.ohttp import (
    DATE_PROBLEM,
    OhttpClient,
    OhttpGateway,
    ProtectedError,
    ReplayPolicy,
    ResponseOpener,
)
from discovery.privacy.ohttp_keys import (
    CHACHA20_POLY1305,
    HKDF_SHA256,
    GatewayKey,
    GatewayKeys,
    KeyConfiguration,
    SymmetricAlgorithm,
    encode_key_configurations,
    parse_key_configurations,
)
from discovery.privacy.reason import Fault, PrivacyError

NOW = 1_795_000_000.0
LOOKUP = BinaryRequest(
    "POST",
    "https",
    "dp.example",
    "/dp/v1/lookup",
    (("content-type", "application/json"),),
    b'{"csi":"tel:+14155550123"}',
)
KEY = GatewayKey(7, bytes(range(32)))


def gateway(*keys: GatewayKey, replay: ReplayPolicy | None = None) -> OhttpGateway:
    return OhttpGateway(GatewayKeys(keys or (KEY,)), replay=replay)


def fault_of(target: OhttpGateway, data: bytes, now: float = NOW) -> Fault:
    with pytest.raises(PrivacyError) as caught:
        target.open(data, now)
    return caught.value.fault


def test_a_request_comes_out_as_it_went_in_with_a_date_and_so_does_the_response() -> None:
    sealed, opener = OhttpClient(KEY.configuration).seal(LOOKUP, NOW)
    request, responder = gateway().open(sealed, NOW + 1)
    date = ("date", "Wed, 18 Nov 2026 11:06:40 GMT")
    assert request == replace(LOOKUP, headers=(*LOOKUP.headers, date))
    answer = BinaryResponse(200, (("content-type", "application/json"),), b"{}")
    assert opener.open(responder.seal(answer)) == answer


@pytest.mark.parametrize("aead_id", [1, 2, 3])
def test_every_algorithm_carries_an_exchange(aead_id: int) -> None:
    key = GatewayKey(1, bytes(32), algorithms=(SymmetricAlgorithm(HKDF_SHA256, aead_id),))
    sealed, opener = OhttpClient(key.configuration).seal(LOOKUP, NOW)
    _, responder = gateway(key).open(sealed, NOW)
    assert opener.open(responder.seal(BinaryResponse(204))).status == 204


def test_requests_and_responses_of_one_class_have_one_size() -> None:
    client, target = OhttpClient(KEY.configuration), gateway()
    answers = set()
    for content in (b"", b"x" * 300):
        sealed, _ = client.seal(replace(LOOKUP, content=content), NOW)
        assert len(sealed) == REQUEST_SIZES.sizes[0] + REQUEST_OVERHEAD
        _, responder = target.open(sealed, NOW)
        answers.add(len(responder.seal(BinaryResponse(200, (), content * 9))))
    assert answers == {RESPONSE_SIZES.sizes[0] + RESPONSE_OVERHEAD - 16}  # AES-128: nonce of 16


def test_what_is_too_large_for_every_class_is_refused_at_both_ends() -> None:
    with pytest.raises(PrivacyError, match="oversized"):
        OhttpClient(KEY.configuration).seal(replace(LOOKUP, content=b"x" * 20_000), NOW)
    sealed, _ = OhttpClient(KEY.configuration).seal(LOOKUP, NOW)
    _, responder = gateway().open(sealed, NOW)
    with pytest.raises(PrivacyError, match="oversized"):
        responder.seal(BinaryResponse(200, (), b"x" * 62_000))
    assert fault_of(gateway(), sealed + bytes(70_000)) is Fault.OVERSIZED


def test_a_request_is_opened_once() -> None:
    sealed, opener = OhttpClient(KEY.configuration).seal(LOOKUP, NOW)
    target = gateway()
    target.open(sealed, NOW)
    with pytest.raises(ProtectedError) as caught:
        target.open(sealed, NOW + 100)
    assert caught.value.fault is Fault.REPLAYED
    assert opener.open(caught.value.seal(NOW)).status == 409


@pytest.mark.parametrize("skew", [-121, 121, 10**9])
def test_a_date_outside_the_window_is_answered_with_ours(skew: int) -> None:
    sealed, opener = OhttpClient(KEY.configuration).seal(LOOKUP, NOW + skew)
    with pytest.raises(ProtectedError) as caught:
        gateway().open(sealed, NOW)
    assert caught.value.fault is Fault.NOT_FRESH
    answer = opener.open(caught.value.seal(NOW))
    assert answer.status == 400
    assert answer.header("date") == "Wed, 18 Nov 2026 11:06:40 GMT"
    assert json.loads(answer.content)["type"] == DATE_PROBLEM


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("date", "yesterday"),),
        (("date", "Wed, 18 Nov 2026 11:06:40 GMT"), ("date", "Tue, 17 Nov 2026 06:26:40 GMT")),
    ],
)
def test_a_request_without_one_good_date_is_not_fresh(headers: tuple[tuple[str, str], ...]) -> None:
    sealed, _ = encapsulate_request(
        KEY.configuration, encode_request(replace(LOOKUP, headers=headers))
    )
    assert fault_of(gateway(), sealed) is Fault.NOT_FRESH


def test_an_expectation_is_refused() -> None:
    expecting = replace(LOOKUP, headers=(("expect", "100-continue"),))
    sealed, opener = OhttpClient(KEY.configuration).seal(expecting, NOW)
    with pytest.raises(ProtectedError) as caught:
        gateway().open(sealed, NOW)
    assert opener.open(caught.value.seal(NOW)).status == 400


def test_what_is_no_message_inside_is_answered_inside() -> None:
    sealed, exchange = encapsulate_request(KEY.configuration, b"\x07rubbish")
    with pytest.raises(ProtectedError) as caught:
        gateway().open(sealed, NOW)
    assert caught.value.fault is Fault.MALFORMED
    assert ResponseOpener(exchange, BhttpLimits()).open(caught.value.seal(NOW)).status == 400


def test_a_full_memory_refuses_and_empties_with_time() -> None:
    target = gateway(replay=ReplayPolicy(window=60, max_entries=2))
    client = OhttpClient(KEY.configuration)
    for _ in range(2):
        target.open(client.seal(LOOKUP, NOW)[0], NOW)
    assert fault_of(target, client.seal(LOOKUP, NOW)[0]) is Fault.OVERLOADED
    later = NOW + 121
    target.open(client.seal(LOOKUP, later)[0], later)


def test_what_is_over_takes_no_place_of_what_comes() -> None:
    target = gateway(replay=ReplayPolicy(window=120, max_entries=1))
    client = OhttpClient.choose(parse_key_configurations(target.keys.encode(NOW)))
    target.open(client.seal(LOOKUP, NOW)[0], NOW)
    later = NOW + 151
    target.open(client.seal(LOOKUP, later)[0], later)


def test_truncated_flipped_and_misdirected_requests_each_have_their_fault() -> None:
    sealed, _ = OhttpClient(KEY.configuration).seal(LOOKUP, NOW)
    target = gateway()
    assert fault_of(target, b"") is Fault.TRUNCATED
    assert fault_of(target, sealed[:40]) is Fault.TRUNCATED
    assert fault_of(target, sealed[:-1]) is Fault.UNDECRYPTABLE
    assert fault_of(target, sealed[:-1] + bytes((sealed[-1] ^ 1,))) is Fault.UNDECRYPTABLE
    assert fault_of(target, b"\x08" + sealed[1:]) is Fault.KEY_UNKNOWN
    assert fault_of(target, sealed[:2] + b"\x21" + sealed[3:]) is Fault.SUITE_UNSUPPORTED
    assert fault_of(target, sealed[:6] + b"\x02" + sealed[7:]) is Fault.SUITE_UNSUPPORTED
    assert fault_of(target, sealed[:6] + b"\x03" + sealed[7:]) is Fault.UNDECRYPTABLE
    # A point of small order makes the shared secret known to everybody.
    assert fault_of(target, sealed[:7] + bytes(32) + sealed[39:]) is Fault.UNDECRYPTABLE
    target.open(sealed, NOW)


def test_a_response_is_opened_by_its_own_request_only() -> None:
    client, target = OhttpClient(KEY.configuration), gateway()
    first, opener = client.seal(LOOKUP, NOW)
    second, other = client.seal(LOOKUP, NOW)
    _, responder = target.open(first, NOW)
    target.open(second, NOW)
    answer = responder.seal(BinaryResponse(200))
    for wrong in (answer[:-1], answer[:20], bytes(16) + answer[16:], answer + bytes(70_000)):
        with pytest.raises(PrivacyError):
            opener.open(wrong)
    with pytest.raises(PrivacyError, match="undecryptable"):
        other.open(answer)
    assert opener.open(answer).status == 200


def test_keys_are_rotated_with_a_time_in_which_both_are_taken() -> None:
    old = GatewayKey(1, bytes(32), advertise_until=NOW, accept_until=NOW + 3600)
    new = GatewayKey.generate(2, not_before=NOW)
    keys = GatewayKeys([old]).replace([new])
    assert [one.key_id for one in keys.advertised(NOW - 1)] == [1]
    assert [one.key_id for one in parse_key_configurations(keys.encode(NOW))] == [2]
    target = OhttpGateway(keys)
    sealed, _ = OhttpClient(old.configuration).seal(LOOKUP, NOW + 60)
    target.open(sealed, NOW + 60)
    sealed, _ = OhttpClient(old.configuration).seal(LOOKUP, NOW + 3600)
    assert fault_of(target, sealed, NOW + 3600) is Fault.KEY_UNKNOWN
    # A client whose clock is ahead of ours uses the new key early.
    sealed, _ = OhttpClient(new.configuration).seal(LOOKUP, NOW - 5)
    target.open(sealed, NOW - 5)


def test_key_configurations_encoded_wrongly_are_discarded_as_a_whole() -> None:
    good = KEY.configuration.encode()
    for bad in (
        good[:-1],
        good + b"\0",
        good[:35] + b"\0\2\0\1",
        good[:35] + b"\0\0",
        good[:35] + (4 * 33).to_bytes(2, "big") + bytes(4 * 33),
    ):
        collection = b"".join(len(one).to_bytes(2, "big") + one for one in (good, bad))
        with pytest.raises(PrivacyError):
            parse_key_configurations(collection)
    for bad in (b"", b"\0", bytes(9_000), encode_key_configurations([KEY.configuration] * 17)):
        with pytest.raises(PrivacyError):
            parse_key_configurations(bad)


def test_key_configurations_of_unknown_kems_are_passed_over() -> None:
    unknown = b"\x01\xff\xff" + bytes(50)
    p256 = KeyConfiguration(3, 0x0010, bytes(65), KEY.configuration.algorithms)
    chacha = GatewayKey(
        4, bytes(32), algorithms=(SymmetricAlgorithm(HKDF_SHA256, CHACHA20_POLY1305),)
    )
    collection = len(unknown).to_bytes(2, "big") + unknown
    collection += encode_key_configurations([p256, chacha.configuration])
    found = parse_key_configurations(collection)
    assert [one.key_id for one in found] == [3, 4]
    sealed, _ = OhttpClient.choose(found).seal(LOOKUP, NOW)
    gateway(chacha).open(sealed, NOW)
    with pytest.raises(PrivacyError, match="suite_unsupported"):
        OhttpClient.choose((p256,))
    with pytest.raises(PrivacyError, match="suite_unsupported"):
        OhttpClient(p256)


def test_a_public_key_of_small_order_is_refused_by_the_client() -> None:
    hostile = replace(KEY.configuration, public_key=bytes(32))
    with pytest.raises(PrivacyError, match="malformed"):
        OhttpClient(hostile).seal(LOOKUP, NOW)


def test_secrets_are_in_no_representation() -> None:
    sealed, opener = OhttpClient(KEY.configuration).seal(LOOKUP, NOW)
    request, responder = gateway().open(sealed, NOW)
    shown = repr((KEY, opener, request, responder, GatewayKeys([KEY])))
    assert "5550123" not in shown
    assert KEY.private_octets().hex() not in shown
    assert repr(KEY.private_octets()) not in shown


@pytest.mark.parametrize("sizes", [(), (0,), (2, 1), (1, 1)])
def test_size_classes_have_to_ascend(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        SizeClasses(sizes)


def test_answers_go_on_the_beat() -> None:
    beat = Beat(0.010)
    assert beat.release(5.0, 5.0001) == beat.release(5.0, 5.0099) == pytest.approx(5.010)
    assert beat.release(5.0, 5.0101) == pytest.approx(5.020)
    assert Beat(0).release(5.0, 5.3) == 5.3
