"""What can go wrong between an ACME server and us: whose fault it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stir.acme.actions import Answer
from stir.reason import printable
from stir.strict_json import MalformedJson, parse_object

_URN: Final = "urn:ietf:params:acme:error:"
_MAX_DETAIL: Final = 300
_MAX_SUBPROBLEMS: Final = 5


class Fault(StrEnum):
    """Who has to do something about a failure."""

    CONFIGURATION = "configuration"
    AUTHORITY = "certification authority"
    TOKEN_AUTHORITY = "token authority"  # noqa: S105
    NETWORK = "network"
    OURS = "this gateway"


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """A problem document (RFC 7807, RFC 8555 section 6.7): `kind` without the URN's prefix."""

    kind: str
    detail: str
    status: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class AcmeError(Exception):
    """A certificate could not be had; `fault` says whose affair it is, `advice` what to do."""

    def __init__(self, text: str, *, fault: Fault, advice: str) -> None:
        super().__init__(text)
        self.text = text
        self.fault = fault
        self.advice = advice


class Refused(AcmeError):
    """The server answered with a problem document."""

    def __init__(self, problem: ProblemDocument, what: str) -> None:
        fault, advice = _MEANING.get(problem.kind, _UNKNOWN)
        super().__init__(f"{what} was refused: {problem}", fault=fault, advice=advice)
        self.problem = problem


class Later(AcmeError):
    """The server wants to be asked again, not before `seconds` from its answer have passed."""

    def __init__(self, text: str, seconds: float) -> None:
        advice = f"wait: it is tried again in {seconds:.0f} s or later"
        super().__init__(text, fault=Fault.AUTHORITY, advice=advice)
        self.seconds = seconds


class MalformedAnswer(AcmeError):
    """The server's answer is not what RFC 8555 lets it send."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"the answer to {what} cannot be used: {why}",
            fault=Fault.AUTHORITY,
            advice="try again; tell the certification authority if it stays so",
        )


class OrderLost(AcmeError):
    """The order can not be completed any more: a new one has to be made."""

    def __init__(self, text: str, problem: ProblemDocument | None = None) -> None:
        kind = problem.kind if problem is not None else ""
        fault, advice = _MEANING.get(kind, (Fault.AUTHORITY, "a new order is made"))
        super().__init__(f"{text}: {problem}" if problem else text, fault=fault, advice=advice)
        self.problem = problem


def read_problem(answer: Answer) -> ProblemDocument:
    """Read an answer with an error status; one without a problem document is named by status."""
    try:
        document = parse_object(answer.body)
    except MalformedJson:
        return ProblemDocument(f"HTTP status {answer.status}", "", answer.status)
    return problem_of(document, answer.status)


def problem_of(document: dict[str, object], status: int = 0) -> ProblemDocument:
    """Read the members of a problem document, those of its subproblems after them."""
    kind = _text(document.get("type")).removeprefix(_URN) or f"HTTP status {status}"
    detail = _text(document.get("detail"))
    subproblems = document.get("subproblems")
    if isinstance(subproblems, list):
        details = [
            f"{_text(each.get('type')).removeprefix(_URN)}: {_text(each.get('detail'))}"
            for each in subproblems[:_MAX_SUBPROBLEMS]
            if isinstance(each, dict)
        ]
        detail = "; ".join([detail, *details])
    return ProblemDocument(printable(kind, 100), printable(detail, _MAX_DETAIL), status)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_UNKNOWN: Final = (Fault.AUTHORITY, "ask the certification authority what it means")
_TOKEN: Final = (
    Fault.TOKEN_AUTHORITY,
    "get an authority token for just this TNAuthList and this account key "
    "(`spingate cert account` shows the fingerprint)",
)
_BUG: Final = (Fault.OURS, "report it with this text: the request should not have been made so")
# RFC 8555 section 6.7, every type of the registry that can concern a TNAuthList order.
_MEANING: Final[dict[str, tuple[Fault, str]]] = {
    "accountDoesNotExist": (
        Fault.CONFIGURATION,
        "the account key is unknown there: is stir.acme.directory the authority it belongs to?",
    ),
    "alreadyRevoked": (Fault.CONFIGURATION, "nothing to do: the certificate is revoked already"),
    "badCSR": (
        Fault.CONFIGURATION,
        "ask the authority which subject it wants (stir.acme.common_name, organization, country)",
    ),
    "badNonce": (Fault.AUTHORITY, "try again: it refused every nonce it gave"),
    "badPublicKey": (Fault.CONFIGURATION, "the authority does not take P-256 keys: ask it"),
    "badRevocationReason": (Fault.CONFIGURATION, "give another --reason, or none"),
    "badSignatureAlgorithm": (Fault.AUTHORITY, "the authority does not take ES256: ask it"),
    "connection": (Fault.TOKEN_AUTHORITY, "the authority cannot reach the token authority"),
    "externalAccountRequired": (
        Fault.CONFIGURATION,
        "set stir.acme.external_account from what the authority gave you",
    ),
    "incorrectResponse": _TOKEN,
    "invalidContact": (Fault.CONFIGURATION, "correct stir.acme.contact"),
    "malformed": _BUG,
    "orderNotReady": (Fault.AUTHORITY, "try again: the order is still being looked at"),
    "rateLimited": (Fault.CONFIGURATION, "wait; ask for fewer certificates"),
    "rejectedIdentifier": (
        Fault.CONFIGURATION,
        "the authority does not issue for this TNAuthList: check the codes and numbers",
    ),
    "serverInternal": (Fault.AUTHORITY, "try again later; tell the authority if it stays so"),
    "unauthorized": _TOKEN,
    "unsupportedContact": (Fault.CONFIGURATION, "give stir.acme.contact as mailto: URLs"),
    "unsupportedIdentifier": (
        Fault.CONFIGURATION,
        "this server does not issue STI certificates: correct stir.acme.directory",
    ),
    "userActionRequired": (
        Fault.CONFIGURATION,
        "agree to the authority's terms: set stir.acme.agree_terms_of_service",
    ),
}
