"""The answer: a PASSporT with `"ppt":"spin-ans"`, signed for the number that was asked.

Claims dest, exp, iat, inv, jti, orig, st, uris.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from discovery.model import Service
from discovery.service_uri import MalformedServiceUri, is_domain, parse_service_uri
from discovery.spin.claims import (
    dest_claim,
    identifier_claim,
    orig_claim,
    service_of,
    text_claim,
    time_claim,
)
from discovery.spin.compact import UnverifiedPassport, read_passport
from discovery.spin.reason import Refusal, Refused

PPT: Final = "spin-ans"
MAX_BODY: Final = 8192
MAX_URIS: Final = 8
MAX_LIFETIME: Final = 300
_MIN_JTI: Final = 8
_MAX_PRIO: Final = 65_535


class AnswerStatus(StrEnum):
    """What the terminating side says, `st`."""

    OK = "ok"
    DECLINED = "declined"
    NO_HANDLER = "nohandler"
    LATER = "later"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class AnswerUri:
    """One URI offered: service, URI at the provider's domain `msp`, order (lower first)."""

    service: Service
    uri: str
    msp: str
    prio: int = 10

    def claim(self) -> dict[str, object]:
        return {"msp": self.msp, "prio": self.prio, "svc": str(self.service), "uri": self.uri}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the terminating side answers; `orig` is the number asked, `dest` the one asking.

    `invitation` is the base64url SHA-256 of the invitation answered; times in epoch seconds.
    `vouched_until`, which is no claim: when the certificate of its signer ends.
    """

    orig: str
    dest: str
    issued_at: int
    expires_at: int
    invitation: str
    jti: str
    status: AnswerStatus
    uris: tuple[AnswerUri, ...]
    vouched_until: float = float("inf")

    def claims(self) -> dict[str, object]:
        """Return the PASSporT payload."""
        return {
            "dest": {"tn": [self.dest]},
            "exp": self.expires_at,
            "iat": self.issued_at,
            "inv": self.invitation,
            "jti": self.jti,
            "orig": {"tn": self.orig},
            "st": str(self.status),
            "uris": [uri.claim() for uri in self.uris],
        }


def parse_answer(token: str) -> tuple[UnverifiedPassport, Answer]:
    """Read an answer's claims; nothing is verified yet.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, SERVICE_UNKNOWN, and BAD_URI for a URI of a
    scheme that is not allowed or outside the provider's own domain.
    """
    passport = read_passport(token, PPT, max_length=MAX_BODY)
    claims = passport.claims
    answer = Answer(
        orig=orig_claim(claims),
        dest=dest_claim(claims),
        issued_at=time_claim(claims, "iat"),
        expires_at=time_claim(claims, "exp"),
        invitation=identifier_claim(claims, "inv", min_length=43),
        jti=identifier_claim(claims, "jti", min_length=_MIN_JTI),
        status=_status(claims),
        uris=_uris(claims),
    )
    if (answer.status is AnswerStatus.OK) != bool(answer.uris):
        raise Refused(Refusal.MALFORMED, "uris do not fit st")
    return passport, answer


def check_answer(
    answer: Answer,
    *,
    number: str,
    caller: str,
    services: tuple[Service, ...],
    invitation: str,
    skew: int,
    now: float,
) -> None:
    """Check an answer against the invitation it claims to answer, whose facts are given.

    Raises Refused: WRONG_INVITATION, WRONG_NUMBER, EXPIRED, NOT_FRESH, BAD_URI (a service nobody
    asked for).
    """
    if answer.invitation != invitation:
        raise Refused(Refusal.WRONG_INVITATION, "inv is not the digest of the invitation")
    if (answer.orig, answer.dest) != (number, caller):
        raise Refused(Refusal.WRONG_NUMBER, "not from the number asked to the number asking")
    if now >= answer.expires_at:
        raise Refused(Refusal.EXPIRED, "answer")
    if abs(now - answer.issued_at) > skew:
        raise Refused(Refusal.NOT_FRESH, f"answer not issued within {skew} s")
    if not 0 < answer.expires_at - answer.issued_at <= MAX_LIFETIME:
        raise Refused(Refusal.NOT_FRESH, f"answer valid for more than {MAX_LIFETIME} s")
    if any(uri.service not in services for uri in answer.uris):
        raise Refused(Refusal.BAD_URI, "a service nobody asked for")


def _status(claims: Mapping[str, object]) -> AnswerStatus:
    try:
        return AnswerStatus(text_claim(claims, "st", max_length=16))
    except ValueError:
        raise Refused(Refusal.MALFORMED, "st is unknown") from None


def _uris(claims: Mapping[str, object]) -> tuple[AnswerUri, ...]:
    value = claims.get("uris")
    if not isinstance(value, list):
        raise Refused(Refusal.MALFORMED, "uris is not a list")
    if len(value) > MAX_URIS:
        raise Refused(Refusal.MALFORMED, f"more than {MAX_URIS} uris")
    return tuple(_uri(item) for item in value)


def _uri(item: object) -> AnswerUri:
    if not isinstance(item, dict):
        raise Refused(Refusal.MALFORMED, "a member of uris is not an object")
    msp = item.get("msp")
    prio = item.get("prio", 10)
    text = text_claim(item, "uri", max_length=2048)
    if not is_domain(msp):
        raise Refused(Refusal.BAD_URI, "msp is not a domain")
    if not isinstance(prio, int) or isinstance(prio, bool) or not 0 <= prio <= _MAX_PRIO:
        raise Refused(Refusal.MALFORMED, "prio is not a small whole number")
    try:
        uri = parse_service_uri(text)
    except MalformedServiceUri as error:
        raise Refused(Refusal.BAD_URI, str(error)) from None
    if uri.host != msp:
        raise Refused(Refusal.BAD_URI, "host is not the provider's domain (msp)")
    return AnswerUri(service_of(item.get("svc")), uri.text, uri.host, prio)
