"""A bench that is told to stop leaves no program behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bench.process import tree

BENCH = """
import asyncio, sys
from bench.__main__ import _run

async def measure(folder, say):
    code = "import time; time.sleep(60)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        print(child.pid, flush=True)
        await asyncio.sleep(60)
        return {"ok": True}
    finally:
        child.kill()
        await child.wait()

_run(measure, True)
"""


@pytest.mark.real
def test_sigterm_ends_what_a_measurement_has_started() -> None:
    bench = subprocess.Popen([sys.executable, "-c", BENCH], stdout=subprocess.PIPE, text=True)
    try:
        assert bench.stdout is not None
        child = int(bench.stdout.readline())
        assert child in tree(bench.pid)
        os.kill(bench.pid, signal.SIGTERM)
        assert bench.wait(10) == 1
        until = time.monotonic() + 5
        while tree(child):
            assert time.monotonic() < until, "the child is left running"
            time.sleep(0.02)
    finally:
        bench.kill()
        bench.communicate()
