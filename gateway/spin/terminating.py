"""The answering side of SPIN: short messages in, ordinary ones on, invitations answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import structlog

from discovery.model import Service
from discovery.number import masked
from discovery.spin.agent import (
    Accepted,
    Agent,
    AnswerPlan,
    Candidate,
    Ignored,
    Ordinary,
    Referenced,
    replay_key,
)
from discovery.spin.agent_store import PreferenceStore
from discovery.spin.answer import PPT, AnswerStatus
from discovery.spin.carriage import looks_torn
from discovery.spin.handlers import AuditEntry, StoreUnavailable
from discovery.spin.invitation import Invitation
from discovery.spin.passports import (
    PassportSigner,
    PassportVerifier,
    SigningImpossible,
)
from discovery.spin.reason import Refusal
from discovery.spin.reassembly import Partial, Reassembler, Whole
from discovery.spin.reference import MEDIA_TYPE
from discovery.spin.rules import Choice, choose
from gateway.http.fetch import Fetched, FetchFailed, FetchRefused
from gateway.sms.message import IncomingSms, received_part
from gateway.spin.keeping import Keeper, Kept, KeptInMemory, Kind
from gateway.spin.postponed import Postponed

_log = structlog.get_logger("spin")
# The other side is busy checking somebody else's answer, or could not fetch our certificate.
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_TAKEN: Final = 204
_FOUND: Final = 200
_WORTH_A_LOOK: Final = frozenset(
    {Refusal.FORGED, Refusal.UNTRUSTED_SIGNER, Refusal.CREDENTIAL_UNAVAILABLE, Refusal.OVERLOADED}
)


class Poster(Protocol):
    """A guarded HTTP client; raises FetchRefused and FetchFailed within a time of its own."""

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched: ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched: ...


@dataclass(frozen=True, slots=True)
class TerminatingSettings:
    """max_under_way: invitations handled at once; attempts to post an answer, pause in seconds."""

    max_under_way: int = 100
    attempts: int = 3
    pause: float = 0.7


@dataclass(frozen=True, slots=True)
class _Sent:
    """What became of an answer; `final` where trying again cannot change it."""

    outcome: str
    final: bool


class SpinTerminator:
    """Takes short messages and answers the invitations among them.

    inbox is called with the untouched messages of everything that is no invitation, the parts of
    one message together. wall_clock gives epoch seconds. keeper: what was taken and what is owed,
    beyond the life of the process; in memory alone where it is not given.
    """

    def __init__(
        self,
        agent: Agent,
        store: PreferenceStore,
        verifier: PassportVerifier,
        signer: PassportSigner,
        poster: Poster,
        inbox: Callable[[tuple[IncomingSms, ...]], None],
        *,
        wall_clock: Callable[[], float],
        reassembler: Reassembler[IncomingSms] | None = None,
        settings: TerminatingSettings | None = None,
        keeper: Keeper | None = None,
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
        self._keeper: Keeper = KeptInMemory() if keeper is None else keeper
        self._postponed = Postponed(self._keeper)
        # Answers that were chosen, or may have been, and that nobody has taken yet.
        self._owed: set[str] = set()
        self._deciding: set[str] = set()
        self.delivered = 0
        self.undelivered = 0

    @property
    def postponed(self) -> int:
        """Invitations that wait for their user's choice."""
        return len(self._postponed)

    async def restore(self) -> None:
        """Take up what an earlier process left; raises StoreUnavailable.

        Its users may have chosen in its last moment: all that was put off is looked at again.
        """
        now = self._wall_clock()
        for entry in await self._keeper.all(Kind.INVITATION, now):
            self._agent.remember_used(entry.name, entry.until, now)
        await self._postponed.restore(self._agent, now)
        self._owed = {_name(accepted) for accepted in self._postponed.waiting(None, now)}
        self.try_again()

    def try_again(self) -> None:
        """Post what is owed once more; to be called now and then."""
        now = self._wall_clock()
        self._postponed.forget_old(now)
        waiting = self._postponed.waiting(None, now) if self._owed else []
        self._owed &= {_name(accepted) for accepted in waiting}
        self._decide_anew([each for each in waiting if _name(each) in self._owed])

    async def idle(self) -> None:
        """Wait until every invitation that has been taken is answered or ignored."""
        while self._tasks:
            await asyncio.wait(self._tasks)

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
        for torn in self._reassembler.expire(float("inf")):
            self._take(torn)
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
        for torn in self._reassembler.expire(asyncio.get_running_loop().time()):
            self._take(torn)
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
        elif isinstance(decision, Referenced):
            self._start(partial(self._fetch, decision))
        else:
            self._start(partial(self._answer, decision))

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._guarded(work), name="spin invitation")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreUnavailable as error:
            _log.error("invitation not answered", culprit=str(error))
        except SigningImpossible as error:
            _log.error("invitation not answered", culprit="our certificate", detail=str(error))
        except Exception:  # noqa: BLE001 - outermost of this task: nobody awaits it
            _log.exception("invitation not answered")

    def on_attachment(self, token: str, *, sender: str, recipient: str) -> None:
        """Take an invitation that came with a multimedia message; returns at once."""
        decision = self._agent.examine_token(
            token, sender=sender, recipient=recipient, now=self._wall_clock()
        )
        if isinstance(decision, Ignored):
            self._log_ignored(decision)
        elif len(self._tasks) >= self._settings.max_under_way:
            self._log_ignored(self._agent.overloaded(decision))
        else:
            self._start(partial(self._answer, decision))

    async def _fetch(self, referenced: Referenced) -> None:
        body: bytes | None = None
        try:
            fetched = await self._poster.get(referenced.reference.url, accept=MEDIA_TYPE)
            body = fetched.body if fetched.status == _FOUND else None
        except (FetchFailed, FetchRefused) as error:
            _log.info("invitation not fetched", culprit=error.culprit, reason=str(error.reason))
        decision = self._agent.dereference(referenced, body, self._wall_clock())
        if isinstance(decision, Ignored):
            self._log_ignored(decision)
        else:
            await self._answer(decision)

    async def _answer(self, candidate: Candidate) -> None:
        invitation = candidate.invitation
        verdict = await self._verifier.verify(
            candidate.passport.token, ppt="spin", orig=invitation.orig, now=self._wall_clock()
        )
        decision = self._agent.accept(candidate, verdict, self._wall_clock())
        if isinstance(decision, Accepted):
            entry = Kept(replay_key(invitation), invitation.expires_at)
            if await self._keeper.add(Kind.INVITATION, entry):
                await self._decide(decision)
                return
            decision = self._agent.taken_before(candidate)
        self._log_ignored(decision)
        await self._record(invitation, str(decision.reason), ())

    async def _decide(self, accepted: Accepted) -> None:
        invitation = accepted.candidate.invitation
        choices, known = await self._choose(accepted)
        decision = self._agent.answer(
            replace(accepted, sender_known=accepted.sender_known or known),
            choices,
            self._wall_clock(),
        )
        if isinstance(decision, Ignored):
            self._log_ignored(decision)
            await self._settled(accepted)
            await self._record(invitation, str(decision.reason), ())
            return
        later = decision.answer.status is AnswerStatus.LATER
        if later and accepted in self._postponed:
            # Said already, and there is nothing new to say.
            self._owed.discard(_name(accepted))
            return
        if later:
            await self._postponed.add(accepted, self._wall_clock())
        sent = await self._send(decision, invitation)
        if not later and sent.final:
            await self._settled(accepted)
        elif not later and accepted in self._postponed:
            self._owed.add(_name(accepted))
        await self._record(invitation, sent.outcome, decision.handlers)

    async def _settled(self, accepted: Accepted) -> None:
        self._owed.discard(_name(accepted))
        await self._postponed.remove(accepted)

    async def _choose(self, accepted: Accepted) -> tuple[dict[Service, Choice], bool]:
        """Return what the user's preferences choose, and whether the caller is a contact."""
        invitation = accepted.candidate.invitation
        chosen: dict[Service, Choice] = {}
        known = False
        for service in invitation.services:
            held = await self._store.preferences(invitation.dest, service, invitation.orig)
            known = known or held.contact is not None
            chosen[service] = choose(
                held.rules,
                accepted.caller(held.contact),
                service,
                held.handlers,
                number=invitation.dest,
                default_id=held.default_id,
            )
        return chosen, known

    def reconsider(self, number: str) -> None:
        """Answer what was put off for this number, now that its user has chosen anew."""
        self._decide_anew(self._postponed.waiting(number, self._wall_clock()))

    def _decide_anew(self, waiting: list[Accepted]) -> None:
        for accepted in waiting:
            busy = len(self._tasks) >= self._settings.max_under_way
            if busy or _name(accepted) in self._deciding:
                self._owed.add(_name(accepted))
            else:
                self._deciding.add(_name(accepted))
                self._start(partial(self._decide_once, accepted))

    async def _decide_once(self, accepted: Accepted) -> None:
        """Decide on one that was put off, never on two copies of it side by side."""
        try:
            await self._decide(accepted)
        finally:
            self._deciding.discard(_name(accepted))

    async def _send(self, plan: AnswerPlan, invitation: Invitation) -> _Sent:
        """Sign and post an answer; say what became of it, for log and audit."""
        body = self._signer.sign(PPT, plan.answer.claims()).encode("ascii")
        headers = {"Authorization": f"Bearer {plan.token}", "Content-Type": "application/jose"}
        outcome, final = "", False
        for attempt in range(self._settings.attempts):
            if attempt:
                await asyncio.sleep(self._settings.pause * attempt)
            if self._wall_clock() >= invitation.expires_at:
                final = True
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
                return _Sent(str(plan.answer.status), final=True)
            if status is not None and status not in _TRY_AGAIN:
                final = True
                break
        self.undelivered += 1
        _log.warning("answer not delivered", number=masked(invitation.dest), detail=outcome)
        return _Sent(f"not delivered: {outcome}"[:64], final)

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
                owner=invitation.dest,
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


def _name(accepted: Accepted) -> str:
    return accepted.candidate.passport.digest()
