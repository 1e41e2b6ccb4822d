"""A client, a relay and a gateway over TLS on loopback, each as another operator would run it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from discovery.privacy.alike import Beat
from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.ohttp import OhttpGateway
from discovery.privacy.ohttp_keys import GatewayKey, GatewayKeys
from discovery.spin.limits import RateLimit
from gateway.http.fetch import Fetched, client_context
from gateway.http.guard import GuardPolicy
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.ohttp_client import FetchedKeys, ObliviousClient, PinnedKeys
from gateway.http.ohttp_gateway import GATEWAY_PATH, GatewayLimits, OhttpGatewayServer
from gateway.http.ohttp_relay import KeptConnections, OhttpRelay
from gateway.http.problem import problems
from gateway.http.service_client import ServiceClient
from tests.support.https import TestAuthority

NOW = 1_795_000_000.0
DIRECTORY = "dp.example"
RELAY = "relay.example"


class Loopback:
    """A DNS in which every name is this machine."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


@dataclass
class Origin:
    """The inner handler: answers with what it was asked, or as it was told."""

    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    failure: BaseException | None = None
    answer: BinaryResponse | None = None

    async def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> BinaryResponse:
        self.asked.append((method, path, dict(headers), body))
        if self.failure is not None:
            raise self.failure
        if self.answer is not None:
            return self.answer
        content = json.dumps({"method": method, "path": path, "size": len(body)}).encode()
        return BinaryResponse(200, (("content-type", "application/json"),), content)


@dataclass
class World:
    """What a test holds of the three; `now` is everybody's clock."""

    authority: TestAuthority
    origin: Origin
    key: GatewayKey
    gateway: OhttpGatewayServer
    gateway_url: str
    relay: OhttpRelay
    relay_url: str
    client: ObliviousClient
    poster: KeptConnections
    service: ServiceClient
    now: float = NOW

    def another(self, *, keys: bytes | None = None, authority: str = DIRECTORY) -> ObliviousClient:
        """Return a client with these keys pinned."""
        configured = GatewayKeys([self.key]).encode(self.now) if keys is None else keys
        return ObliviousClient(
            self.relay_url, authority, PinnedKeys(configured), self.poster, wall_clock=self.clock
        )

    def clock(self) -> float:
        return self.now


@asynccontextmanager
async def oblivious_world(
    folder: Path,
    *,
    gateway_url: str | None = None,
    per_source: RateLimit | None = None,
    beat: Beat | None = None,
    limits: GatewayLimits | None = None,
    listener: ListenerLimits | None = None,
    authority: TestAuthority | None = None,
    key: GatewayKey | None = None,
) -> AsyncIterator[World]:
    """Run all three; with a gateway_url the relay leads there instead."""
    authority, origin = authority or TestAuthority(folder), Origin()
    held: list[World] = []

    def clock() -> float:
        return held[0].now if held else NOW

    key = key or GatewayKey.generate(1)
    gateway = OhttpGatewayServer(
        OhttpGateway(GatewayKeys([key])),
        origin,
        frozenset({DIRECTORY}),
        beat=beat,
        limits=limits,
        wall_clock=clock,
    )
    service = ServiceClient(Loopback(), client_context(authority.trust_file))
    poster = KeptConnections(service, timeout=2.0)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        inside = await _serve(stack, authority, DIRECTORY, gateway, listener)
        there = f"https://{DIRECTORY}:{inside}{GATEWAY_PATH}"
        target = gateway_url or there
        port = int(target.split(":")[2].split("/")[0])
        relay = OhttpRelay(
            {"dp": target},
            poster,
            guard=GuardPolicy(ports=frozenset({port})),
            per_source=per_source,
            wall_clock=clock,
        )
        outside = await _serve(stack, authority, RELAY, relay, listener)
        url = f"https://{RELAY}:{outside}/relay/dp"
        keys = FetchedKeys(there, _Getter(service))
        client = ObliviousClient(url, DIRECTORY, keys, poster, wall_clock=clock)
        held.append(
            World(authority, origin, key, gateway, there, relay, url, client, poster, service)
        )
        yield held[0]


class _Getter:
    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        return await self._service.request("GET", url, timeout=2.0, headers={"Accept": accept})


async def _serve(
    stack: AsyncExitStack,
    authority: TestAuthority,
    name: str,
    resource: OhttpGatewayServer | OhttpRelay,
    limits: ListenerLimits | None,
) -> int:
    application = web.Application(middlewares=[problems])
    resource.add_to(application)
    tls = authority.server_context(name)
    listener = HttpListener(application, "127.0.0.1", 0, tls=tls, limits=limits)
    await listener.start()
    stack.push_async_callback(listener.stop)
    return listener.port
