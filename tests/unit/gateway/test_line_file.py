"""Lines are written whole or counted as lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.line_file import LineFile

LONG = {"text": "x" * 20_000, "more": ["\n", "é"]}


def test_a_reader_sees_whole_lines_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines"
    lines, another = LineFile(path), LineFile(path)
    for count in range(1, 4):
        (lines if count % 2 else another).write(LONG)
        written = path.read_text("ascii").splitlines()
        assert [json.loads(line) for line in written] == [LONG] * count


def test_without_a_path_nothing_is_written_or_lost() -> None:
    lines = LineFile(None)
    lines.write(LONG)
    assert (lines.active, lines.lost) == (False, 0)


def test_a_full_disk_costs_lines_only() -> None:
    lines = LineFile(Path("/dev/full"))
    lines.write(LONG)
    assert lines.lost == 1


def test_after_closing_nothing_is_written(tmp_path: Path) -> None:
    lines = LineFile(tmp_path / "lines")
    lines.close()
    lines.close()
    lines.write(LONG)
    assert (tmp_path / "lines").read_bytes() == b""
    with pytest.raises(OSError, match="directory"):
        LineFile(tmp_path)
