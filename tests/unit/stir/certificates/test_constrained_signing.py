"""What a certificate does not permit is not signed with it."""

from typing import Any

import pytest
from cryptography import x509

from stir.authentication import AuthenticationService, CannotSign, SigningRequest
from stir.certificates.certificate import JWT_CLAIM_CONSTRAINTS_OID, MalformedCredential
from stir.certificates.claim_constraints import ClaimConstraints
from stir.certificates.issuing import issue_sti_certificate, key_to_pem, to_pem
from stir.certificates.tn_auth_list import One, TnAuthList
from stir.passport import MalformedPassport
from tests.support.stir_authority import DEST, NOW, ORIG, ORIGID, URL, StirWorld, make_certificate

ONLY_B = ClaimConstraints(
    must_include=("attest",),
    permitted_values=(("attest", ("B",)),),
    must_exclude=("mky",),
)


def request(**changes: Any) -> SigningRequest:
    values: dict[str, Any] = {"attest": "B", "origid": ORIGID, **changes}
    return SigningRequest(ORIG, (DEST,), int(NOW), **values)


@pytest.fixture(scope="module")
def signer(world: StirWorld) -> AuthenticationService:
    issued = issue_sti_certificate(
        world.issuer, TnAuthList((One(ORIG),)), NOW, claim_constraints=ONLY_B
    )
    assert issued.key_pem is not None
    return AuthenticationService(issued.key_pem, issued.chain_pem, URL)


def test_only_what_the_certificate_permits_is_signed(signer: AuthenticationService) -> None:
    assert signer.sign(request())
    with pytest.raises(CannotSign, match=r"does not permit it: attest: A; expected attest: B"):
        signer.sign(request(attest="A"))
    with pytest.raises(CannotSign, match="no attest claim"):
        signer.sign(request(attest=None, origid=None))
    with pytest.raises(CannotSign, match="a mky claim"):
        signer.sign(request(fingerprints=(("sha-256", ":".join(["AB"] * 32)),)))


def test_payloads_of_extensions_are_held_to_it_as_well(signer: AuthenticationService) -> None:
    assert signer.sign_passport({"ppt": "spin"}, {"attest": "B"})
    with pytest.raises(MalformedPassport, match="does not permit"):
        signer.sign_passport({"ppt": "spin"}, {"iat": 1})


def test_a_certificate_with_broken_constraints_is_not_signed_with(world: StirWorld) -> None:
    broken = x509.UnrecognizedExtension(JWT_CLAIM_CONSTRAINTS_OID, b"text")
    leaf = make_certificate(world.issuer, key=world.key.public_key(), extensions=[(broken, False)])
    with pytest.raises(MalformedCredential, match="claim constraints"):
        AuthenticationService(key_to_pem(world.key), to_pem([leaf]), URL)
