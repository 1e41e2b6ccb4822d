"""The table of acceptance names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]


def test_every_test_file_that_acceptance_names_exists() -> None:
    text = (TESTS.parent / "docs" / "acceptance.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z0-9_/]+/test_[a-z0-9_]+\.py)`", text)
    assert len(named) > 50
    assert [path for path in named if not (TESTS / path).is_file()] == []
