"""The directory's side of the bucket store: entries put and removed, generations ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from discovery.privacy.split_storage import encode_entries
from gateway.http.fetch import FailureReason, FetchFailed
from gateway.split_storage.asking import Plainly, StoreDescription, read_description
from gateway.split_storage.paths import ENTRIES, GENERATIONS, OCTETS

_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class BucketWriter:
    """One store, and our token there. Every method raises FetchFailed."""

    way: Plainly
    token: str = field(repr=False)

    async def describe(self) -> StoreDescription:
        """Return what the store has."""
        return await read_description(self.way, timeout=_TIMEOUT)

    async def put(self, generation: str, entries: Sequence[tuple[bytes, bytes]]) -> str:
        """Put up to 16 entries; return which store has taken them."""
        return await self._send("PUT", ENTRIES + generation, encode_entries(entries))

    async def remove(self, generation: str, labels: Sequence[bytes]) -> str:
        """Remove the entries of up to 16 labels."""
        return await self._send("DELETE", ENTRIES + generation, b"".join(labels))

    async def complete(self, generation: str) -> str:
        """Say that all there is was put."""
        return await self._send("PUT", GENERATIONS + generation)

    async def drop(self, generation: str) -> str:
        """Delete a generation."""
        return await self._send("DELETE", GENERATIONS + generation)

    async def _send(self, method: str, path: str, body: bytes = b"") -> str:
        headers = {"content-type": OCTETS, "authorization": f"Bearer {self.token}"}
        reply = await self.way.ask(method, path, timeout=_TIMEOUT, headers=headers, body=body)
        host = self.way.host
        if reply.status != 200:
            detail = f"bucket store: HTTP status {reply.status}"
            raise FetchFailed(host, FailureReason.PROTOCOL, detail)
        try:
            instance = json.loads(reply.body)["instance"]
        except (ValueError, TypeError, KeyError, RecursionError):
            instance = None
        if not isinstance(instance, str):
            raise FetchFailed(host, FailureReason.PROTOCOL, "bucket store: names no instance")
        return instance
