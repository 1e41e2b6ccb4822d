"""What came back from a certification authority is looked at before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from stir.certificates.certificate import (
    Credential,
    KeyMismatch,
    MalformedCredential,
    load_credential,
    match_key,
    unfitness,
)
from stir.certificates.chain import PathBuilder, validity_of_issuers
from stir.certificates.tn_auth_list import TnAuthList


class UnfitCertificate(ValueError):
    """An issued chain that calls must not be signed with; the message says why."""


def check_issued(
    chain_pem: bytes,
    key: ec.EllipticCurvePrivateKey,
    tn_auth_list: TnAuthList,
    now: float,
    anchors: Sequence[x509.Certificate] = (),
) -> Credential:
    """Return the credential of an issued chain, leaf first; raises UnfitCertificate.

    The key must be the leaf's, the TNAuthList just what was ordered (in any order), the leaf fit
    for STIR now (`now` in epoch seconds), and where `anchors` are given the chain must lead to one.
    """
    try:
        credential = load_credential(chain_pem)
        match_key(key, credential.leaf)
    except (MalformedCredential, KeyMismatch) as error:
        raise UnfitCertificate(str(error)) from None
    for problem in unfitness(credential.leaf, now):
        raise UnfitCertificate(f"{problem.reason.code}: {problem.got}, not {problem.expected}")
    granted = credential.tn_auth_list
    if granted is None or frozenset(granted.entries) != frozenset(tn_auth_list.entries):
        raise UnfitCertificate("its TNAuthList is not the one that was ordered")
    if anchors:
        path = PathBuilder(anchors).find(credential).at(now)
        issue = path.problem or path.delegation_problem or validity_of_issuers(path, now)
        if issue is not None:
            raise UnfitCertificate(f"{issue.reason.code}: {issue.got}, not {issue.expected}")
    return credential
