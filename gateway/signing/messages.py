"""Requests, responses and errors of ATIS-1000082 and of 3GPP TS 24.229 annex V as values.

Both have the same resources and request members; ATIS calls the header field ``identity`` and the
result ``verstat``, 3GPP ``identityHeader(s)`` and ``verstatValue``. A request tells its dialect by
these names and is answered in it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from stir.authentication import Attestation
from stir.strict_json import MalformedJson, parse_object
from stir.telephone_number import canonical_uri, canonicalise
from stir.verdict import CallVerdict, Verdict

Dialect = Literal["atis", "3gpp"]
MAX_BODY: Final = 131_072
MAX_NUMBERS: Final = 10
MAX_IDENTITIES: Final = 8
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")


class ServiceError(Enum):
    """The errors of ATIS-1000082 section 8 (and ours from POL4010 on): id, HTTP status, text."""

    def __init__(self, message_id: str, status: int, text: str) -> None:
        self.message_id = message_id
        self.status = status
        self.text = text

    MISSING_BODY = ("SVC4000", 400, "Missing request body")
    MISSING_PARAMETER = ("SVC4001", 400, "Missing mandatory parameter '%1'")
    NOT_ACCEPTABLE = ("SVC4002", 406, "Requested response body type '%1' is not supported")
    NOT_FOUND = ("SVC4003", 404, "Requested resource was not found")
    BODY_TYPE = ("SVC4004", 415, "Unsupported request body type, expected '%1'")
    INVALID_PARAMETER = ("SVC4005", 400, "Invalid '%1' parameter value: %2")
    UNPARSABLE = ("SVC4006", 400, "Failed to parse received message body: %1")
    MISSING_LENGTH = ("SVC4007", 411, "Missing mandatory Content-Length header")
    METHOD = ("POL4050", 405, "Method not allowed")
    INTERNAL = ("POL5000", 500, "Internal Server Error. Please try again later")
    UNAUTHENTICATED = ("POL4010", 401, "A valid credential is required")
    FORBIDDEN = ("POL4030", 403, "Not permitted to this client: %1")
    TOO_LARGE = ("POL4130", 413, "The request body is too large")
    TOO_SLOW = ("POL4080", 408, "The request body did not arrive in time")
    TOO_MANY = ("POL4290", 429, "Too many requests")
    NO_SERVICE = ("POL5030", 503, "This service is not configured here")


class ApiError(Exception):
    """A request is answered with an error; `variables` stand for %1, %2 in its text."""

    def __init__(self, error: ServiceError, *variables: str) -> None:
        super().__init__(f"{error.message_id}: {error.text} {variables}")
        self.error = error
        self.variables = variables

    def document(self) -> dict[str, object]:
        """Return the body: a service exception, or a policy exception (ATIS-1000082 8.2)."""
        kind = "serviceException" if self.error.message_id[:3] == "SVC" else "policyException"
        content = {
            "messageId": self.error.message_id,
            "text": self.error.text,
            "variables": list(self.variables),
        }
        return {"requestError": {kind: content}}


@dataclass(frozen=True, slots=True)
class SigningOrder:
    """What is to be signed; numbers canonical, `iat` in epoch seconds."""

    orig: str
    dest: tuple[str, ...]
    attest: Attestation
    origid: str
    iat: int

    def document(self) -> dict[str, object]:
        """Return the request's body."""
        return {
            "signingRequest": {
                "attest": self.attest,
                "dest": {"tn": list(self.dest)},
                "iat": self.iat,
                "orig": {"tn": self.orig},
                "origid": self.origid,
            }
        }


@dataclass(frozen=True, slots=True)
class VerificationOrder:
    """What is to be verified: numbers or URIs of From and To, Identity values, time of the call."""

    orig: str
    dest: tuple[str, ...]
    identities: tuple[str, ...]
    time: int
    dialect: Dialect = "atis"

    def document(self) -> dict[str, object]:
        """Return the request's body."""
        content: dict[str, object] = {
            "from": _party(self.orig),
            "time": self.time,
            "to": {"tn": [d for d in self.dest if ":" not in d]},
        }
        uris = [d for d in self.dest if ":" in d]
        if uris:
            content["to"] = {"uri": uris}
        if self.dialect == "3gpp":
            content["identityHeaders"] = list(self.identities)
        elif self.identities:
            several = list(self.identities)
            content["identity"] = several[0] if len(several) == 1 else several
        return {"verificationRequest": content}


def _party(text: str) -> dict[str, object]:
    return {"uri": text} if ":" in text else {"tn": text}


def read_signing_request(body: bytes) -> SigningOrder:
    """Read a signing request; raises ApiError. Only SHAKEN PASSporTs are signed (RFC 8588)."""
    content = _content(body, "signingRequest")
    ppt = content.get("ppt", "shaken")
    if ppt != "shaken":
        raise ApiError(ServiceError.INVALID_PARAMETER, "ppt", "only shaken is signed here")
    attest = _required(content, "attest")
    if attest not in ("A", "B", "C"):
        raise ApiError(ServiceError.INVALID_PARAMETER, "attest", "must be A, B or C")
    return SigningOrder(
        orig=_number(_member(content, "orig"), "orig"),
        dest=_numbers(_member(content, "dest"), "dest"),
        attest=attest,
        origid=_uuid(_required(content, "origid")),
        iat=_time(content, "iat"),
    )


