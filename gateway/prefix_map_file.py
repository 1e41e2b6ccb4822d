"""The prefix map as a file that others replace: read again when it changes, never an older one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from discovery.directory.jws import Key
from discovery.directory.prefix_map import PrefixMap, read_prefix_map
from discovery.directory.reason import Refusal, Refused
from gateway.config.directory_client import DirectoryClientSection
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.directory.keys import EcKey
from stir.certificates.certificate import MalformedCredential, load_public_key

_log = structlog.get_logger("directories")
_CULPRIT: Final = "discovery.directory.prefix_map"
_LOOK_AGAIN: Final = 1.0
_TOLD_AGAIN: Final = 600.0


class PrefixMapFile:
    """The map in force. The file is looked at once a second at most, when a number is looked up.

    A map that cannot be read, is not signed by the authority or is older than the one in force
    changes nothing. wall_clock gives epoch seconds. The constructor raises Refused, OSError.
    """

    def __init__(self, path: Path, authority: Key, wall_clock: Callable[[], float]) -> None:
        self._path = path
        self._authority = authority
        self._wall_clock = wall_clock
        self._stamp = self._seen()
        self._map = self._read()
        self._looked_at = time.monotonic()
        self._told_at = float("-inf")

    def current(self) -> PrefixMap | None:
        """Return the map in force, None where it has expired."""
        now = time.monotonic()
        if now >= self._looked_at + _LOOK_AGAIN:
            self._looked_at = now
            self._look()
        if self._wall_clock() < self._map.expires_at:
            return self._map
        if now >= self._told_at + _TOLD_AGAIN:
            self._told_at = now
            _log.warning("prefix map has expired", culprit=_CULPRIT)
        return None

    def _look(self) -> None:
        try:
            stamp = self._seen()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            fresh = self._read()
            if fresh.issued_at < self._map.issued_at:
                raise Refused(Refusal.NOT_FRESH, "older than the map in force")
        except (OSError, Refused) as error:
            _log.warning("prefix map not taken", culprit=_CULPRIT, detail=str(error))
            return
        self._map = fresh
        _log.info("prefix map taken", prefixes=len(fresh.prefixes), issued_at=fresh.issued_at)

    def _seen(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> PrefixMap:
        try:
            text = self._path.read_text("ascii").strip()
        except UnicodeDecodeError:
            raise Refused(Refusal.MALFORMED, "prefix map is not ASCII") from None
        return read_prefix_map(text, self._authority, self._wall_clock())


def open_prefix_map(
    settings: DirectoryClientSection, wall_clock: Callable[[], float]
) -> PrefixMapFile | None:
    """Open the map of [discovery.directory], None without one. Raises ConfigError."""
    if settings.prefix_map is None or settings.prefix_map_key is None:
        return None
    try:
        pem = read_file(settings.prefix_map_key, f"{_CULPRIT}_key")
        authority = EcKey(load_public_key(pem).public_key)
    except MalformedCredential as error:
        raise ConfigError(f"{_CULPRIT}_key", str(error)) from None
    try:
        return PrefixMapFile(settings.prefix_map, authority, wall_clock)
    except OSError as error:
        raise ConfigError(_CULPRIT, f"{settings.prefix_map}: {error.strerror}") from None
    except Refused as error:
        raise ConfigError(_CULPRIT, str(error)) from None
