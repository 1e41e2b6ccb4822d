"""Each bad PASSporT gives exactly one Reason (security cases C1 to C5 and C10)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from stir.passport import decode_part, encode_part
from stir.reason import Reason
from stir.verdict import CallVerdict, Verdict
from stir.verification import VerificationPolicy, verify_token
from tests.support.stir_authority import (
    DEST,
    FACTS,
    FINGERPRINT,
    HEADER,
    NOW,
    OTHER_FINGERPRINT,
    URL,
    StirWorld,
    identity_value,
    raw_token,
    shaken_claims,
)

P256_ORDER = int("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16)


def only_reason(call: CallVerdict) -> Reason | None:
    """The Reason of the one Identity, after checking that no second check failed beside it."""
    [verdict] = call.verdicts
    reasons = [check.reason for check in verdict.checks if check.reason is not None]
    assert reasons == ([] if verdict.reason is None else [verdict.reason])
    assert (verdict.outcome == "valid") is (verdict.reason is None)
    return verdict.reason


def with_header(world: StirWorld, **changes: Any) -> str:
    header = {k: v for k, v in {**HEADER, **changes}.items() if v is not None}
    return identity_value(world.token(header, shaken_claims()))


def with_claims(world: StirWorld, **changes: Any) -> str:
    return identity_value(world.token(HEADER, shaken_claims(**changes)))


def test_the_good_one_is_valid(world: StirWorld) -> None:
    call = world.verify(world.identity())
    assert only_reason(call) is None
    assert (call.outcome, call.verstat, call.sip_status) == ("valid", "TN-Validation-Passed", None)
    assert call.attest == "A"


C1: dict[str, tuple[dict[str, Any], Reason]] = {
    "alg none": ({"alg": "none"}, Reason.UNSUPPORTED_ALGORITHM),
    "alg HS256": ({"alg": "HS256"}, Reason.UNSUPPORTED_ALGORITHM),
    "alg ES384": ({"alg": "ES384"}, Reason.UNSUPPORTED_ALGORITHM),
    "alg RS256": ({"alg": "RS256"}, Reason.UNSUPPORTED_ALGORITHM),
    "alg missing": ({"alg": None}, Reason.UNSUPPORTED_ALGORITHM),
    "alg is a list": ({"alg": ["ES256"]}, Reason.UNSUPPORTED_ALGORITHM),
    "crit": ({"crit": ["exp"]}, Reason.CRITICAL_HEADER),
    "typ JWT": ({"typ": "JWT"}, Reason.WRONG_TYPE),
    "typ missing": ({"typ": None}, Reason.WRONG_TYPE),
    "ppt is a number": ({"ppt": 7}, Reason.WRONG_TYPE),
    "another ppt": ({"ppt": "div"}, Reason.PPT_MISMATCH),
    "kid": ({"kid": "1"}, Reason.EMBEDDED_KEY),
    "jku": ({"jku": "https://a.example/"}, Reason.EMBEDDED_KEY),
    "x5c": ({"x5c": ["MIIB"]}, Reason.EMBEDDED_KEY),
    "x5u missing": ({"x5u": None}, Reason.INFO_MISSING),
    "x5u is not info": ({"x5u": "https://certs.alpha.example/b.pem"}, Reason.INFO_MISMATCH),
}


@pytest.mark.parametrize("case", C1)
def test_bad_headers(world: StirWorld, case: str) -> None:
    changes, reason = C1[case]
    assert only_reason(world.verify(with_header(world, **changes))) is reason


def test_an_embedded_key_is_never_used(world: StirWorld) -> None:
    attacker = ec.generate_private_key(ec.SECP256R1())
    numbers = attacker.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": encode_part(numbers.x.to_bytes(32, "big")),
        "y": encode_part(numbers.y.to_bytes(32, "big")),
    }
    header = json.dumps({**HEADER, "jwk": jwk}).encode()
    token = raw_token(attacker, header, json.dumps(shaken_claims()).encode())
    verdict = verify_token(
        token,
        now=NOW,
        credential=world.credential,
        anchors=world.root.certificates,
        policy=VerificationPolicy(exhaustive=True),
    )
    assert verdict.reason is Reason.EMBEDDED_KEY
    assert verdict.check("signature").reason is Reason.SIGNATURE_INVALID


def test_an_unsupported_type_is_ignored_not_refused(world: StirWorld) -> None:
    token = world.token({**HEADER, "ppt": "zzz"}, shaken_claims())
    value = f"{token};info=<{URL}>;ppt=zzz"
    call = world.verify(value)
    assert [v.outcome for v in call.verdicts] == ["ignored"]
    assert (call.outcome, call.verstat) == ("absent", "No-TN-Validation")
    assert (call.sip_status, call.reason) == (428, Reason.UNSUPPORTED_PPT)
    assert world.verify(value, world.identity()).outcome == "valid"


C2: dict[str, tuple[bytes, Reason]] = {
    "61 s old": (b'"iat":%d' % (NOW - 61), Reason.STALE_DATE),
    "61 s ahead": (b'"iat":%d' % (NOW + 61), Reason.STALE_DATE),
    "one": (b'"iat":1', Reason.STALE_DATE),
    "NaN": (b'"iat":NaN', Reason.PASSPORT_MALFORMED),
    "1e400": (b'"iat":1e400', Reason.PASSPORT_MALFORMED),
    "a fraction": (b'"iat":%d.5' % NOW, Reason.PASSPORT_MALFORMED),
    "text": (b'"iat":"%d"' % NOW, Reason.CLAIM_MALFORMED),
    "true": (b'"iat":true', Reason.CLAIM_MALFORMED),
    "negative": (b'"iat":-1', Reason.CLAIM_MALFORMED),
    "missing": (b'"x":1', Reason.CLAIM_MISSING),
}


@pytest.mark.parametrize("case", C2)
def test_iat(world: StirWorld, case: str) -> None:
    written, reason = C2[case]
    payload = json.dumps(shaken_claims(iat=0)).encode().replace(b'"iat": 0', written)
    token = raw_token(world.key, json.dumps(HEADER).encode(), payload)
    call = world.verify(identity_value(token))
    assert only_reason(call) is reason
    assert call.sip_status == (403 if reason is Reason.STALE_DATE else 438)


@pytest.mark.parametrize("age", [-60, 0, 60])
def test_iat_within_the_freshness_is_accepted(world: StirWorld, age: int) -> None:
    assert world.verify(world.identity(iat=int(NOW) - age)).outcome == "valid"


def test_a_replayed_passport_is_refused_in_another_call_only(world: StirWorld) -> None:
    service, value = world.service(), world.identity()

    def once(call_id: str, text: str = value) -> Verdict:
        begun = service.begin([text], replace(FACTS, call_id=call_id), NOW)
        return service.conclude(begun, {URL: world.credential}, NOW).verdicts[0]

    assert once("first").outcome == "valid"
    assert once("first").outcome == "valid", "a retransmission or fork of the same call"
    assert once("second").reason is Reason.REPLAYED
    assert once("third", malleated(value)).reason is Reason.REPLAYED


def malleated(value: str) -> str:
    """The same PASSporT under its other valid ECDSA signature (r, n - s)."""
    token, semicolon, rest = value.partition(";")
    octets, _, signature = token.rpartition(".")
    raw = decode_part(signature, "signature")
    s = P256_ORDER - int.from_bytes(raw[32:], "big")
    return f"{octets}.{encode_part(raw[:32] + s.to_bytes(32, 'big'))}{semicolon}{rest}"


def test_the_other_form_of_a_signature_is_valid_by_itself(world: StirWorld) -> None:
    assert world.verify(malleated(world.identity())).outcome == "valid"


def test_padded_base64url_is_malformed(world: StirWorld) -> None:
    token, _, rest = world.identity().partition(";")
    assert only_reason(world.verify(f"{token}==;{rest}")) is Reason.PASSPORT_MALFORMED


def test_a_forged_copy_does_not_use_up_the_real_one(world: StirWorld) -> None:
    service, value = world.service(), world.identity()
    token, _, rest = value.partition(";")
    forged = token[:-8] + ("AAAAAAAA" if token[-8:-1] != "AAAAAAA" else "BBBBBBBA")
    begun = service.begin([f"{forged[:-1]}A;{rest}"], replace(FACTS, call_id="thief"), NOW)
    assert service.conclude(begun, {URL: world.credential}, NOW).outcome == "invalid"
    begun = service.begin([value], FACTS, NOW)
    assert service.conclude(begun, {URL: world.credential}, NOW).outcome == "valid"


C4_SAME = ["+14155550100", "tel:+1-415-555-0100", "sip:14155550100@x.example", "+1 (415) 555.0100"]
C4_OTHER = [
    "0014155550100",
    "tel:5550100;phone-context=+1212",
    "+1٤155550100",
    "+1４155550100",
    "+14155550100\n",
    "sip:anonymous@anonymous.invalid",
    "",
]


@pytest.mark.parametrize("text", C4_SAME)
def test_the_same_originator_however_it_is_written(world: StirWorld, text: str) -> None:
    facts = replace(FACTS, orig_candidates=(text,))
    assert only_reason(world.verify(world.identity(), facts=facts)) is None


@pytest.mark.parametrize("text", C4_OTHER)
def test_another_originator(world: StirWorld, text: str) -> None:
    facts = replace(FACTS, orig_candidates=(text,))
    assert only_reason(world.verify(world.identity(), facts=facts)) is Reason.ORIGINATOR_MISMATCH


def test_a_local_number_is_completed_by_its_context(world: StirWorld) -> None:
    facts = replace(FACTS, orig_candidates=("tel:5550100;phone-context=+1415",))
    assert world.verify(world.identity(), facts=facts).outcome == "valid"


def test_another_destination(world: StirWorld) -> None:
    facts = replace(FACTS, dest_candidates=("sip:+12125550199@beta.example",))
    assert only_reason(world.verify(world.identity(), facts=facts)) is Reason.DESTINATION_MISMATCH


def test_too_many_or_too_large_headers_are_refused_before_any_fetch(world: StirWorld) -> None:
    service = world.service()
    for values in (["x;info=<y>"] * 9, ["x;info=<y>"] * 100, ["x" * 20_000]):
        begun = service.begin(values, FACTS, NOW)
        assert begun.needed == ()
        call = service.conclude(begun, {}, NOW)
        assert (call.outcome, call.reason) == ("invalid", Reason.TOO_MANY_IDENTITIES)
        assert call.sip_status == 400


def test_at_most_three_credentials_are_asked_for(world: StirWorld) -> None:
    service, values = world.service(), []
    for number in range(8):
        url = f"https://certs.alpha.example/{number}.pem"
        values.append(identity_value(world.token({**HEADER, "x5u": url}, shaken_claims()), url))
    begun = service.begin(values, FACTS, NOW)
    assert len(begun.needed) == 3
    call = service.conclude(begun, dict.fromkeys(begun.needed, world.credential), NOW)
    assert [v.outcome for v in call.verdicts][3:] == ["unavailable"] * 5


C10 = {
    "depth": b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "duplicate key": b'{"iat":1,"iat":2}',
    "long integer": b'{"iat":' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"a":"\\ud800"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "not UTF-8": b'{"a":"\xff"}',
    "an array": b"[1]",
    "trailing text": b"{}{}",
    "empty": b" ",
    "infinity": b'{"a":-Infinity}',
}


@pytest.mark.parametrize("case", C10)
@pytest.mark.parametrize("part", ["header", "payload"])
def test_hostile_json(world: StirWorld, case: str, part: str) -> None:
    good = {"header": json.dumps(HEADER).encode(), "payload": json.dumps(shaken_claims()).encode()}
    parts = {**good, part: C10[case]}
    value = identity_value(raw_token(world.key, parts["header"], parts["payload"]))
    assert only_reason(world.verify(value)) is Reason.PASSPORT_MALFORMED


def test_sixty_thousand_destinations_are_too_large_for_a_header(world: StirWorld) -> None:
    value = with_claims(world, dest={"tn": [DEST] * 60_000})
    assert world.verify(value).reason is Reason.TOO_MANY_IDENTITIES


CLAIMS: dict[str, tuple[dict[str, Any], Reason]] = {
    "no orig": ({"orig": None}, Reason.CLAIM_MISSING),
    "no dest": ({"dest": None}, Reason.CLAIM_MISSING),
    "no attest": ({"attest": None}, Reason.CLAIM_MISSING),
    "no origid": ({"origid": None}, Reason.CLAIM_MISSING),
    "attest D": ({"attest": "D"}, Reason.CLAIM_MALFORMED),
    "origid is no UUID": ({"origid": "ref"}, Reason.CLAIM_MALFORMED),
    "orig is text": ({"orig": "14155550100"}, Reason.CLAIM_MALFORMED),
    "orig has two": ({"orig": {"tn": "1", "uri": "sip:a@b"}}, Reason.CLAIM_MALFORMED),
    "orig is a list": ({"orig": {"tn": ["14155550100"]}}, Reason.CLAIM_MALFORMED),
    "orig is empty": ({"orig": {"tn": ""}}, Reason.CLAIM_MALFORMED),
    "orig has Arabic digits": ({"orig": {"tn": "١٤١٥"}}, Reason.CLAIM_MALFORMED),
    "orig is a URI in shaken": ({"orig": {"uri": "sip:a@b.example"}}, Reason.CLAIM_MALFORMED),
    "dest is empty": ({"dest": {}}, Reason.CLAIM_MALFORMED),
    "dest is no array": ({"dest": {"tn": DEST}}, Reason.CLAIM_MALFORMED),
    "dest is an empty array": ({"dest": {"tn": []}}, Reason.CLAIM_MALFORMED),
    "mky is empty": ({"mky": []}, Reason.CLAIM_MALFORMED),
    "mky is an object": ({"mky": {"alg": "sha-256", "dig": "AB" * 32}}, Reason.CLAIM_MALFORMED),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_bad_claims(world: StirWorld, case: str) -> None:
    changes, reason = CLAIMS[case]
    call = world.verify(with_claims(world, **changes))
    assert (only_reason(call), call.sip_status) == (reason, 438)


def test_media_keys_are_held_against_the_sdp(world: StirWorld) -> None:
    value = world.identity(fingerprints=(FINGERPRINT,))
    for offered, reason in (
        ((FINGERPRINT,), None),
        ((OTHER_FINGERPRINT,), Reason.MEDIA_KEYS_MISMATCH),
        ((FINGERPRINT, OTHER_FINGERPRINT), Reason.MEDIA_KEYS_MISMATCH),
        ((), Reason.MEDIA_KEYS_MISMATCH),
    ):
        facts = replace(FACTS, fingerprints=offered)
        assert only_reason(world.verify(value, facts=facts)) is reason


def test_media_keys_can_be_required(world: StirWorld) -> None:
    facts = replace(FACTS, fingerprints=(FINGERPRINT,))
    assert world.verify(world.identity(), facts=facts).outcome == "valid"
    call = world.verify(
        world.identity(), facts=facts, policy=VerificationPolicy(require_media_keys=True)
    )
    assert only_reason(call) is Reason.MEDIA_KEYS_MISSING


def test_a_signature_of_another_key(world: StirWorld) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    token = raw_token(other, json.dumps(HEADER).encode(), json.dumps(shaken_claims()).encode())
    assert only_reason(world.verify(identity_value(token))) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("size", [1, 63, 65, 96])
def test_a_signature_of_another_length(world: StirWorld, size: int) -> None:
    token, _, rest = world.identity().partition(";")
    value = f"{token.rpartition('.')[0]}.{encode_part(b'x' * size)};{rest}"
    assert only_reason(world.verify(value)) is Reason.SIGNATURE_INVALID


def test_a_forged_header_beside_a_valid_one_does_no_harm(world: StirWorld) -> None:
    good = world.identity()
    forged = good.replace(good[200:210], "AAAAAAAAAA")
    for values in ((good, forged), (forged, good)):
        call = world.verify(*values)
        assert call.outcome == "valid"
        assert len(call.reason_headers) == 1


def test_without_identity_the_peer_is_asked_for_one(world: StirWorld) -> None:
    call = world.verify()
    assert (call.outcome, call.sip_status) == ("absent", 428)
    assert call.reason_headers == ('STIR;cause=428;text="Use Identity Header"',)


def test_repeating_whitespace_and_parameters_takes_linear_time(world: StirWorld) -> None:
    for value in ("a" + " " * 16_000, "a;" + "x;" * 8_000, "a;info=<" + "<" * 16_000, "." * 16_000):
        assert world.verify(value).outcome == "invalid"
