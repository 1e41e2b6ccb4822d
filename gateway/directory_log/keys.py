"""Ed25519 keys of logs and witnesses in PEM files, made where there are none."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.config.files import read_file
from gateway.config.load import ConfigError


def load_key(path: Path, name: str) -> Ed25519PrivateKey:
    """Read a private key that the configuration key `name` points to. Raises ConfigError."""
    try:
        key = load_pem_private_key(read_file(path, name), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(name, f"{path} holds no PEM private key without password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(name, f"{path} holds no Ed25519 key")
    return key


def own_key(path: Path, name: str) -> Ed25519PrivateKey:
    """Return the key of a file, which is made where it is missing. Raises ConfigError.

    Made whole or not at all, once, whoever else starts at the same time.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
    except OSError as error:
        raise ConfigError(name, f"{path}: {error.strerror}") from None
    return load_key(path, name)


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(handle)
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
