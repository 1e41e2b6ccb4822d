"""A running authoritative server of published numbers, and programs that validate its answers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.domain import Tree
from discovery.enum.naptr import Rule
from discovery.enum.publishing.rules import rules_for
from discovery.enum.publishing.signing import SigningKey
from discovery.enum.publishing.zone import PublishedZone, ZoneSettings
from discovery.model import Service
from gateway.dns import DnsResolver, DnsSettings
from gateway.enum_server.server import EnumServer, PublishedNumbers, ServerSettings
from gateway.enum_source import EnumSource, PinnedTree

TREE = Tree("1", "e164.test")
BOB = "12125550123"
KEY = SigningKey(ec.generate_private_key(ec.SECP256R1()))
SETTINGS = ZoneSettings(("ns1.beta.example",), "hostmaster.beta.example")
URIS = [
    (Service.VOICE, f"sip:+{BOB}@beta.example;user=phone"),
    (Service.IM, "mimi://beta.example/u/bob"),
]


def zone(tree: Tree = TREE, **changes: object) -> PublishedZone:
    settings = ZoneSettings(SETTINGS.nameservers, SETTINGS.hostmaster, **changes)  # type: ignore[arg-type]
    return PublishedZone(tree, (KEY,), settings)


class FixedNumbers:
    """Numbers that are known from the start."""

    def __init__(self, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        self._rules = dict(rules)

    async def rules(self, number: str) -> tuple[Rule, ...]:
        return self._rules.get(number, ())


def numbers(table: Mapping[str, list[tuple[Service, str]]] | None = None) -> FixedNumbers:
    held = {BOB: URIS} if table is None else table
    return FixedNumbers({number: rules_for(uris) for number, uris in held.items()})


@asynccontextmanager
async def enum_server(
    source: PublishedNumbers | None = None,
    *,
    published: PublishedZone | None = None,
    **settings: object,
) -> AsyncIterator[EnumServer]:
    """Serve on a free port of the loopback."""
    server = EnumServer(
        published or zone(),
        source or numbers(),
        ServerSettings("127.0.0.1", 0, **settings),  # type: ignore[arg-type]
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def source_of(server: EnumServer, now: float) -> EnumSource:
    """Our own validator, asking that server."""
    place = (("127.0.0.1", server.port),)
    pinned = PinnedTree(TREE, trust_anchor(TREE.suffix, zone().ds()), place)
    return EnumSource((pinned,), DnsResolver(DnsSettings(place)), wall_clock=lambda: now)


async def ask(
    server: EnumServer, name: str, kind: str, *, tcp: bool = False, **how: object
) -> dns.message.Message:
    """Ask like anybody."""
    query = dns.message.make_query(name, kind, **{"want_dnssec": True, **how})  # type: ignore[arg-type]
    if tcp:
        return await dns.asyncquery.tcp(query, "127.0.0.1", timeout=2, port=server.port)
    return await dns.asyncquery.udp(query, "127.0.0.1", timeout=2, port=server.port)


def program(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


async def output_of(*command: str) -> str:
    """Run a program for ten seconds at most and return what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(10):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode()


def anchors_of_delv(folder: Path) -> Path:
    """A key file as delv reads it."""
    tag, algorithm, digest, value = zone().ds()[0].split()
    path = folder / "delv.anchors"
    path.write_text(
        f'trust-anchors {{ "{TREE.suffix}." static-ds {tag} {algorithm} {digest} "{value}"; }};\n',
        encoding="utf-8",
    )
    return path


def settings_of_unbound(folder: Path, server: EnumServer) -> Path:
    """A configuration that makes libunbound ask the server and validate what it says."""
    path = folder / "unbound.conf"
    path.write_text(
        f"""server:
  do-not-query-localhost: no
  do-ip6: no
  local-zone: "test." nodefault
  module-config: "validator iterator"
  trust-anchor: "{TREE.suffix}. DS {zone().ds()[0]}"
stub-zone:
  name: "{TREE.suffix}"
  stub-addr: 127.0.0.1@{server.port}
  stub-prime: no
""",
        encoding="utf-8",
    )
    return path
