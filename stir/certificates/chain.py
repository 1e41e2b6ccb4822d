"""Certificate paths from a signing certificate to a trust anchor (RFC 5280 section 6.1).

An own path builder, because each way to fail has to give one Reason of its own, and STI leaves
(no subject alternative name, a critical TNAuthList) are outside the web PKI profile that
`cryptography.x509.verification` is made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from stir.certificates.certificate import (
    UNDERSTOOD,
    Credential,
    Problem,
    is_authority,
    name_of,
    tn_auth_list_of,
    validity_problem,
)
from stir.certificates.name_constraints import name_constraint_problem
from stir.certificates.tn_auth_list import MalformedTnAuthList, TnAuthList
from stir.reason import Reason, printable

MAX_PATH: Final = 8
# A chain crafted from certificates of one name could otherwise be tried in factorial order.
MAX_SIGNATURES: Final = 24


@dataclass(frozen=True, slots=True)
class Path:
    """The way to an anchor, leaf first, or the Problem of the most promising way that failed.

    `delegation_problem` is set where a certificate's TNAuthList is wider than its issuer's. All
    issuers are valid from `not_before` to `not_after` (epoch seconds).
    """

    certificates: tuple[x509.Certificate, ...]
    problem: Problem | None
    not_before: float = inf
    not_after: float = -inf
    delegation_problem: Problem | None = None


class PathBuilder:
    """Finds paths to a fixed set of trust anchors."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        """`anchors` are the roots (or pinned certificates) of the configuration."""
        self._anchors: dict[x509.Name, list[x509.Certificate]] = {}
        self._pinned = {c.fingerprint(hashes.SHA256()) for c in anchors}
        for anchor in anchors:
            self._anchors.setdefault(anchor.subject, []).append(anchor)

    def find(self, credential: Credential) -> Path:
        """Return the first path whose signatures hold, without regard to the time.

        At most 8 certificates long, after at most 24 signature checks. Its problem, if any, is the
        one of the way that came farthest: a bad signature, an issuer that is no authority, a path
        length or name constraint. Validity periods are for `validity_of_issuers`, at each call.
        """
        leaf, *others = credential.certificates
        search = _Search(self._anchors, self._pinned, others)
        path = search.extend((leaf,))
        if path.problem is not None:
            return path
        issuers = path.certificates[1:]
        return replace(
            path,
            not_before=max((c.not_valid_before_utc.timestamp() for c in issuers), default=-inf),
            not_after=min((c.not_valid_after_utc.timestamp() for c in issuers), default=inf),
            delegation_problem=_delegation_problem(path.certificates),
        )


def validity_of_issuers(path: Path, at: float) -> Problem | None:
    """Why an issuer on the path is not valid at `at` (epoch seconds), or None."""
    if path.not_before <= at <= path.not_after:
        return None
    for certificate in path.certificates[1:]:
        problem = validity_problem(certificate, at)
        if problem is not None:
            return Problem(
                Reason.CHAIN_EXPIRED,
                f"{name_of(certificate)}: {problem.got}",
                "every issuer valid at the time of the check",
            )
    return None


class _Search:
    """One depth-first search, bounded by path length and by signature checks."""

    def __init__(
        self,
        anchors: dict[x509.Name, list[x509.Certificate]],
        pinned: set[bytes],
        offered: Sequence[x509.Certificate],
    ) -> None:
        self._anchors = anchors
        self._pinned = pinned
        self._offered = offered
        self._left = MAX_SIGNATURES

    def extend(self, path: tuple[x509.Certificate, ...]) -> Path:
        """Complete a partial path, leaf first, or return it with what stopped it."""
        last = path[-1]
        if last.fingerprint(hashes.SHA256()) in self._pinned:
            return Path(path, name_constraint_problem(path))
        if len(path) >= MAX_PATH:
            return Path(path, _too_long(f"a path of more than {MAX_PATH} certificates"))
        best: Path | None = None
        for issuer in self._issuers(path):
            problem = self._issued(issuer, path)
            found = Path((*path, issuer), problem) if problem else self.extend((*path, issuer))
            if found.problem is None:
                return found
            if best is None or len(found.certificates) > len(best.certificates):
                best = found
        return best or Path(path, _untrusted(last))

    def _issuers(self, path: tuple[x509.Certificate, ...]) -> list[x509.Certificate]:
        """Candidates by name: anchors first, then what the file offers and is not yet used."""
        name = path[-1].issuer
        own = [c for c in self._offered if c.subject == name and c not in path]
        return [*self._anchors.get(name, ()), *own]

    def _issued(
        self, issuer: x509.Certificate, path: tuple[x509.Certificate, ...]
    ) -> Problem | None:
        if self._left <= 0:
            return _too_long(f"more than {MAX_SIGNATURES} signatures to check")
        self._left -= 1
        problem = _authority_problem(issuer, path)
        if problem is not None:
            return problem
        try:
            path[-1].verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            return Problem(
                Reason.CHAIN_SIGNATURE,
                f"the signature on {name_of(path[-1])} is not by {name_of(issuer)}",
                "a signature by the issuer's key",
            )
        return None


def _authority_problem(
    issuer: x509.Certificate, path: tuple[x509.Certificate, ...]
) -> Problem | None:
    """Whether `issuer` may issue the last of `path` (RFC 5280 section 6.1.4 k to n)."""
    if not is_authority(issuer):
        return Problem(Reason.CHAIN_NOT_CA, f"{name_of(issuer)} is not an authority", "CA:TRUE")
    for extension in issuer.extensions:
        value = extension.value
        if extension.critical and extension.oid not in UNDERSTOOD:
            return Problem(
                Reason.CREDENTIAL_EXTENSION,
                f"critical extension {extension.oid.dotted_string} in {name_of(issuer)}",
                "critical extensions of the STI profile only",
            )
        if isinstance(value, x509.KeyUsage) and not value.key_cert_sign:
            return Problem(
                Reason.CHAIN_NOT_CA, f"{name_of(issuer)} may not sign certificates", "keyCertSign"
            )
        if isinstance(value, x509.BasicConstraints) and value.path_length is not None:
            below = sum(1 for c in path[1:] if c.subject != c.issuer)
            if below > value.path_length:
                return _too_long(
                    f"{below} authorities below {name_of(issuer)}, at most {value.path_length}"
                )
    return None


def _delegation_problem(path: Sequence[x509.Certificate]) -> Problem | None:
    """Hold every TNAuthList on the path against all those above it (RFC 9060 section 4).

    Against all and not just the next: a list of codes in between, which is taken to hold any
    number, must not widen what a list of numbers above it grants.
    """
    below: list[TnAuthList] = []
    for certificate in path:
        try:
            own = tn_auth_list_of(certificate)
        except MalformedTnAuthList as error:
            return Problem(
                Reason.AUTHORITY_MALFORMED,
                f"{name_of(certificate)}: {error}",
                "a TNAuthList by RFC 8226 section 9",
            )
        if own is None:
            continue
        if not all(own.encompasses(narrower) for narrower in below):
            return Problem(
                Reason.AUTHORITY_NOT_ENCOMPASSED,
                f"a TNAuthList wider than that of {name_of(certificate)}",
                "numbers within the issuer's TNAuthList",
            )
        below.append(own)
    return None


def _too_long(got: str) -> Problem:
    return Problem(Reason.CHAIN_TOO_LONG, got, "a path within the issuers' path lengths")


def _untrusted(last: x509.Certificate) -> Problem:
    return Problem(
        Reason.CHAIN_UNTRUSTED,
        f"no certificate for the issuer {printable(last.issuer.rfc4514_string(), 200)}",
        "a path to a configured trust anchor",
    )
