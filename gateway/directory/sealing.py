"""Keys of sealed maps: files of senders and groups, and which caller of ours has which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from discovery.directory.sealed_maps import MAX_KEYS, group_key
from discovery.number import NumberRanges
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.config.sealed_maps import SealedKeySection

_KEY: Final = "discovery.directory.sealed_key"


@dataclass(frozen=True, slots=True)
class CallerKeys:
    """The keys of some callers; numbers are digits without plus."""

    held: tuple[tuple[NumberRanges, X25519PrivateKey], ...] = field(default=(), repr=False)

    def __contains__(self, caller: object) -> bool:
        """Tell whether maps may be sealed for a caller."""
        return isinstance(caller, str) and any(caller in numbers for numbers, _ in self.held)

    def of(self, caller: str) -> tuple[X25519PrivateKey, ...]:
        """Return the keys to try for a caller, the 8 that are configured first."""
        return tuple(key for numbers, key in self.held if caller in numbers)[:MAX_KEYS]


def load_caller_keys(sections: Sequence[SealedKeySection]) -> CallerKeys:
    """Read the keys of the configuration. Raises ConfigError."""
    held = []
    for index, section in enumerate(sections):
        key = f"{_KEY}[{index}]"
        if section.private_key is not None:
            loaded = read_sealing_key(section.private_key, f"{key}.private_key")
        else:
            loaded = read_group_key(section.group_secret_file, f"{key}.group_secret")
        held.append((NumberRanges(section.numbers), loaded))
    return CallerKeys(tuple(held))


def read_sealing_key(path: Path, key: str) -> X25519PrivateKey:
    """Read a sender's private key, PEM. Raises ConfigError."""
    try:
        loaded = serialization.load_pem_private_key(read_file(path, key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        loaded = None
    if not isinstance(loaded, X25519PrivateKey):
        raise ConfigError(key, f"{path} is not a PEM private key for X25519")
    return loaded


def read_group_key(path: Path | None, key: str) -> X25519PrivateKey:
    """Read the secret of a group, a file's first line. Raises ConfigError."""
    try:
        return group_key(read_secret(None, path, key))
    except ValueError as error:
        raise ConfigError(f"{key}_file", str(error)) from None


def sealing_key(path: Path) -> X25519PrivateKey:
    """Return a sender's private key, made where the file is not there. Raises ConfigError."""
    made = X25519PrivateKey.generate()
    pem = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_sealing_key(path, str(path))
    except OSError as error:
        raise ConfigError(str(path), error.strerror or "cannot be made") from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    return made
