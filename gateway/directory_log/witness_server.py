"""A witness over HTTP: `POST /add-checkpoint` (c2sp.org/tlog-witness), one small file a log."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from discovery.log.checkpoint import parse_size
from discovery.log.note import parse_hash
from discovery.log.reason import LogRefused
from discovery.log.witness import (
    MAX_REQUEST,
    SIZE_TYPE,
    STATUS,
    SizeConflict,
    Witness,
    WitnessedTree,
    parse_add_checkpoint,
)
from gateway.http.problem import Problem, problems

_log = structlog.get_logger("witness")
_MAX_STATE: Final = 128
_BODY_TIME: Final = 5.0


class WitnessStore:
    """The tree last cosigned of each log, a file each. Methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def latest(self, origin: str) -> WitnessedTree:
        """Return the tree of a log, the empty one if none was cosigned.

        A file that is none of ours is an OSError: a witness that forgot what it has seen must not
        begin anew by itself.
        """
        try:
            with self._path(origin).open("rb") as file:
                lines = file.read(_MAX_STATE).decode("ascii", "replace").split("\n")
        except FileNotFoundError:
            return WitnessedTree()
        try:
            return WitnessedTree(parse_size(lines[0]), parse_hash("".join(lines[1:2])))
        except LogRefused:
            raise OSError(errno.EIO, "what was cosigned last cannot be read") from None

    def store(self, origin: str, tree: WitnessedTree) -> None:
        """Replace the tree of a log, on the disk before this returns."""
        path = self._path(origin)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(f"{tree.size}\n{b64encode(tree.root).decode()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()}.tree"


class WitnessServer:
    """Serves a witness. wall_clock: epoch seconds.

    `outcomes` counts what was asked, by log (empty for one that is not known) and outcome.
    """

    def __init__(
        self,
        witness: Witness,
        store: WitnessStore,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._witness = witness
        self._store = store
        self._wall_clock = wall_clock
        self.outcomes: Counter[tuple[str, ...]] = Counter()
        # Known logs only: nobody can make it grow.
        self._locks = {origin: asyncio.Lock() for origin in witness.origins}

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[problems], client_max_size=MAX_REQUEST)
        application.router.add_post("/add-checkpoint", self._add_checkpoint)
        return application

    async def _add_checkpoint(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_TIME):
                body = await request.read()
        except TimeoutError:
            raise Problem(408) from None
        origin = ""
        try:
            asked = parse_add_checkpoint(body)
            origin = self._witness.admit(asked)
            async with self._locks[origin]:
                latest = await asyncio.to_thread(self._store.latest, origin)
                tree, line = self._witness.cosign(asked, latest, self._wall_clock())
                if tree != latest:
                    await asyncio.shield(asyncio.to_thread(self._store.store, origin, tree))
        except SizeConflict as conflict:
            self.outcomes[origin, "size conflict"] += 1
            text = f"{conflict.size}\n".encode()
            return web.Response(status=409, body=text, content_type=SIZE_TYPE)
        except LogRefused as error:
            self.outcomes[origin, str(error.reason)] += 1
            _log.warning("not cosigned", reason=str(error.reason), detail=error.detail)
            raise Problem(STATUS[error.reason], error.detail) from None
        except OSError as error:
            self.outcomes[origin, "not stored"] += 1
            _log.error("witness cannot store", detail=error.strerror)
            raise Problem(503, "the witness cannot store what it has seen") from None
        self.outcomes[origin, "cosigned"] += 1
        return web.Response(body=str(line).encode(), content_type="text/plain", charset="utf-8")
