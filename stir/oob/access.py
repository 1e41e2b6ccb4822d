"""The JSON Web Token that lets a provider publish or retrieve (ATIS-1000096, draft-wendt-stir-
vesper-oob section 4.1): signed by an STI certificate, for one action, one call, one minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from stir.certificates.certificate import ES256, Credential
from stir.certificates.chain import Path, validity_of_issuers
from stir.certificates.revocation import RevocationRecords
from stir.certificates.tn_auth_list import TnAuthList
from stir.passport import SIGNATURE_SIZE, MalformedPassport, Passport, parse_passport

Action = Literal["publish", "retrieve"]
MAX_ACCESS_TOKEN: Final = 3_500
_MAX_JTI: Final = 128


class AccessReason(Enum):
    """Why a token does not open the door: a name for logs and the HTTP status (RFC 9110)."""

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status

    MISSING = ("token_missing", 401)
    MALFORMED = ("token_malformed", 401)
    ALGORITHM = ("token_algorithm", 401)
    STALE = ("token_stale", 401)
    AUDIENCE = ("token_audience", 401)
    ACTION = ("token_action", 403)
    NUMBERS = ("token_numbers", 403)
    DIGEST = ("token_digest", 403)
    ISSUER = ("token_issuer", 403)
    SIGNATURE = ("token_signature", 401)
    REPLAYED = ("token_replayed", 401)
    CREDENTIAL = ("credential_unfit", 403)
    REVOKED = ("credential_revoked", 403)
    UNTRUSTED = ("credential_untrusted", 403)
    UNAVAILABLE = ("credential_unavailable", 403)
    NOT_COVERED = ("number_not_covered", 403)


class AccessRefused(Exception):
    """A request at a call placement service is refused; `reason` is the one cause."""

    def __init__(self, reason: AccessReason, detail: str) -> None:
        super().__init__(f"{reason.code}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks, to be held against its token.

    `orig` is None in the encrypted form, where nobody but the called side may learn who calls.
    `digest` is that of the body, None for a retrieval.
    """

    action: Action
    dest: str
    orig: str | None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that was read, not yet believed; `jti` is None where it has none."""

    passport: Passport
    x5u: str
    issuer: str
    jti: str | None


def access_claims(
    asked: Asked, *, issuer: str, audience: str, jti: str, now: float
) -> dict[str, object]:
    """Return the payload of a token for one request; `now` is in epoch seconds."""
    claims: dict[str, object] = {
        "action": asked.action,
        "aud": audience,
        "dest": {"tn": [asked.dest]},
        "iat": int(now),
        "iss": issuer,
        "jti": jti,
        "sub": issuer,
    }
    if asked.orig is not None:
        claims["orig"] = {"tn": asked.orig}
    if asked.digest is not None:
        claims["passports"] = asked.digest
    return claims


def read_access_token(
    text: str, asked: Asked, *, audiences: frozenset[str], now: float, freshness: float
) -> AccessToken:
    """Do every check that needs no certificate; raises AccessRefused.

    `audiences` are our host names; `iat` may be `freshness` seconds from `now` (epoch seconds).
    """
    if len(text) > MAX_ACCESS_TOKEN:
        raise AccessRefused(AccessReason.MALFORMED, f"longer than {MAX_ACCESS_TOKEN} characters")
    try:
        passport = parse_passport(text)
    except MalformedPassport as error:
        raise AccessRefused(AccessReason.MALFORMED, error.problem) from None
    header, claims = passport.header, passport.payload
    if header.get("alg") != "ES256" or "crit" in header:
        raise AccessRefused(AccessReason.ALGORITHM, "alg is not ES256, or something is critical")
    # A PASSporT of a call is no permission to use this service, nor the other way round.
    if header.get("typ", "JWT") not in ("JWT", "jwt"):
        raise AccessRefused(AccessReason.MALFORMED, "typ is not JWT")
    if passport.x5u is None or passport.iat is None:
        raise AccessRefused(AccessReason.MALFORMED, "x5u or iat is missing")
    _check_times(passport, now, freshness)
    if claims.get("aud") not in audiences:
        raise AccessRefused(AccessReason.AUDIENCE, "aud is not this service")
    _check_asked(claims, asked)
    issuer, jti = claims.get("iss"), claims.get("jti")
    if not isinstance(issuer, str) or not issuer or claims.get("sub", issuer) != issuer:
        raise AccessRefused(AccessReason.ISSUER, "iss is missing, or sub is somebody else")
    if jti is not None and (not isinstance(jti, str) or len(jti) > _MAX_JTI):
        raise AccessRefused(AccessReason.MALFORMED, "jti is not a short text")
    return AccessToken(passport, passport.x5u, issuer, jti)


def _check_times(passport: Passport, now: float, freshness: float) -> None:
    if passport.iat is None or abs(now - passport.iat) > freshness:
        raise AccessRefused(AccessReason.STALE, f"iat is not within {freshness:g} s of now")
    expires = passport.payload.get("exp")
    if expires is not None and (type(expires) is not int or expires < now - freshness):
        raise AccessRefused(AccessReason.STALE, "exp has passed")


def _check_asked(claims: object, asked: Asked) -> None:
    assert isinstance(claims, dict)
    if claims.get("action") != asked.action:
        raise AccessRefused(AccessReason.ACTION, f"action is not {asked.action}")
    if claims.get("dest") != {"tn": [asked.dest]}:
        raise AccessRefused(AccessReason.NUMBERS, "dest is not the number of the request")
    wanted = None if asked.orig is None else {"tn": asked.orig}
    if claims.get("orig") != wanted:
        raise AccessRefused(AccessReason.NUMBERS, "orig is not the number of the request")
    if asked.digest is not None and claims.get("passports") != asked.digest:
        raise AccessRefused(AccessReason.DIGEST, "passports is not the digest of the body")


def check_credential(
    token: AccessToken,
    credential: Credential,
    find_path: Callable[[Credential], Path],
    now: float,
    revocation: RevocationRecords | None = None,
) -> tuple[TnAuthList, ...]:
    """Hold a token against the certificate at its x5u; return what it and those above it cover.

    `revocation` is what is known of revoked certificates. Raises AccessRefused: an unfit, expired
    or revoked certificate, one of no trusted authority, a signature by another key, an issuer the
    certificate does not name (a provider code or a number).
    """
    problem = credential.problem or credential.validity_problem(now)
    if problem is not None or credential.public_key is None:
        raise AccessRefused(AccessReason.CREDENTIAL, problem.got if problem else "no P-256 key")
    path = find_path(credential).at(now)
    problem = path.problem or validity_of_issuers(path, now) or path.delegation_problem
    if problem is not None:
        raise AccessRefused(AccessReason.UNTRUSTED, problem.got)
    status = revocation.status(credential, path, now) if revocation is not None else None
    if status is not None and status.problem is not None:
        raise AccessRefused(AccessReason.REVOKED, status.problem.got)
    raw = token.passport.signature
    if len(raw) != SIGNATURE_SIZE:
        raise AccessRefused(AccessReason.SIGNATURE, "the signature is not 64 octets long")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        credential.public_key.verify(der, token.passport.signing_input, ES256)
    except InvalidSignature:
        raise AccessRefused(AccessReason.SIGNATURE, "the signature does not verify") from None
    granted = credential.tn_auth_list
    if granted is None:
        raise AccessRefused(AccessReason.CREDENTIAL, "the certificate has no usable TNAuthList")
    if token.issuer not in granted.codes and not granted.covers(token.issuer.removeprefix("+")):
        raise AccessRefused(AccessReason.ISSUER, "the certificate is not the issuer's")
    return (granted, *path.tn_auth_lists)


def check_reach(
    granted: Iterable[TnAuthList], number: str, any_number: frozenset[str] | None
) -> None:
    """Whether a certificate may fetch what is stored for a called number; raises AccessRefused.

    Numbers and ranges decide. A provider code says nothing about numbers: `any_number` are the
    codes whose holders are believed to ask for their own only, None for all of them. That goes for
    each list of `granted`: who delegates gives no more than it has.
    """
    for each in granted:
        codes = each.codes
        if not each.covers(number) and not (codes if any_number is None else codes & any_number):
            detail = "the certificate does not cover that number"
            raise AccessRefused(AccessReason.NOT_COVERED, detail)
