"""Records: what is taken, and the one reason for which each bad one is not."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.directory.identifier import identifier_of, parse_identifier
from discovery.directory.jws import Kind, encode, sign
from discovery.directory.reason import Refusal, Refused
from discovery.directory.record import (
    MAX_LIFETIME,
    Map,
    Record,
    Selection,
    check_times,
    parse_record,
    sign_record,
)
from discovery.directory.statements import parse_release, parse_removal
from discovery.model import Service
from gateway.directory.keys import EcSigner
from stir.certificates.issuing import new_key

NOW = 1_795_000_000
SIGNER = EcSigner(new_key())
MAP: dict[str, Any] = {
    "msp": "b.example",
    "svc": ["voice"],
    "uri": "sip:+14155550123@b.example;user=phone",
    "prio": 10,
    "tags": ["personal"],
}
CLAIMS: dict[str, Any] = {
    "v": 1,
    "csi": "tel:+14155550123",
    "seq": 7,
    "new": False,
    "iat": NOW,
    "exp": NOW + 86_400,
    "sel": "first",
    "maps": [MAP],
    "sealed": [],
    "x5u": "https://ca1.example/c/1",
}


def token(**changes: Any) -> str:
    claims = {**CLAIMS, **changes}
    return sign(Kind.RECORD, {k: v for k, v in claims.items() if v is not ...}, SIGNER)


def a_map(**changes: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in {**MAP, **changes}.items() if v is not ...}]


def refusal_of(text: object) -> Refusal:
    with pytest.raises(Refused) as caught:
        parse_record(text)
    return caught.value.reason


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(
        csi=parse_identifier("mailto:bob@mail.example"),
        seq=1,
        issued_at=NOW,
        expires_at=NOW + MAX_LIFETIME,
        maps=(
            Map("b.example", (Service.VOICE, Service.VIDEO), "sip:bob@b.example", 10, ("ärger",)),
            Map("chat.example", (Service.IM,), "mimi://chat.example/u/bob", 20),
        ),
        x5u="https://ca1.example/c/1",
        new=True,
        selection=Selection.ALL,
        sealed=tuple(encode(bytes([n]) * 160) for n in range(4)),
    )
    signed, read = parse_record(sign_record(record, SIGNER))
    assert read == record
    signed.prove(SIGNER.public)


def test_no_maps_is_opting_out_but_sealed_maps_are_maps() -> None:
    assert parse_record(token(maps=[]))[1].opted_out
    sealed = [encode(b"x" * 160)] * 4
    assert not parse_record(token(maps=[], sealed=sealed))[1].opted_out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, Refusal.WRONG_TYPE),
        ({"v": True}, Refusal.WRONG_TYPE),
        ({"more": 1}, Refusal.MALFORMED),
        ({"sealed": ...}, Refusal.MALFORMED),
        ({"csi": "tel:14155550123"}, Refusal.IDENTIFIER),
        ({"csi": 7}, Refusal.IDENTIFIER),
        ({"seq": -1}, Refusal.MALFORMED),
        ({"seq": True}, Refusal.MALFORMED),
        ({"seq": "7"}, Refusal.MALFORMED),
        ({"iat": 10**12}, Refusal.MALFORMED),
        ({"new": 0}, Refusal.MALFORMED),
        ({"exp": NOW}, Refusal.LIFETIME),
        ({"exp": NOW + MAX_LIFETIME + 1}, Refusal.LIFETIME),
        ({"sel": "any"}, Refusal.MALFORMED),
        ({"x5u": "http://ca1.example/c/1"}, Refusal.BAD_URI),
        ({"x5u": "https://ca1.example/\x7f"}, Refusal.MALFORMED),
        ({"maps": [MAP] * 2}, Refusal.MALFORMED),
        ({"maps": [{}] * 9}, Refusal.TOO_MANY_MAPS),
        ({"maps": "none"}, Refusal.MALFORMED),
        ({"maps": [7]}, Refusal.MALFORMED),
        ({"maps": a_map(msp="c.example")}, Refusal.HOST_IS_NOT_MSP),
        ({"maps": a_map(msp="B.example")}, Refusal.BAD_URI),
        ({"maps": a_map(uri="sip:bob@192.0.2.1")}, Refusal.BAD_URI),
        ({"maps": a_map(uri="javascript:alert(1)")}, Refusal.BAD_URI),
        ({"maps": a_map(uri="sip:bob@b.example;maddr=192.0.2.1")}, Refusal.BAD_URI),
        ({"maps": a_map(uri=7)}, Refusal.BAD_URI),
        ({"maps": a_map(svc=[])}, Refusal.MALFORMED),
        ({"maps": a_map(svc=["voice", "voice"])}, Refusal.MALFORMED),
        ({"maps": a_map(svc=["fax"])}, Refusal.MALFORMED),
        ({"maps": a_map(svc=[7])}, Refusal.MALFORMED),
        ({"maps": a_map(prio=65_536)}, Refusal.MALFORMED),
        ({"maps": a_map(tags=["x" * 33])}, Refusal.BAD_TAGS),
        ({"maps": a_map(tags=["ä" * 17])}, Refusal.BAD_TAGS),
        ({"maps": a_map(tags=[""])}, Refusal.BAD_TAGS),
        ({"maps": a_map(tags=["a\nb"])}, Refusal.BAD_TAGS),
        ({"maps": a_map(tags=["a", "a"])}, Refusal.BAD_TAGS),
        ({"maps": a_map(tags=[str(n) for n in range(9)])}, Refusal.BAD_TAGS),
        ({"maps": a_map(prio=...)}, Refusal.MALFORMED),
        ({"sealed": [encode(b"x" * 160)] * 3}, Refusal.MALFORMED),
        ({"sealed": [encode(b"x" * 159)] * 4}, Refusal.MALFORMED),
        ({"sealed": ["!"] * 4}, Refusal.MALFORMED),
        ({"x5u": "https://ca1.example/" + "x" * 4000}, Refusal.OVERSIZED),
    ],
)
def test_a_bad_record_has_one_reason(changes: dict[str, Any], reason: Refusal) -> None:
    assert refusal_of(token(**changes)) is reason


def test_what_is_no_token_has_one_reason() -> None:
    good = token()
    header, payload, signature = good.split(".")
    assert refusal_of(7) is Refusal.MALFORMED
    assert refusal_of("") is Refusal.MALFORMED
    assert refusal_of(f"{header}.{payload}") is Refusal.MALFORMED
    assert refusal_of(f"{header}.{payload}.{signature}=") is Refusal.MALFORMED
    assert refusal_of(f"{header}.{payload}.{signature[:-2]}") is Refusal.MALFORMED
    assert refusal_of("x" * 2561) is Refusal.OVERSIZED
    for other in ('{"alg":"none","typ":"spin-record"}', '{"typ":"spin-record","alg":"ES256"}'):
        assert refusal_of(f"{encode(other.encode())}.{payload}.{signature}") is Refusal.WRONG_TYPE
    loose = encode(b'{"v": 1}')
    assert refusal_of(f"{header}.{loose}.{signature}") is Refusal.NOT_CANONICAL
    twice = encode(b'{"v":1,"v":1}')
    assert refusal_of(f"{header}.{twice}.{signature}") is Refusal.MALFORMED


def test_one_kind_of_token_is_never_read_as_another() -> None:
    for read in (parse_removal, parse_release):
        with pytest.raises(Refused) as caught:
            read(token())
        assert caught.value.reason in (Refusal.WRONG_TYPE, Refusal.OVERSIZED)


def test_a_signature_by_another_key_or_over_other_claims_does_not_prove() -> None:
    signed, _ = parse_record(token())
    with pytest.raises(Refused) as caught:
        signed.prove(EcSigner(new_key()).public)
    assert caught.value.reason is Refusal.BAD_SIGNATURE
    header, payload, _ = token(seq=8).split(".")
    other, _ = parse_record(f"{header}.{payload}.{token().split('.')[2]}")
    with pytest.raises(Refused):
        other.prove(SIGNER.public)


@pytest.mark.parametrize(
    ("now", "reason"),
    [(NOW - 61, Refusal.NOT_FRESH), (NOW + 86_400, Refusal.EXPIRED)],
)
def test_times_are_held(now: float, reason: Refusal) -> None:
    _, record = parse_record(token())
    check_times(record, NOW - 60)
    with pytest.raises(Refused) as caught:
        check_times(record, now)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "text",
    [
        "tel:+14155550123",
        "tel:+123",
        "mailto:bob@mail.example",
        "mailto:a.b+c_d-e@x.mail.example",
    ],
)
def test_canonical_identifiers_stay_as_they_are(text: str) -> None:
    assert str(parse_identifier(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "tel:+1-415-555-0123",
        "tel:+0123456",
        "tel:+1234567890123456",
        "tel:+14155550123;phone-context=x",
        "tel:+14155550123\n",
        "tel:+١٤١٥٥٥٥٠١٢٣",
        "TEL:+14155550123",
        "mailto:Bob@mail.example",
        "mailto:bob@MAIL.example",
        "mailto:bob@localhost",
        "mailto:bob@192.0.2.1",
        "mailto:.bob@mail.example",
        "mailto:b..b@mail.example",
        'mailto:"bob"@mail.example',
        "mailto:bob%40x@mail.example",
        "mailto:bob@mail.example?subject=x",
        "mailto:b@b@mail.example",
        "mailto:" + "b" * 65 + "@mail.example",
        "sip:bob@mail.example",
        "",
        None,
        7,
    ],
)
def test_other_texts_are_no_identifier(text: object) -> None:
    with pytest.raises(Refused) as caught:
        parse_identifier(text)
    assert caught.value.reason is Refusal.IDENTIFIER


def test_what_people_write_becomes_canonical_and_logs_show_little() -> None:
    assert str(identifier_of("+14155550123")) == "tel:+14155550123"
    assert str(identifier_of("Bob@Mail.Example")) == "mailto:bob@mail.example"
    assert identifier_of("mailto:bob@mail.example").shown == "b***@mail.example"
    assert "5550" not in identifier_of("+14155550123").shown


@pytest.mark.parametrize(
    "text", ["bob@\u212aelvin.example", "\u212a@b.example", "b\u0131@b.example"]
)
def test_no_other_letter_becomes_one_of_an_address(text: str) -> None:
    with pytest.raises(Refused) as refused:
        identifier_of(text)
    assert refused.value.reason is Refusal.IDENTIFIER
