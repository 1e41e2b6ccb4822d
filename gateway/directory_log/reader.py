"""Reads a log over HTTP for whoever follows it: monitors, and gateways that hold it to its word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

from discovery.log.entry import ENTRY_SIZE
from discovery.log.following import (
    MAX_CHECKPOINT,
    CheckpointFile,
    Following,
    Wanted,
    prove_consistency,
)
from discovery.log.merkle import HASH_SIZE
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.seen import SeenCheckpoints
from discovery.log.tiles import TILE_WIDTH, Bundle, Tile, decode_bundle, encode_bundle
from gateway.http.fetch import FetchFailed
from gateway.http.service_client import Requester

_T = TypeVar("_T")
_TIMEOUT: Final = 20.0
_AT_ONCE: Final = 8


class LogUnreachable(Exception):
    """The log does not give what it should have; nothing is said about its honesty."""


class LogReader:
    """A log by its URL prefix (`https://directory.example/log`).

    Everything read is proven later by hashes and signatures. Raises ValueError for a URL that is
    neither https nor http on this machine.
    """

    def __init__(self, http: Requester, url: str) -> None:
        parts = urlsplit(url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ValueError(f"'{url}' is no https URL")
        if not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError(f"'{url}' is no URL of a log: https://host/path")
        self._http = http
        self._url = url.rstrip("/")
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, wanted: Wanted) -> list[bytes]:
        """Return the octets of each resource, in order. Raises LogUnreachable, LogRefused."""
        return list(await asyncio.gather(*map(self._one, wanted)))

    async def drive(self, procedure: Following[_T]) -> _T:
        """Give a procedure what it asks for until it ends; raises what it and `fetch` raise."""
        given: Sequence[bytes] = ()
        started = False
        while True:
            try:
                wanted = procedure.send(given) if started else next(procedure)
            except StopIteration as end:
                result: _T = end.value
                return result
            started = True
            given = await self.fetch(wanted)

    async def _one(self, resource: CheckpointFile | Tile | Bundle) -> bytes:
        data = await self._get(resource)
        if data is None and not isinstance(resource, CheckpointFile):
            # A partial tile may be gone once the full one is there (c2sp.org/tlog-tiles).
            whole = await self._get(replace(resource, width=TILE_WIDTH))
            data = _first(whole, resource) if whole is not None else None
        if data is None:
            raise LogUnreachable(f"{self._url}/{resource.path}: not found")
        return data

    async def _get(self, resource: CheckpointFile | Tile | Bundle) -> bytes | None:
        url = f"{self._url}/{resource.path}"
        try:
            async with self._free:
                answer = await self._http.request("GET", url, timeout=_TIMEOUT)
        except FetchFailed as error:
            raise LogUnreachable(str(error)) from None
        if answer.status in (404, 410):
            return None
        if answer.status != 200:
            raise LogUnreachable(f"{url}: HTTP status {answer.status}")
        if len(answer.body) > _limit(resource):
            raise LogRefused(LogRefusal.OVERSIZED, f"{resource.path} is larger than it can be")
        return answer.body


async def audit(reader: LogReader, seen: SeenCheckpoints) -> None:
    """Prove that all the checkpoints a relying party was shown are of one tree that grows.

    Raises SplitView where they are not; LogRefused, LogUnreachable where it cannot be proven now.
    """
    waiting = sorted(seen.unproven(), key=lambda signed: signed.checkpoint.size)
    before = seen.latest_proven()
    for signed in waiting:
        if before is None:
            before = signed
        # Always against the largest: two trees may share a beginning and yet be two.
        older, newer = sorted((before, signed), key=lambda each: each.checkpoint.size)
        await reader.drive(prove_consistency(older, newer))
        seen.proven(signed)
        before = newer


def _first(whole: bytes, part: Tile | Bundle) -> bytes:
    if isinstance(part, Tile):
        return whole[: part.width * HASH_SIZE]
    return encode_bundle(decode_bundle(whole, TILE_WIDTH)[: part.width])


def _limit(resource: CheckpointFile | Tile | Bundle) -> int:
    if isinstance(resource, CheckpointFile):
        return MAX_CHECKPOINT
    if isinstance(resource, Tile):
        return resource.width * HASH_SIZE
    # Entries of kinds to come may be longer than today's.
    return resource.width * (2 + 8 * ENTRY_SIZE)
