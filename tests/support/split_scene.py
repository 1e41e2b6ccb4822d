"""Split storage whole: directory, evaluator and bucket store, each as its operator runs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.directory_client import DirectoryClientSection
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.directory_making import make_directory_source
from gateway.directory_source import DirectorySource
from gateway.split_storage.buckets import BucketsService
from gateway.split_storage.evaluator import EvaluatorService, read_evaluator
from gateway.split_storage.filler import Filler
from tests.support.directory_world import DirectoryClient, DirectoryWorld, running

EVALUATOR_TOKEN = "token-of-gateway-alpha"
FILLER_TOKEN = "token-of-the-directory"
BUCKETS_TOKEN = "token-that-fills-buckets"
SECRET, NEXT_SECRET = "1" * 64, "2" * 64
KEYS = str(read_evaluator(SECRET, "").public_keys)
NEXT_KEYS = str(read_evaluator(NEXT_SECRET, "").public_keys)
GENERATION = read_evaluator(SECRET, "").public_keys.generation
NEXT_GENERATION = read_evaluator(NEXT_SECRET, "").public_keys.generation
ALPHA = "12125550100"


class Addresses:
    """A DNS in which every name is this machine."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


@dataclass
class SplitScene:
    """Services that are started one by one; all live on one clock, the directory's."""

    folder: Path
    stack: AsyncExitStack
    ports: dict[str, int] = field(default_factory=dict)
    world: DirectoryWorld = field(init=False)
    client: DirectoryClient = field(init=False)
    evaluator: EvaluatorService = field(init=False)
    buckets: BucketsService = field(init=False)

    def url(self, name: str) -> str:
        host = "dp.example" if name == "directory" else "127.0.0.1"
        if name not in self.ports:
            self.ports[name] = free_port()
        return f"https://{host}:{self.ports[name]}"

    def make_world(self, *, keys: tuple[str, ...] = (KEYS,), **changes: Any) -> DirectoryWorld:
        filling = {
            "evaluator": self.url("evaluator"),
            "evaluator_keys": keys,
            "token": FILLER_TOKEN,
            "buckets": self.url("buckets"),
            "buckets_token": BUCKETS_TOKEN,
            "trust_anchors": self.folder / "tls-root.pem",
            **changes.pop("split_storage", {}),
        }
        directory = {"url": self.url("directory"), **changes.pop("directory", {})}
        self.world = DirectoryWorld(
            self.folder, directory=directory, split_storage=filling, **changes
        )
        return self.world

    async def start_evaluator(
        self, secrets: tuple[str, ...] = (SECRET,), **changes: Any
    ) -> EvaluatorService:
        for number, secret in enumerate(secrets):
            (self.folder / f"secret-{number}").write_text(f"{secret}\n")
        config = EvaluatorConfig.model_validate(
            {
                "evaluator": {
                    "url": self.url("evaluator"),
                    "address": "127.0.0.1",
                    "port": self.ports["evaluator"],
                    "certificate": self.folder / "https.pem",
                    "key": self.folder / "https.key",
                    "state_directory": self.folder / "state-evaluator",
                    "generation": tuple(
                        {"secret_file": self.folder / f"secret-{number}"}
                        for number in range(len(secrets))
                    ),
                    "peer": (
                        {"name": "alpha", "token": EVALUATOR_TOKEN},
                        {"name": "directory", "token": FILLER_TOKEN},
                    ),
                    **changes,
                }
            }
        )
        self.evaluator = EvaluatorService(config, wall_clock=self.world.clock)
        await self.evaluator.start()
        self.stack.push_async_callback(self.evaluator.stop)
        return self.evaluator

    async def start_buckets(self, state: str = "state-buckets", **changes: Any) -> BucketsService:
        config = BucketsConfig.model_validate(
            {
                "buckets": {
                    "url": self.url("buckets"),
                    "address": "127.0.0.1",
                    "port": self.ports["buckets"],
                    "certificate": self.folder / "https.pem",
                    "key": self.folder / "https.key",
                    "state_directory": self.folder / state,
                    "token": BUCKETS_TOKEN,
                    **changes,
                }
            }
        )
        self.buckets = BucketsService(config, wall_clock=self.world.clock)
        await self.buckets.start()
        self.stack.push_async_callback(self.buckets.stop)
        return self.buckets

    async def start_directory(self) -> DirectoryClient:
        self.client = await self.stack.enter_async_context(running(self.world))
        return self.client

    async def start(self, **changes: Any) -> None:
        """Everything, with one generation of keys."""
        self.make_world(**changes)
        await self.start_evaluator()
        await self.start_buckets()
        await self.start_directory()

    @property
    def filler(self) -> Filler:
        filling = self.client.service.filling
        assert filling is not None
        return filling.filler

    async def filled(self, entries: int, *generations: str) -> None:
        """Wait until the store has so many entries, all in complete generations."""
        wanted = set(generations or (GENERATION,))
        async with asyncio.timeout(10):
            while True:
                held = self.buckets.store.generations
                complete = {name for name, each in held.items() if each.complete}
                if self.buckets.store.entries == entries and complete == wanted == set(held):
                    return
                await asyncio.sleep(0.01)

    async def settled(self, changed: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something has become so."""
        async with asyncio.timeout(10):
            while True:
                if await changed():
                    return
                await asyncio.sleep(0.02)

    def source(self, *, server: dict[str, Any] | None = None, **changes: Any) -> DirectorySource:
        """A gateway's source that asks split storage; `changes` are of its split_storage."""
        way = {
            "evaluator": self.url("evaluator"),
            "evaluator_keys": (KEYS,),
            "token": EVALUATOR_TOKEN,
            "buckets": self.url("buckets"),
            **changes,
        }
        settings = DirectoryClientSection.model_validate(
            {
                "owner_trust_anchors": (self.folder / "numbers.pem",),
                "trust_anchors": self.folder / "tls-root.pem",
                "budget_seconds": 5.0,
                "server": (
                    {
                        "url": self.world.config.directory.url,
                        "key": self.world.keys.signer.public.thumbprint,
                        "split_storage": way,
                        **(server or {}),
                    },
                ),
            }
        )
        source = make_directory_source(settings, Addresses(), wall_clock=self.world.clock)
        assert source is not None
        self.stack.push_async_callback(source.close)
        return source


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
