"""OCSP answers that count, and those that are as if there were none (RFC 6960)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from stir.certificates.issuing import make_root, new_key
from stir.certificates.ocsp import (
    MAX_ANSWER,
    OcspAnswer,
    UnusableAnswer,
    load_ocsp_answer,
    ocsp_request,
    ocsp_url,
)
from tests.support.revocation import DAY, ocsp_answer, responder_certificate
from tests.support.stir_authority import NOW, StirWorld, make_certificate

REVOKED = ocsp.OCSPCertStatus.REVOKED
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def read(world: StirWorld, der: bytes) -> OcspAnswer:
    return load_ocsp_answer(der, world.credential.leaf, world.issuer.certificate, NOW)


def made(world: StirWorld, **options: object) -> bytes:
    leaf, issuer = world.credential.leaf, world.issuer.certificate
    key = options.pop("key", world.issuer.key)
    return ocsp_answer(leaf, issuer, key, **options)  # type: ignore[arg-type]


def by_delegate(world: StirWorld, **options: object) -> bytes:
    key = new_key()
    issuer = options.pop("issuer", world.issuer)
    certificate = responder_certificate(issuer, key, **options)  # type: ignore[arg-type]
    return made(world, key=key, signer=certificate)


def test_the_request_names_one_certificate_and_no_nonce(world: StirWorld) -> None:
    request = ocsp.load_der_ocsp_request(
        ocsp_request(world.credential.leaf, world.issuer.certificate)
    )
    assert request.serial_number == world.credential.leaf.serial_number
    assert list(request.extensions) == []


@pytest.mark.rfc(6960, "A.1")
@pytest.mark.parametrize("base", ["https://ocsp.example", "https://ocsp.example/"])
def test_the_url_of_a_get(base: str) -> None:
    request = bytes(range(248, 256)) + b"\xfb\xef\xbe"
    url = ocsp_url(base, request)
    assert url.startswith("https://ocsp.example/")
    encoded = url.removeprefix("https://ocsp.example/")
    assert not set("+/=") & set(encoded)
    assert base64.b64decode(unquote(encoded)) == request


def test_good_and_revoked(world: StirWorld) -> None:
    assert read(world, made(world)) == OcspAnswer("good", NOW - 600, NOW + 3600)
    revoked = OcspAnswer("revoked", NOW - 600, NOW + 3600, "keyCompromise")
    assert read(world, made(world, status=REVOKED)) == revoked
    unknown = read(world, made(world, status=ocsp.OCSPCertStatus.UNKNOWN))
    assert unknown.status == "unknown"


@pytest.mark.parametrize("options", [{"algorithm": hashes.SHA256()}, {"by_name": True}])
def test_other_ways_to_name_the_issuer_and_the_responder(
    world: StirWorld, options: dict[str, object]
) -> None:
    assert read(world, made(world, **options)).status == "good"


def test_an_authorised_responder_answers_for_the_issuer(world: StirWorld) -> None:
    assert read(world, by_delegate(world)).status == "good"
    rsa_key = rsa.generate_private_key(65537, 2048)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    certificate = make_certificate(
        world.issuer, key=rsa_key.public_key(), entries=None, extensions=[(usage, False)]
    )
    answer = made(world, key=rsa_key, signer=certificate)
    assert read(world, answer).status == "good"


def test_an_expired_answer_is_read_because_it_may_still_revoke(world: StirWorld) -> None:
    old = made(world, status=REVOKED, this_update=NOW - 9 * DAY, next_update=NOW - 8 * DAY)
    assert read(world, old).next_update == NOW - 8 * DAY


def test_without_next_update_an_answer_lasts_five_minutes(world: StirWorld) -> None:
    assert read(world, made(world, next_update=None)).next_update == NOW + 300


def of_another(world: StirWorld) -> bytes:
    return ocsp_answer(world.leaf().leaf, world.issuer.certificate, world.issuer.key)


def of_another_issuer(world: StirWorld) -> bytes:
    namesake = make_root("Test STI Issuing CA", NOW)
    key, certificate = world.issuer.key, world.issuer.certificate
    return ocsp_answer(
        world.credential.leaf, namesake.certificate, key, signer=certificate, attached=False
    )


def by_a_namesake(world: StirWorld) -> bytes:
    namesake = make_root("Test STI Issuing CA", NOW)
    return made(world, key=namesake.key, signer=namesake.certificate, by_name=True, attached=False)


def altered(world: StirWorld) -> bytes:
    der = made(world, status=REVOKED)
    response = ocsp.load_der_ocsp_response(der)
    tail = response.signature[-8:]
    assert der.count(tail) == 1
    return der.replace(tail, bytes(8))


def refusal(_: StirWorld) -> bytes:
    status = ocsp.OCSPResponseStatus.TRY_LATER
    response = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    return response.public_bytes(serialization.Encoding.DER)


UNUSABLE: dict[str, tuple[Callable[[StirWorld], bytes], str]] = {
    "empty": (lambda _: b"", "not an OCSP response"),
    "a web page": (lambda _: b"<html>", "not an OCSP response"),
    "cut off": (lambda w: made(w)[:-5], "not an OCSP response"),
    "too long": (lambda _: b"\x30" * (MAX_ANSWER + 1), "longer than 65536 octets"),
    "an error": (refusal, "the responder says: try later"),
    "about another certificate": (of_another, "about another certificate"),
    "about another issuer's": (of_another_issuer, "about another certificate"),
    "by a namesake of the issuer": (by_a_namesake, "not by the certificate's issuer"),
    "altered": (altered, "not by the certificate's issuer"),
    "from the future": (lambda w: made(w, this_update=NOW + 3600), "in the future"),
    "with a critical extension": (
        lambda w: made(w, extensions=[(UNKNOWN, True)]),
        "critical extension 1.2.3.4",
    ),
    "by a responder of another authority": (
        lambda w: by_delegate(w, issuer=w.root),
        "not authorised by the issuer",
    ),
    "by a certificate for something else": (
        lambda w: by_delegate(w, purpose=False),
        "not for OCSP signing",
    ),
    "by an expired responder": (lambda w: by_delegate(w, not_after=NOW - 1), "not valid now"),
    "by a responder whose certificate is missing": (
        lambda w: made(w, key=w.root.key, signer=w.root.certificate, attached=False),
        "does not come with the responder's certificate",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_answer_is_as_if_there_were_none_when_it_is(world: StirWorld, case: str) -> None:
    make, text = UNUSABLE[case]
    with pytest.raises(UnusableAnswer, match=text):
        read(world, make(world))


def test_an_answer_with_sha_1_in_its_signature_does_not_count(world: StirWorld) -> None:
    key = rsa.generate_private_key(65537, 2048)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    certificate = make_certificate(
        world.issuer, key=key.public_key(), entries=None, extensions=[(usage, False)]
    )
    der = made(world, key=key, signer=certificate)
    # sha256WithRSAEncryption of the response becomes sha1WithRSAEncryption
    sha256, sha1 = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010105")
    with pytest.raises(UnusableAnswer, match="its signature is not by the responder"):
        read(world, der.replace(sha256, sha1, 1))
