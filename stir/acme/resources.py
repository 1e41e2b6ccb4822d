"""The resources of an ACME server as values (RFC 8555 section 7.1), read with suspicion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, TypeVar

from stir.acme.actions import Answer
from stir.acme.authority_token import IDENTIFIER_TYPE, same_list
from stir.acme.problem import MalformedAnswer, ProblemDocument, problem_of
from stir.strict_json import MalformedJson, parse_object

MAX_AUTHORIZATIONS: Final = 10
MAX_CHALLENGES: Final = 20
MAX_URL: Final = 2_048
LONGEST_RETRY_AFTER: Final = 7 * 86_400.0

_Status = TypeVar("_Status", bound=StrEnum)


class OrderStatus(StrEnum):
    """RFC 8555 section 7.1.6."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


class AuthorizationStatus(StrEnum):
    """RFC 8555 section 7.1.6."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ChallengeStatus(StrEnum):
    """RFC 8555 section 7.1.6."""

    PENDING = "pending"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Directory:
    """What a server offers (RFC 8555 section 7.1.1)."""

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None
    key_change: str | None
    terms_of_service: str | None
    external_account_required: bool


@dataclass(frozen=True, slots=True)
class Order:
    """RFC 8555 section 7.1.3; `certificate` stands there once the order is valid."""

    status: OrderStatus
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None
    error: ProblemDocument | None


@dataclass(frozen=True, slots=True)
class TokenChallenge:
    """A ``tkauth-01`` challenge of type ``atc`` (RFC 9447 section 3)."""

    url: str
    status: ChallengeStatus
    token_authority: str | None
    error: ProblemDocument | None


@dataclass(frozen=True, slots=True)
class Authorization:
    """RFC 8555 section 7.1.4, with the one challenge of it that we can answer."""

    status: AuthorizationStatus
    challenge: TokenChallenge | None


def read_directory(answer: Answer) -> Directory:
    """Read the directory; raises MalformedAnswer."""
    what = "the directory"
    document = _document(answer, what)
    meta = document.get("meta", {})
    if not isinstance(meta, dict):
        raise MalformedAnswer(what, "'meta' is no object")
    terms = meta.get("termsOfService")
    return Directory(
        new_nonce=_url(document, "newNonce", what),
        new_account=_url(document, "newAccount", what),
        new_order=_url(document, "newOrder", what),
        revoke_cert=_optional_url(document, "revokeCert", what),
        key_change=_optional_url(document, "keyChange", what),
        terms_of_service=terms if isinstance(terms, str) else None,
        external_account_required=meta.get("externalAccountRequired") is True,
    )


def read_order(answer: Answer, identifier: str, what: str = "the order") -> Order:
    """Read an order, which has to be for the one identifier asked; raises MalformedAnswer."""
    document = _document(answer, what)
    status = _status(document, OrderStatus, what)
    identifiers = document.get("identifiers")
    # Servers write the value again in the encoding they prefer.
    if not isinstance(identifiers, list) or not _is_just(identifiers, identifier):
        raise MalformedAnswer(what, "it is for other identifiers than the one ordered")
    listed = document.get("authorizations")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_AUTHORIZATIONS:
        raise MalformedAnswer(what, f"it has not 1 to {MAX_AUTHORIZATIONS} authorizations")
    certificate = _optional_url(document, "certificate", what)
    if status is OrderStatus.VALID and certificate is None:
        raise MalformedAnswer(what, "it is valid but names no certificate")
    return Order(
        status=status,
        authorizations=tuple(_checked_url(url, "authorizations", what) for url in listed),
        finalize=_url(document, "finalize", what),
        certificate=certificate,
        error=_problem(document),
    )


def _is_just(identifiers: list[object], value: str) -> bool:
    if len(identifiers) != 1 or not isinstance(identifiers[0], dict):
        return False
    only = identifiers[0]
    return only.get("type") == IDENTIFIER_TYPE and same_list(only.get("value"), value)


def read_authorization(answer: Answer) -> Authorization:
    """Read an authorization; raises MalformedAnswer."""
    what = "the authorization"
    document = _document(answer, what)
    status = _status(document, AuthorizationStatus, what)
    listed = document.get("challenges")
    if not isinstance(listed, list) or len(listed) > MAX_CHALLENGES:
        raise MalformedAnswer(what, f"it has no list of at most {MAX_CHALLENGES} challenges")
    challenges = [each for each in listed if isinstance(each, dict) and _is_token_challenge(each)]
    return Authorization(status, _challenge(challenges[0], what) if challenges else None)


def _is_token_challenge(challenge: dict[str, object]) -> bool:
    kind = challenge.get("tkauth-type", "atc")
    return challenge.get("type") == "tkauth-01" and isinstance(kind, str) and kind.lower() == "atc"


def _challenge(document: dict[str, object], what: str) -> TokenChallenge:
    authority = document.get("token-authority")
    return TokenChallenge(
        url=_url(document, "url", what),
        status=_status(document, ChallengeStatus, what)
        if "status" in document
        else ChallengeStatus.PENDING,
        token_authority=authority if isinstance(authority, str) else None,
        error=_problem(document),
    )


def location(answer: Answer, what: str) -> str:
    """Return the URL of what was made (RFC 8555 sections 7.3 and 7.4); raises MalformedAnswer."""
    return _checked_url(answer.headers.get("location"), "Location", what)


def account_status(answer: Answer) -> str:
    """Return an account's status: valid, deactivated or revoked; raises MalformedAnswer."""
    status = _document(answer, "the account").get("status")
    if status not in ("valid", "deactivated", "revoked"):
        raise MalformedAnswer("the account", "its status is none that RFC 8555 has")
    return str(status)


def retry_after(answer: Answer) -> float | None:
    """Seconds from the answer until to ask again (RFC 9110 section 10.2.3), None where not said.

    Never negative, at most a week.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - answer.received_at
        except (ValueError, OverflowError):
            return None
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _document(answer: Answer, what: str) -> dict[str, object]:
    try:
        return parse_object(answer.body)
    except MalformedJson as error:
        raise MalformedAnswer(what, f"the body is {error}") from None


def _status(document: dict[str, object], kinds: type[_Status], what: str) -> _Status:
    try:
        return kinds(str(document.get("status")))
    except ValueError:
        raise MalformedAnswer(what, "its status is none that RFC 8555 has") from None


def _problem(document: dict[str, object]) -> ProblemDocument | None:
    error = document.get("error")
    return problem_of(error) if isinstance(error, dict) else None


def _url(document: dict[str, object], name: str, what: str) -> str:
    return _checked_url(document.get(name), name, what)


def _optional_url(document: dict[str, object], name: str, what: str) -> str | None:
    return None if document.get(name) is None else _url(document, name, what)


def _checked_url(value: object, name: str, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL or not value.isascii():
        raise MalformedAnswer(what, f"'{name}' is no URL")
    return value
