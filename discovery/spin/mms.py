"""Carriage M: a multimedia message of a readable text and the invitation as its own part.

multipart/mixed: text/plain, and application/spin-invitation+jwt with the token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final

MEDIA_TYPE: Final = "application/spin-invitation+jwt"
MAX_CONTENT: Final = 300_000
_MAX_PARTS: Final = 32


@dataclass(frozen=True, slots=True)
class MmsContent:
    """What a multimedia message holds for us: its invitation, None where it has none."""

    token: str | None = field(repr=False)


def build_content(text: str, token: str, boundary: str) -> bytes:
    """Return a MIME entity with its headers: the text for people, and the invitation."""
    content = EmailMessage(policy=HTTP)
    content.set_content(text, cte="8bit")
    content.add_attachment(
        token.encode("ascii"),
        maintype="application",
        subtype="spin-invitation+jwt",
        cte="7bit",
        disposition="inline",
        cid="<invitation>",
    )
    content.set_boundary(boundary)
    return content.as_bytes()


def add_content(mail: EmailMessage, text: str, token: str) -> None:
    """Give a mail the same content, in a form that lines of 998 octets can carry (RFC 5321 4.5.3).

    A token is a line of up to some 1,800, hence base64.
    """
    mail.set_content(text)
    mail.add_attachment(
        token.encode("ascii"),
        maintype="application",
        subtype="spin-invitation+jwt",
        cte="base64",
        disposition="inline",
        cid="<invitation>",
    )


def read_content(entity: bytes) -> MmsContent:
    """Look for an invitation in a MIME entity with its headers; never raises.

    More than 32 parts, or more than 300 kB, hold none for us.
    """
    if len(entity) > MAX_CONTENT:
        return MmsContent(None)
    try:
        message = BytesParser(policy=HTTP).parsebytes(entity)
        return MmsContent(_find(message))
    except (MessageError, ValueError, LookupError, RecursionError):
        return MmsContent(None)


def _find(message: Message) -> str | None:
    for place, part in enumerate(message.walk()):
        if place >= _MAX_PARTS:
            return None
        if part.get_content_type() == MEDIA_TYPE:
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                return payload.decode("ascii", "replace").strip()
    return None
