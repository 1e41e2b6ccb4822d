"""Submission of mail (RFC 6409): one message, one recipient, one time limit for everything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

_MAX_MAILS: Final = 100
_AT_ONCE: Final = 8
_GOODBYE: Final = 1.0
_PERMANENT: Final = 500


class MailFailed(Exception):
    """The server did not take a mail; `temporary`: the same may go through later."""

    def __init__(self, culprit: str, detail: str, *, temporary: bool) -> None:
        super().__init__(f"{culprit}: {detail}")
        self.culprit = culprit
        self.detail = detail
        self.temporary = temporary


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
        """Submit one mail, to an address in ASCII; raises MailFailed."""
        message = self._message(address, subject, text)

        async def submit(client: SMTP) -> None:
            await client.send_message(message)

        await self._in_time(submit)

    async def check(self) -> None:
        """Connect, secure the connection and log in, but send nothing; raises MailFailed."""

        async def nothing(client: SMTP) -> None:
            await client.noop()

        await self._in_time(nothing)

    async def _in_time(self, work: Callable[[SMTP], Awaitable[None]]) -> None:
        settings = self._settings
        if self._under_way >= _MAX_MAILS:
            raise MailFailed("our own queue", f"{self._under_way} mails wait", temporary=True)
        self._under_way += 1
        try:
            async with asyncio.timeout(settings.timeout), self._free:
                await self._exchange(work)
        except (TimeoutError, SMTPTimeoutError):
            detail = f"nothing within {settings.timeout:g} s"
            raise MailFailed(settings.name, detail, temporary=True) from None
        except (OSError, SMTPException) as error:
            raise _failed(settings.name, error) from None
        finally:
            self._under_way -= 1

    async def _exchange(self, work: Callable[[SMTP], Awaitable[None]]) -> None:
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
            await work(client)
            # It is taken: how the server says goodbye changes nothing.
            with suppress(OSError, SMTPException):
                async with asyncio.timeout(_GOODBYE):
                    await client.quit()
        finally:
            client.close()

    def _message(self, address: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = address
        message["Subject"] = subject
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=self._settings.sender.partition("@")[2])
        # Nobody's absence note answers it (RFC 3834 5, RFC 8823 3.1).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message


def _failed(name: str, error: OSError | SMTPException) -> MailFailed:
    """What went wrong, without addresses or texts of the server, which may repeat them."""
    answer: object = error
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        answer = error.recipients[0]
    if isinstance(answer, SMTPResponseException):
        what = "the recipient" if isinstance(answer, SMTPRecipientRefused) else "the message"
        temporary = answer.code < _PERMANENT
        return MailFailed(name, f"{what} was refused: SMTP {answer.code}", temporary=temporary)
    # Of a connection that was not made its text names the host and why; of others the type tells.
    what = str(error) if isinstance(error, SMTPConnectError) else type(error).__name__
    return MailFailed(name, what, temporary=True)
