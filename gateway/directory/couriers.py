"""How part 1 of a challenge reaches a number or mailbox: one or two SMSCs, mail submission."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from discovery.directory.challenge import message_text
from discovery.directory.holding import Claim
from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.reason import Refusal, Refused
from discovery.spin.segments import split_text
from gateway.directory.authority import NotSent
from gateway.mail.submission import MailFailed, MailSubmission
from gateway.sms.message import OutgoingMessage
from gateway.sms.transceiver import SmsFailed, SmsFailure

_log = structlog.get_logger("challenges")
# Failures after which nothing has left our side.
_NOT_SENT: Final = {SmsFailure.NOT_BOUND, SmsFailure.BUSY, SmsFailure.THROTTLED}
_CLAIMED: Final = (
    "Another device claims this number in the directory. If that is not you, object within "
    "{hours} hours: spingate directory object."
)


class TextRoute(Protocol):
    """One way for text messages, such as an SMSC."""

    async def send(self, message: OutgoingMessage) -> None:
        """Send a message; raises SmsFailed."""
        ...


class Couriers:
    """Delivers challenges, an `authority.Courier`, and tells numbers of claims.

    `routes`: one or two SMSCs, or none; source: the sender shown to people, digits or a name.
    `outcomes` counts messages by (way, what became of it); text messages a second time once the
    SMSC knows whether they arrived.
    """

    def __init__(
        self, routes: Sequence[TextRoute], sources: Sequence[str], mail: MailSubmission | None
    ) -> None:
        self._routes = tuple(routes)
        self._sources = tuple(sources)
        self._mail = mail
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    @property
    def routes(self) -> int:
        return len(self._routes)

    @property
    def carries_mail(self) -> bool:
        return self._mail is not None

    async def deliver(self, csi: Identifier, parts: Sequence[str]) -> None:
        if csi.scheme is Scheme.MAILTO:
            await self._mail_code(csi, parts[0])
            return
        texts = [message_text(part, n, len(parts)) for n, part in enumerate(parts, 1)]
        sent = await asyncio.gather(
            *(self._text(place, csi, text) for place, text in enumerate(texts)),
            return_exceptions=True,
        )
        failed = [each for each in sent if isinstance(each, BaseException)]
        if len(failed) == len(texts) or not failed:
            for each in failed:
                raise each
            return
        # Half of the code is on its way: that counts as sent, though it leads nowhere.
        raise Refused(Refusal.UNDELIVERED, "one of two messages was not taken: try again later")

    def delivered(self, label: str, arrived: bool) -> None:
        """Take note of what an SMSC says became of a message, by the label it was sent with."""
        route, _, shown = label.partition(" ")
        self.outcomes[route, "arrived" if arrived else "not arrived"] += 1
        if not arrived:
            _log.warning("challenge did not arrive", route=route, identifier=shown)

    async def tell(self, csi: Identifier, claim: Claim) -> None:
        """Tell whoever has the number now that another key claims it; failing that, the log knows.

        After a theft of the number this reaches the thief: what protects the owner then is the hold
        and the log's monitor. It is for the more frequent mistakes.
        """
        hours = round((claim.effective_at - claim.claimed_at) / 3600)
        text = _CLAIMED.format(hours=hours)
        try:
            if csi.scheme is Scheme.TEL and self._routes:
                await self._text(0, csi, text)
            elif csi.scheme is Scheme.MAILTO and self._mail is not None:
                await self._post(csi, "A claim on your address", text)
        except Refused as refused:
            _log.warning("holder not told", identifier=csi.shown, detail=refused.detail)

    async def _text(self, place: int, csi: Identifier, text: str) -> None:
        route = f"sms{place + 1}"
        parts = split_text(text, 0)
        label = f"{route} {csi.shown}"
        message = OutgoingMessage(self._sources[place], csi.value, parts, label)
        try:
            await self._routes[place].send(message)
        except SmsFailed as failed:
            self.outcomes[route, str(failed.failure)] += 1
            _log.warning("challenge not sent", culprit=failed.culprit, detail=failed.detail)
            if failed.failure in _NOT_SENT:
                raise NotSent("no text messages can be sent now: try again later") from None
            raise Refused(Refusal.UNDELIVERED, "the message was not taken") from None
        self.outcomes[route, "sent"] += 1

    async def _mail_code(self, csi: Identifier, code: str) -> None:
        text = (
            f"Code: {code}\n\nIt lets a device be found under this address. Do not pass it on to "
            "anybody. If you asked for nothing, ignore this message.\n"
        )
        await self._post(csi, "Code for the directory", text)

    async def _post(self, csi: Identifier, subject: str, text: str) -> None:
        if self._mail is None:
            raise Refused(Refusal.UNDELIVERED, "no mail server is configured")
        try:
            await self._mail.send(csi.value, subject, text)
        except MailFailed as failed:
            self.outcomes["mail", "delayed" if failed.temporary else "refused"] += 1
            _log.warning("mail not taken", culprit=failed.culprit, detail=failed.detail)
            if failed.temporary:
                raise NotSent("no mail can be sent now: try again later") from None
            raise Refused(Refusal.UNDELIVERED, "the mail server refuses the address") from None
        self.outcomes["mail", "sent"] += 1
