"""A submission server of a test: STARTTLS with its own authority, accounts, moods."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from stir.certificates.issuing import Authority, issue_tls_certificate, make_root

Mood = Literal[
    "good",
    "no such mailbox",
    "busy",
    "slow",
    "drops",
    "rude goodbye",
    # after the last octet of the mail
    "full",
    "slow to take it",
    "drops at the end",
]


@dataclass
class Mailbox:
    """What the server has taken, and how it behaves."""

    mood: Mood = "good"
    taken: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.mood == "no such mailbox":
            return "550 5.1.1 no such mailbox here"
        if self.mood == "busy":
            return "451 4.3.2 come again later"
        if self.mood == "slow":
            await asyncio.sleep(30)
        if self.mood == "drops":
            assert server.transport is not None
            server.transport.close()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        return "421 I am leaving anyway" if self.mood == "rude goodbye" else "221 Bye"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if self.mood == "full":
            return "552 5.2.2 no room"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append((str(envelope.mail_from), envelope.rcpt_tos, message))
        self.secured.append(session.ssl is not None)
        if self.mood == "slow to take it":
            await asyncio.sleep(30)
        if self.mood == "drops at the end":
            assert server.transport is not None
            server.transport.close()
        return "250 OK"

    def authenticate(
        self, _server: SMTP, _s: Session, _e: Envelope, _m: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    def only(self) -> EmailMessage:
        """The one mail that came."""
        ((_, _, message),) = self.taken
        return message


PASSWORD = "correct horse"


@dataclass
class MailServer:
    """Where it listens, and what it has."""

    port: int
    trust_file: Path
    mailbox: Mailbox


@asynccontextmanager
async def serving_mail(
    folder: Path,
    *,
    implicit_tls: bool = False,
    starttls: bool = True,
    now: float,
    authority: Authority | None = None,
) -> AsyncIterator[MailServer]:
    """A submission server on 127.0.0.1 that wants TLS and the password of `directory`."""
    root = authority or make_root("Mail", now - 86_400)
    issued = issue_tls_certificate(root, now, addresses=("127.0.0.1",))
    assert issued.key_pem is not None
    (folder / "mail.pem").write_bytes(issued.chain_pem)
    (folder / "mail.key").write_bytes(issued.key_pem)
    trust_file = folder / "mail-root.pem"
    trust_file.write_bytes(root.certificate_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "mail.pem", folder / "mail.key")
    mailbox = Mailbox()

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            # Behind TLS from the first octet it does not know that there is TLS.
            warnings.simplefilter("ignore")
            return made()

    def made() -> SMTP:
        return SMTP(
            mailbox,
            hostname="mail.example",
            tls_context=context if starttls and not implicit_tls else None,
            require_starttls=starttls and not implicit_tls,
            authenticator=mailbox.authenticate,
            auth_required=True,
            auth_require_tls=not implicit_tls,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=context if implicit_tls else None
    )
    try:
        yield MailServer(server.sockets[0].getsockname()[1], trust_file, mailbox)
    finally:
        server.close()
        await server.wait_closed()
