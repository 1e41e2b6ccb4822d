"""The filling of split storage as one thing of a directory: made of its table, run, closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from discovery.directory.jws import Signer
from discovery.privacy.split_storage import parse_evaluation_keys
from gateway.config.directory import DirectoryConfig
from gateway.config.files import read_secret
from gateway.config.load import ConfigError
from gateway.config.split_storage import SplitStorageFilling
from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import RecordStore
from gateway.http.fetch import client_context
from gateway.http.service_client import ServiceClient
from gateway.metrics import Exposition
from gateway.services import dns_resolver
from gateway.split_storage.asking import Bearer, EvaluatorClient, Plainly
from gateway.split_storage.filled import FilledStore, FilledUnavailable
from gateway.split_storage.filler import Filler, FillerSettings
from gateway.split_storage.writing import BucketWriter

FILE: Final = "split-storage.db"


class Filling:
    """Fills split storage while `running` is entered; `close` is called in the end.

    Raises ConfigError from the constructor. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        config: DirectoryConfig,
        section: SplitStorageFilling,
        records: RecordStore,
        log: LogSink,
        signer: Signer,
        wall_clock: Callable[[], float],
    ) -> None:
        token = read_secret(section.token, section.token_file, "split_storage.token")
        buckets_token = read_secret(
            section.buckets_token, section.buckets_token_file, "split_storage.buckets_token"
        )
        try:
            context = client_context(section.trust_anchors)
        except OSError:
            text = "cannot be read as PEM certificates"
            raise ConfigError("split_storage.trust_anchors", text) from None
        try:
            self._filled = FilledStore(config.directory.state_directory / FILE)
        except FilledUnavailable as error:
            raise ConfigError("directory.state_directory", str(error)) from None
        self._dns = dns_resolver(config.dns)
        self._http = ServiceClient(self._dns, context)
        self.filler = Filler(
            FillerSettings(
                directory=config.directory.url,
                keys=tuple(parse_evaluation_keys(text) for text in section.evaluator_keys),
                refresh=section.refresh_seconds,
                compare=section.compare_seconds,
            ),
            records,
            log,
            signer,
            self._filled,
            EvaluatorClient(Plainly(self._http, section.evaluator), Bearer(token)),
            BucketWriter(Plainly(self._http, section.buckets), buckets_token),
            wall_clock,
        )

    def measure(self, exposition: Exposition) -> None:
        """Add what was put into the store and taken out."""
        exposition.counts(
            "split_storage_entries",
            "Entries put, removed and oversized",
            ("outcome",),
            lambda: {(outcome,): count for outcome, count in self.filler.outcomes.items()},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fill until left."""
        task = asyncio.create_task(self.filler.run(), name="split storage")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Close the file and the connections."""
        self._filled.close()
        await self._http.close()
        await self._dns.close()
