"""The agent's interface (/os/v1) from an application's side, without I/O.

Builders return a Request for any HTTP library to send; `read_answer` reads what comes back.

>>> request = resolve("+14155550100", Service.VOICE, timeout=20)
>>> request.method, request.path, request.body
('POST', '/os/v1/resolve', b'{"svc":"voice","timeout":20,"tn":"+14155550100"}')
>>> answer = b'{"id":"q1","state":"waiting","svc":"voice","uris":[],"asked":[]}'
>>> question = read_question(read_answer(202, "application/json", answer))
>>> question.question_id, question.done
('q1', False)
>>> read_answer(403, "application/problem+json", b'{"status":403,"detail":"not yours"}')
Traceback (most recent call last):
    ...
discovery.client.agent.AgentProblem: 403: not yours
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from discovery.model import Service
from discovery.spin.app_proof import TYPE, proof_claims
from discovery.spin.compact import base64url
from discovery.spin.handlers import Handler
from discovery.spin.rules import Contact, Rule
from discovery.spin.strict_json import MalformedJson, parse_json_object

PREFIX: Final = "/os/v1"
MAX_ANSWER: Final = 1 << 20
Mode = Literal["auto", "sms", "directory"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to send: method, path below the agent's address, JSON body or None."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Header fields to send beside Authorization."""
        return {} if self.body is None else {"Content-Type": "application/json"}


class AgentProblem(Exception):
    """The agent refused: HTTP status and its detail (RFC 9457)."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class MalformedAnswer(ValueError):
    """What came is no answer of an agent; the message says why."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that was granted, for which number or prefix, and until when (epoch seconds)."""

    token: str = field(repr=False)
    number: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Nonce:
    """A nonce for one proof, and the name the agent wants to read in it."""

    nonce: str = field(repr=False)
    audience: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """One URI that was found: lower `prio` first; `assurance` says why it is believed."""

    service: Service
    uri: str
    msp: str
    prio: int
    assurance: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Question:
    """How a question stands; `asked` says of each source what it answered."""

    question_id: str
    done: bool
    service: Service
    uris: tuple[FoundAddress, ...]
    asked: tuple[str, ...]


def open_session(number: str, *, lifetime: float | None = None) -> Request:
    """Open a session for the user of a number (the provider's token)."""
    return _send("POST", "/sessions", {"number": number, **_given(lifetime=lifetime)})


def let_in(app_id: str, *, number: str | None = None, lifetime: float | None = None) -> Request:
    """Let an application in: for the session's number, or with the provider's token a prefix."""
    document = {"app_id": app_id, **_given(number=number, lifetime=lifetime)}
    return _send("POST", "/apps", document)


def put_out(app_id: str) -> Request:
    """Put an application out, with its handlers."""
    return Request("DELETE", f"{PREFIX}/apps/{app_id}")


def nonce() -> Request:
    """Ask for a nonce for one proof."""
    return Request("POST", f"{PREFIX}/nonces")


def register(
    app_id: str,
    services: Sequence[Service],
    uri: str,
    msp: str,
    *,
    number: str | None = None,
    proof: str | None = None,
) -> Request:
    """Register a handler: a URI template at the domain `msp`, with a proof of that domain."""
    document = {
        "app_id": app_id,
        "svc": [str(service) for service in services],
        "uri": uri,
        "msp": msp,
        **_given(number=number, proof=proof),
    }
    return _send("POST", "/handlers", document)


def consent(handler_id: str) -> Request:
    """Agree to a handler (user session)."""
    return Request("POST", f"{PREFIX}/handlers/{handler_id}/consent")


def remove(handler_id: str) -> Request:
    """Remove a handler."""
    return Request("DELETE", f"{PREFIX}/handlers/{handler_id}")


def choose_default(service: Service, handler_id: str | None) -> Request:
    """Choose who answers by default, None for nobody (user session)."""
    return _send("PUT", f"/defaults/{service}", {"handler": handler_id})


def set_rules(rules: Sequence[Rule]) -> Request:
    """Replace the user's rules (user session)."""
    return _send("PUT", "/rules", {"rules": [rule.document() for rule in rules]})


def set_contacts(contacts: Sequence[Contact]) -> Request:
    """Replace the contacts that rules know of (user session)."""
    documents = [
        {
            "number": f"+{contact.number}",
            "groups": list(contact.groups),
            "tags": list(contact.tags),
        }
        for contact in contacts
    ]
    return _send("PUT", "/contacts", {"contacts": documents})


def resolve(
    number: str,
    service: Service,
    *,
    caller: str | None = None,
    mode: Mode | None = None,
    timeout: float | None = None,
    omsp: str | None = None,
    tag: str | None = None,
) -> Request:
    """Ask for a number's URIs; timeout in seconds, 1 to 110.

    omsp: the application's own domain, for those to be found who want to be found there only; tag:
    what it is about, a label of 1 to 32 letters, digits, dots, dashes, underscores.
    """
    given = _given(mode=mode, timeout=timeout, omsp=omsp, tag=tag)
    document = {"tn": number, "svc": str(service), **given}
    return _send("POST", "/resolve", {**document, **({"from": caller} if caller else {})})


def question(question_id: str) -> Request:
    """Ask how a question stands; accept text/event-stream to be told."""
    return Request("GET", f"{PREFIX}/resolve/{question_id}")


