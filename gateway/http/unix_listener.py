"""An HTTP server at a Unix socket: who may open the file may speak."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.http.listener import BoundedListener, ListenerLimits

_PROBE_TIME: Final = 1.0


class UnixListener(BoundedListener):
    """Serves an application at a path; `group` lets the socket's group speak too (0660).

    start raises OSError where somebody else listens there, or where the path is something else. A
    socket that an earlier process left is removed. All who connect are one source.
    """

    def __init__(
        self,
        application: web.Application,
        path: Path,
        *,
        group: bool = False,
        limits: ListenerLimits | None = None,
    ) -> None:
        limits = limits or ListenerLimits()
        super().__init__(application, replace(limits, max_per_source=limits.max_connections))
        self.path = path
        self._mode = 0o660 if group else 0o600

    async def _listen(self, connection: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        await self._remove_stale()
        # Never open to others, not even between its making and the next line.
        before = os.umask(0o777 & ~self._mode)
        try:
            return await asyncio.get_running_loop().create_unix_server(connection, self.path)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stop listening, let requests under way end for two seconds, and remove the socket."""
        await super().stop()
        self.path.unlink(missing_ok=True)

    async def _remove_stale(self) -> None:
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise OSError(errno.EEXIST, f"{self.path} is there, and is no socket")
        try:
            async with asyncio.timeout(_PROBE_TIME):
                _, writer = await asyncio.open_unix_connection(self.path)
        except (ConnectionError, FileNotFoundError):
            self.path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass
        else:
            writer.close()
        raise OSError(errno.EADDRINUSE, f"somebody listens at {self.path}")
