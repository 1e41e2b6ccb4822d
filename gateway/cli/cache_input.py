"""What `spingate cache import` reads: lists of URLs, JSON lines, folders with an index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INDEX: Final = "index.jsonl"
_MAX_FILE: Final = 64 * 2**20
_MAX_PEM: Final = 65_536


class WrongInput(ValueError):
    """The input cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Preload:
    """One URL, with its certificate chain in PEM or, where `pem` is None, to be fetched."""

    url: str
    pem: str | None


def read_preloads(path: Path) -> list[Preload]:
    """Read a file of lines, or the file ``index.jsonl`` of a folder; raises WrongInput.

    A line is a URL to fetch, or an object with ``url`` and either ``pem`` or ``file``, a path
    relative to the folder the line stands in. Empty lines and those with a # do not count.
    """
    source = path / INDEX if path.is_dir() else path
    text = _read(source, _MAX_FILE)
    found = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line and not line.startswith("#"):
            try:
                found.append(_preload(line, source.parent))
            except WrongInput as error:
                raise WrongInput(f"{source}, line {number}: {error}") from None
    return found


def _preload(line: str, folder: Path) -> Preload:
    if line.lower().startswith("https://"):
        return Preload(line, None)
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise WrongInput("neither an https URL nor a JSON object") from None
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        raise WrongInput("an object with url, and pem or file, is needed")
    pem, file = entry.get("pem"), entry.get("file")
    if isinstance(file, str) and pem is None:
        pem = _read(folder / file, _MAX_PEM)
    if not isinstance(pem, str):
        raise WrongInput("it has neither a pem nor a file")
    return Preload(entry["url"], pem)


def _read(path: Path, most: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise WrongInput(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise WrongInput(f"{path}: larger than {most} octets")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise WrongInput(f"{path}: not text in UTF-8") from None
