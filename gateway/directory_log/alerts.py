"""Where the events of a monitor go besides standard output: a command, a webhook."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.directory_log.monitor import Event
from gateway.http.fetch import FetchFailed
from gateway.http.service_client import ServiceClient

_log = structlog.get_logger("monitor")
_PATIENCE: Final = 30.0


async def run_command(command: Sequence[str], event: Event) -> bool:
    """Run a command with the event as JSON on its standard input; tell whether it exited with 0.

    It is killed after 30 seconds.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        _log.error("alert command not run", command=command[0], detail=error.strerror)
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.communicate(_json(event) + b"\n")
    except TimeoutError:
        _log.error("alert command took too long", command=command[0])
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        _log.error("alert command failed", command=command[0], status=process.returncode)
    return process.returncode == 0


async def post(http: ServiceClient, url: str, event: Event) -> bool:
    """Send the event as JSON to a webhook; tell whether it was taken (any 2xx)."""
    headers = {"Content-Type": "application/json"}
    try:
        answer = await http.request(
            "POST", url, timeout=_PATIENCE, headers=headers, body=_json(event)
        )
    except FetchFailed as error:
        _log.error("alert not sent", detail=str(error))
        return False
    if not 200 <= answer.status < 300:
        _log.error("alert not taken", status=answer.status)
        return False
    return True


def _json(event: Event) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
