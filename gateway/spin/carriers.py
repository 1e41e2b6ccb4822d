"""Sending one signed invitation by the carriages its number's network takes, in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from discovery.model import Service
from discovery.number import masked
from discovery.spin.binary import to_binary_parts
from discovery.spin.carriage import DEFAULT_LOCALE, fallback_text, to_parts, to_text
from discovery.spin.networks import Carriage, Networks
from discovery.spin.reason import Refused
from discovery.spin.reference import to_reference_text
from discovery.spin.segments import Part
from gateway.sms.message import OutgoingMessage
from gateway.sms.transceiver import SmsFailed, SmsFailure
from gateway.spin.kept_engines import KeptReferences

_log = structlog.get_logger("spin")


class SmsSender(Protocol):
    """Whoever sends messages; raises SmsFailed within a time of its own."""

    async def send(self, message: OutgoingMessage) -> None: ...


class MmsSender(Protocol):
    """Whoever sends multimedia messages; raises SmsFailed within a time of its own."""

    async def send(self, source: str, destination: str, text: str, token: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Sending:
    """One invitation to send: its ends (digits; `source` is what people see), and until when.

    sign returns the token, with certificates inside where it may be long.
    """

    caller: str
    number: str
    source: str
    service: Service
    until: float
    sign: Callable[[bool], Awaitable[str]]


class Carriers:
    """All carriages together.

    reference_place: host[:port] of our own reference server, None without one. mms_x5c: whether
    multimedia messages carry certificates.
    """

    def __init__(
        self,
        sms: SmsSender,
        networks: Networks | None = None,
        *,
        locale: str = DEFAULT_LOCALE,
        references: KeptReferences | None = None,
        reference_place: str | None = None,
        mms: MmsSender | None = None,
        mms_x5c: bool = False,
    ) -> None:
        self._sms = sms
        self._networks = Networks() if networks is None else networks
        self._locale = locale
        self._references = references
        self._reference_place = reference_place
        self._mms = mms
        self._mms_x5c = mms_x5c
        self._reference = 0
        self.sent: Counter[Carriage] = Counter()

    async def send(self, sending: Sending, now: float) -> Carriage:
        """Send by the first carriage that fits and is not refused; return which it was.

        Raises SmsFailed for the last that was tried.
        """
        failed = SmsFailed("our own carriages", SmsFailure.REJECTED, "none fits this invitation")
        for carriage in self._networks.carriages(sending.number, now):
            try:
                if await self._send(carriage, sending, now):
                    self.sent[carriage] += 1
                    return carriage
            except SmsFailed as error:
                failed = error
                # Whether one that timed out arrives nobody knows; two would be one too many.
                refused = error.failure is SmsFailure.REJECTED
                if not error.definite or not (refused or carriage is Carriage.MMS):
                    break
                self._networks.learn(sending.number, carriage, delivered=False, now=now)
        raise failed

    def delivered(self, label: str, delivered: bool, now: float) -> None:
        """Learn from a delivery receipt of what was sent under this label."""
        name, _, number = label.partition(":")
        self._networks.learn(number, Carriage(name), delivered=delivered, now=now)

    async def _send(self, carriage: Carriage, sending: Sending, now: float) -> bool:
        """Send by one carriage; False where it cannot carry this."""
        if carriage is Carriage.MMS:
            if self._mms is None:
                return False
            text = fallback_text(sending.caller, sending.service, self._locale)
            token = await sending.sign(self._mms_x5c)
            # A name may be shown beside short messages; an MMSC wants a number.
            source = sending.source if sending.source.isdecimal() else sending.caller
            await self._mms.send(source, sending.number, text, token)
            return True
        parts = await self._parts(carriage, sending, now)
        if not parts:
            return False
        number = sending.number
        _log.info("invitation", number=masked(number), carriage=str(carriage), parts=len(parts))
        label = f"{carriage}:{number}"
        await self._sms.send(OutgoingMessage(sending.source, number, parts, label))
        return True

    async def _parts(self, carriage: Carriage, sending: Sending, now: float) -> tuple[Part, ...]:
        self._reference = (self._reference + 1) & 0xFF
        try:
            if carriage is Carriage.BINARY:
                return to_binary_parts(await sending.sign(False), self._reference)
            if carriage is Carriage.TEXT:
                token = await sending.sign(False)
                text = to_text(token, sending.caller, sending.service, self._locale)
                return to_parts(text, self._reference)
            if self._references is None or self._reference_place is None:
                return ()
            token = await sending.sign(False)
            held = await self._references.add(token, sending.until, now)
            text = to_reference_text(
                self._reference_place, held, token, sending.caller, sending.service, self._locale
            )
            return to_parts(text, self._reference)
        except (ValueError, Refused):
            return ()
