"""A development token authority: signs authority tokens, and speaks the STI-PA's HTTP interface."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

_ES256 = ec.ECDSA(hashes.SHA256())


def b64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify_es256(key: ec.EllipticCurvePublicKey, signature: bytes, octets: bytes) -> bool:
    if len(signature) != 64:
        return False
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), octets, _ES256)
    except InvalidSignature:
        return False
    return True


class TokenAuthority:
    """Gives tokens to whoever logs in; `clock` gives epoch seconds."""

    user, password, account = "edge", "edge's password", "1234"

    def __init__(self, clock: Callable[[], float], *, lifetime: float = 3600.0) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._clock = clock
        self._lifetime = lifetime
        self._sessions: set[str] = set()
        self.asked: list[dict[str, Any]] = []

    def token(self, claim: dict[str, object], **changes: object) -> str:
        """An authority token for an ``atc`` claim; changes replace claims, None removes."""
        payload: dict[str, object] = {
            "exp": int(self._clock() + self._lifetime),
            "jti": secrets.token_hex(8),
            "atc": claim,
            **changes,
        }
        kept = {name: value for name, value in payload.items() if value is not None}
        header = {"alg": "ES256", "typ": "JWT", "x5u": "https://sti-pa.example/pa.pem"}
        octets = ".".join(b64url(json.dumps(part).encode()) for part in (header, kept)).encode()
        r, s = decode_dss_signature(self.key.sign(octets, _ES256))
        return f"{octets.decode()}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def read(self, token: str) -> dict[str, Any] | None:
        """The payload of a token this authority signed, else None."""
        try:
            signed, _, signature = token.rpartition(".")
            if not verify_es256(self.key.public_key(), unb64url(signature), signed.encode()):
                return None
            payload = json.loads(unb64url(signed.split(".")[1]))
        except (ValueError, IndexError):
            return None
        return payload if isinstance(payload, dict) else None

    def application(self) -> web.Application:
        """POST /api/v1/auth/login and /api/v1/account/{id}/token, as the STI-PA of the US has."""
        application = web.Application()
        application.router.add_post("/api/v1/auth/login", self._login)
        application.router.add_post("/api/v1/account/{account}/token", self._token)
        return application

    async def _login(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked != {"userId": self.user, "password": self.password}:
            return web.json_response({"status": "failure", "message": "Invalid user"}, status=401)
        session = secrets.token_hex(16)
        self._sessions.add(session)
        return web.json_response({"status": "success", "accessToken": session})

    async def _token(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") not in self._sessions:
            return web.json_response({"status": "failure", "message": "Log in"}, status=401)
        if request.match_info["account"] != self.account:
            return web.json_response({"status": "failure", "message": "Not yours"}, status=403)
        claim = (await request.json())["atc"]
        self.asked.append(claim)
        return web.json_response(
            {
                "status": "success",
                "token": self.token(claim),
                "crl": "https://sti-pa.example/crl",
            }
        )
