"""Submission of mail (RFC 6409): one message, one recipient, one time limit for everything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import localtime, make_msgid
from enum import StrEnum
from typing import Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

_MAX_MAILS: Final = 100
_AT_ONCE: Final = 8
_GOODBYE: Final = 1.0
_NO: Final = 400
_PERMANENT: Final = 500
# Servers that pass on 8 bits are not everywhere; who built the mail need not know.
_SEVEN_BITS: Final = SMTP_POLICY.clone(cte_type="7bit")


class MailFailure(StrEnum):
    """Why a mail was not taken."""

    BUSY = "busy"  # our own queue is full
    NOT_LET_IN = "not_let_in"  # no connection, no TLS, no login
    DELAYED = "delayed"  # a 4xx answer
    REFUSED = "refused"  # a 5xx answer
    TIMEOUT = "timeout"
    CLOSED = "closed"


class MailFailed(Exception):
    """A mail was not taken.

    `definite`: certainly not, nothing of it was out; else the answer to its last octet is missing.
    """

    def __init__(
        self, culprit: str, failure: MailFailure, detail: str, *, definite: bool = True
    ) -> None:
        super().__init__(f"{culprit}: {detail}")
        self.culprit = culprit
        self.failure = failure
        self.detail = detail
        self.definite = definite

    @property
    def temporary(self) -> bool:
        """Whether the same may go through later."""
        return self.failure is not MailFailure.REFUSED


@dataclass(frozen=True, slots=True)
class MailSettings:
    """A submission server; timeout in seconds, for one mail from connection to acceptance."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0

    @property
    def name(self) -> str:
        return f"mail server {self.host}:{self.port}"


class MailSubmission:
    """Submits mail, 8 at the same time and 100 waiting at most; `context` is for TLS."""

    def __init__(self, settings: MailSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._under_way = 0
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def send(self, address: str, subject: str, text: str) -> None:
        """Submit a text, to an address in ASCII; raises MailFailed."""
        sender = self._settings.sender
        message = new_message(sender, address)
        message["Subject"] = subject
        message.set_content(text)
        await self.submit(message, sender, address)

    async def submit(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Submit a mail made by `new_message`; raises MailFailed.

        sender, recipient: the envelope, addresses in ASCII without brackets.
        """
        octets = message.as_bytes()

        async def submit(client: SMTP, stage: _Stage) -> None:
            await client.mail(sender)
            await client.rcpt(recipient)
            stage.definite = False
            await client.data(octets)

        await self._in_time(submit)

    async def check(self) -> None:
        """Connect, secure the connection and log in, but send nothing; raises MailFailed."""

        async def nothing(client: SMTP, _stage: _Stage) -> None:
            await client.noop()

        await self._in_time(nothing)

    async def _in_time(self, work: Callable[[SMTP, _Stage], Awaitable[None]]) -> None:
        settings = self._settings
        if self._under_way >= _MAX_MAILS:
            detail = f"{self._under_way} mails wait"
            raise MailFailed("our own queue", MailFailure.BUSY, detail)
        self._under_way += 1
        stage = _Stage()
        try:
            async with asyncio.timeout(settings.timeout), self._free:
                await self._exchange(work, stage)
        except (TimeoutError, SMTPTimeoutError):
            detail = f"nothing within {settings.timeout:g} s"
            failure = MailFailure.TIMEOUT if stage.let_in else MailFailure.NOT_LET_IN
            raise MailFailed(settings.name, failure, detail, definite=stage.definite) from None
        except (OSError, SMTPException) as error:
            raise _failed(settings.name, error, stage) from None
        finally:
            self._under_way -= 1

    async def _exchange(
        self, work: Callable[[SMTP, _Stage], Awaitable[None]], stage: _Stage
    ) -> None:
        settings = self._settings
        client = SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.user,
            password=settings.password,
            local_hostname=settings.sender.partition("@")[2],
            timeout=settings.timeout,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._context if settings.tls != "none" else None,
        )
        try:
            await client.connect()
            stage.let_in = True
            await work(client, stage)
            # It is taken: how the server says goodbye changes nothing.
            with suppress(OSError, SMTPException):
                async with asyncio.timeout(_GOODBYE):
                    await client.quit()
        finally:
            client.close()


@dataclass(slots=True)
class _Stage:
    """How far it came: whether we were let in, and whether the mail is certainly not taken."""

    let_in: bool = False
    definite: bool = True


def new_message(sender: str, recipient: str) -> EmailMessage:
    """Return a mail without subject and content, from one address to one.

    ValueError for addresses that hold line ends.
    """
    message = EmailMessage(policy=_SEVEN_BITS)
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    # Nobody's absence note answers it (RFC 3834 5, RFC 8823 3.1).
    message["Auto-Submitted"] = "auto-generated"
    return message


def _failed(name: str, error: OSError | SMTPException, stage: _Stage) -> MailFailed:
    """What went wrong, without addresses or texts of the server, which may repeat them."""
    if isinstance(error, SMTPResponseException) and error.code >= _NO:
        # An answer is certain, whatever was sent before it.
        what = "the recipient" if isinstance(error, SMTPRecipientRefused) else "the message"
        failure = MailFailure.REFUSED if error.code >= _PERMANENT else MailFailure.DELAYED
        if not stage.let_in:
            what, failure = "the login", MailFailure.NOT_LET_IN
        return MailFailed(name, failure, f"{what} was refused: SMTP {error.code}")
    # Of a connection that was not made its text names the host and why; of others the type tells.
    what = str(error) if isinstance(error, SMTPConnectError) else type(error).__name__
    failure = MailFailure.CLOSED if stage.let_in else MailFailure.NOT_LET_IN
    return MailFailed(name, failure, what, definite=stage.definite)
