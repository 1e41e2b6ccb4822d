"""Calls of an application through the agent: resolve a number, sign for the user, attest a key.

`POST /resolve` answers 202 at once; `GET /resolve/{id}` tells how it stands, or streams server-sent
events to whoever accepts text/event-stream. A PASSporT is signed for the number that asked, to the
number that was resolved, and for nothing else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from aiohttp import web

from discovery.model import Resolution, Service
from discovery.number import NumberRanges, canonical_number
from discovery.service_uri import is_domain
from discovery.sources import About
from discovery.spin.compact import base64url
from discovery.spin.label import is_label
from discovery.spin.limits import RateLimit, SlidingWindow
from gateway.agent_credentials import Kind, Principal
from gateway.http.agent_requests import (
    json_response,
    own_number,
    principal_of,
    read_object,
    seconds_member,
    service_of,
    text_member,
)
from gateway.http.problem import Problem

Mode = Literal["auto", "sms", "directory"]
_MODES: Final[tuple[Mode, ...]] = ("auto", "sms", "directory")
_ID_OCTETS: Final = 16
_KEPT_SECONDS: Final = 120.0
_MAX_PASSPORTS: Final = 8
_KEEP_ALIVE: Final = 10.0
_MAX_TIMEOUT: Final = 110.0
KEY_LIFETIME: Final = 7 * 86_400
_JKT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_RESOLVE: Final = frozenset({"tn", "svc"})
_RESOLVE_OPTIONAL: Final = frozenset({"from", "mode", "timeout", "omsp", "tag"})
_FAILED: Final = "the question ended without an answer"


class ModeUnavailable(Exception):
    """There is no source for the mode asked for."""


class Finder(Protocol):
    """Whoever finds URIs for numbers."""

    async def find(
        self,
        number: str,
        service: Service,
        *,
        caller: str,
        mode: Mode,
        timeout: float,
        about: About,
    ) -> Resolution:
        """Ask on behalf of a caller for at most `timeout` seconds; raises ModeUnavailable."""
        ...

    def check(self, mode: Mode) -> None:
        """Raise ModeUnavailable if there is nothing to ask."""
        ...


class SigningRefused(ValueError):
    """What was asked to be signed cannot be; the message says which value is impossible."""


class CallSigner(Protocol):
    """Signs for the agent's numbers."""

    def identity(self, orig: str, dest: str, now: float, media_keys: object) -> str:
        """Return an Identity header field value (RFC 8224); raises SigningRefused."""
        ...

    def key_attestation(self, orig: str, kind: str, jkt: str, now: float, expires: float) -> str:
        """Return a PASSporT of type `spin-key`; raises SigningRefused."""
        ...


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Bounds: questions held in all, under way, held and listened to for one number, and keys
    attested for one number.

    Of those held for one number that are done, the oldest leave first: one application that asks
    what is answered at once takes no place from others. Listeners hold a connection each.
    """

    max_questions: int = 1000
    max_per_caller: int = 8
    max_held: int = 32
    max_listeners: int = 8
    attestations: RateLimit = field(default_factory=lambda: RateLimit(20, 3600.0))


@dataclass(slots=True)
class _Question:
    question_id: str
    caller: str
    number: str
    service: Service
    asked_by: str
    until: float
    task: asyncio.Task[Resolution] = field(init=False)
    passports: int = 0


class CallRoutes:
    """`/resolve`, `/passport` and `/attest-key`."""

    def __init__(
        self,
        numbers: NumberRanges,
        finder: Finder,
        signer: CallSigner,
        *,
        random: Callable[[int], bytes],
        wall_clock: Callable[[], float],
        speaks_for: Callable[[Principal, str, str], Awaitable[bool]],
        limits: CallLimits | None = None,
    ) -> None:
        self._numbers = numbers
        self._finder = finder
        self._signer = signer
        self._random = random
        self._wall_clock = wall_clock
        self._speaks_for = speaks_for
        self._limits = limits or CallLimits()
        self._questions: dict[str, _Question] = {}
        self._listening: Counter[str] = Counter()
        self._attested = SlidingWindow(self._limits.attestations)

    def add_to(self, route: web.UrlDispatcher, prefix: str) -> None:
        """Add the routes under a prefix."""
        route.add_post(f"{prefix}/resolve", self._resolve)
        route.add_get(f"{prefix}/resolve/{{id}}", self._look)
        route.add_post(f"{prefix}/passport", self._passport)
        route.add_post(f"{prefix}/attest-key", self._attest_key)

    async def close(self) -> None:
        """Give up every question under way."""
        tasks = [question.task for question in self._questions.values()]
        self._questions.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _resolve(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.APP, Kind.USER)
        body = await read_object(request, _RESOLVE, _RESOLVE_OPTIONAL)
        number = canonical_number(text_member(body, "tn"))
        if number is None:
            raise Problem(422, "tn is not a telephone number")
        mode = _mode(body.get("mode", "auto"))
        timeout = seconds_member(body, "timeout", 30.0, least=1.0, most=_MAX_TIMEOUT)
        caller = own_number(body, "from", principal, self._numbers)
        service = service_of(body["svc"])
        about = await self._about(body, principal, caller)
        try:
            self._finder.check(mode)
        except ModeUnavailable as error:
            raise Problem(422, str(error)) from None
        self._make_room(caller)
        question = _Question(
            base64url(self._random(_ID_OCTETS)),
            caller,
            number,
            service,
            principal.digest,
            self._wall_clock() + timeout + _KEPT_SECONDS,
        )
        question.task = asyncio.create_task(
            self._finder.find(
                number, service, caller=caller, mode=mode, timeout=timeout, about=about
            ),
            name="agent resolve",
        )
        question.task.add_done_callback(_retrieve)
        self._questions[question.question_id] = question
        location = f"{request.path}/{question.question_id}"
        document = _document(question)
        return json_response(document, status=202, headers={"Location": location})

    async def _about(self, body: dict[str, object], principal: Principal, caller: str) -> About:
        """Read what a question says of itself: an application names its own domain, and no other.

        Whoever could name another's would be found by those who want to be found there only.
        """
        provider = text_member(body, "omsp") if "omsp" in body else None
        tag = text_member(body, "tag") if "tag" in body else None
        if tag is not None and not is_label(tag):
            raise Problem(422, "tag is not 1 to 32 letters, digits, dots, dashes, underscores")
        if provider is not None and not is_domain(provider):
            raise Problem(422, "omsp is not a domain in lower case")
        if provider is not None and not await self._speaks_for(principal, caller, provider):
            raise Problem(403, "omsp is not a domain this application has a handler at")
        return About(provider, tag)

    def _make_room(self, caller: str) -> None:
        now = self._wall_clock()
        for old in [each for each in self._questions.values() if each.until <= now]:
            old.task.cancel()
            del self._questions[old.question_id]
        held = [each for each in self._questions.values() if each.caller == caller]
        done = [each for each in held if each.task.done()]
        if len(held) - len(done) >= self._limits.max_per_caller:
            raise Problem(
                429, "too many questions under way for this number", headers={"Retry-After": "5"}
            )
        for old in done[: max(len(held) + 1 - self._limits.max_held, 0)]:
            del self._questions[old.question_id]
        if len(self._questions) >= self._limits.max_questions:
            raise Problem(503, "too many questions are held", headers={"Retry-After": "5"})

    def _question(self, question_id: str, principal: Principal) -> _Question:
        question = self._questions.get(question_id)
        if (
            question is None
            or question.asked_by != principal.digest
            or question.until <= self._wall_clock()
        ):
            raise Problem(404, "no such question")
        return question

    async def _look(self, request: web.Request) -> web.StreamResponse:
        principal = principal_of(request, Kind.APP, Kind.USER)
        question = self._question(request.match_info["id"], principal)
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._listen(request, question)
        return json_response(_document(question))

    async def _listen(self, request: web.Request, question: _Question) -> web.StreamResponse:
        caller = question.caller
        if self._listening[caller] >= self._limits.max_listeners:
            raise Problem(429, "too many listeners for this number", headers={"Retry-After": "5"})
        self._listening[caller] += 1
        try:
            return await self._stream(request, question)
        finally:
            self._listening[caller] -= 1
            if not self._listening[caller]:
                del self._listening[caller]

    async def _stream(self, request: web.Request, question: _Question) -> web.StreamResponse:
        """Send `waiting` at once and `done` at the end (server-sent events, WHATWG HTML 9.2)."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        try:
            if not question.task.done():
                await response.write(_event(question))
            while not question.task.done():
                await asyncio.wait((question.task,), timeout=_KEEP_ALIVE)
                if not question.task.done():
                    await response.write(b": still waiting\n\n")
            await response.write(_event(question))
            await response.write_eof()
        except ConnectionError:
            pass  # nobody listens any more; the answer stays for whoever asks again
        return response

    async def _passport(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.APP, Kind.USER)
        body = await read_object(request, frozenset({"resolve_id", "svc"}), frozenset({"mky"}))
        question = self._question(text_member(body, "resolve_id"), principal)
        if service_of(body["svc"]) is not question.service:
            raise Problem(422, "svc is not what was resolved")
        resolution = _result(question)
        if resolution is None or not resolution.found:
            raise Problem(409, "nothing was found that could be called")
        if question.passports >= _MAX_PASSPORTS:
            raise Problem(429, f"{_MAX_PASSPORTS} were signed: resolve again")
        try:
            identity = self._signer.identity(
                question.caller, question.number, self._wall_clock(), body.get("mky")
            )
        except SigningRefused as error:
            raise Problem(422, str(error)) from None
        question.passports += 1
        return json_response({"identity": identity})

    async def _attest_key(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.APP, Kind.USER)
        body = await read_object(request, frozenset({"kind", "jkt"}), frozenset({"number"}))
        kind, jkt = text_member(body, "kind"), text_member(body, "jkt")
        if kind not in ("mls", "dtls"):
            raise Problem(422, "kind is not mls or dtls")
        if not _JKT.fullmatch(jkt):
            raise Problem(422, "jkt is not a base64url SHA-256 thumbprint (RFC 7638)")
        number = own_number(body, "number", principal, self._numbers)
        now = self._wall_clock()
        if not self._attested.take(number, now):
            raise Problem(429, "too many keys", headers={"Retry-After": "60"})
        expires = now + KEY_LIFETIME
        try:
            passport = self._signer.key_attestation(number, kind, jkt, now, expires)
        except SigningRefused as error:
            raise Problem(422, str(error)) from None
        return json_response({"passport": passport, "expires_at": expires}, status=201)


