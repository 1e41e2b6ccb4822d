"""Where answers to our invitations arrive: `POST /s/{id}` with the invitation's token.

Body: a PASSporT `spin-ans` as application/jose, at most 8 KiB. 204 when taken (again for the very
same body); errors are RFC 9457 problems of type `urn:spin:error:*`. The token only opens the door:
an answer counts when it is signed for the number that was asked.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import structlog
from aiohttp import web

from discovery.model import Service
from discovery.number import masked
from discovery.spin.answer import MAX_BODY, Answer, AnswerStatus, check_answer, parse_answer
from discovery.spin.handlers import StoreUnavailable
from discovery.spin.limits import RateLimit, SlidingWindow
from discovery.spin.passports import PassportVerifier, Rejected
from discovery.spin.pending import PendingInvitations, Waiting
from discovery.spin.reason import Refusal, Refused
from gateway.http.callback_openapi import description
from gateway.http.problem import Problem, problems
from gateway.http.source_address import source_of
from gateway.spin.keeping import KeptInMemory
from gateway.spin.kept_engines import KeptInvitations

_log = structlog.get_logger("spin")
_MEDIA_TYPE: Final = "application/jose"
_BODY_TIME: Final = 5.0
_MAX_ID: Final = 64

# Refusal by refusal: status and name of the problem (discovery 2.2).
_PROBLEMS: Final[dict[Refusal, tuple[int, str]]] = {
    Refusal.OVERSIZED: (413, "tooLarge"),
    Refusal.MALFORMED: (400, "badRequest"),
    Refusal.WRONG_TYPE: (400, "badRequest"),
    Refusal.SERVICE_UNKNOWN: (422, "badUri"),
    Refusal.BAD_TOKEN: (401, "badToken"),
    Refusal.WRONG_INVITATION: (403, "numberMismatch"),
    Refusal.WRONG_NUMBER: (403, "numberMismatch"),
    Refusal.FORGED: (403, "untrustedSigner"),
    Refusal.UNTRUSTED_SIGNER: (403, "untrustedSigner"),
    Refusal.CREDENTIAL_UNAVAILABLE: (503, "unavailable"),
    Refusal.REPLAYED: (409, "replay"),
    Refusal.EXPIRED: (410, "expired"),
    Refusal.NOT_FRESH: (410, "expired"),
    Refusal.BAD_URI: (422, "badUri"),
    Refusal.RATE_LIMITED: (429, "rateLimited"),
    Refusal.OVERLOADED: (503, "unavailable"),
}


class Routes(Protocol):
    """Further routes of the server that strangers reach."""

    def add_to(self, router: web.UrlDispatcher) -> None: ...


class CallbackServer:
    """Takes answers, verifies them and hands them to whoever waits.

    on_answer is called on the event loop with each answer taken, once. wall_clock: epoch seconds.
    skew: seconds an answer's `iat` may lie from now. per_source: requests from one address.
    """

    def __init__(
        self,
        pending: PendingInvitations,
        verifier: PassportVerifier,
        on_answer: Callable[[Waiting, Answer], None],
        wall_clock: Callable[[], float],
        *,
        skew: int = 60,
        per_source: RateLimit | None = None,
        kept: KeptInvitations | None = None,
    ) -> None:
        self._pending = pending
        self._kept = KeptInvitations(pending, KeptInMemory()) if kept is None else kept
        self._verifier = verifier
        self._on_answer = on_answer
        self._wall_clock = wall_clock
        self._skew = skew
        self._sources = SlidingWindow(per_source or RateLimit(120, 60.0))
        self.refused: Counter[Refusal] = Counter()
        self.taken = 0

    def application(self, *further: Routes) -> web.Application:
        """Return the aiohttp application to serve over TLS, with what else strangers may reach."""
        application = web.Application(middlewares=[problems], client_max_size=MAX_BODY)
        application.router.add_post("/s/{id}", self._post)
        application.router.add_get("/openapi.json", _describe)
        for routes in further:
            routes.add_to(application.router)
        return application

    async def _post(self, request: web.Request) -> web.Response:
        try:
            await self._take(request)
        except Refused as refused:
            self.refused[refused.reason] += 1
            _log.info(
                "answer refused",
                reason=str(refused.reason),
                detail=refused.detail,
                source=request.remote,
            )
            raise _problem(refused) from None
        return web.Response(status=204)

    async def _take(self, request: web.Request) -> None:
        now = self._wall_clock()
        if not self._sources.take(source_of(request.remote), now):
            raise Refused(Refusal.RATE_LIMITED, "source")
        bearer = bearer_of(request)
        if bearer is None:
            raise Refused(Refusal.BAD_TOKEN)
        waiting = self._pending.authorise(request.match_info["id"][:_MAX_ID], bearer, now)
        body = await _read(request)
        body_digest = hashlib.sha256(body).hexdigest()
        invitation_digest = self._pending.begin(waiting.invitation_id, body_digest)
        if invitation_digest is None:
            return
        try:
            answer = await self._check(body, waiting, invitation_digest)
            take = self._pending.postpone if _may_follow(waiting, answer) else self._pending.settle
            if take(waiting.invitation_id, body_digest):
                await self._keep(waiting.invitation_id)
                self._accept(waiting, answer)
        finally:
            self._pending.release(waiting.invitation_id)

    async def _keep(self, invitation_id: str) -> None:
        try:
            await self._kept.write(invitation_id)
        except StoreUnavailable as error:
            # The answer is good and somebody waits for it; what is at stake is that it could be
            # given a second time, to our next process, within its own two minutes.
            _log.error("answer not kept", culprit=str(error))

    async def _check(self, body: bytes, waiting: Waiting, invitation: str) -> Answer:
        try:
            token = body.decode("ascii")
        except UnicodeDecodeError:
            raise Refused(Refusal.MALFORMED, "not ASCII") from None
        _, answer = parse_answer(token)
        check_answer(
            answer,
            number=waiting.number,
            caller=waiting.caller,
            services=waiting.services,
            invitation=invitation,
            skew=self._skew,
            now=self._wall_clock(),
        )
        verdict = await self._verifier.verify(
            token, ppt="spin-ans", orig=waiting.number, now=self._wall_clock()
        )
        if isinstance(verdict, Rejected):
            raise Refused(verdict.reason, verdict.detail)
        return replace(answer, vouched_until=verdict.until)

    def _accept(self, waiting: Waiting, answer: Answer) -> None:
        self.taken += 1
        _log.info(
            "answer taken",
            number=masked(waiting.number),
            status=str(answer.status),
            uris=len(answer.uris),
        )
        self._on_answer(waiting, answer)


async def _describe(request: web.Request) -> web.Response:
    served = (resource.canonical for resource in request.app.router.resources())
    return web.json_response(description(served))


def _may_follow(waiting: Waiting, answer: Answer) -> bool:
    """Tell whether an answer with URIs may follow: messages can wait, people at phones cannot."""
    return answer.status is AnswerStatus.LATER and waiting.services == (Service.IM,)


def bearer_of(request: web.Request) -> str | None:
    """Return the token of the one Authorization header (RFC 6750 2.1); None for none or two."""
    values = request.headers.getall("Authorization", [])
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _read(request: web.Request) -> bytes:
    if request.content_type != _MEDIA_TYPE:
        raise _media_type_problem()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _media_type_problem()
    try:
        async with asyncio.timeout(_BODY_TIME):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused(Refusal.OVERSIZED, f"body larger than {MAX_BODY} octets") from None
    except TimeoutError:
        raise Problem(408, kind=_urn("badRequest")) from None


def _media_type_problem() -> Problem:
    return Problem(415, f"send {_MEDIA_TYPE}, not compressed", kind=_urn("badRequest"))


def _problem(refused: Refused) -> Problem:
    status, name = _PROBLEMS.get(refused.reason, (403, "untrustedSigner"))
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return Problem(status, refused.detail, kind=_urn(name), headers=headers)


def _urn(name: str) -> str:
    return f"urn:spin:error:{name}"
