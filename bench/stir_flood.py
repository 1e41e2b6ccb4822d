"""A thousand calls a second whose certificate URLs are dead, beside calls whose are cached.

The verification service and the guarded client of one process, real sockets, no SIP: what the
event loop does for dead URLs is all that cached calls could wait for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final, Literal

import structlog
from rich.table import Table

from bench.stir_world import CalledFacts, StirBenchWorld
from gateway.cli.output import console
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import FetchLimits, GuardedClient
from gateway.http.guard import GuardPolicy
from sip.dns import DnsUnavailable
from stir.certificates.credential_cache import CredentialCache
from stir.verdict import CallVerdict
from stir.verification import VerificationService

_HOST: Final = "127.0.0.1"
_CACHED_RATE: Final = 100.0
_TICK: Final = 0.01

Death = Literal["hanging", "refused", "no-name"]
DEATHS: Final[tuple[Death, ...]] = ("hanging", "refused", "no-name")


@dataclass(slots=True)
class _Dns:
    """Every name is this machine, or none exists."""

    death: Death

    async def addresses(self, name: str) -> tuple[str, ...]:
        if self.death == "no-name":
            raise DnsUnavailable(name, "nameserver", "SERVFAIL")
        return (_HOST,)


@dataclass(slots=True)
class _Seen:
    """What the dead server saw: connections altogether and the most at once."""

    connections: int = 0
    open: int = 0
    most: int = 0


async def measure(seconds: float, rate: float) -> dict[str, Any]:
    """Measure the delay of cached calls alone, then beside each kind of dead URL."""
    world = StirBenchWorld()
    # What a gateway logs of each failure belongs to the load; where it goes does not.
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        alone = await _run(world, seconds, 0.0, "hanging")
        found: dict[str, Any] = {death: await _run(world, seconds, rate, death) for death in DEATHS}
    finally:
        structlog.configure(**before)
    for each in found.values():
        each["added_ms"] = round(each["p95_ms"] - alone["p95_ms"], 2)
    worst = max(found[death]["added_ms"] for death in DEATHS)
    within = all(found[death]["most_at_once"] <= FetchLimits().total for death in DEATHS)
    return {
        "bench": "stir-flood",
        "ok": worst <= 20.0 and within,
        "rate": rate,
        "alone": alone,
        **found,
    }


async def _run(world: StirBenchWorld, seconds: float, rate: float, death: Death) -> dict[str, Any]:
    async with _dead_server() as (port, seen):
        at = 1 if death == "refused" else port
        policy = GuardPolicy(
            ports=frozenset({443, at}), allow_networks=(ip_network(f"{_HOST}/32"),)
        )
        cache = CredentialCache()
        source = CertificateSource(GuardedClient(_Dns(death), policy=policy), cache, time.time)
        cache.store(world.url, world.credential, "max-age=86400", time.time())
        service = world.service(extra_ports=frozenset({at}))
        calls = [
            world.call(f"https://h{number}.dead.example:{at}/{number}.pem")
            for number in range(int(seconds * rate))
        ]
        dead = asyncio.ensure_future(_dead_calls(calls, service, source, rate))
        delays = await _cached_calls(world, service, source, seconds)
        slowest = await dead
        await source.close()
        delays.sort()
        return {
            "p50_ms": round(delays[len(delays) // 2] * 1e3, 2),
            "p95_ms": round(delays[int(len(delays) * 0.95)] * 1e3, 2),
            "max_ms": round(delays[-1] * 1e3, 2),
            "dead_calls": len(calls),
            "slowest_dead_answer_s": round(slowest, 2),
            "fetches": source.fetches,
            "connections": seen.connections,
            "most_at_once": seen.most,
        }


async def _cached_calls(
    world: StirBenchWorld, service: VerificationService, source: CertificateSource, seconds: float
) -> list[float]:
    """Verify calls with a cached certificate at a steady rate; their delays from when due."""
    loop, delays = asyncio.get_running_loop(), []
    began = loop.time()
    for number in range(int(seconds * _CACHED_RATE)):
        due = began + number / _CACHED_RATE
        await asyncio.sleep(max(0.0, due - loop.time()))
        call = world.call(world.url)
        verdict = await _verify(service, source, call)
        if verdict.outcome != "valid":
            raise AssertionError(f"a cached call was {verdict.reason}")
        delays.append(loop.time() - due)
    return delays


async def _dead_calls(
    calls: Sequence[CalledFacts],
    service: VerificationService,
    source: CertificateSource,
    rate: float,
) -> float:
    """Verify calls whose URL nobody answers, each another one; the slowest answer in seconds."""
    loop = asyncio.get_running_loop()
    running: list[asyncio.Task[float]] = []

    async def one(call: CalledFacts) -> float:
        started = loop.time()
        verdict = await _verify(service, source, call)
        if verdict.outcome != "unavailable":
            raise AssertionError(f"a dead URL gave {verdict.outcome}")
        return loop.time() - started

    began = loop.time()
    while len(running) < len(calls):
        due = min(len(calls), int((loop.time() - began) * rate))
        running += [asyncio.create_task(one(call)) for call in calls[len(running) : due]]
        await asyncio.sleep(_TICK)
    return max(await asyncio.gather(*running), default=0.0)


async def _verify(
    service: VerificationService, source: CertificateSource, call: CalledFacts
) -> CallVerdict:
    begun = service.begin((call.identity,), call.facts, time.time())
    credentials = await source.get_all(begun.needed)
    return service.conclude(begun, credentials, time.time())


@asynccontextmanager
async def _dead_server() -> AsyncIterator[tuple[int, _Seen]]:
    """Accept connections and say nothing for ever."""
    seen = _Seen()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        seen.open += 1
        seen.most = max(seen.most, seen.open)
        writers.add(writer)
        try:
            while await reader.read(4096):
                pass
        except OSError:
            return
        finally:
            seen.open -= 1
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, _HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def show(found: dict[str, Any]) -> None:
    """Print the delays for people."""
    table = Table("dead URLs", "cached calls p50", "p95", "slowest dead answer", "most at once")
    for name in ("alone", *DEATHS):
        each = found[name]
        table.add_row(
            name,
            f"{each['p50_ms']} ms",
            f"{each['p95_ms']} ms",
            f"{each['slowest_dead_answer_s']} s",
            str(each["most_at_once"]),
        )
    console.print(table)
