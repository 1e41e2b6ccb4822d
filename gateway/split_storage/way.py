"""The way of a lookup through split storage: an evaluation, a bucket, an entry opened.

The directory whose records these are is not asked; what its entry says is checked like an answer.
That there is no entry is the bucket store's word alone.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from discovery.directory.answer import Status
from discovery.directory.client import AnswerChecker, CheckedAnswer
from discovery.directory.identifier import Identifier
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import EvaluationKeys, StorageSecrets
from gateway.directory.keys import EcKey
from gateway.directory_client import DirectoryConnection, DirectoryFailed
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.split_storage.asking import (
    Asks,
    EvaluatorClient,
    PrefixChanged,
    StoreDescription,
    read_description,
    read_sealed,
)
from gateway.split_storage.paths import host_of

_log = structlog.get_logger("split_storage")
_DESCRIBED: Final = 3_600.0
_KEYS_TIMEOUT: Final = 5.0
_KEYS_PERIOD: Final = 1_800.0
_KEYS_RETRY: Final = 60.0


class SplitWay:
    """A `gateway.directory_client.Way` for a `SplitConnection`: the body of what it brings is an
    entry, or empty where there is none.

    keys: of the evaluator, the preferred pair first; max_bits: of a label that are told the store.
    """

    def __init__(
        self,
        evaluator: EvaluatorClient,
        buckets: Asks,
        keys: Sequence[EvaluationKeys],
        max_bits: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._evaluator = evaluator
        self._buckets = buckets
        self._keys = tuple(keys)
        self._max_bits = max_bits
        self._monotonic = monotonic
        self._description: StoreDescription | None = None
        self._described_at = 0.0
        self._one = asyncio.Lock()

    async def lookup(self, url: str, body: bytes, *, timeout: float) -> Fetched:
        """Find the entry of a lookup's identifier within `timeout` seconds. Raises FetchFailed."""
        csi = str(json.loads(body)["csi"])
        try:
            async with asyncio.timeout(timeout):
                return Fetched(200, {}, await self._entry(csi, timeout))
        except TimeoutError:
            detail = f"nothing within {timeout:g} s"
            raise FetchFailed(host_of(url), FailureReason.TIMEOUT, detail) from None

    async def _entry(self, csi: str, timeout: float) -> bytes:
        description = await self._described(timeout)
        keys, bits = self._chosen(description)
        (secrets,) = await self._evaluator.secrets([csi], keys, timeout=timeout)
        try:
            sealed = await self._sealed(keys, bits, secrets, timeout)
        except PrefixChanged:
            fresh, bits = self._chosen(await self._described(timeout, instead_of=description))
            if fresh != keys:
                raise self._failed("its generations change: ask again") from None
            try:
                sealed = await self._sealed(keys, bits, secrets, timeout)
            except PrefixChanged:
                raise self._failed("it has no bucket of the prefix it describes") from None
        if sealed is None:
            return b""
        try:
            return secrets.open(sealed)
        except PrivacyError as error:
            raise self._failed(f"entry: {error}") from None

    async def _sealed(
        self, keys: EvaluationKeys, bits: int, secrets: StorageSecrets, timeout: float
    ) -> bytes | None:
        return await read_sealed(self._buckets, keys.generation, bits, secrets, timeout=timeout)

    def _chosen(self, description: StoreDescription) -> tuple[EvaluationKeys, int]:
        """Return the first of our keys that the store has all entries of, and its bits."""
        for keys in self._keys:
            bits = description.complete.get(keys.generation)
            if bits is None:
                continue
            if bits > self._max_bits:
                raise self._failed(f"asks for {bits} bits of a label, more than {self._max_bits}")
            return keys, bits
        if any(keys.generation in description.incomplete for keys in self._keys):
            raise self._failed("is being filled")
        raise self._failed("has nothing under the evaluator's keys")

    async def _described(
        self, timeout: float, *, instead_of: StoreDescription | None = None
    ) -> StoreDescription:
        async with self._one:
            held, now = self._description, self._monotonic()
            if held is None or held is instead_of or now >= self._described_at + _DESCRIBED:
                held = await read_description(self._buckets, timeout=timeout)
                # One that is still being filled may be complete in a moment.
                self._description = held if held.complete else None
                self._described_at = now
            return held

    def _failed(self, detail: str) -> FetchFailed:
        host = self._buckets.host
        return FetchFailed(host, FailureReason.PROTOCOL, f"bucket store {host}: {detail}")


class SplitConnection(DirectoryConnection):
    """A directory whose records are looked for in split storage, by a `SplitWay`.

    It is asked for nothing but its keys, by `run` on times that no lookup changes. An entry signed
    by another key makes no difference to that: a directory that signs the entry of one number so
    would otherwise see, by who comes for its new key, who asks for that number.
    """

    _tried: asyncio.Event | None = None

    async def run(self) -> None:
        """Keep its keys current, for ever."""
        while True:
            try:
                await self.prepare(timeout=_KEYS_TIMEOUT)
                pause = _KEYS_PERIOD
            except DirectoryFailed as failed:
                _log.warning("keys not renewed", culprit=failed.culprit, detail=failed.detail)
                pause = _KEYS_RETRY
            self._first_try().set()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311

    async def _current_keys(self, timeout: float) -> tuple[EcKey, ...]:
        """Return the keys `run` has; a lookup waits for its first try, and causes none."""
        await self._first_try().wait()
        if not self._keys:
            raise DirectoryFailed(self.url, "its keys are not known yet")
        return self._keys

    def _first_try(self) -> asyncio.Event:
        if self._tried is None:
            self._tried = asyncio.Event()
        return self._tried

    def _judge(self, checker: AnswerChecker, body: bytes, csi: Identifier) -> CheckedAnswer:
        if not body:
            return CheckedAnswer(self.url, Status.NONE, ())
        return checker.check_entry(body, csi, self._wall_clock())
