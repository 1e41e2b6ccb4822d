"""The answering side of SPIN: short messages in, ordinary ones on, invitations answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from discovery.model import Service
from discovery.number import masked
from discovery.spin.agent import Accepted, Agent, AnswerPlan, Candidate, Ignored, Ordinary
from discovery.spin.answer import PPT
from discovery.spin.carriage import looks_torn
from discovery.spin.handlers import (
    AgentStore,
    AuditEntry,
    Handler,
    StoreUnavailable,
    choose_handler,
)
from discovery.spin.invitation import Invitation
from discovery.spin.passports import PassportSigner, PassportVerifier
from discovery.spin.reason import Refusal
from discovery.spin.reassembly import Partial, Reassembler, Whole
from gateway.http.fetch import Fetched, FetchFailed, FetchRefused
from gateway.sms.message import IncomingSms, received_part

_log = structlog.get_logger("spin")
# The other side is busy checking somebody else's answer, or could not fetch our certificate.
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_TAKEN: Final = 204
_WORTH_A_LOOK: Final = frozenset(
    {Refusal.FORGED, Refusal.UNTRUSTED_SIGNER, Refusal.CREDENTIAL_UNAVAILABLE, Refusal.OVERLOADED}
)


class Poster(Protocol):
    """A guarded HTTP client; raises FetchRefused and FetchFailed within a time of its own."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched: ...


@dataclass(frozen=True, slots=True)
class TerminatingSettings:
    """max_under_way: invitations handled at once; attempts to post an answer, pause in seconds."""

    max_under_way: int = 100
    attempts: int = 3
    pause: float = 0.7


class SpinTerminator:
    """Takes short messages and answers the invitations among them.

    inbox is called with the untouched messages of everything that is no invitation, the parts of
    one message together. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        agent: Agent,
        store: AgentStore,
        verifier: PassportVerifier,
        signer: PassportSigner,
        poster: Poster,
        inbox: Callable[[tuple[IncomingSms, ...]], None],
        *,
        wall_clock: Callable[[], float],
        reassembler: Reassembler[IncomingSms] | None = None,
        settings: TerminatingSettings | None = None,
    ) -> None:
        self._agent = agent
        self._store = store
        self._verifier = verifier
        self._signer = signer
        self._poster = poster
        self._inbox = inbox
        self._wall_clock = wall_clock
        self._reassembler = Reassembler[IncomingSms]() if reassembler is None else reassembler
        self._settings = settings or TerminatingSettings()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.delivered = 0
        self.undelivered = 0

    def on_message(self, sms: IncomingSms) -> None:
        """Take one short message; returns at once."""
        now = asyncio.get_running_loop().time()
        for out in self._reassembler.add(received_part(sms), now):
            self._take(out)
        self._arm()

    async def close(self) -> None:
        """Hand incomplete messages to the inbox and give up invitations under way."""
        if self._timer is not None:
            self._timer.cancel()
        for partial in self._reassembler.expire(float("inf")):
            self._take(partial)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _arm(self) -> None:
        deadline = self._reassembler.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        for partial in self._reassembler.expire(asyncio.get_running_loop().time()):
            self._take(partial)
        self._arm()

    def _take(self, out: Whole[IncomingSms] | Partial[IncomingSms]) -> None:
        first = out.parts[0]
        if isinstance(out, Partial):
            if looks_torn(out.text):
                self._log_ignored(self._agent.count_torn(first.sender, first.recipient))
                return
            self._inbox(tuple(part.original for part in out.parts))
            return
        decision = self._agent.examine(
            out.text, sender=out.sender, recipient=out.recipient, now=self._wall_clock()
        )
        if isinstance(decision, Ordinary):
            self._inbox(tuple(part.original for part in out.parts))
        elif isinstance(decision, Ignored):
            self._log_ignored(decision)
        elif len(self._tasks) >= self._settings.max_under_way:
            self._log_ignored(self._agent.overloaded(decision))
        else:
            task = asyncio.create_task(self._handle(decision), name="spin invitation")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, candidate: Candidate) -> None:
        try:
            await self._answer(candidate)
        except StoreUnavailable as error:
            _log.error("invitation not answered", culprit=str(error))
        except Exception:  # noqa: BLE001 - outermost of this task: nobody awaits it
            _log.exception("invitation not answered")

    async def _answer(self, candidate: Candidate) -> None:
        invitation = candidate.invitation
        verdict = await self._verifier.verify(
            candidate.passport.token, ppt="spin", orig=invitation.orig, now=self._wall_clock()
        )
        decision: Ignored | Accepted | AnswerPlan = self._agent.accept(
            candidate, verdict, self._wall_clock()
        )
        if isinstance(decision, Accepted):
            handlers = await self._choose(invitation)
            decision = self._agent.answer(decision, handlers, self._wall_clock())
        if isinstance(decision, Ignored):
            self._log_ignored(decision)
            await self._record(invitation, str(decision.reason), ())
            return
        outcome = await self._send(decision, invitation)
        await self._record(invitation, outcome, decision.handlers)

    async def _choose(self, invitation: Invitation) -> dict[Service, Handler]:
        chosen: dict[Service, Handler] = {}
        for service in invitation.services:
            able = await self._store.handlers_for(invitation.dest, service)
            default = await self._store.default(invitation.dest, service)
            handler = choose_handler(able, invitation.dest, service, default)
            if handler is not None:
                chosen[service] = handler
        return chosen

    async def _send(self, plan: AnswerPlan, invitation: Invitation) -> str:
        """Sign and post an answer; return what became of it, for log and audit."""
        body = self._signer.sign(PPT, plan.answer.claims()).encode("ascii")
        headers = {"Authorization": f"Bearer {plan.token}", "Content-Type": "application/jose"}
        outcome = ""
        for attempt in range(self._settings.attempts):
            if attempt:
                await asyncio.sleep(self._settings.pause * attempt)
            if self._wall_clock() >= invitation.expires_at:
                break
            status, outcome = await self._post(plan.callback, body, headers)
            if status == _TAKEN:
                self.delivered += 1
                _log.info(
                    "invitation answered",
                    number=masked(invitation.dest),
                    caller=masked(invitation.orig),
                    status=str(plan.answer.status),
                )
                return str(plan.answer.status)
            if status is not None and status not in _TRY_AGAIN:
                break
        self.undelivered += 1
        _log.warning("answer not delivered", number=masked(invitation.dest), detail=outcome)
        return f"not delivered: {outcome}"[:64]

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str]:
        try:
            fetched = await self._poster.post(url, body, headers)
        except FetchFailed as error:
            return None, f"{error.culprit}: {error.reason}"
        except FetchRefused as error:
            return 0, f"{error.culprit}: refused ({error.reason})"
        return fetched.status, f"HTTP status {fetched.status}"

    async def _record(
        self, invitation: Invitation, outcome: str, handlers: tuple[str, ...]
    ) -> None:
        await self._store.record(
            AuditEntry(
                at=self._wall_clock(),
                event="invitation",
                outcome=outcome,
                caller=masked(invitation.orig),
                number=masked(invitation.dest),
                services=" ".join(invitation.services),
                handler_id=" ".join(handlers) or None,
            )
        )

    def _log_ignored(self, ignored: Ignored) -> None:
        level = _log.warning if ignored.reason in _WORTH_A_LOOK else _log.info
        level(
            "invitation ignored",
            reason=str(ignored.reason),
            detail=ignored.detail,
            caller=ignored.caller,
            number=ignored.number,
        )
