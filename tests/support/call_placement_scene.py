"""A call placement service over real HTTPS, with providers that publish and retrieve there."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from gateway.http.call_placement import CallPlacementServer, CallPlacementSettings
from gateway.http.call_placement_client import CallPlacementClient
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import Fetched, client_context
from gateway.http.listener import HttpListener
from gateway.http.service_client import ServiceClient
from stir.authentication import AuthenticationService, SigningRequest
from stir.certificates.certificate import Credential, CredentialUnavailable, load_credential
from stir.certificates.issuing import Authority, issue_sti_certificate, make_root
from stir.certificates.tn_auth_list import Range, TnAuthList
from stir.oob.access import Asked, access_claims
from stir.oob.tokens import digest_of
from tests.support.https import TestAuthority

NAME = "cps.example"
ORIG, DEST = "14155550100", "12125550123"


class Loopback:
    """A DNS in which every name is this machine."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


@dataclass
class Provider:
    """A holder of an STI certificate for a hundred numbers."""

    number: str
    root: Authority
    signer: AuthenticationService = field(init=False)
    credential: Credential = field(init=False)

    def __post_init__(self) -> None:
        first = f"{self.number[:-2]}00"
        issued = issue_sti_certificate(self.root, TnAuthList((Range(first, 100),)), time.time())
        assert issued.key_pem is not None
        url = f"https://certs.example/{self.number}-{uuid.uuid4()}.pem"
        self.signer = AuthenticationService(issued.key_pem, issued.chain_pem, url)
        self.credential = load_credential(issued.chain_pem)

    def passport(self, dest: str = DEST, **changes: Any) -> str:
        """A SHAKEN token of this provider."""
        values: dict[str, Any] = {
            "orig_tn": self.number,
            "dest_tns": (dest,),
            "iat": int(time.time()),
            "attest": "A",
            "origid": str(uuid.uuid4()),
            **changes,
        }
        return self.signer.sign(SigningRequest(**values)).partition(";")[0]

    def permission(self, asked: Asked, **changes: Any) -> str:
        """An access token of this provider."""
        claims = access_claims(
            asked, issuer=self.number, audience=NAME, jti=str(uuid.uuid4()), now=time.time()
        )
        return self.signer.sign_jwt(claims | changes)


class KnownCertificates:
    """Certificates by URL without a network."""

    def __init__(self) -> None:
        self.known: dict[str, Credential] = {}

    def add(self, provider: Provider) -> Provider:
        self.known[provider.signer.x5u] = provider.credential
        return provider

    def knows(self, url: str) -> bool:
        return url in self.known

    async def changed(self, urls: Any) -> bool:
        return False

    async def get(self, url: str) -> Credential | CredentialUnavailable:
        return self.known.get(url) or CredentialUnavailable("unknown", "certs.example")

    async def get_all(self, urls: Any) -> dict[str, Credential | CredentialUnavailable]:
        return {url: await self.get(url) for url in urls}


@dataclass
class CallPlacementScene:
    """The running service, two providers it trusts, and raw requests to it."""

    root: Authority
    certificates: KnownCertificates
    server: CallPlacementServer
    port: int
    https: ServiceClient
    alpha: Provider
    beta: Provider
    now: list[float]

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def client(
        self, provider: Provider, *, urls: tuple[str, ...] = (), budget: float = 2.0
    ) -> CallPlacementClient:
        return CallPlacementClient(
            urls or (self.url,),
            self.https,
            provider.signer,
            issuer=provider.number,
            budget=budget,
            wall_clock=time.time,
        )

    async def post(
        self,
        path: str,
        items: Any,
        token: str | None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Fetched:
        sent = body if body is not None else json.dumps({"passports": items}).encode()
        return await self._send("POST", path, token, sent, headers or {})

    async def get(self, path: str, token: str | None) -> Fetched:
        return await self._send("GET", path, token, None, {})

    async def publish(self, provider: Provider, *tokens: str, dest: str = DEST) -> int:
        """Publish as ATIS-1000096 has it; return the status."""
        asked = Asked("publish", dest, provider.number, digest_of(tokens))
        path = f"/passports/{dest}/{provider.number}"
        return (await self.post(path, list(tokens), provider.permission(asked))).status

    async def _send(
        self, method: str, path: str, token: str | None, body: bytes | None, more: dict[str, str]
    ) -> Fetched:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= more
        return await self.https.request(
            method, f"{self.url}{path}", timeout=5, headers=headers, body=body
        )


@asynccontextmanager
async def call_placement_scene(folder: Path, **settings: Any) -> AsyncIterator[CallPlacementScene]:
    """Run a service with these settings."""
    root = make_root("Test STI Root", time.time())
    certificates = KnownCertificates()
    late = [0.0]
    chosen = replace(CallPlacementSettings(frozenset({NAME})), **settings)
    server = CallPlacementServer(
        chosen,
        root.certificates,
        cast(CertificateSource, certificates),
        lambda: time.time() + late[0],
    )
    authority = TestAuthority(folder)
    listener = HttpListener(
        server.application(), "127.0.0.1", 0, tls=authority.server_context(NAME)
    )
    await listener.start()
    https = ServiceClient(Loopback(), client_context(authority.trust_file))
    alpha, beta = (certificates.add(Provider(number, root)) for number in (ORIG, DEST))
    try:
        yield CallPlacementScene(
            root, certificates, server, listener.port, https, alpha, beta, late
        )
    finally:
        await https.close()
        await listener.stop()
