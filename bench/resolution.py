"""What finding a number costs: from the cache as it grows, and from a validated ENUM tree."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
import tracemalloc
from typing import Any, Final

import dns.message
import dns.name
import dns.rdatatype
from cryptography.hazmat.primitives.asymmetric import ec
from rich.table import Table

from discovery.cache import CacheKey, MappingCache
from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.domain import Tree
from discovery.enum.naptr import Rule
from discovery.enum.publishing.rules import rules_for
from discovery.enum.publishing.signing import SigningKey
from discovery.enum.publishing.zone import PublishedZone, ZoneSettings
from discovery.model import Assurance, FoundUri, Service
from gateway.cli.output import console
from gateway.enum_source import EnumSource, PinnedTree
from gateway.resolution import Resolver, ResolverLimits

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
CACHED_TARGET_US: Final = 50.0
_FIRST: Final = 12_000_000_000
_LIFETIME: Final = 86_400.0
_TREE: Final = Tree("1", "e164.example")


def measure(operations: int, largest: int) -> dict[str, Any]:
    """Resolve `operations` numbers from caches up to `largest` entries, and from a tree."""
    cached = [asyncio.run(_cached(size, operations)) for size in SIZES if size <= largest]
    trees = [
        asyncio.run(_validated(size, min(operations, 500))) for size in SIZES if size <= largest
    ]
    ok = all(row["p50_us"] < CACHED_TARGET_US for row in cached)
    return {"ok": ok, "target_us": CACHED_TARGET_US, "cached": cached, "enum": trees}


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    table = Table("numbers in the cache", "p50", "p99", "memory")
    for row in found["cached"]:
        table.add_row(
            f"{row['entries']:,}",
            f"{row['p50_us']:.1f} us",
            f"{row['p99_us']:.1f} us",
            f"{row['octets_an_entry']:.0f} octets each",
        )
    console.print(table)
    table = Table("numbers in the tree", "validated", "denied", "served", "denial served")
    for row in found["enum"]:
        table.add_row(
            f"{row['entries']:,}",
            *(f"{row[key]:.0f} us" for key in ("found_us", "absent_us", "serve_us", "deny_us")),
        )
    console.print(table)


async def _cached(entries: int, operations: int) -> dict[str, Any]:
    gc.collect()
    tracemalloc.start()
    cache = MappingCache(max_entries=entries, max_lifetime=_LIFETIME)
    now = time.time()
    for number in range(_FIRST, _FIRST + entries):
        uri = FoundUri(
            Service.VOICE,
            f"sip:+{number}@beta.example;user=phone",
            "beta.example",
            10,
            Assurance.DNSSEC,
            now + _LIFETIME,
        )
        cache.put(CacheKey(str(number), Service.VOICE), (uri,), now)
    octets = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    resolver = Resolver((), cache, wall_clock=time.time, limits=ResolverLimits())
    chosen = random.Random(entries)
    took = []
    for _ in range(operations):
        asked = f"+{_FIRST + chosen.randrange(entries)}"
        began = time.perf_counter()
        resolution = await resolver.resolve(asked, Service.VOICE, caller="+14155550100")
        took.append(time.perf_counter() - began)
        assert resolution.found
    return {
        "entries": entries,
        "p50_us": statistics.median(took) * 1e6,
        "p99_us": statistics.quantiles(took, n=100)[98] * 1e6,
        "octets_an_entry": octets / entries,
    }


class _InMemory:
    """The tree's server without sockets; `seconds` is the time its answers took."""

    def __init__(self, entries: int) -> None:
        key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        settings = ZoneSettings(("ns.example",), "hostmaster.example")
        self.zone = PublishedZone(_TREE, (key,), settings)
        self.rules: dict[str, tuple[Rule, ...]] = {
            str(number): rules_for([(Service.VOICE, f"sip:+{number}@beta.example;user=phone")])
            for number in range(_FIRST, _FIRST + entries)
        }
        self.seconds = 0.0

    async def signed_message(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        nameservers: tuple[tuple[str, int], ...] = (),
    ) -> dns.message.QueryMessage:
        query = dns.message.make_query(name, kind, want_dnssec=True)
        began = time.perf_counter()
        number = self.zone.number_asked(query)
        rules = self.rules.get(number or "", ())
        wire = self.zone.answer(query, rules, time.time()).to_wire(max_size=65_535)
        self.seconds += time.perf_counter() - began
        message = dns.message.from_wire(wire)
        assert isinstance(message, dns.message.QueryMessage)
        return message


async def _validated(entries: int, operations: int) -> dict[str, Any]:
    server = _InMemory(entries)
    pinned = PinnedTree(_TREE, trust_anchor(_TREE.suffix, server.zone.ds()))
    source = EnumSource((pinned,), server, wall_clock=time.time)
    await source.find(str(_FIRST), Service.VOICE, caller="")  # the zone's keys
    row: dict[str, Any] = {"entries": entries}
    chosen = random.Random(entries)
    for found, served, first in (
        ("found_us", "serve_us", _FIRST),
        ("absent_us", "deny_us", _FIRST + 5_000_000_000),
    ):
        took, serving = [], []
        for _ in range(operations):
            number = str(first + chosen.randrange(entries))
            server.seconds = 0.0
            began = time.perf_counter()
            answer = await source.find(number, Service.VOICE, caller="")
            whole = time.perf_counter() - began
            took.append(whole - server.seconds)
            serving.append(server.seconds)
            assert bool(answer.uris) is (found == "found_us"), answer
        row[found] = statistics.median(took) * 1e6
        row[served] = statistics.median(serving) * 1e6
    return row
