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

from stir.certificates.certificate import Credential, Problem, name_of, validity_problem
from stir.certificates.claim_constraints import (
    ClaimConstraints,
    MalformedConstraints,
    constraints_of,
)
from stir.certificates.grant import Grant, granted_by
from stir.certificates.issuer import issuer_problem, names_issuer, too_long
from stir.certificates.name_constraints import name_constraint_problem, permits_domains
from stir.certificates.tn_auth_list import TnAuthList
from stir.reason import Reason, printable

MAX_PATH: Final = 8
# A chain crafted from certificates of one name could otherwise be tried in factorial order.
MAX_STEPS: Final = 48
# Where no way leads to an anchor, to say why: the longest path has fewer.
MAX_STEPS_IN_VAIN: Final = 8
MAX_PATHS: Final = 4
_NO_GRANT: Final = Grant()


@dataclass(frozen=True, slots=True)
class Path:
    """The way to an anchor, leaf first, or the Problem of the most promising way that failed.

    `delegation_problem` is set where a certificate's TNAuthList is wider than that of one above it,
    `constraints_problem` where claim constraints cannot be read; `constraints` are those of all
    certificates, `tn_auth_lists` those of the issuers, where they have any; `delegates_domains`
    is whether each of those may issue for domains too. All issuers are valid from `not_before` to
    `not_after` (epoch seconds).
    `alternatives` are further ways, over other cross-certificates, that may hold at other times.
    """

    certificates: tuple[x509.Certificate, ...]
    problem: Problem | None
    not_before: float = inf
    not_after: float = -inf
    delegation_problem: Problem | None = None
    constraints: tuple[ClaimConstraints, ...] = ()
    constraints_problem: Problem | None = None
    tn_auth_lists: tuple[TnAuthList, ...] = ()
    delegates_domains: bool = True
    alternatives: tuple[Path, ...] = ()

    def at(self, now: float) -> Path:
        """Return the first way whose issuers are all valid at `now` (epoch seconds), else this."""
        if self.not_before <= now <= self.not_after:
            return self
        valid = (way for way in self.alternatives if way.not_before <= now <= way.not_after)
        return next(valid, self)


