"""The benches of a directory: their askers on real sockets, and what they find alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import directory, enumeration
from bench.directory_scene import make_directory, running
from bench.lookup_load import Job, ask

pytestmark = pytest.mark.real


@pytest.mark.parametrize("oblivious", [False, True])
async def test_known_and_unknown_numbers_are_answered_alike(
    tmp_path: Path, oblivious: bool
) -> None:
    files = await make_directory(tmp_path / "dp", 50, logged=True)
    async with running(files, None) as pid:
        for rate in (None, 200.0):
            job = Job(str(files.home), files.port, 50, pid, oblivious, 40, rate, warm=4)
            found = await ask(job)
            assert [(status, times) for status, _, times in found["answers"]] == [(200, 40)]
            assert found["inside"] == ([[200, 16_000]] if oblivious else [])
            assert found["lookups"] == 40
    assert files.disk_octets > 0


def test_tables_are_shown_of_what_is_measured() -> None:
    load = {
        "rate": 500.0,
        "p50_ms": 5.0,
        "p99_ms": 9.0,
        "cpu_us": 300.0,
        "busy": 0.2,
        "rss_mib": 1.0,
    }
    row = {"records": 1_000, "logged": True, "disk_mib": 2.0}
    loads = dict.fromkeys(("plain", "oblivious", "oblivious_peak"), load)
    directory.show({"machine": "m", "targets": {"t": True}, "sizes": [{**row, **loads}]})
    seen = {"way": "plain", "lookups": 1, "answers": [[200, 16_000, 1]], "difference": 0.01}
    medians = {"known_p50_ms": 5.0, "unknown_p50_ms": 5.0}
    enumeration.show({"machine": "m", "rows": [{**seen, **medians}]})
