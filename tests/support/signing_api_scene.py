"""Our STI-AS/VS interface on a real socket, with one client that may sign for alpha's numbers."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import aiohttp

from gateway.config.base import NumberSet
from gateway.http.credentials import CertificateSource
from gateway.http.listener import HttpListener
from gateway.http.signing_api import Client, SigningApiServer
from stir.certificates.issuing import make_root
from stir.oob.rate import Rate
from stir.verification import VerificationPolicy, VerificationService
from tests.support.call_placement_scene import DEST, ORIG, KnownCertificates, Provider

TOKEN = "a token of the softswitch"
ORIGID = "de305d54-75b4-431b-adb2-eb6b9e546014"
CLIENT = Client(
    name="switch",
    token_digest=hashlib.sha256(TOKEN.encode()).digest(),
    domain=None,
    numbers=NumberSet((f"+{ORIG[:-2]}00-+{ORIG[:-2]}99",)),
    max_attest="B",
    verify=True,
    dialect="atis",
    rate=Rate(1_000, 1_000),
)


def signing(**changes: Any) -> dict[str, Any]:
    """A signing request, with members changed, or left out by giving None."""
    content: dict[str, Any] = {
        "attest": "B",
        "dest": {"tn": [DEST]},
        "iat": int(time.time()),
        "orig": {"tn": ORIG},
        "origid": ORIGID,
        **changes,
    }
    return {"signingRequest": {n: v for n, v in content.items() if v is not None}}


def verification(**changes: Any) -> dict[str, Any]:
    """A verification request, with members changed, or left out by giving None."""
    content: dict[str, Any] = {
        "from": {"tn": ORIG},
        "to": {"tn": [DEST]},
        "time": int(time.time()),
        **changes,
    }
    return {"verificationRequest": {n: v for n, v in content.items() if v is not None}}


@dataclass
class Answer:
    status: int
    headers: Any
    document: dict[str, Any]

    @property
    def error(self) -> str:
        """The id of the error."""
        content = self.document["requestError"]
        (exception,) = content.values()
        return str(exception["messageId"])


@dataclass
class SigningApiScene:
    """The running interface."""

    server: SigningApiServer
    url: str
    session: aiohttp.ClientSession
    provider: Provider
    certificates: KnownCertificates

    async def post(
        self, resource: str, body: Any, *, token: str | None = TOKEN, **headers: str
    ) -> Answer:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", f"/stir/v1/{resource}", sent, octets)

    async def ask(
        self, method: str, path: str, headers: dict[str, str], body: Any = None
    ) -> Answer:
        async with self.session.request(
            method, f"{self.url}{path}", headers=headers, data=body
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.json())


@asynccontextmanager
async def signing_api_scene(**client: Any) -> AsyncIterator[SigningApiScene]:
    """Run the interface with one client of these properties."""
    root = make_root("Test STI Root", time.time())
    provider = Provider(ORIG, root)
    certificates = KnownCertificates()
    certificates.add(provider)
    server = SigningApiServer(
        (replace(CLIENT, **client),),
        provider.signer,
        VerificationService(VerificationPolicy(), root.certificates, None),
        cast(CertificateSource, certificates),
        time.time,
    )
    listener = HttpListener(server.application(), "127.0.0.1", 0, tls=None)
    await listener.start()
    async with aiohttp.ClientSession() as session:
        yield SigningApiScene(
            server, f"http://127.0.0.1:{listener.port}", session, provider, certificates
        )
    await listener.stop()
