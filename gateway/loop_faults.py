"""What the event loop could not deliver to anybody: one line, with a traceback only for our faults.

uvloop raises inside its own TLS code when a peer's last bytes meet a transport we have just closed
(a fetch that ran out of time, a connection over its limit). That is the network's doing and the
connection is gone either way.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, Final

import structlog

_TRANSPORT_SOURCES: Final = "uvloop/"
_log = structlog.get_logger("spingate.loop")


def on_loop_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody awaits; to be set as the loop's exception handler."""
    error = context.get("exception")
    message = str(context.get("message", "unhandled exception in the event loop"))
    if isinstance(error, BaseException) and _is_a_transports(error):
        _log.info("connection closed under its transport", detail=str(error))
    elif isinstance(error, BaseException):
        _log.error(message, exc_info=error)
    else:
        _log.error(message)


def _is_a_transports(error: BaseException) -> bool:
    """Whether the network caused it: an I/O error, or one raised within uvloop's own code."""
    if isinstance(error, OSError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and all(f.filename.startswith(_TRANSPORT_SOURCES) for f in frames)
