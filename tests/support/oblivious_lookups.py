"""A gateway's source of URIs, a directory, a relay and an issuer, each as its operator runs it."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery.model import Service
from discovery.sources import SourceAnswer
from gateway.config.directory_client import DirectoryClientSection
from gateway.directory_making import make_directory_source
from gateway.directory_source import DirectorySource
from gateway.relay_service import RelayService
from gateway.token_issuer.key_folder import KeyFolder
from gateway.token_issuer.service import TokenIssuerService
from tests.support.directory_world import Clock, DirectoryClient, DirectoryWorld, running
from tests.support.log_world import log_signer, write_key
from tests.support.oblivious_services import (
    CLIENT_TOKEN,
    ISSUER,
    RELAY,
    issuer_config,
    relay_config,
    running_issuer,
    running_relay,
)

DIGITS = "14155550123"
DIRECTORY = "dp.example"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class GatewayDns:
    """The gateway's own DNS, which notes what it is asked; names in `hidden` have no address."""

    hidden: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def addresses(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        return () if name in self.hidden else ("127.0.0.1",)


@dataclass
class ObliviousScene:
    """What runs; `source()` makes the gateway's side as its configuration would."""

    folder: Path
    world: DirectoryWorld
    directory: DirectoryClient
    issuer: TokenIssuerService
    relay: RelayService
    stack: AsyncExitStack
    log_key: str
    dns: GatewayDns = field(default_factory=lambda: GatewayDns({DIRECTORY}))

    @property
    def clock(self) -> Clock:
        return self.world.clock

    def settings(self, **oblivious: Any) -> DirectoryClientSection:
        """The section, keys pinned; values of None leave a key of [oblivious] away."""
        service = self.directory.service
        described = service.description()["ohttp"]
        assert isinstance(described, dict)
        keys = [key.public.key_id for key in self.issuer.keys.load(self.clock())]
        section = {
            "relay": f"https://{RELAY}:{self.relay.listener.port}/relay/dp",
            "keys": described["keys"],
            "issuer": f"https://{ISSUER}:{self.issuer.listener.port}",
            "issuer_keys": [base64.urlsafe_b64encode(key).decode()[:43] for key in keys],
            "token": CLIENT_TOKEN,
            "tokens": 4,
            "batch": 2,
            **oblivious,
        }
        server = {
            "url": self.world.config.directory.url,
            "key": self.world.keys.signer.public.thumbprint,
            "log_keys": [self.log_key],
            "log_labels": service.description()["log_labels"],
            "oblivious": {key: value for key, value in section.items() if value is not None},
        }
        return DirectoryClientSection.model_validate(
            {
                "owner_trust_anchors": (self.world.folder / "numbers.pem",),
                "trust_anchors": self.world.folder / "tls-root.pem",
                "budget_seconds": 5.0,
                "require_logged": True,
                "server": (server,),
            }
        )

    def source(self, **oblivious: Any) -> DirectorySource:
        source = make_directory_source(self.settings(**oblivious), self.dns, wall_clock=self.clock)
        assert source is not None
        self.stack.push_async_callback(source.close)
        return source

    async def ready(self, **oblivious: Any) -> DirectorySource:
        """A source that has bought its tokens, at times that the test chooses."""
        source = self.source(**oblivious)
        (parts,) = source._oblivious
        await parts.tokens.round()
        return source


async def find(source: DirectorySource) -> SourceAnswer:
    """Look the number up as a call would, without the work in the background."""
    source.begin = lambda: None  # type: ignore[method-assign]
    return await source.find(DIGITS, Service.VOICE, caller="12125550100")


@asynccontextmanager
async def oblivious_scene(folder: Path, **changes: Any) -> AsyncIterator[ObliviousScene]:
    """Run directory (logged, one record in it), relay and issuer; `changes` are the issuer's."""
    signer = log_signer(name=f"{DIRECTORY}/log")
    write_key(folder / "log.key", signer)
    now = time.time()
    keys = KeyFolder(folder / "issuer" / "keys", 86_400.0)
    keys.load(now)
    keys.make(now + 3_600, now)  # the directory knows the next key as well
    issuers = []
    for key in keys.load(now):
        file = folder / f"tokens-{int(key.not_before)}.der"
        file.write_bytes(key.public.spki)
        issuers.append({"name": ISSUER, "key_file": file})
    async with AsyncExitStack() as stack:
        world = DirectoryWorld(
            folder,
            directory={"url": f"https://{DIRECTORY}:{free_port()}"},
            transparency_log={"origin": signer.name, "key": folder / "log.key"},
            oblivious={"issuer": tuple(issuers)},
        )
        world.clock.now = now
        directory = await stack.enter_async_context(running(world))
        assert (await directory.register(world.owner())).status == 200
        settings = issuer_config(folder, world.tls_root, **{"overlap_days": 1, **changes})
        issuer = await stack.enter_async_context(running_issuer(settings, world.clock))
        targets = {"dp": world.config.directory.url}
        relay = await stack.enter_async_context(
            running_relay(relay_config(folder, world.tls_root, targets))
        )
        scene = ObliviousScene(folder, world, directory, issuer, relay, stack, str(signer.verifier))
        yield scene