def passport(
    question_id: str, service: Service, *, media_keys: Sequence[tuple[str, str]] = ()
) -> Request:
    """Have an Identity header signed for a number that was found; media_keys: hash name, digest."""
    keys = [{"alg": algorithm, "dig": digest} for algorithm, digest in media_keys]
    document = {"resolve_id": question_id, "svc": str(service)}
    return _send("POST", "/passport", {**document, **({"mky": keys} if keys else {})})


def attest_key(kind: Literal["mls", "dtls"], jkt: str, *, number: str | None = None) -> Request:
    """Have a key attested by its RFC 7638 thumbprint."""
    return _send("POST", "/attest-key", {"kind": kind, "jkt": jkt, **_given(number=number)})


def audit() -> Request:
    """Ask what the agent did lately."""
    return Request("GET", f"{PREFIX}/audit")


def proof_signing_input(handler: Handler, given: Nonce) -> bytes:
    """Return what the domain's key signs (ES256) to prove a registration; see proof_token."""
    header = {"alg": "ES256", "typ": TYPE}
    claims = proof_claims(handler, audience=given.audience, nonce=given.nonce)
    return b".".join(base64url(_json(part)).encode("ascii") for part in (header, claims))


def proof_token(signing_input: bytes, signature: bytes) -> str:
    """Return the proof; signature: 64 octets, r and s (RFC 7518 3.4). Raises ValueError."""
    if len(signature) != 64:
        raise ValueError("an ES256 signature has 64 octets")
    return f"{signing_input.decode('ascii')}.{base64url(signature)}"


def read_answer(status: int, content_type: str, body: bytes) -> dict[str, object]:
    """Return the document answered, empty for 204; raises AgentProblem, MalformedAnswer."""
    if len(body) > MAX_ANSWER:
        raise MalformedAnswer(f"larger than {MAX_ANSWER} octets")
    if status == 204:
        return {}
    try:
        document = parse_json_object(body)
    except MalformedJson as error:
        if status >= 400:
            raise AgentProblem(status, "") from None
        raise MalformedAnswer(str(error)) from None
    if not 200 <= status < 300:
        raise AgentProblem(status, str(document.get("detail", document.get("title", ""))))
    if content_type.partition(";")[0].strip() != "application/json":
        raise MalformedAnswer("not application/json")
    return document


def read_credential(document: dict[str, object]) -> Credential:
    """Read a token that was granted; raises MalformedAnswer."""
    return Credential(
        _text(document, "token"), _text(document, "number"), _number(document, "expires_at")
    )


def read_nonce(document: dict[str, object]) -> Nonce:
    """Read a nonce; raises MalformedAnswer."""
    return Nonce(_text(document, "nonce"), _text(document, "aud"), _number(document, "expires_at"))


def read_question(document: dict[str, object]) -> Question:
    """Read how a question stands; raises MalformedAnswer."""
    return Question(
        _text(document, "id"),
        _text(document, "state") == "done",
        _service(document),
        tuple(
            FoundAddress(
                _service(item),
                _text(item, "uri"),
                _text(item, "msp"),
                int(_number(item, "prio")),
                _text(item, "assurance"),
                _number(item, "expires_at"),
            )
            for item in _objects(document, "uris")
        ),
        tuple(
            f"{_text(item, 'name')}: {_text(item, 'outcome')}"
            for item in _objects(document, "asked")
        ),
    )


class EventReader:
    """Reads server-sent events octet by octet as they come (WHATWG HTML 9.2).

    >>> reader = EventReader()
    >>> reader.feed(b": still waiting\\n\\nevent: do")
    []
    >>> reader.feed(b'ne\\ndata: {"id":"q1"}\\n\\n')
    [('done', {'id': 'q1'})]
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> list[tuple[str, dict[str, object]]]:
        """Return the events that are whole now: name and data. Raises MalformedAnswer."""
        *blocks, self._held = (self._held + octets).split(b"\n\n")
        if len(self._held) > MAX_ANSWER:
            raise MalformedAnswer("an event without end")
        return [event for block in blocks if (event := _event(block)) is not None]


def _event(block: bytes) -> tuple[str, dict[str, object]] | None:
    name, data = "message", b""
    for line in block.split(b"\n"):
        key, _, value = line.partition(b":")
        if key == b"event":
            name = value.strip().decode("utf-8", "replace")
        elif key == b"data":
            data += value.strip()
    if not data:
        return None
    try:
        return name, parse_json_object(data)
    except MalformedJson as error:
        raise MalformedAnswer(f"event: {error}") from None


def _send(method: str, path: str, document: dict[str, object]) -> Request:
    return Request(method, PREFIX + path, _json(document))


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _given(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _text(document: dict[str, object], member: str) -> str:
    value = document.get(member)
    if not isinstance(value, str):
        raise MalformedAnswer(f"{member} is not text")
    return value


def _number(document: dict[str, object], member: str) -> float:
    value = document.get(member)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedAnswer(f"{member} is not a number")
    return float(value)


def _service(document: dict[str, object]) -> Service:
    value = _text(document, "svc")
    if value not in set(Service):
        raise MalformedAnswer("svc is not a service")
    return Service(value)


def _objects(document: dict[str, object], member: str) -> list[dict[str, object]]:
    value = document.get(member)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise MalformedAnswer(f"{member} is not a list of objects")
    return value
