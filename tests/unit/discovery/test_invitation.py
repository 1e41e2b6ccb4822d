"""Reading invitations and answers: every claim has one way to be right and one reason to fail."""

from __future__ import annotations

import json

import pytest

from discovery.model import Service
from discovery.spin.answer import AnswerStatus, check_answer, parse_answer
from discovery.spin.callback_url import CallbackPolicy, check_callback_owner, parse_callback
from discovery.spin.invitation import Freshness, check_freshness, parse_invitation
from discovery.spin.reason import Refusal, Refused
from discovery.spin.strict_json import MalformedJson, parse_json_object
from tests.support.spin_passports import (
    ALICE,
    BOB,
    NOW,
    KeySigner,
    answer_claims,
    base64url,
    canonical,
    invitation_claims,
)

SIGNER = KeySigner(ALICE)
DIGEST = "A" * 43


def refusal_of_invitation(token: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        parse_invitation(token)
    return caught.value.reason


def refusal_of_answer(token: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        parse_answer(token)
    return caught.value.reason


def test_an_invitation_is_read_as_it_was_made() -> None:
    passport, invitation = parse_invitation(SIGNER.sign("spin", invitation_claims()))
    assert (invitation.orig, invitation.dest, invitation.services) == (ALICE, BOB, (Service.VOICE,))
    assert invitation.claims() == invitation_claims()
    assert passport.x5u == SIGNER.x5u
    assert len(passport.digest()) == 43
    assert "0123456789abcdefghijkl" not in repr(invitation) + repr(passport)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cb": None}, Refusal.MALFORMED),
        ({"cb": 5}, Refusal.MALFORMED),
        ({"cb": "https://a.example/\r\nx"}, Refusal.MALFORMED),
        ({"cb": "https://a.example/" + "a" * 600}, Refusal.MALFORMED),
        ({"dest": {"tn": []}}, Refusal.MALFORMED),
        ({"dest": {"tn": [BOB, ALICE]}}, Refusal.MALFORMED),
        ({"dest": {"tn": BOB}}, Refusal.MALFORMED),
        ({"dest": {"uri": ["sip:x@y"]}}, Refusal.MALFORMED),
        ({"dest": {"tn": ["+" + BOB]}}, Refusal.MALFORMED),
        ({"dest": {"tn": ["١٢٣٤٥"]}}, Refusal.MALFORMED),
        ({"orig": {"tn": [ALICE]}}, Refusal.MALFORMED),
        ({"orig": {"tn": ALICE, "uri": "x"}}, Refusal.MALFORMED),
        ({"orig": None}, Refusal.MALFORMED),
        ({"svc": []}, Refusal.MALFORMED),
        ({"svc": "voice"}, Refusal.MALFORMED),
        ({"svc": ["voice", "voice"]}, Refusal.MALFORMED),
        ({"svc": [["voice"]]}, Refusal.MALFORMED),
        ({"svc": ["fax"]}, Refusal.SERVICE_UNKNOWN),
        ({"iat": "1795000000"}, Refusal.MALFORMED),
        ({"iat": True}, Refusal.MALFORMED),
        ({"iat": 1.5}, Refusal.MALFORMED),
        ({"iat": -1}, Refusal.MALFORMED),
        ({"exp": 10**20}, Refusal.MALFORMED),
        ({"exp": None}, Refusal.MALFORMED),
        ({"jti": "short"}, Refusal.MALFORMED),
        ({"jti": "a" * 65}, Refusal.MALFORMED),
        ({"tok": "with space 1234567890abc"}, Refusal.MALFORMED),
        ({"tok": None}, Refusal.MALFORMED),
    ],
)
def test_a_claim_out_of_shape_gives_one_reason(change: dict[str, object], reason: Refusal) -> None:
    assert refusal_of_invitation(SIGNER.sign("spin", invitation_claims(**change))) is reason


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, Refusal.WRONG_TYPE),
        ({"alg": "HS256"}, Refusal.WRONG_TYPE),
        ({"ppt": "shaken"}, Refusal.WRONG_TYPE),
        ({"ppt": "spin-ans"}, Refusal.WRONG_TYPE),
        ({"typ": "JWT"}, Refusal.WRONG_TYPE),
        ({"jwk": {"kty": "EC"}}, Refusal.WRONG_TYPE),
        ({"x5c": ["MII"]}, Refusal.WRONG_TYPE),
        ({"crit": ["b64"]}, Refusal.WRONG_TYPE),
        ({"x5u": 5}, Refusal.MALFORMED),
    ],
)
def test_a_header_of_another_kind_is_refused(header: dict[str, object], reason: Refusal) -> None:
    whole = {"alg": "ES256", "ppt": "spin", "typ": "passport", "x5u": SIGNER.x5u, **header}
    token = SIGNER.sign_parts(canonical(whole), canonical(invitation_claims()))
    assert refusal_of_invitation(token) is reason


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b'{"iat":1,"iat":2}',
        b'{"iat":NaN}',
        b'{"iat":1e400}',
        b'{"iat":' + b"9" * 5000 + b"}",
        b"[" * 1100,
        b'{"a":' * 9 + b"1" + b"}" * 9,
        b'{"cb":"\\ud800"}',
    ],
)
def test_json_from_strangers_never_escapes(payload: bytes) -> None:
    header = canonical(
        {"alg": "ES256", "ppt": "spin", "typ": "passport", "x5u": "https://a.example/a"}
    )
    token = f"{base64url(header)}.{base64url(payload)}.{'A' * 86}"
    assert refusal_of_invitation(token) in (Refusal.MALFORMED, Refusal.OVERSIZED)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "a..c", "é.b.c", "a=.b.c", "a.b.c\n"])
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert refusal_of_invitation(token) is Refusal.MALFORMED


