"""The checks of the credential itself: it can be had, is fit and trusted, and its key signed.

In the order of RFC 8224 section 6.2, one function a step.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from stir.certificates.certificate import (
    BareKey,
    Credential,
    CredentialUnavailable,
    Problem,
)
from stir.certificates.chain import validity_of_issuers
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.passport import SIGNATURE_SIZE
from stir.reason import Reason
from stir.verdict import Check

# The digest is worked out once, for the signature and for the replay memory.
_ES256_OF_DIGEST: Final = ec.ECDSA(Prehashed(hashes.SHA256()))
_WITH_KEY: Final = (Credential, BareKey)


def credential(inspection: Inspection) -> Check:
    """(7) The certificate could be had and its leaf may sign PASSporTs at this time."""
    found = inspection.credential
    if found is None:
        return skipped("credential", "no certificate or key given")
    if isinstance(found, BareKey):
        return skipped("credential", "a bare public key, no certificate")
    if isinstance(found, CredentialUnavailable):
        expected = "a certificate chain at the x5u URL"
        got = f"{found.detail} ({found.culprit})"
        if found.reason is Reason.CREDENTIAL_UNAVAILABLE:
            return Check("credential", "unavailable", found.reason, got, expected)
        return failed("credential", Problem(found.reason, got, expected))
    problem = found.problem or found.validity_problem(inspection.now)
    if problem is not None:
        return failed("credential", problem)
    return passed("credential", found.subject)


def chain(inspection: Inspection) -> Check:
    """(8) A path leads to a trust anchor, and every issuer on it is valid now."""
    found = inspection.credential
    if not isinstance(found, Credential):
        return skipped("chain", "no certificate to build a path from")
    if inspection.find_path is None:
        return skipped("chain", "no trust anchor given")
    path = inspection.path = inspection.find_path(found).at(inspection.now)
    problem = path.problem or validity_of_issuers(path, inspection.now)
    if problem is not None:
        return failed("chain", problem)
    return passed("chain", f"{len(path.certificates)} certificates to a trust anchor")


def signature(inspection: Inspection) -> Check:
    """(10) The ES256 signature over the octets as received (RFC 7515 section 5.2)."""
    octets, found = inspection.octets, inspection.credential
    if octets is None:
        return skipped("signature", "the token could not be read")
    key = found.public_key if isinstance(found, _WITH_KEY) else None
    if key is None:
        return skipped("signature", "no key to verify with")
    raw, expected = octets.signature, "an ES256 signature by the credential's key"
    if len(raw) != SIGNATURE_SIZE:
        got = f"{len(raw)} octets"
        return failed("signature", Problem(Reason.SIGNATURE_INVALID, got, "64 octets"))
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(der, octets.digest, _ES256_OF_DIGEST)
    except InvalidSignature:
        got = "a signature that does not verify"
        return failed("signature", Problem(Reason.SIGNATURE_INVALID, got, expected))
    return passed("signature")