def read_verification_request(body: bytes) -> VerificationOrder:
    """Read a verification request; raises ApiError. Without Identity it is a heart-beat's."""
    content = _content(body, "verificationRequest")
    dialect: Dialect = "atis"
    values: list[object] = []
    for name in ("identity", "identityHeader", "identityHeaders"):
        if name in content:
            dialect = "atis" if name == "identity" else "3gpp"
            found = content[name]
            values += found if isinstance(found, list) else [found]
    if len(values) > MAX_IDENTITIES or not all(isinstance(value, str) for value in values):
        detail = f"not at most {MAX_IDENTITIES} texts"
        raise ApiError(ServiceError.INVALID_PARAMETER, "identity", detail)
    return VerificationOrder(
        orig=_number_or_uri(_member(content, "from"), "from")[0],
        dest=_number_or_uri(_member(content, "to"), "to"),
        identities=tuple(value for value in values if isinstance(value, str) and value),
        time=_time(content, "time"),
        dialect=dialect,
    )


def signing_response(identity: str, dialect: Dialect) -> dict[str, object]:
    """Return the body of a successful signing."""
    name = "identity" if dialect == "atis" else "identityHeader"
    return {"signingResponse": {name: identity}}


def verification_response(verdict: CallVerdict, dialect: Dialect) -> dict[str, object]:
    """Return the body of a verification, whatever came of it."""
    if dialect == "3gpp":
        results = [{"verifyResult": _result(each)} for each in verdict.verdicts]
        return {"verificationResponse": {"verifyResults": results, "verstatValue": verdict.verstat}}
    content: dict[str, object] = {"verstat": verdict.verstat}
    if verdict.reason is not None:
        content |= {
            "reasoncode": verdict.reason.sip_status,
            "reasontext": verdict.reason.phrase,
            "reasondesc": verdict.reason.prose,
        }
    passport = verdict.best.passport if verdict.best is not None else None
    if verdict.outcome == "valid" and passport is not None:
        # the original's: whoever diverted the call may have put anything beside its div
        for name, value in (("attest", verdict.attest), ("origid", verdict.origid)):
            if value is not None:
                content[name] = value
        if passport.ppt is not None:
            content["ppt"] = passport.ppt
    return {"verificationResponse": content}


def _result(verdict: Verdict) -> dict[str, object]:
    result: dict[str, object] = {"status": "pass" if verdict.outcome == "valid" else "fail"}
    if verdict.passport is not None:
        result["ppt"] = verdict.passport.ppt or ""
    if verdict.identity is not None:
        result["passport"] = verdict.identity.token
    if verdict.reason is not None:
        result |= {"reasonCode": verdict.reason.sip_status, "reasonText": verdict.reason.phrase}
    return result


def request_id(text: str | None) -> str:
    """Return the X-RequestID to answer with: the client's where it is one, or a new one."""
    return text if text is not None and _REQUEST_ID.fullmatch(text) else str(uuid.uuid4())


# --- reading -------------------------------------------------------------------------------------


def _content(body: bytes, name: str) -> Mapping[str, object]:
    if not body.strip():
        raise ApiError(ServiceError.MISSING_BODY)
    try:
        document = parse_object(body)
    except MalformedJson as error:
        raise ApiError(ServiceError.UNPARSABLE, str(error)) from None
    content = _required(document, name)
    if not isinstance(content, dict):
        raise ApiError(ServiceError.INVALID_PARAMETER, name, "not an object")
    return content


def _required(content: Mapping[str, object], name: str) -> object:
    value = content.get(name)
    if value is None or value == "":
        raise ApiError(ServiceError.MISSING_PARAMETER, name)
    return value


def _member(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = _required(content, name)
    if not isinstance(value, dict):
        raise ApiError(ServiceError.INVALID_PARAMETER, name, "not an object with tn")
    return value


def _number(party: Mapping[str, object], name: str) -> str:
    return _canonical(_required(party, "tn"), name)


def _numbers(party: Mapping[str, object], name: str) -> tuple[str, ...]:
    values = _required(party, "tn")
    if not isinstance(values, list) or not 0 < len(values) <= MAX_NUMBERS:
        detail = f"tn is not a list of 1 to {MAX_NUMBERS} numbers"
        raise ApiError(ServiceError.INVALID_PARAMETER, name, detail)
    return tuple(_canonical(value, name) for value in values)


def _canonical(value: object, name: str) -> str:
    number = canonicalise(value) if isinstance(value, str) else None
    if number is None:
        raise ApiError(ServiceError.INVALID_PARAMETER, name, "not a telephone number")
    return number


def _number_or_uri(party: Mapping[str, object], name: str) -> tuple[str, ...]:
    if "tn" in party:
        value = party["tn"]
        return _numbers(party, name) if isinstance(value, list) else (_canonical(value, name),)
    value = _required(party, "uri")
    uris = value if isinstance(value, list) else [value]
    found = [uri for uri in uris if isinstance(uri, str) and canonical_uri(uri) is not None]
    if not 0 < len(uris) <= MAX_NUMBERS or len(found) != len(uris):
        raise ApiError(ServiceError.INVALID_PARAMETER, name, "not a SIP or tel URI")
    return tuple(found)


def _uuid(value: object) -> str:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) and len(value) == 36 else _no_uuid()
    except ValueError:
        return _no_uuid()


def _no_uuid() -> str:
    raise ApiError(ServiceError.INVALID_PARAMETER, "origid", "not a UUID (RFC 4122)")


def _time(content: Mapping[str, object], name: str) -> int:
    value = _required(content, name)
    if type(value) is not int or value < 0:
        raise ApiError(ServiceError.INVALID_PARAMETER, name, "not seconds since 1970")
    return value