def test_base64url_with_loose_bits_is_malformed() -> None:
    head, payload, signature = SIGNER.sign("spin", invitation_claims()).split(".")
    loose = signature[:-1] + chr(ord(signature[-1]) + 1)
    assert refusal_of_invitation(f"{head}.{payload}.{loose}") is Refusal.MALFORMED


def test_an_endless_token_is_refused_before_it_is_looked_at() -> None:
    assert refusal_of_invitation("a" * 5000) is Refusal.OVERSIZED


def test_strict_json_reads_an_object() -> None:
    assert parse_json_object(b'{"a":[1,{"b":null}]}') == {"a": [1, {"b": None}]}
    with pytest.raises(MalformedJson):
        parse_json_object("[" * 100_000)


@pytest.mark.parametrize(
    ("iat", "exp", "services", "reason"),
    [
        (0, 120, ["voice"], None),
        (-60, 60, ["voice"], None),
        (60, 180, ["video"], None),
        (-61, 59, ["voice"], Refusal.NOT_FRESH),
        (61, 181, ["voice"], Refusal.NOT_FRESH),
        (0, 121, ["voice"], Refusal.NOT_FRESH),
        (0, 0, ["voice"], Refusal.NOT_FRESH),
        (-30, 0, ["voice"], Refusal.EXPIRED),
        (-3600, 3600, ["im"], None),
        (-3600, 3600, ["im", "voice"], Refusal.NOT_FRESH),
        (0, 72 * 3600 + 1, ["im"], Refusal.NOT_FRESH),
        (-10, 0, ["im"], Refusal.EXPIRED),
    ],
)
def test_freshness_by_service(
    iat: int, exp: int, services: list[str], reason: Refusal | None
) -> None:
    claims = invitation_claims(iat=int(NOW) + iat, exp=int(NOW) + exp, svc=services)
    _, invitation = parse_invitation(SIGNER.sign("spin", claims))
    if reason is None:
        check_freshness(invitation, Freshness(), NOW)
        return
    with pytest.raises(Refused) as caught:
        check_freshness(invitation, Freshness(), NOW)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "url",
    [
        "http://spin.alpha.example/s/1",
        "https://spin.alpha.example",
        "https://user@spin.alpha.example/s/1",
        "https://spin.alpha.example/s/1?x=1",
        "https://spin.alpha.example/s/1#f",
        "https://spin.alpha.example\\@evil.example/s/1",
        "https://spin.alpha.example/s/../1",
        "https://spin.alpha.example/s/%2e%2e/1",
        "https://127.0.0.1/s/1",
        "https://127.1/s/1",
        "https://0x7f000001/s/1",
        "https://2130706433/s/1",
        "https://[::1]/s/1",
        "https://localhost/s/1",
        "https://spin.alpha.example:22/s/1",
        "https://spin.alpha.example:8443/s/1",
        "https://spin.alpha.example:99999/s/1",
        "https://spín.alpha.example/s/1",
        "file:///etc/passwd",
        "data:text/plain,x",
        "https://spin.alpha.example/" + "a" * 600,
    ],
)
def test_a_callback_that_is_not_plain_https_at_a_name_is_refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_callback(url, CallbackPolicy())
    assert caught.value.reason is Refusal.CALLBACK_REFUSED


