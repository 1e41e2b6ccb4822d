"""Reading the configuration file: TOML, environment overrides, errors that name the key."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.root import Config

ENVIRONMENT_PREFIX: Final = "SPINGATE_"
M = TypeVar("M", bound=BaseModel)


class ConfigError(Exception):
    """The operator's configuration is at fault; `key` is the path of the key, `text` says why."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text


def load_config(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the gateway's configuration file, as `load_file` does."""
    return load_file(path, Config, environment)


def load_file(path: Path, model: type[M], environment: Mapping[str, str] | None = None) -> M:
    """Read and check a configuration file; relative paths in it are relative to the file.

    `SPINGATE_A__B=value` overrides key `a.b`, `SPINGATE_LISTEN__0__PORT` key `listen[0].port`;
    values are read as TOML where they can be, else as text.

    Raises ConfigError naming the first wrong key, with how many more there are.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not valid TOML ({error})") from None
    _override(data, os.environ if environment is None else environment)
    try:
        config = model.model_validate(data)
    except ValidationError as error:
        raise _explain(error, model) from None
    return _anchor(config, path.parent.resolve())


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not _place(data, keys, _value(environment[name])):
            raise ConfigError(name, "names no table of the configuration")


def _place(table: Any, keys: list[str], value: object) -> bool:
    for key in keys[:-1]:
        if isinstance(table, list):
            if not key.isdecimal() or int(key) >= len(table):
                return False
            table = table[int(key)]
        elif isinstance(table, dict):
            table = table.setdefault(key, {})
        else:
            return False
    if not isinstance(table, dict):
        return False
    table[keys[-1]] = value
    return True


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def key_path(location: tuple[str | int, ...]) -> str:
    """Write a location as people write it in TOML terms: `listen[0].port`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "configuration"


def cannot_bind(key: str, error: OSError) -> ConfigError:
    """Return what to raise where a port cannot be had; asyncio's own text names it in Python."""
    return ConfigError(key, f"cannot be bound ({os.strerror(error.errno or 0)})")


def _explain(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    reference = getattr(model, "reference", "configs/edge.toml")
    problems = error.errors(include_url=False, include_input=False)
    first = problems[0]
    text = {
        "extra_forbidden": f"is not a key of the configuration; see {reference}",
        "missing": f"is missing; see {reference}",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    if len(problems) > 1:
        text += f" (and {len(problems) - 1} more)"
    return ConfigError(key_path(first["loc"]), text)


def _anchor(config: M, folder: Path) -> M:
    """Make every relative path absolute, from the folder of the configuration file."""

    def walk(value: object) -> object:
        if isinstance(value, Path):
            return value if value.is_absolute() else folder / value
        if isinstance(value, tuple):
            return tuple(walk(item) for item in value)
        if isinstance(value, BaseModel):
            copies = {name: walk(getattr(value, name)) for name in type(value).model_fields}
            # What was not given stays so: a default is no wish of the operator's.
            changed = {name: it for name, it in copies.items() if it != getattr(value, name)}
            return value.model_copy(update=changed)
        return value

    anchored = walk(config)
    assert isinstance(anchored, type(config))
    return anchored
