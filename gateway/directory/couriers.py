"""How part 1 of a challenge reaches a number or mailbox: one or two SMSCs, mail submission."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Final, Literal, Protocol

import structlog

from discovery.directory.challenge import message_text
from discovery.directory.holding import Claim
from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.reason import Refusal, Refused
from discovery.spin.segments import split_text
from gateway.sms.message import OutgoingMessage
from gateway.sms.transceiver import SmsFailed

_log = structlog.get_logger("challenges")
_MAX_MAILS: Final = 100
_MAIL_THREADS: Final = 2
_CLAIMED: Final = (
    "Another device claims this number in the directory. If that is not you, object within "
    "{hours} hours: spingate directory object."
)


class TextRoute(Protocol):
    """One way for text messages, such as an SMSC."""

    async def send(self, message: OutgoingMessage) -> None:
        """Send a message; raises SmsFailed."""
        ...


@dataclass(frozen=True, slots=True)
class MailSettings:
    """A submission server (RFC 6409); timeout in seconds."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0


class MailSubmission:
    """Submits mail, a few at a time in threads of its own; `context` is for TLS."""

    def __init__(self, settings: MailSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._threads = ThreadPoolExecutor(_MAIL_THREADS, thread_name_prefix="mail")
        self._under_way = 0

    async def send(self, address: str, subject: str, text: str) -> None:
        """Submit one mail; raises Refused(UNDELIVERED)."""
        if self._under_way >= _MAX_MAILS:
            raise Refused(Refusal.UNDELIVERED, "too many mails wait")
        self._under_way += 1
        try:
            loop = asyncio.get_running_loop()
            message = self._message(address, subject, text)
            await loop.run_in_executor(self._threads, self._submit, message)
        except (OSError, smtplib.SMTPException) as error:
            detail = type(error).__name__
            _log.warning("mail not taken", culprit=self._settings.host, detail=detail)
            raise Refused(Refusal.UNDELIVERED, "the mail server did not take it") from None
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Wait for mails under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _message(self, address: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = address
        message["Subject"] = subject
        message["Message-ID"] = make_msgid(domain=self._settings.sender.partition("@")[2])
        # Nobody's absence note answers it (RFC 3834 5, RFC 8823 3.1).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _submit(self, message: EmailMessage) -> None:
        settings = self._settings
        if settings.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout, context=self._context
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout)
        with server:
            if settings.tls == "starttls":
                server.starttls(context=self._context)
            if settings.user is not None and settings.password is not None:
                server.login(settings.user, settings.password)
            server.send_message(message)


class Couriers:
    """Delivers challenges, an `authority.Courier`, and tells numbers of claims.

    `routes`: one or two SMSCs, or none; source: the sender shown to people, digits or a name.
    """

    def __init__(
        self, routes: Sequence[TextRoute], sources: Sequence[str], mail: MailSubmission | None
    ) -> None:
        self._routes = tuple(routes)
        self._sources = tuple(sources)
        self._mail = mail

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
        if failed:
            raise failed[0]

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
                await self._mail.send(csi.value, "A claim on your address", text)
        except Refused as refused:
            _log.warning("holder not told", identifier=csi.shown, detail=refused.detail)

    async def _text(self, place: int, csi: Identifier, text: str) -> None:
        parts = split_text(text, 0)
        try:
            await self._routes[place].send(OutgoingMessage(self._sources[place], csi.value, parts))
        except SmsFailed as failed:
            _log.warning("challenge not sent", culprit=failed.culprit, detail=failed.detail)
            raise Refused(Refusal.UNDELIVERED, "the message was not taken") from None

    async def _mail_code(self, csi: Identifier, code: str) -> None:
        if self._mail is None:
            raise Refused(Refusal.UNDELIVERED, "no mail server is configured")
        text = (
            f"Code: {code}\n\nIt lets a device be found under this address. Do not pass it on to "
            "anybody. If you asked for nothing, ignore this message.\n"
        )
        await self._mail.send(csi.value, "Code for the directory", text)
