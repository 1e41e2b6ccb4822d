"""Where a monitor is, in one small JSON file that is replaced as a whole."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from discovery.log.checkpoint import parse_checkpoint
from discovery.log.merkle import CompactRange
from discovery.log.monitor import MonitorState
from discovery.log.reason import LogRefused
from discovery.spin.strict_json import MalformedJson, parse_json_object

_VERSION: Final = 1
_MAX_FILE: Final = 262_144


class BadStateFile(Exception):
    """The file is not what a monitor of these labels stored; the message names it and says why."""


class MonitorFile:
    """Stores the state of a monitor of some labels.

    Labels that were not watched from the first on have not been looked for in what is read: a
    file serves the labels it was begun with, or fewer.
    """

    def __init__(
        self, path: Path, labels: Iterable[bytes], *, pinned: tuple[str, str] | None = None
    ) -> None:
        """`pinned`: keys of log and labels, to be kept as they were when they were first seen."""
        self._path = path
        self._pinned = pinned
        self._labels = sorted(label.hex() for label in labels)

    def load(self) -> MonitorState:
        """Return the stored state, a new one where there is no file. Raises BadStateFile."""
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_FILE)
        except FileNotFoundError:
            return MonitorState()
        except OSError as error:
            raise BadStateFile(f"{self._path}: {error.strerror}") from None
        try:
            return self._read(parse_json_object(data))
        except (MalformedJson, ValueError, TypeError, KeyError, LogRefused):
            raise BadStateFile(f"{self._path} is not the state of a monitor") from None

    def save(self, state: MonitorState) -> None:
        """Store a state, on the disk before this returns. Raises BadStateFile."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        members: dict[str, object] = {
            "version": _VERSION,
            "labels": self._labels,
            "checkpoint": state.checkpoint,
            "size": state.size,
            "roots": [b64encode(root).decode("ascii") for root in state.roots],
            "target": state.target,
        }
        if self._pinned is not None:
            members |= {"log_key": self._pinned[0], "log_labels": self._pinned[1]}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(members, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise BadStateFile(f"{self._path}: {error.strerror}") from None

    def _read(self, members: dict[str, object]) -> MonitorState:
        labels, roots, size = members["labels"], members["roots"], members["size"]
        checkpoint, target = members["checkpoint"], members["target"]
        if members["version"] != _VERSION or not isinstance(labels, list):
            raise ValueError
        if not set(self._labels) <= set(labels):
            detail = "was begun without some of these labels; use another file"
            raise BadStateFile(f"{self._path} {detail}")
        if not (isinstance(roots, list) and isinstance(size, int)):
            raise TypeError
        if not (isinstance(checkpoint, str) and isinstance(target, str)):
            raise TypeError
        for note in filter(None, (checkpoint, target)):
            parse_checkpoint(note)
        # Whoever watches fewer labels goes on watching them all in the file's eyes.
        self._labels = [str(label) for label in labels]
        state = MonitorState(checkpoint, size, tuple(map(_hash, roots)), target)
        CompactRange(state.size, state.roots)
        return state


def _hash(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    return b64decode(text, validate=True)


def read_pin(path: Path) -> tuple[str, str] | None:
    """Return the keys of log and labels that a monitor keeps; None where it keeps none."""
    try:
        with path.open("rb") as file:
            members = parse_json_object(file.read(_MAX_FILE))
    except (OSError, MalformedJson):
        return None
    key, labels = members.get("log_key"), members.get("log_labels")
    return (key, labels) if isinstance(key, str) and isinstance(labels, str) else None
