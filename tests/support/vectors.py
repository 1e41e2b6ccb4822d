"""Other projects' test vectors, kept beside the repository and never copied into it."""

import json
from pathlib import Path
from typing import Any

import pytest


def _find() -> Path | None:
    """Look beside the repository, and beside a worktree's repository."""
    for parent in Path(__file__).resolve().parents:
        for candidate in (parent / "shared" / "vectors", parent / "vectors"):
            if candidate.is_dir() and (candidate / "INDEX.md").is_file():
                return candidate
    return None


VECTORS: Path | None = _find()

needs_vectors = pytest.mark.skipif(VECTORS is None, reason="shared/vectors is not beside the repo")


def rows(path: str) -> list[dict[str, Any]]:
    """Return a JSON table's rows, none when the vectors are absent."""
    if VECTORS is None:
        return []
    loaded: list[dict[str, Any]] = json.loads((VECTORS / path).read_text(encoding="utf-8"))
    return loaded


def files(folder: str, pattern: str) -> list[Path]:
    """Return a folder's files in order, none when the vectors are absent."""
    return [] if VECTORS is None else sorted((VECTORS / folder).glob(pattern))
