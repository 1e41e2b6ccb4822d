import os
import subprocess
import sys
import time

import pytest

from bench.process import calibrate, tree, usage

WORKER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_cost_of_this_process_is_read() -> None:
    before = usage(os.getpid())
    until = time.process_time() + 0.15
    while time.process_time() < until:
        pass
    after = usage(os.getpid())
    assert 0.05 < after.since(before) < 5
    assert after.resident_bytes > 5_000_000
    assert after.descriptors > 2
    assert after.threads >= 1


@pytest.mark.real
def test_children_are_added_up() -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        child = int(worker.stdout.readline())
        assert set(tree(worker.pid)) == {worker.pid, child}
        found = usage(worker.pid)
        assert found.processes == 2
        assert found.cpu_seconds >= 0.25
        os.kill(child, 9)
    finally:
        worker.kill()
        worker.communicate()


def test_a_process_that_is_gone_is_told() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert tree(ended.pid) == ()
    with pytest.raises(ProcessLookupError):
        usage(ended.pid)


def test_calibration_gives_a_time_for_one_round() -> None:
    assert 0.05 < calibrate(0.05) < 1000
