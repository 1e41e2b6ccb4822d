"""What a later request of a dialog must know, sealed into the gateway's own Record-Route URIs.

Any process that holds the key can route the request, and nobody else can read or make one:
the flow of a user's connection is an internal address and must not leak (RFC 5626 section 5.2
asks for the same protection of flow tokens).
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sip.flow import Address, Flow, Transport

Side = Literal["caller", "callee"]

PARAMETER: Final = "rt"
_NONCE_BYTES: Final = 12
_LONGEST: Final = 512
# SIPp takes the first "CSeq" anywhere in a message for the header field: one call in some 20,000
# would fail for a token that happens to hold it.
_MISTAKEN: Final = "CSeq"
_FIELDS: Final = 5
_FLOW_FIELDS: Final = 6
_TRANSPORTS: Final[dict[str, Transport]] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}


@dataclass(frozen=True, slots=True)
class RouteToken:
    """One side of a call as its dialog's requests find it.

    `flow` is the flow requests towards this side take; None where the side is reached by its
    Request-URI or Route alone. The token is good for the dialog of that `dialog_mark` until
    `expires_at`, in whole epoch seconds.
    """

    side: Side
    listener: str
    call_key: str
    dialog: str
    expires_at: int
    flow: Flow | None = None


def dialog_mark(call_id: str, caller_tag: str) -> str:
    """Return what ties a token to its dialog: a short digest of Call-ID and the caller's tag."""
    text = f"{call_id}\n{caller_tag}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=8).hexdigest()


class RouteSeal:
    """Seals and opens route tokens with AES-128-GCM."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, token: RouteToken) -> str:
        """Return the token as text that fits a URI parameter."""
        flow = token.flow
        fields = [
            token.side,
            token.listener,
            token.call_key,
            token.dialog,
            str(token.expires_at),
        ]
        if flow is not None:
            fields += [
                flow.transport,
                flow.local.host,
                str(flow.local.port),
                flow.remote.host,
                str(flow.remote.port),
                str(flow.flow_id),
            ]
        plain = "\n".join(fields).encode()
        text = self._sealed(plain)
        while _MISTAKEN in text:
            text = self._sealed(plain)
        return text

    def _sealed(self, plain: bytes) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, None)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str) -> RouteToken | None:
        """Return the token, or None where the text was not sealed with this key."""
        if len(text) > _LONGEST:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (binascii.Error, ValueError, InvalidTag):
            return None
        return _read(plain.decode().split("\n"))


def _read(fields: list[str]) -> RouteToken | None:
    """The token, or None where an earlier version of the gateway sealed fewer fields."""
    if len(fields) not in (_FIELDS, _FIELDS + _FLOW_FIELDS):
        return None
    side, listener, call_key, dialog, expires_at, *rest = fields
    named: Side = "caller" if side == "caller" else "callee"
    flow = _flow(listener, rest)
    return RouteToken(named, listener, call_key, dialog, int(expires_at), flow)


def _flow(listener: str, fields: list[str]) -> Flow | None:
    if not fields:
        return None
    transport, local_host, local_port, remote_host, remote_port, flow_id = fields
    return Flow(
        transport=_TRANSPORTS[transport],
        local=Address(local_host, int(local_port)),
        remote=Address(remote_host, int(remote_port)),
        listener=listener,
        flow_id=int(flow_id),
    )
