"""What a development ACME authority keeps and says: its temper, answers and resources."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.token_authority import unb64url

RUBBISH: tuple[bytes, ...] = (
    b"",
    b"<html>Bad Gateway</html>",
    b'{"status": "pending"',
    b"[]",
    b'{"status": "wonderful"}',
    b'{"status":"valid","status":"pending"}',
    b"\xff\xfe{}",
)


@dataclass
class Temper:
    """How awkward the authority is: chances from 0 to 1, times in seconds.

    processing: how often an order and a challenge are still processing when asked.
    retry_after: what it then says; None for nothing, `dates` writes it as a date.
    """

    bad_nonce: float = 0.05
    reuse: float = 0.0
    chaos: float = 0.0
    slowness: float = 0.0
    processing: int = 1
    retry_after: float | None = 1
    dates: bool = False
    lifetime: float = 30 * 86_400.0
    member: str = "tkauth"
    terms: str | None = "https://sti-ca.example/terms"
    external_keys: dict[str, bytes] = field(default_factory=dict)
    rate_limit: int | None = None
    finalize_error: str | None = None


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Refusal(Exception):
    def __init__(self, kind: str, detail: str, status: int = 400, **headers: str) -> None:
        super().__init__(kind)
        self.kind, self.detail, self.status, self.headers = kind, detail, status, headers


@dataclass
class Account:
    url: str
    jwk: dict[str, str]
    contact: list[str]
    status: str = "valid"

    @property
    def thumbprint(self) -> bytes:
        members = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(members.encode()).digest()


@dataclass
class Authorization:
    account: Account
    value: str
    challenge_url: str
    status: str = "pending"
    challenge: str = "pending"
    error: dict[str, Any] | None = None
    polls: int = 0


@dataclass
class Order:
    account: Account
    value: str
    authorization_url: str
    finalize_url: str
    status: str = "pending"
    polls: int = 0
    not_after: str | None = None
    chain: bytes = b""
    certificate_url: str = ""
    error: dict[str, Any] | None = None


def public_key(jwk: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """The key of a JWK; its curve is the only one there is here."""
    x, y = (int.from_bytes(unb64url(jwk[name]), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def unb64(text: str) -> bytes:
    """Read base64 or base64url, padded or not."""
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4))