def _mode(value: object) -> Mode:
    for mode in _MODES:
        if value == mode:
            return mode
    raise Problem(422, "mode is not auto, sms or directory")


def _retrieve(task: asyncio.Task[Resolution]) -> None:
    """Take what a task raised, so that nobody is told of it twice; the document says it failed."""
    if not task.cancelled():
        task.exception()


def _result(question: _Question) -> Resolution | None:
    task = question.task
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    return task.result()


def _document(question: _Question) -> dict[str, object]:
    document: dict[str, object] = {
        "id": question.question_id,
        "state": "done" if question.task.done() else "waiting",
        "svc": str(question.service),
        "uris": [],
        "asked": [],
    }
    resolution = _result(question)
    if resolution is None:
        if question.task.done():
            document["detail"] = _FAILED
        return document
    document["uris"] = [
        {
            "svc": str(uri.service),
            "uri": uri.uri,
            "msp": uri.msp,
            "prio": uri.prio,
            "assurance": str(uri.assurance),
            "expires_at": uri.expires_at,
        }
        for uri in resolution.uris
    ]
    document["asked"] = [
        {
            "name": source.name,
            "outcome": str(source.outcome),
            "detail": source.detail,
            "seconds": round(source.seconds, 3),
        }
        for source in resolution.asked
    ]
    return document


def _event(question: _Question) -> bytes:
    document = _document(question)
    data = json.dumps(document, separators=(",", ":"))
    return f"event: {document['state']}\ndata: {data}\n\n".encode()