class PathBuilder:
    """Finds paths to a fixed set of trust anchors."""

    def __init__(self, anchors: Sequence[x509.Certificate], *, p256_issuers: bool = False) -> None:
        """`anchors` are the roots (or pinned certificates) of the configuration.

        `p256_issuers` demands P-256 keys of the authorities too, as the SHAKEN certificate profile
        does (ATIS-1000080 section 6.4); else P-384, P-521 and RSA issuers are taken as well.
        """
        self._p256_issuers = p256_issuers
        self.replace_anchors(anchors)

    def replace_anchors(self, anchors: Sequence[x509.Certificate]) -> None:
        """Trust these from now on and no others."""
        self._anchors: dict[x509.Name, list[x509.Certificate]] = {}
        self._pinned = {c.fingerprint(hashes.SHA256()) for c in anchors}
        for anchor in anchors:
            self._anchors.setdefault(anchor.subject, []).append(anchor)

    def find(self, credential: Credential) -> Path:
        """Return a path whose signatures hold, with up to 3 others, without regard to the time.

        At most 8 certificates long, after at most 48 steps. Its problem, if any, is the one of the
        way that came farthest: a bad signature, an issuer that is no authority, a path length or
        name constraint. Validity periods are for `Path.at` and `validity_of_issuers`, at each call.
        """
        leaf, *others = credential.certificates
        search = _Search(
            self._anchors, self._pinned, tuple(dict.fromkeys(others)), self._p256_issuers
        )
        if not search.is_vouched_for(leaf):
            search.give_up_soon()
        best = search.extend((leaf,))
        if not search.complete:
            return best
        grants = dict(zip(credential.certificates, credential.grants, strict=True))
        ways = [_judged(path, grants) for path in search.complete]
        # A certificate may stand on any path that holds: one with less to object to comes first.
        ways.sort(key=lambda way: bool(way.delegation_problem or way.constraints_problem))
        return replace(ways[0], alternatives=tuple(ways[1:]))


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
    """One depth-first search, bounded by path length, steps and paths found.

    `complete` are the paths that reached an anchor; `extend` returns the best failure.
    """

    def __init__(
        self,
        anchors: dict[x509.Name, list[x509.Certificate]],
        pinned: set[bytes],
        offered: Sequence[x509.Certificate],
        p256_issuers: bool,
    ) -> None:
        self._anchors = anchors
        self._pinned = pinned
        self._offered = offered
        self._p256_issuers = p256_issuers
        self._left = MAX_STEPS
        self._signed: dict[tuple[bytes, bytes], Problem | None] = {}
        self.complete: list[tuple[x509.Certificate, ...]] = []

    def is_vouched_for(self, leaf: x509.Certificate) -> bool:
        """Whether signatures lead from an anchor down to the leaf, however long the way.

        From the top, so that a stranger's chain, which nobody above has signed, costs a signature
        a certificate at most and not one for each way through it.
        """
        if leaf.fingerprint(hashes.SHA256()) in self._pinned:
            return True
        left, found = dict.fromkeys((leaf, *self._offered)), dict(self._anchors)
        reached = True
        while reached and leaf in left:
            reached = False
            for certificate in list(left):
                issuers = found.get(certificate.issuer, [])
                if any(self._may_have_issued(issuer, certificate) for issuer in issuers):
                    del left[certificate]
                    own = found.get(certificate.subject, [])
                    found[certificate.subject] = [*own, certificate]
                    reached = True
        return leaf not in left

    def _may_have_issued(self, issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
        unfit = issuer_problem(issuer, (certificate,), p256_only=self._p256_issuers)
        return unfit is None and self._signature(certificate, issuer) is None

    def give_up_soon(self) -> None:
        """Look for a way only to tell why there is none."""
        self._left = MAX_STEPS_IN_VAIN

    def extend(self, path: tuple[x509.Certificate, ...]) -> Path:
        """Follow every way on from a partial path, leaf first; return what stopped the longest."""
        last = path[-1]
        if last.fingerprint(hashes.SHA256()) in self._pinned:
            problem = name_constraint_problem(path)
            if problem is None:
                self.complete.append(path)
            return Path(path, problem)
        if len(path) >= MAX_PATH:
            return Path(path, too_long(f"a path of more than {MAX_PATH} certificates"))
        best: Path | None = None
        for issuer in self._issuers(path):
            if len(self.complete) >= MAX_PATHS:
                break
            problem = self._issued(issuer, path)
            found = Path((*path, issuer), problem) if problem else self.extend((*path, issuer))
            if best is None or len(found.certificates) > len(best.certificates):
                best = found
        return best or Path(path, _untrusted(last))

    def _issuers(self, path: tuple[x509.Certificate, ...]) -> list[x509.Certificate]:
        """Candidates by name, those with the named key first: anchors, then what is offered."""
        last = path[-1]
        own = [c for c in self._offered if c.subject == last.issuer and c not in path]
        found = [*self._anchors.get(last.issuer, ()), *own]
        return sorted(found, key=lambda issuer: not names_issuer(last, issuer))

    def _issued(
        self, issuer: x509.Certificate, path: tuple[x509.Certificate, ...]
    ) -> Problem | None:
        if self._left <= 0:
            return too_long(f"more than {MAX_STEPS} steps to try")
        self._left -= 1
        problem = issuer_problem(issuer, path, p256_only=self._p256_issuers)
        if problem is not None:
            return problem
        return self._signature(path[-1], issuer)

    def _signature(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Problem | None:
        pair = (certificate.fingerprint(hashes.SHA256()), issuer.fingerprint(hashes.SHA256()))
        if pair not in self._signed:
            self._signed[pair] = _signature_problem(certificate, issuer)
        return self._signed[pair]


def _signature_problem(certificate: x509.Certificate, issuer: x509.Certificate) -> Problem | None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return Problem(
            Reason.CHAIN_SIGNATURE,
            f"the signature on {name_of(certificate)} is not by {name_of(issuer)}",
            "a signature by the issuer's key",
        )
    return None


def _judged(path: tuple[x509.Certificate, ...], grants: dict[x509.Certificate, Grant]) -> Path:
    issuers = path[1:]
    above = [(issuer, grants.get(issuer) or granted_by(issuer)) for issuer in issuers]
    found, problem = _constraints(path)
    return Path(
        path,
        None,
        not_before=max((c.not_valid_before_utc.timestamp() for c in issuers), default=-inf),
        not_after=min((c.not_valid_after_utc.timestamp() for c in issuers), default=inf),
        delegation_problem=_delegation_problem(path, grants),
        constraints=found,
        constraints_problem=problem,
        tn_auth_lists=tuple(g.tn_auth_list for _, g in above if g.tn_auth_list is not None),
        delegates_domains=all(permits_domains(c) for c, g in above if g != _NO_GRANT),
    )


def _constraints(
    path: Sequence[x509.Certificate],
) -> tuple[tuple[ClaimConstraints, ...], Problem | None]:
    """Collect the claim constraints of a path; those of an authority bind all below it.

    RFC 8226 and RFC 9118 define the extension for end entities only; an authority that carries it
    all the same can by this only narrow what is signed below it, never widen it.
    """
    found: list[ClaimConstraints] = []
    for certificate in path:
        try:
            found += constraints_of(certificate)
        except MalformedConstraints as error:
            return (), Problem(
                Reason.CONSTRAINTS_MALFORMED,
                f"{name_of(certificate)}: {error}",
                "claim constraints by RFC 8226 section 8 or RFC 9118 section 4",
            )
    return tuple(found), None


def _delegation_problem(
    path: Sequence[x509.Certificate], grants: dict[x509.Certificate, Grant]
) -> Problem | None:
    """Hold every TNAuthList on the path against all those above it (RFC 9060 section 4).

    Against all and not just the next: a list of codes in between, which is taken to hold any
    number, must not widen what a list of numbers above it grants. What is wrong with the leaf's
    own list is for the credential to say.
    """
    below: list[TnAuthList] = []
    for depth, certificate in enumerate(path):
        grant = grants.get(certificate) or granted_by(certificate)
        if grant.problem is not None and depth:
            got = f"{name_of(certificate)}: {grant.problem.got}"
            return Problem(grant.problem.reason, got, "a TNAuthList that can be read")
        own = grant.tn_auth_list
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


def _untrusted(last: x509.Certificate) -> Problem:
    return Problem(
        Reason.CHAIN_UNTRUSTED,
        f"no certificate for the issuer {printable(last.issuer.rfc4514_string(), 200)}",
        "a path to a configured trust anchor",
    )
