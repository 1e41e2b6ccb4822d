"""A token issuer and a relay as services on loopback, over real TLS."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.relay_service import RelayService
from gateway.token_issuer.service import TokenIssuerService
from stir.certificates.issuing import Authority, issue_tls_certificate, make_root

ISSUER = "tokens.example"
RELAY = "relay.example"
CLIENT_TOKEN = "token-of-client-alpha"


class Loopback:
    """A DNS in which every name is this machine."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


def write_tls(folder: Path, root: Authority, name: str) -> dict[str, Path]:
    """Write a server's certificate and key; return the two keys of its section."""
    issued = issue_tls_certificate(root, time.time(), dns_names=(name,), addresses=("127.0.0.1",))
    assert issued.key_pem is not None
    paths = {"certificate": folder / f"{name}.pem", "key": folder / f"{name}.key"}
    paths["certificate"].write_bytes(issued.chain_pem)
    paths["key"].write_bytes(issued.key_pem)
    return paths


def tls_root(folder: Path) -> Authority:
    """Make a root for servers, its certificate in `tls-root.pem`."""
    root = make_root("TLS", time.time() - 86_400)
    (folder / "tls-root.pem").write_bytes(root.certificate_pem)
    return root


def issuer_config(folder: Path, root: Authority, **changes: Any) -> IssuerConfig:
    """An issuer's configuration, on any free port."""
    client = {"name": "alpha", "token": CLIENT_TOKEN, **changes.pop("client", {})}
    made = IssuerConfig.model_validate(
        {
            "issuer": {
                "name": ISSUER,
                "address": "127.0.0.1",
                "state_directory": folder / "issuer",
                **write_tls(folder, root, ISSUER),
                **changes,
            },
            "client": (client,),
        }
    )
    return made.model_copy(update={"issuer": made.issuer.model_copy(update={"port": 0})})


def relay_config(
    folder: Path, root: Authority, targets: dict[str, str], **changes: Any
) -> RelayConfig:
    """A relay's configuration, on any free port."""
    made = RelayConfig.model_validate(
        {
            "relay": {
                "address": "127.0.0.1",
                "trust_anchors": folder / "tls-root.pem",
                **write_tls(folder, root, RELAY),
                **changes,
            },
            "target": tuple({"name": name, "url": url} for name, url in targets.items()),
        }
    )
    return made.model_copy(update={"relay": made.relay.model_copy(update={"port": 0})})


@asynccontextmanager
async def running_issuer(
    config: IssuerConfig, wall_clock: Callable[[], float] = time.time
) -> AsyncIterator[TokenIssuerService]:
    service = TokenIssuerService(config, wall_clock=wall_clock)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def running_relay(config: RelayConfig) -> AsyncIterator[RelayService]:
    service = RelayService(config, dns=Loopback())
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@dataclass
class Answered:
    """A status, the media type, the headers and the body."""

    status: int
    kind: str
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def https(folder: Path) -> AsyncIterator[Callable[..., Any]]:
    """A client that trusts the root: `await ask("POST", url, data=..., headers=...)`."""
    context = ssl.create_default_context(cafile=str(folder / "tls-root.pem"))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(method: str, url: str, **options: Any) -> Answered:
            async with session.request(method, url, **options) as answer:
                body = await answer.read()
                headers = dict(answer.headers)
                return Answered(answer.status, answer.content_type, headers, body)

        yield ask
