"""The asking side of SPIN: an invitation by SMS, then a wait for the signed answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from discovery.model import Assurance, FoundUri, Outcome, Service
from discovery.number import masked
from discovery.sources import About, SourceAnswer
from discovery.spin.answer import Answer, AnswerStatus
from discovery.spin.breaker import BreakerPolicy, CompletionBreaker
from discovery.spin.handlers import StoreUnavailable
from discovery.spin.invitation import PPT, Invitation
from discovery.spin.limits import RateLimit, SlidingWindow
from discovery.spin.passports import PassportSigner, SigningImpossible
from discovery.spin.pending import PendingInvitations, Waiting
from discovery.spin.reason import Refused
from gateway.sms.transceiver import SmsFailed
from gateway.spin.carriers import Carriers, Sending
from gateway.spin.keeping import KeptInMemory
from gateway.spin.kept_engines import KeptInvitations

_log = structlog.get_logger("spin")
_HOUR: Final = 3600.0
_PER_NUMBER: Final = RateLimit(10, _HOUR)
_PER_CALLER: Final = RateLimit(60, _HOUR)
_PER_PREFIX: Final = RateLimit(600, _HOUR)
_TOTAL: Final = RateLimit(600, 60.0)
# Country and area: a pumped range of premium numbers stays within one of these.
_PREFIX_DIGITS: Final = 6

_OUTCOMES: Final = {
    AnswerStatus.OK: Outcome.FOUND,
    AnswerStatus.DECLINED: Outcome.DECLINED,
    AnswerStatus.NO_HANDLER: Outcome.NOT_FOUND,
    AnswerStatus.LATER: Outcome.NO_ANSWER,
    AnswerStatus.DIRECTORY: Outcome.NOT_FOUND,
}


def _failed(sending: asyncio.Task[None]) -> bool:
    return sending.done() and not sending.cancelled() and sending.exception() is not None


@dataclass(frozen=True, slots=True)
class OriginatingSettings:
    """How invitations are sent.

    callback_url: public https URL without path or closing slash; its host has to be a dNSName of
    the signing certificate. lifetime: seconds an invitation is good for (at most 120 are taken
    for calls); mapping_lifetime: seconds an answer is believed. source_address: the sender shown
    to people, the caller's number where None. allowed_prefixes: digits of the countries and areas
    that get invitations, all where empty. per_*, total: invitations sent. provider: the own domain,
    for whoever is found in one app only. together: services asked for beside the one needed.
    message_lifetime: seconds an invitation for messages alone is good for, 72 hours at most.
    """

    callback_url: str
    lifetime: int = 120
    mapping_lifetime: float = 86_400.0
    source_address: str | None = None
    allowed_prefixes: tuple[str, ...] = ()
    per_number: RateLimit = _PER_NUMBER
    per_caller: RateLimit = _PER_CALLER
    per_prefix: RateLimit = _PER_PREFIX
    total: RateLimit = _TOTAL
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    provider: str | None = None
    together: tuple[Service, ...] = ()
    message_lifetime: int = 72 * 3600


class SpinSource:
    """SPIN as a source of mappings.

    on_late: told of URIs that were answered when nobody waited any more. wall_clock gives epoch
    seconds.
    """

    name = "spin"

    def __init__(
        self,
        settings: OriginatingSettings,
        pending: PendingInvitations,
        signer: PassportSigner,
        carriers: Carriers,
        *,
        wall_clock: Callable[[], float],
        on_late: Callable[[str, str, tuple[FoundUri, ...]], None] | None = None,
        kept: KeptInvitations | None = None,
    ) -> None:
        self._settings = settings
        self._pending = pending
        self._kept = KeptInvitations(pending, KeptInMemory()) if kept is None else kept
        self._signer = signer
        self._carriers = carriers
        self._wall_clock = wall_clock
        self._on_late = on_late
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._limits = (
            ("number", SlidingWindow(settings.per_number)),
            ("caller", SlidingWindow(settings.per_caller)),
            ("prefix", SlidingWindow(settings.per_prefix)),
            ("total", SlidingWindow(settings.total)),
        )
        self._breaker = CompletionBreaker(settings.breaker)
        self.outcomes: Counter[Outcome] = Counter()

    def describing(self, about: About) -> DescribedSpin:
        """Return this source for questions about something; nobody else hears their answers."""
        return DescribedSpin(self, about)

    @property
    def cut_off(self) -> int:
        """Prefixes that get no invitations, since hardly any was answered."""
        return self._breaker.open_circuits()

    async def find(
        self, number: str, service: Service, *, caller: str, about: About | None = None
    ) -> SourceAnswer:
        """Invite a number and wait for its answer; whoever asks sets the time."""
        answer = await self._find(number, service, caller, about or About())
        self.outcomes[answer.outcome] += 1
        return answer

    def deliver(self, waiting: Waiting, answer: Answer) -> None:
        """Take a verified answer from the callback and wake whoever waits for it."""
        future = self._waiting.get(waiting.invitation_id)
        if future is not None and not future.done():
            future.set_result(answer)
            return
        self._tell(waiting, self._uris(answer))

    def _tell(self, waiting: Waiting, uris: tuple[FoundUri, ...]) -> None:
        """Hand on what nobody waits for, unless it was meant for one question alone."""
        if uris and self._on_late is not None and not waiting.described:
            self._on_late(waiting.number, waiting.caller, uris)

    async def _find(self, number: str, service: Service, caller: str, about: About) -> SourceAnswer:
        now = self._wall_clock()
        refusal = self._refusal(number, caller, now)
        if refusal is not None:
            _log.warning("invitation not sent", number=masked(number), reason=refusal)
            return SourceAnswer(Outcome.REFUSED, refusal)
        services = tuple(dict.fromkeys((service, *self._settings.together)))
        lifetime = self._settings.lifetime
        if services == (Service.IM,):
            lifetime = self._settings.message_lifetime
        try:
            waiting = self._pending.open(
                number, caller, services, lifetime=lifetime, now=now, described=bool(about)
            )
        except Refused as refused:
            return SourceAnswer(Outcome.UNAVAILABLE, refused.detail)
        prefix = number[:_PREFIX_DIGITS]
        self._breaker.sent(prefix, now)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[waiting.invitation_id] = future
        sending = asyncio.create_task(self._invite(waiting, service, about), name="spin invite")
        try:
            # An SMSC may be slower to say that it took the message than the answer is to come.
            await asyncio.wait((sending, future), return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                await sending
            return self._source_answer(waiting, service, await future)
        except SmsFailed as failed:
            self._pending.abandon(waiting.invitation_id)
            _log.warning(
                "invitation not sent",
                number=masked(number),
                culprit=failed.culprit,
                reason=str(failed.failure),
                detail=failed.detail,
            )
            await self._forget(waiting.invitation_id)
            return SourceAnswer(Outcome.UNAVAILABLE, f"{failed.culprit}: {failed.failure}")
        except StoreUnavailable as error:
            self._pending.abandon(waiting.invitation_id)
            _log.error("invitation not sent", number=masked(number), culprit=str(error))
            return SourceAnswer(Outcome.UNAVAILABLE, "store unavailable")
        except SigningImpossible as error:
            self._pending.abandon(waiting.invitation_id)
            _log.error("invitation not sent", culprit="our certificate", detail=str(error))
            return SourceAnswer(Outcome.UNAVAILABLE, "our certificate does not allow invitations")
        finally:
            answered = future.done() and not future.cancelled()
            # Whether anybody is there, which an SMSC that is away says nothing of.
            if answered or not _failed(sending):
                self._breaker.ended(prefix, answered=answered, now=self._wall_clock())
            del self._waiting[waiting.invitation_id]
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _forget(self, invitation_id: str) -> None:
        try:
            await self._kept.forget(invitation_id)
        except StoreUnavailable as error:
            # It stays until it expires, and nobody can answer what nobody got.
            _log.warning("invitation not forgotten", culprit=str(error))

    async def _invite(self, waiting: Waiting, service: Service, about: About) -> None:
        settings = self._settings
        issued_at = int(waiting.issued_at)
        invitation = Invitation(
            orig=waiting.caller,
            dest=waiting.number,
            services=waiting.services,
            callback=f"{settings.callback_url}/s/{waiting.invitation_id}",
            token=waiting.token,
            jti=waiting.jti,
            issued_at=issued_at,
            expires_at=int(waiting.expires_at),
            provider=about.provider or settings.provider,
            tag=about.tag,
        )

        async def sign(x5c: bool) -> str:
            token = self._signer.sign(PPT, invitation.claims(), x5c=x5c)
            # The last one signed is the one that is sent, and the one that counts.
            self._pending.bind(waiting.invitation_id, token)
            await self._kept.write(waiting.invitation_id)
            return token

        sending = Sending(
            waiting.caller,
            waiting.number,
            settings.source_address or waiting.caller,
            service,
            waiting.expires_at,
            sign,
        )
        await self._carriers.send(sending, self._wall_clock())

    def _refusal(self, number: str, caller: str, now: float) -> str | None:
        """Say which limit forbids an invitation; counts it where none does."""
        if not caller:
            return "no caller number to sign for"
        allowed = self._settings.allowed_prefixes
        if allowed and not number.startswith(allowed):
            return "destination not allowed"
        if not self._breaker.allows(number[:_PREFIX_DIGITS], now):
            return "breaker (hardly any invitation to this prefix is answered)"
        keys = (number, caller, number[:_PREFIX_DIGITS], "")
        for key, (what, window) in zip(keys, self._limits, strict=True):
            if not window.allows(key, now):
                return f"rate limit ({what})"
        for key, (_, window) in zip(keys, self._limits, strict=True):
            window.record(key, now)
        return None

    def _source_answer(self, waiting: Waiting, service: Service, answer: Answer) -> SourceAnswer:
        uris = self._uris(answer)
        further = tuple(uri for uri in uris if uri.service is not service)
        self._tell(waiting, further)
        return SourceAnswer(_OUTCOMES[answer.status], "", uris)

    def _uris(self, answer: Answer) -> tuple[FoundUri, ...]:
        # Nobody vouches for the number any more when the signer's certificate has ended.
        lifetime = self._settings.mapping_lifetime
        expires_at = min(self._wall_clock() + lifetime, answer.vouched_until)
        return tuple(
            FoundUri(uri.service, uri.uri, uri.msp, uri.prio, Assurance.SIGNED, expires_at)
            for uri in answer.uris
        )


@dataclass(frozen=True, slots=True)
class DescribedSpin:
    """SPIN as a source for questions about something."""

    source: SpinSource
    about: About
    name: str = "spin"

    async def find(self, number: str, service: Service, *, caller: str) -> SourceAnswer:
        return await self.source.find(number, service, caller=caller, about=self.about)
