"""Follows a log over HTTP for an owner: keeps its place on disk, tells what it finds as events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from discovery.log.checkpoint import parse_checkpoint
from discovery.log.entry import LogEntry
from discovery.log.logged import LogPolicy
from discovery.log.monitor import MonitorState, Progress, Sighting, follow
from discovery.log.reason import LogRefused
from discovery.log.seen import SplitView
from gateway.directory_log.monitor_file import MonitorFile
from gateway.directory_log.reader import LogReader, LogUnreachable

Event = Mapping[str, object]
Tell = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Watched:
    """An identifier of the owner; `known` are commitments the owner has made: no alert."""

    identifier: str
    known: frozenset[bytes] = frozenset()


class LogMonitor:
    """Looks for new entries of the watched labels and holds the log to what it has signed.

    tell: called for each event, in order; an event with `alert` true wants somebody's attention.
    Trouble that lasts is an alert once. What was found is told before the place is stored, so
    that a crash tells it twice rather than never.

    known_now: reads again what is watched; asked where an entry is not known to be the owner's
    own, and once more in a look after `patience` seconds, since an owner hears of an entry a
    moment after everybody else.
    """

    def __init__(
        self,
        reader: LogReader,
        policy: LogPolicy,
        watched: Mapping[bytes, Watched],
        file: MonitorFile,
        tell: Tell,
        *,
        from_start: bool = True,
        known_now: Callable[[], Mapping[bytes, Watched]] | None = None,
        patience: float = 0.0,
    ) -> None:
        self._reader = reader
        self._policy = policy
        self._watched = dict(watched)
        self._known_now = known_now
        self._patience = patience
        self._waited = False
        self._file = file
        self._tell = tell
        self._from_start = from_start
        self._state = file.load()
        self._trouble = ""
        self._reached_at: float | None = None

    @property
    def state(self) -> MonitorState:
        """Where it is."""
        return self._state

    async def look(self, now: float) -> bool:
        """Follow the log to its present checkpoint; tell whether anything was an alert.

        now: epoch seconds. A log that cannot be reached is an alert at once for a monitor that has
        not reached it before, and for others after the policy's max_age. Raises BadStateFile.
        """
        try:
            alert = await self._follow(now)
        except LogUnreachable as error:
            long = self._reached_at is None or now - self._reached_at > self._policy.max_age
            return await self._tell_trouble("unreachable", str(error), alert=long)
        except SplitView as split:
            evidence = [str(split.one.note), str(split.other.note)]
            return await self._tell_trouble(str(split.reason), split.detail, evidence=evidence)
        except LogRefused as refused:
            return await self._tell_trouble(str(refused.reason), refused.detail)
        self._trouble = ""
        self._reached_at = now
        await self._tell(
            {"event": "checked", "alert": False, "size": self._state.size, "origin": self._origin()}
        )
        return alert

    async def _follow(self, now: float) -> bool:
        labels = frozenset(self._watched)
        steps = follow(self._state, labels, self._policy, now, from_start=self._from_start)
        alert = self._waited = False
        step = next(steps)
        while True:
            try:
                if isinstance(step, Progress):
                    for sighting in step.sightings:
                        alert = await self._tell_sighting(sighting) or alert
                    await asyncio.to_thread(self._file.save, step.state)
                    self._state = step.state
                    step = steps.send(())
                else:
                    step = steps.send(await self._reader.fetch(step))
            except StopIteration:
                return alert

    async def _tell_sighting(self, sighting: Sighting) -> bool:
        entry = sighting.entry
        own = await self._is_own(entry)
        watched = self._watched[entry.label]
        await self._tell(
            {
                "event": entry.type.name.lower(),
                "alert": not own,
                "identifier": watched.identifier,
                "index": sighting.index,
                "own": own,
                "commitment": entry.commitment.hex(),
            }
        )
        return not own

    async def _is_own(self, entry: LogEntry) -> bool:
        if entry.commitment in self._watched[entry.label].known:
            return True
        if self._known_now is None:
            return False
        self._read_again(self._known_now())
        known = entry.commitment in self._watched[entry.label].known
        if not known and self._patience and not self._waited:
            self._waited = True
            await asyncio.sleep(self._patience)
            self._read_again(self._known_now())
            known = entry.commitment in self._watched[entry.label].known
        return known

    def _read_again(self, found: Mapping[bytes, Watched]) -> None:
        # What was looked for from the start stays; only what is known of it may have grown.
        for label in self._watched.keys() & found.keys():
            self._watched[label] = found[label]

    async def _tell_trouble(
        self, reason: str, detail: str, *, alert: bool = True, evidence: object = None
    ) -> bool:
        fresh = alert and reason != self._trouble
        event: dict[str, object] = {"event": reason, "alert": fresh, "detail": detail}
        if evidence is not None:
            event["evidence"] = evidence
        if alert:
            self._trouble = reason
        await self._tell(event)
        return alert

    def _origin(self) -> str:
        note = self._state.checkpoint
        return parse_checkpoint(note).checkpoint.origin if note else self._policy.log_keys[0].name
