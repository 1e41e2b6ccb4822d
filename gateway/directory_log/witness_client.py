"""Asks a witness for its cosignature (c2sp.org/tlog-witness, add-checkpoint)."""

from __future__ import annotations

from typing import Final

from discovery.log.checkpoint import SignedCheckpoint
from discovery.log.cosignature import WitnessKey
from discovery.log.note import SignatureLine
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.witness import AddCheckpoint, SizeConflict, read_cosignatures
from gateway.directory_log.store import LogCorrupted, LogStore
from gateway.http.fetch import FetchFailed
from gateway.http.service_client import ServiceClient

_TIMEOUT: Final = 5.0


class WitnessClient:
    """One witness: the URL prefix it takes submissions under, and its key.

    Remembers which tree the witness has seen; asks it where it does not know.
    """

    def __init__(self, http: ServiceClient, url: str, key: WitnessKey) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._key = key
        self._seen = 0

    @property
    def name(self) -> str:
        """The name of its key."""
        return self._key.name

    async def cosign(self, signed: SignedCheckpoint, store: LogStore) -> SignatureLine:
        """Return its cosignature on a committed checkpoint.

        Raises LogRefused: UNWITNESSED (no usable answer), FORGED, MALFORMED, and, where it holds
        another tree against us, ROLLED_BACK, SPLIT_VIEW or INCONSISTENT.
        """
        try:
            return await self._ask(signed, store)
        except SizeConflict as conflict:
            if conflict.size > signed.checkpoint.size:
                raise LogRefused(
                    LogRefusal.ROLLED_BACK,
                    f"it has cosigned {conflict.size} leaves, here are {signed.checkpoint.size}",
                ) from None
            self._seen = conflict.size
        return await self._ask(signed, store)

    async def _ask(self, signed: SignedCheckpoint, store: LogStore) -> SignatureLine:
        size = signed.checkpoint.size
        old = min(self._seen, size)
        try:
            path = tuple(store.consistency_path(old, size))
            body = AddCheckpoint(old, path, signed).encode()
            answer = await self._http.request("POST", self._url, timeout=_TIMEOUT, body=body)
        except (FetchFailed, OSError, LogCorrupted) as error:
            raise LogRefused(LogRefusal.UNWITNESSED, str(error)) from None
        lines = read_cosignatures(
            answer.status,
            answer.headers.get("content-type", "").partition(";")[0].strip(),
            answer.body,
            signed.note,
            [self._key],
        )
        self._seen = size
        return lines[0]
