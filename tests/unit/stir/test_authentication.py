"""Signing: what is signed is what the RFCs want, byte for byte, and keys are checked at load."""

import pytest

from stir.authentication import AuthenticationService, CannotSign, SigningRequest, claims_of
from stir.certificates.certificate import BareKey, KeyMismatch, MalformedCredential
from stir.certificates.issuing import key_to_pem, new_key
from stir.passport import parse_passport, signing_input
from stir.verification import verify_token
from tests.support.stir_authority import DEST, FINGERPRINT, NOW, ORIG, ORIGID, URL, StirWorld

REQUEST = SigningRequest(
    orig_tn="+1 (415) 555-0100",
    dest_tns=("+12125550123",),
    iat=int(NOW),
    attest="A",
    origid=ORIGID,
    fingerprints=(FINGERPRINT,),
)


def test_a_shaken_identity_has_the_shape_other_carriers_expect(world: StirWorld) -> None:
    value = world.signer.sign(REQUEST)
    token, rest = value.split(";", 1)
    assert rest == f"info=<{URL}>;alg=ES256;ppt=shaken"
    passport = parse_passport(token)
    assert list(passport.header) == ["alg", "ppt", "typ", "x5u"]
    assert list(passport.payload) == ["attest", "dest", "iat", "mky", "orig", "origid"]
    assert passport.signing_input == signing_input(passport.header, passport.payload)
    assert passport.payload["orig"] == {"tn": ORIG}
    assert passport.payload["dest"] == {"tn": [DEST]}
    assert passport.payload["mky"] == [{"alg": "sha-256", "dig": "AB" * 32}]


def test_a_plain_passport_has_no_ppt(world: StirWorld) -> None:
    value = world.signer.sign(SigningRequest(ORIG, (DEST,), int(NOW)))
    assert value.endswith(f";info=<{URL}>;alg=ES256")
    passport = parse_passport(value.partition(";")[0])
    assert passport.ppt is None
    assert world.verify(value).outcome == "valid"


def test_a_payload_of_an_extension_is_signed_as_given(world: StirWorld) -> None:
    claims = {"iat": int(NOW), "orig": {"tn": ORIG}, "dest": {"tn": [DEST]}, "jti": "x"}
    token = world.signer.sign_passport({"ppt": "spin", "alg": "none"}, claims)
    assert parse_passport(token).header["alg"] == "ES256"
    verdict = verify_token(
        token,
        now=NOW,
        ppt="spin",
        credential=world.credential,
        anchors=world.root.certificates,
    )
    assert verdict.outcome == "valid"
    other = verify_token(
        token,
        now=NOW,
        ppt="spin-ans",
        credential=world.credential,
        anchors=world.root.certificates,
    )
    assert other.outcome == "ignored"


@pytest.mark.parametrize(
    "request_",
    [
        SigningRequest("anonymous", (DEST,), int(NOW)),
        SigningRequest(ORIG, (), int(NOW)),
        SigningRequest(ORIG, ("sip:bob",), int(NOW)),
        SigningRequest(ORIG, (DEST,), int(NOW), fingerprints=(("sha-256", "zz"),)),
    ],
)
def test_what_cannot_be_signed_says_so(request_: SigningRequest) -> None:
    with pytest.raises(CannotSign):
        claims_of(request_)


def test_attest_and_origid_go_together(world: StirWorld) -> None:
    with pytest.raises(CannotSign):
        world.signer.sign(SigningRequest(ORIG, (DEST,), int(NOW), attest="A"))


def test_a_key_of_another_certificate_is_refused_at_load(world: StirWorld) -> None:
    with pytest.raises(KeyMismatch):
        AuthenticationService(key_to_pem(new_key()), world.issued.chain_pem, URL)


def test_a_key_file_that_is_none_is_refused_at_load(world: StirWorld) -> None:
    for data in (b"", b"not a key", world.issued.chain_pem):
        with pytest.raises(MalformedCredential):
            AuthenticationService(data, world.issued.chain_pem, URL)


def test_no_key_shows_in_a_repr(world: StirWorld) -> None:
    assert world.issued.key_pem is not None
    shown = repr((world.signer, world.issued, world.root, world.credential))
    assert "PRIVATE" not in shown
    assert "BEGIN" not in shown


def test_who_holds_a_service_signs_with_the_credential_it_adopted(world: StirWorld) -> None:
    assert world.issued.key_pem is not None
    held = AuthenticationService(world.issued.key_pem, world.issued.chain_pem, URL)
    key = new_key()
    renewed = "https://certs.alpha.example/renewed.pem"
    held.adopt(AuthenticationService(key_to_pem(key), None, renewed))
    value = held.sign(REQUEST)
    assert value.partition(";")[2] == f"info=<{renewed}>;alg=ES256;ppt=shaken"
    passport = parse_passport(value.partition(";")[0])
    assert passport.x5u == held.x5u == renewed
    verdict = verify_token(
        value.partition(";")[0], now=NOW, credential=BareKey(key.public_key()), anchors=()
    )
    assert "signature" not in {check.step for check in verdict.checks if check.outcome == "failed"}