def test_a_callback_host_belongs_to_the_signer_or_to_a_trusted_agent() -> None:
    policy = CallbackPolicy(
        ports=frozenset({443, 8443}), trusted_hosts=frozenset({"agents.example"})
    )
    url = parse_callback("https://Spin.Alpha.example:8443/s/1", policy)
    assert (url.host, url.port) == ("spin.alpha.example", 8443)
    check_callback_owner(url, ("SPIN.alpha.example",), policy)
    check_callback_owner(parse_callback("https://agents.example/s/1", policy), (), policy)
    with pytest.raises(Refused):
        check_callback_owner(url, ("alpha.example", "*.alpha.example"), policy)


def test_an_answer_is_read_as_it_was_made() -> None:
    _, answer = parse_answer(SIGNER.sign("spin-ans", answer_claims(DIGEST)))
    assert answer.claims() == answer_claims(DIGEST)
    assert json.dumps(answer.claims())
    assert answer.status is AnswerStatus.OK


def uris(**changes: object) -> dict[str, object]:
    entry = {"msp": "beta.example", "prio": 1, "svc": "voice", "uri": "sip:bob@beta.example"}
    return {"uris": [{**entry, **changes}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (uris(uri="sip:bob@gamma.example"), Refusal.BAD_URI),
        (uris(msp="gamma.example"), Refusal.BAD_URI),
        (uris(msp="example"), Refusal.BAD_URI),
        (uris(msp=None), Refusal.BAD_URI),
        (uris(uri="tel:+12125550123"), Refusal.BAD_URI),
        (uris(uri="javascript:alert(1)"), Refusal.BAD_URI),
        (uris(uri="sip:bob@beta.example\r\nX: y"), Refusal.MALFORMED),
        (uris(uri=7), Refusal.MALFORMED),
        (uris(prio=-1), Refusal.MALFORMED),
        (uris(prio=True), Refusal.MALFORMED),
        (uris(svc="fax"), Refusal.SERVICE_UNKNOWN),
        ({"uris": ["sip:bob@beta.example"]}, Refusal.MALFORMED),
        ({"uris": [*[{}] * 9]}, Refusal.MALFORMED),
        ({"uris": None}, Refusal.MALFORMED),
        ({"uris": []}, Refusal.MALFORMED),
        ({"st": "declined"}, Refusal.MALFORMED),
        ({"st": "maybe"}, Refusal.MALFORMED),
        ({"inv": "short"}, Refusal.MALFORMED),
    ],
)
def test_an_answer_out_of_shape_gives_one_reason(
    change: dict[str, object], reason: Refusal
) -> None:
    assert refusal_of_answer(SIGNER.sign("spin-ans", answer_claims(DIGEST, **change))) is reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"inv": "B" * 43}, Refusal.WRONG_INVITATION),
        ({"orig": {"tn": "12125550124"}}, Refusal.WRONG_NUMBER),
        ({"dest": {"tn": ["14155550199"]}}, Refusal.WRONG_NUMBER),
        ({"iat": int(NOW) - 200, "exp": int(NOW)}, Refusal.EXPIRED),
        ({"iat": int(NOW) - 61}, Refusal.NOT_FRESH),
        ({"iat": int(NOW) + 61}, Refusal.NOT_FRESH),
        ({"exp": int(NOW) + 9999}, Refusal.NOT_FRESH),
        (uris(svc="im"), Refusal.BAD_URI),
    ],
)
def test_an_answer_fits_the_invitation_it_answers(
    change: dict[str, object], reason: Refusal | None
) -> None:
    _, answer = parse_answer(SIGNER.sign("spin-ans", answer_claims(DIGEST, **change)))

    def check() -> None:
        check_answer(
            answer,
            number=BOB,
            caller=ALICE,
            services=(Service.VOICE,),
            invitation=DIGEST,
            skew=60,
            now=NOW,
        )

    if reason is None:
        check()
        return
    with pytest.raises(Refused) as caught:
        check()
    assert caught.value.reason is reason
