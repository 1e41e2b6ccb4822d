"""Fuzz targets of the stir room: octets in, verdicts or the declared errors out.

With atheris installed: `python -m tests.fuzz.stir.targets identity [CORPUS] [libFuzzer options]`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

from stir.certificates.certificate import MalformedCredential, load_credential, unfitness
from stir.certificates.claim_constraints import (
    MalformedConstraints,
    build_claim_constraints,
    parse_claim_constraints,
)
from stir.certificates.crl import UnusableList, load_revocation_list
from stir.certificates.issuing import read_csr
from stir.certificates.ocsp import UnusableAnswer, load_ocsp_answer
from stir.certificates.tn_auth_list import (
    MalformedTnAuthList,
    build_tn_auth_list,
    parse_tn_auth_list,
)
from stir.certificates.transparency import MalformedTimestamps, parse_timestamps
from stir.certificates.trust_list import TrustListRefused, open_trust_list, read_trust_list
from stir.strict_json import canonical
from stir.verification import VerificationPolicy, verify_token
from tests.support.stir_authority import (
    FACTS,
    HEADER,
    NOW,
    StirWorld,
    identity_value,
    raw_token,
)


@cache
def world() -> StirWorld:
    """The authority behind the targets, made once."""
    return StirWorld()


def identity(data: bytes) -> None:
    """Verify an Identity value with every check; none but a good signature may be valid."""
    verdict = verify_token(
        data.decode("utf-8", "replace"),
        form="header",
        now=NOW,
        facts=FACTS,
        credential=world().credential,
        anchors=world().root.certificates,
        policy=VerificationPolicy(exhaustive=True),
    )
    assert len(verdict.checks) >= 15
    if verdict.outcome == "valid":
        assert verdict.check("signature").outcome == "passed"
    for check in verdict.checks:
        assert (check.got or "").isprintable()


def payload(data: bytes) -> None:
    """Sign the octets as a payload: a signer with a good key may be hostile too."""
    identity(identity_value(raw_token(world().key, canonical(HEADER), data)).encode())


def credential(data: bytes) -> None:
    """Load a chain and judge by it."""
    with contextlib.suppress(MalformedCredential):
        found = load_credential(data)
        unfitness(found.leaf, NOW)
        world().verify(world().identity(), credential=found)


def revocation_list(data: bytes) -> None:
    """Read a revocation list of the issuing authority."""
    with contextlib.suppress(UnusableList):
        load_revocation_list(data, world().issuer.certificates, NOW)


def ocsp_answer(data: bytes) -> None:
    """Read an OCSP response about the signer's certificate."""
    with contextlib.suppress(UnusableAnswer):
        load_ocsp_answer(data, world().credential.leaf, world().issuer.certificate, NOW)


def timestamps(data: bytes) -> None:
    """Read a list of signed certificate timestamps."""
    with contextlib.suppress(MalformedTimestamps):
        parse_timestamps(data)


def request(data: bytes) -> None:
    """Read a certificate signing request."""
    with contextlib.suppress(MalformedCredential, MalformedTnAuthList):
        read_csr(data)


def tn_auth_list(data: bytes) -> None:
    """Parse a TNAuthList; what parses is written back octet by octet."""
    with contextlib.suppress(MalformedTnAuthList):
        assert build_tn_auth_list(parse_tn_auth_list(data).entries) == data


def claim_constraints(data: bytes) -> None:
    """Parse claim constraints; what parses is written back octet by octet."""
    for enhanced in (False, True):
        with contextlib.suppress(MalformedConstraints):
            found = parse_claim_constraints(data, enhanced=enhanced)
            assert build_claim_constraints(found, enhanced=enhanced) == data
            found.problem({"attest": "A", "rcd": {"nam": "x"}})


def trust_list(data: bytes) -> None:
    """Read a list of STI-CAs; none but a signed one is taken."""
    with contextlib.suppress(TrustListRefused):
        read_trust_list(open_trust_list(data), [world().credential.leaf], NOW)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "identity": identity,
    "payload": payload,
    "credential": credential,
    "request": request,
    "tn_auth_list": tn_auth_list,
    "claim_constraints": claim_constraints,
    "trust_list": trust_list,
    "revocation_list": revocation_list,
    "ocsp_answer": ocsp_answer,
    "timestamps": timestamps,
}


def main() -> None:
    """Fuzz the target named by the first argument."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
