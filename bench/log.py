"""The directory's log as it grows: appending, proving, opening, memory and disk, on files."""

from __future__ import annotations

import gc
import os
import random
import resource
import shutil
import statistics
import time
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.table import Table

from discovery.log.checkpoint import sign_checkpoint
from discovery.log.entry import ENTRY_SIZE
from discovery.log.merkle import hash_leaf, verify_inclusion
from discovery.log.note import NoteSigner
from discovery.log.tiles import Tile
from gateway.cli.output import console
from gateway.directory_log.store import LogStore

BATCH: Final = 10_000
PROOFS: Final = 2_000
SINGLE: Final = 50
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def measure(folder: Path, largest: int) -> dict[str, Any]:
    """Let one log grow through the sizes up to `largest` and measure at each.

    Entries are random octets; every batch is fsynced and signed as in operation. Needs about 135
    octets of disk an entry.
    """
    signer = NoteSigner("bench.example/log", Ed25519PrivateKey.generate())
    rows = []
    sizes = [size for size in SIZES if size <= largest]
    if shutil.disk_usage(folder).free < sizes[-1] * 200:
        raise OSError(f"{folder} has no room for {sizes[-1]} entries")
    for size in sizes:
        store = LogStore(folder / "log", signer.verifier)
        rows.append(_row(store, signer, size))
        store.close()
        began = time.perf_counter()
        LogStore(folder / "log", signer.verifier).close()
        rows[-1]["open_ms"] = (time.perf_counter() - began) * 1e3
        rows[-1]["disk_mb"] = sum(f.stat().st_size for f in (folder / "log").iterdir()) / 1e6
    return {"ok": all(row["proof_p99_ms"] < 5 for row in rows), "rows": rows}


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    table = Table("leaves", "appended/s", "one entry", "proof", "p99", "verify", "tile")
    table.add_column("open")
    table.add_column("memory")
    table.add_column("disk")
    for row in found["rows"]:
        table.add_row(
            f"{row['leaves']:,}",
            f"{row['appended_per_s']:,.0f}",
            f"{row['single_ms']:.2f} ms",
            f"{row['proof_us']:.0f} us",
            f"{row['proof_p99_ms']:.3f} ms",
            f"{row['verify_us']:.0f} us",
            f"{row['tile_us']:.0f} us",
            f"{row['open_ms']:.1f} ms",
            f"{row['memory_mb']:.0f} MB",
            f"{row['disk_mb']:,.1f} MB",
        )
    console.print(table)


def _row(store: LogStore, signer: NoteSigner, size: int) -> dict[str, Any]:
    missing = size - store.size - SINGLE
    began = time.perf_counter()
    for start in range(0, missing, BATCH):
        _grow(store, signer, min(BATCH, missing - start))
    appended = missing / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(SINGLE):
        _grow(store, signer, 1)
    single = (time.perf_counter() - began) / SINGLE
    assert store.committed is not None
    store.publish(store.committed)
    gc.collect()
    return {
        "leaves": size,
        "appended_per_s": appended,
        "single_ms": single * 1e3,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **_proofs(store, size),
    }


def _proofs(store: LogStore, size: int) -> dict[str, float]:
    assert store.committed is not None
    root = store.committed.checkpoint.root
    rand = random.Random(size)
    proving, verifying, tiles = [], [], []
    for _ in range(PROOFS):
        index = rand.randrange(size)
        began = time.perf_counter()
        path = store.inclusion_path(index, size)
        proving.append(time.perf_counter() - began)
        (entry,) = store.entries(index, index + 1)
        began = time.perf_counter()
        assert verify_inclusion(hash_leaf(entry), index, size, path, root)
        verifying.append(time.perf_counter() - began)
        began = time.perf_counter()
        store.read_tile(Tile(0, index // 256, min(256, size - index // 256 * 256)))
        tiles.append(time.perf_counter() - began)
    return {
        "proof_us": statistics.median(proving) * 1e6,
        "proof_p99_ms": statistics.quantiles(proving, n=100)[98] * 1e3,
        "verify_us": statistics.median(verifying) * 1e6,
        "tile_us": statistics.median(tiles) * 1e6,
    }


def _grow(store: LogStore, signer: NoteSigner, count: int) -> None:
    octets = os.urandom(count * ENTRY_SIZE)
    entries = [octets[place : place + ENTRY_SIZE] for place in range(0, len(octets), ENTRY_SIZE)]
    store.commit(sign_checkpoint(store.append(entries), signer))
