"""Reading what the configuration points to: secrets, keys and certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import SecretStr

from gateway.config.load import ConfigError

_LARGEST_FILE: Final = 4 * 1024 * 1024


def read_file(path: Path, key: str) -> bytes:
    """Read a file named by key `key`; raises ConfigError where it is absent or unreadable."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(key, f"{path} is larger than {_LARGEST_FILE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(key, f"{path} cannot be read ({error.strerror})") from None


def read_secret(value: SecretStr | None, path: Path | None, key: str) -> str:
    """Return a secret given in the configuration or as first line of a file.

    Raises ConfigError where it is empty; the text never contains the secret.
    """
    if path is not None:
        key += "_file"
        try:
            secret = read_file(path, key).decode("utf-8").partition("\n")[0].strip()
        except UnicodeDecodeError:
            raise ConfigError(key, f"{path} is not UTF-8 text") from None
    else:
        secret = value.get_secret_value() if value is not None else ""
    if not secret:
        raise ConfigError(key, "is empty")
    return secret
