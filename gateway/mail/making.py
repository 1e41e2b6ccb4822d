"""The settings of a submission, made from the configuration."""

from __future__ import annotations

from gateway.config.mail import SubmissionServer
from gateway.mail.submission import MailSettings


def mail_settings(server: SubmissionServer, sender: str, password: str | None) -> MailSettings:
    """Return how mail is submitted to a server, as `sender`."""
    return MailSettings(
        host=server.host,
        port=server.port,
        tls=server.tls,
        sender=sender,
        user=server.user,
        password=password,
        timeout=server.timeout_seconds,
    )
