"""How a directory ends."""

import asyncio
from pathlib import Path

import pytest

from tests.support.directory_world import DirectoryWorld


async def test_a_sweep_under_way_ends_before_the_database_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both closed one connection to SQLite, and the second waited for ever."""
    service = DirectoryWorld(tmp_path).service()
    began = asyncio.Event()
    told: list[str] = []
    close = service._database.close

    async def swept() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # it rolls back
            told.append("sweep ended")

    async def closed() -> None:
        told.append("database closed")
        await close()

    monkeypatch.setattr(service, "_sweep_for_ever", swept)
    monkeypatch.setattr(service._database, "close", closed)
    await service.start()
    await began.wait()
    await service.stop()
    assert told == ["sweep ended", "database closed"]
