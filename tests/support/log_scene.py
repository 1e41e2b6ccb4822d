"""A directory's log at work over real HTTP on loopback, with its witnesses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from discovery.log.logged import LogPolicy
from discovery.log.note import NoteSigner
from discovery.log.witness import Witness
from gateway.directory_log.http import log_application
from gateway.directory_log.log import DirectoryLog, LogSettings
from gateway.directory_log.store import LogStore
from gateway.directory_log.witness_client import WitnessClient
from gateway.directory_log.witness_server import WitnessServer, WitnessStore
from gateway.dns import DnsResolver, DnsSettings
from gateway.http.listener import HttpListener
from gateway.http.service_client import ServiceClient
from tests.support.log_world import cosigner, log_signer

FAST = LogSettings(interval=0.02, refresh=3_600.0, publish_wait=3.0)


@asynccontextmanager
async def service_client() -> AsyncIterator[ServiceClient]:
    """A client of services on loopback."""
    dns = DnsResolver(DnsSettings(nameservers=(("127.0.0.1", 9),)))
    client = ServiceClient(dns, ssl.create_default_context())
    try:
        yield client
    finally:
        await client.close()
        await dns.close()


@asynccontextmanager
async def listening(application: web.Application) -> AsyncIterator[str]:
    """The URL of an application on loopback."""
    listener = HttpListener(application, "127.0.0.1", 0, tls=None)
    await listener.start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        await listener.stop()


@asynccontextmanager
async def serving_witness(
    folder: Path, number: int = 1, logs: Sequence[NoteSigner] = ()
) -> AsyncIterator[str]:
    """The URL of witness w1, w2..., which knows the logs."""
    known = {signer.name: (signer.verifier,) for signer in logs or [log_signer()]}
    server = WitnessServer(Witness(cosigner(number), known), WitnessStore(folder))
    async with listening(server.application()) as url:
        yield url


@dataclass(frozen=True, slots=True)
class LogScene:
    """A running log; `url` is its prefix."""

    log: DirectoryLog
    url: str
    http: ServiceClient

    @property
    def policy(self) -> LogPolicy:
        """What a follower of this log demands."""
        return LogPolicy((log_signer().verifier,), (cosigner(1).verifier,))


@asynccontextmanager
async def running(log: DirectoryLog) -> AsyncIterator[DirectoryLog]:
    """The log while it runs."""
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.wait([task])
        log.store.close()


@asynccontextmanager
async def log_scene(
    folder: Path, *, settings: LogSettings = FAST, witness_url: str | None = None
) -> AsyncIterator[LogScene]:
    """A log with one witness, both served."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(service_client())
        if witness_url is None:
            witness_url = await stack.enter_async_context(serving_witness(folder / "witness"))
        store = LogStore(folder / "log", log_signer().verifier)
        client = WitnessClient(http, witness_url, cosigner(1).verifier)
        log = await stack.enter_async_context(
            running(DirectoryLog(store, log_signer(), [client], settings))
        )
        outer = web.Application()
        outer.add_subapp("/log", log_application(store))
        url = await stack.enter_async_context(listening(outer))
        yield LogScene(log, f"{url}/log", http)
