"""The signing keys of an issuer: a folder of files, each named by the moment its key begins.

A key signs until the next one has begun, and for the overlap after that: so long have directories
and gateways to take the new one. What has ended is deleted, for nothing needs it any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from discovery.privacy.reason import PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.token_issuer import IssuerKey
from gateway.config.load import ConfigError

_NAME: Final = re.compile(r"token-([0-9]{1,12})\.key")
_MAX_KEYS: Final = 8
_MAX_FILE: Final = 8_192
_SETTING: Final = "issuer.state_directory"


class KeyFolder:
    """Keys in `folder`, of which each overlaps the next by so many seconds.

    Methods raise ConfigError; times are epoch seconds.
    """

    def __init__(self, folder: Path, overlap: float) -> None:
        self._folder = folder
        self._overlap = overlap

    def load(self, now: float) -> list[IssuerKey]:
        """Return the keys that sign now or later, the newest first; the first is made if needed."""
        keys = self._read(now)
        if not keys:
            self.make(now, now)
            keys = self._read(now)
        return keys

    def held(self, now: float) -> list[IssuerKey]:
        """Return the keys there are, the newest first; none is made."""
        return self._read(now)

    def make(self, not_before: float, now: float) -> IssuerKey:
        """Make a key that begins at the given moment, and return it."""
        held = self._read(now)
        if len(held) >= _MAX_KEYS:
            raise ConfigError(_SETTING, f"has {_MAX_KEYS} keys that have not ended")
        start = int(not_before)
        if any(int(key.not_before) == start for key in held):
            raise ConfigError(_SETTING, "has a key that begins at that moment")
        taken = [key.public.truncated_key_id for key in held]
        made = IssuerKey.generate(
            not_before=float(start),
            issue_until=float("inf"),
            accept_until=float("inf"),
            avoid=taken,
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self._folder / f"token-{start}.key", made.private.to_pem())
        except OSError as error:
            raise ConfigError(_SETTING, f"{self._folder}: {error.strerror}") from None
        return made

    def _read(self, now: float) -> list[IssuerKey]:
        found = self._files()
        keys: list[IssuerKey] = []
        following = float("inf")
        for start, path in found:
            until = following + self._overlap
            following = float(start)
            if until <= now:
                with contextlib.suppress(OSError):
                    path.unlink()
                continue
            keys.append(IssuerKey(_private_key(path), float(start), until, until))
        return keys

    def _files(self) -> list[tuple[int, Path]]:
        """The files of keys, the newest first."""
        try:
            paths = list(self._folder.iterdir()) if self._folder.exists() else []
        except OSError as error:
            raise ConfigError(_SETTING, f"{self._folder}: {error.strerror}") from None
        named = ((_NAME.fullmatch(path.name), path) for path in paths)
        return sorted(((int(name[1]), path) for name, path in named if name), reverse=True)


def _private_key(path: Path) -> RsaPrivateKey:
    try:
        with path.open("rb") as file:
            key = RsaPrivateKey.from_pem(file.read(_MAX_FILE))
            IssuerKey(key)  # of the one size that tokens have
            return key
    except OSError as error:
        raise ConfigError(_SETTING, f"{path}: {error.strerror}") from None
    except PrivacyError as error:
        raise ConfigError(_SETTING, f"{path}: {error.detail}") from None


def _write(path: Path, data: bytes) -> None:
    """Make the file whole or not at all, once, whoever else makes one at the same time."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
