"""Carriage R: the message only says where the invitation is and what it has to be.

`<fallback text> spin:1r:<host>[:<port>]/<id>#<hash>`: fetched from `https://host/r/id`, of hosts
that the agent's operator allows, at most 4 KiB, and refused unless its SHA-256 begins with the hash
(128 bits, base64url). It fits one short message.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from discovery.model import Service
from discovery.spin.carriage import DEFAULT_LOCALE, short_fallback_text
from discovery.spin.compact import base64url
from discovery.spin.reason import Refusal, Refused

MARK: Final = "spin:1r:"
MAX_DOCUMENT: Final = 4096
MEDIA_TYPE: Final = "application/spin-invitation+jwt"
# Copies of one message, and one try again: whoever asks more often is not the agent.
MAX_FETCHES: Final = 5
_ID_OCTETS: Final = 12
_HASH_OCTETS: Final = 16
_HASH: Final = 22
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REFERENCE: Final = re.compile(
    rf"(?P<host>(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9])(?::(?P<port>[0-9]{{1,5}}))?"
    rf"/(?P<id>[A-Za-z0-9_-]{{8,64}})#(?P<hash>[A-Za-z0-9_-]{{{_HASH}}})\s*"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an invitation is to be had: host (lower case), URL, and the hash it must have."""

    host: str
    url: str = field(repr=False)
    hash: str


def token_hash(token: str) -> str:
    """Return the first 128 bits of a token's SHA-256, base64url."""
    return base64url(hashlib.sha256(token.encode("ascii")).digest()[:_HASH_OCTETS])


def to_reference_text(
    place: str,
    reference_id: str,
    token: str,
    orig: str,
    service: Service,
    locale: str = DEFAULT_LOCALE,
) -> str:
    """Return the text of an invitation by reference; `place` is host or host:port."""
    fallback = short_fallback_text(orig, service, locale)
    return f"{fallback} {MARK}{place}/{reference_id}#{token_hash(token)}"


def read_reference(text: str) -> Reference | None:
    """Return the reference in a text, None for an ordinary message. Nothing is fetched."""
    mark = text.rfind(MARK)
    if mark < 0 or (mark > 0 and not text[mark - 1].isspace()):
        return None
    found = _REFERENCE.fullmatch(text, mark + len(MARK))
    if found is None:
        return None
    port = f":{found['port']}" if found["port"] else ""
    return Reference(found["host"], f"https://{found['host']}{port}/r/{found['id']}", found["hash"])


def check_document(reference: Reference, body: bytes) -> str:
    """Return the token that was fetched; raises Refused: OVERSIZED, MALFORMED, FORGED."""
    if len(body) > MAX_DOCUMENT:
        raise Refused(Refusal.OVERSIZED, f"{reference.host}: more than {MAX_DOCUMENT} octets")
    try:
        token = body.decode("ascii").strip()
    except UnicodeDecodeError:
        raise Refused(Refusal.MALFORMED, f"{reference.host}: not a token") from None
    if not hmac.compare_digest(token_hash(token), reference.hash):
        raise Refused(Refusal.FORGED, f"{reference.host}: not what the message refers to")
    return token


class References:
    """Invitations to be fetched: each by its id, a few times, until it expires.

    random: unpredictable octets. max_references: held; full, no further one is added.
    """

    def __init__(self, random: Callable[[int], bytes], *, max_references: int = 10_000) -> None:
        self._random = random
        self._max_references = max_references
        self._held: dict[str, tuple[str, float, int]] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, token: str, until: float, now: float) -> str:
        """Keep a token until the given time; return its id. Raises Refused(OVERLOADED)."""
        while self._ends and self._ends[0][0] <= now:
            self._held.pop(heappop(self._ends)[1], None)
        if len(self._held) >= self._max_references:
            raise Refused(Refusal.OVERLOADED, f"{self._max_references} references are held")
        reference_id = base64url(self._random(_ID_OCTETS))
        self._held[reference_id] = (token, until, 0)
        heappush(self._ends, (until, reference_id))
        return reference_id

    def restore(self, reference_id: str, token: str, until: float, fetches: int) -> None:
        """Take up one that an earlier process handed out, as long as there is room."""
        if len(self._held) < self._max_references:
            self._held[reference_id] = (token, until, fetches)
            heappush(self._ends, (until, reference_id))

    def standing(self, reference_id: str) -> tuple[str, float, int]:
        """Return token, end and number of fetches of one that is held; raises KeyError."""
        return self._held[reference_id]

    def fetch(self, reference_id: str, now: float) -> str | None:
        """Return the token of an id, None for an unknown, expired or worn-out one."""
        token, until, fetches = self._held.get(reference_id, ("", 0.0, 0))
        if until <= now or fetches >= MAX_FETCHES:
            return None
        self._held[reference_id] = (token, until, fetches + 1)
        return token
