"""kill -9 in the middle of writing: the log opens with exactly what it had signed, and goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from discovery.log.merkle import CompactRange, hash_leaf
from gateway.directory_log.store import LogStore
from tests.support.log_world import log_signer

pytestmark = pytest.mark.real

WRITER = """
import random, sys
from pathlib import Path
from discovery.log.checkpoint import sign_checkpoint
from gateway.directory_log.store import LogStore
from tests.support.log_world import log_signer
signer = log_signer()
store = LogStore(Path(sys.argv[1]), signer.verifier)
while True:
    count = random.choice((1, 3, 255, 256, 2000))
    batch = [n.to_bytes(66, "big") for n in range(store.size, store.size + count)]
    store.commit(sign_checkpoint(store.append(batch), signer))
    store.publish(store.committed)
    print(store.size, flush=True)
"""
ROUNDS = 5


def test_a_writer_that_is_killed_loses_nothing_it_has_acknowledged(tmp_path: Path) -> None:
    rand, acknowledged = random.Random(9), 0
    tree = CompactRange()
    for _ in range(ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert writer.stdout is not None
            for _ in range(rand.randrange(1, 40)):
                acknowledged = int(writer.stdout.readline())
            # Somewhere in the middle of the next one.
            writer.send_signal(signal.SIGKILL)
            rest, _ = writer.communicate(timeout=20)
        finally:
            writer.kill()
            writer.wait()
        acknowledged = max([acknowledged, *map(int, rest.split())])
        store = LogStore(tmp_path, log_signer().verifier)
        assert store.size >= acknowledged
        assert store.committed is not None
        grown = [n.to_bytes(66, "big") for n in range(tree.size, store.size)]
        tree.extend([hash_leaf(entry) for entry in grown])
        assert store.committed.checkpoint.root == tree.root()
        assert store.entries(store.size - 1, store.size) == grown[-1:]
        store.close()
