"""Structured logs: one line an event, for people or as JSON, never with a secret in it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final, Literal

import structlog

from gateway.config.root import Log

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LONGEST: Final = 1_000
_LONGEST_TRACEBACK: Final = 8_000


def configure_logs(settings: Log) -> None:
    """Set up structlog for the process; lines go to standard error.

    What libraries log through `logging` becomes such lines too, from level error on.
    """
    structlog.configure(
        processors=processors(settings.format, colors=sys.stderr.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.ERROR, handlers=[_FromLogging()], force=True)


def processors(form: Literal["console", "json"], *, colors: bool) -> Sequence[Any]:
    """Return the steps from an event to its line."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=colors)
    )
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_traceback,
        _one_line,
        renderer,
    ]


def _with_traceback(_logger: Any, _method: str, event: Any) -> Any:
    """Put an exception in words, without the values of variables: those hold passwords and keys.

    structlog's own renderers show either nothing of it (JSON) or all local variables (console).
    """
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        error = given[1]
    else:
        error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None:
        event["traceback"] = "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]
    return event


def _one_line(_logger: Any, _method: str, event: Any) -> Any:
    """Keep what strangers sent from starting a line of its own in the log, and from filling it."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _printable(value, _LONGEST_TRACEBACK if key == "traceback" else _LONGEST)
    return event


def _printable(text: str, longest: int) -> str:
    shown = text if len(text) <= longest else f"{text[:longest]}..."
    if shown.isascii() and shown.isprintable():
        return shown
    return shown.encode("unicode_escape").decode("ascii")


class _FromLogging(logging.Handler):
    """Hands what is logged through the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).error(
            record.getMessage(), logger=record.name, exc_info=record.exc_info
        )
