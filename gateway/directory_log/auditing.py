"""Holds the logs of directories to their word: all the checkpoints we were shown are one tree."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from discovery.log.reason import LogRefused
from discovery.log.relying import TrustedLogs
from discovery.log.seen import SplitView
from gateway.directory_log.kept import PREFIX
from gateway.directory_log.reader import LogReader, LogUnreachable, audit
from gateway.http.service_client import Requester

_log = structlog.get_logger("directory_log")
INTERVAL: Final = 60.0


class LogAuditor:
    """Proves, a while after answers were used, that their checkpoints continue each other.

    A log that shows two trees is not trusted from then on, until a restart; both checkpoints are in
    the error that is logged. Which tiles are read tells which checkpoints an answer had, and so who
    asked: a directory that must not know is read by the way in `ways` (its URL to a way) instead
    of `client`, or not at all where it is `left_out` for want of one. interval: seconds between two
    rounds on average, whatever is looked up.
    """

    def __init__(
        self,
        logs: TrustedLogs,
        client: Requester,
        *,
        ways: Mapping[str, Requester] | None = None,
        left_out: Collection[str] = (),
        interval: float = INTERVAL,
    ) -> None:
        self._logs = logs
        self._client = client
        self._ways = dict(ways or {})
        self._left_out = frozenset(left_out)
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Go to work, if not there already; needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="log auditor")

    async def close(self) -> None:
        """End the work."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def audit(self) -> None:
        """Do one round over all logs."""
        for directory, seen in list(self._logs.seen.items()):
            if directory in self._left_out:
                continue
            try:
                way = self._ways.get(directory, self._client)
                await audit(LogReader(way, directory + PREFIX), seen)
            except SplitView as split:
                self._logs.distrust(directory, split)
                _log.error(
                    "log shows two trees: not trusted any more",
                    culprit=directory,
                    detail=split.detail,
                    evidence=[str(split.one.note), str(split.other.note)],
                )
            except (LogRefused, LogUnreachable, ValueError) as error:
                _log.warning("log not audited", culprit=directory, detail=str(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval * random.uniform(0.5, 1.5))  # noqa: S311
            await self.audit()
