"""Preloaded certificates on disk, so that a restart begins with them.

What lies there is no more trusted than what a stranger serves: it is read, checked and verified
again at each start. One file a URL, replaced as a whole; a full disk costs files, never calls.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

_MAX_FILE: Final = 131_072
_LAST_MOMENT: Final = 2**53
_log = structlog.get_logger("credentials")


@dataclass(frozen=True, slots=True)
class KeptCredential:
    """A chain in PEM as it was at a URL; `expires` in epoch seconds ends its cache lifetime."""

    url: str
    pem: str
    expires: float


class CredentialFolder:
    """A folder with one JSON file a URL; `lost` counts those that could not be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lost = 0

    def save(self, kept: KeptCredential) -> None:
        """Write or replace the file of a URL."""
        path = self._path(kept.url)
        text = json.dumps({"url": kept.url, "expires": kept.expires, "pem": kept.pem})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".new")
            partial.write_text(text, encoding="ascii")
            partial.replace(path)
        except OSError as error:
            self.lost += 1
            detail = error.strerror or "cannot be written"
            _log.warning("certificate not kept", culprit=str(self._folder), detail=detail)

    def remove(self, url: str) -> None:
        """Remove the file of a URL, if there is one."""
        with contextlib.suppress(OSError):
            self._path(url).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all of them."""
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def load(self, most: int) -> Iterator[KeptCredential]:
        """Give at most `most` of them; what cannot be read is left out and logged."""
        for path in self._files()[:most]:
            try:
                yield _read(path)
            except (OSError, ValueError, RecursionError) as error:
                _log.warning("kept certificate unreadable", culprit=str(path), detail=str(error))

    def _files(self) -> list[Path]:
        try:
            return sorted(self._folder.glob("*.json"))
        except OSError:
            return []

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode(errors='replace')).hexdigest()}.json"


def _read(path: Path) -> KeptCredential:
    if path.stat().st_size > _MAX_FILE:
        raise ValueError(f"larger than {_MAX_FILE} octets")
    kept = json.loads(path.read_text(encoding="ascii"))
    if not isinstance(kept, dict):
        raise ValueError("not an object")
    url, pem, expires = kept.get("url"), kept.get("pem"), kept.get("expires")
    if not (isinstance(url, str) and isinstance(pem, str) and isinstance(expires, float | int)):
        raise ValueError("url, pem and expires are missing")
    if not 0 <= expires < _LAST_MOMENT:
        raise ValueError("expires is no time")
    return KeptCredential(url, pem, float(expires))
