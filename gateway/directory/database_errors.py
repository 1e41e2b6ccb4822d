"""Why a database could not be used, in words for an operator and without secrets."""

from __future__ import annotations

import socket
import sqlite3
import ssl
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

# Appendix A of PostgreSQL's manual: those that an operator can do something about.
_SQLSTATES: Final = {
    "28P01": "the server refuses the user or the password",
    "28000": "the server lets this user not in from here (pg_hba.conf)",
    "3D000": "there is no such database",
    "42501": "the user may not do this: make it the owner of the database",
    "53300": "the server has no connection left",
    "53100": "the disk of the server is full",
    "57P01": "the server is stopping",
    "57P03": "the server is starting or stopping",
    "25006": "the server takes no changes (a standby?)",
    "40P01": "two changes waited for each other",
}
_MAX_DEPTH: Final = 6


def driver_errors(*, postgresql: bool) -> tuple[type[Exception], ...]:
    """Return what the drivers raise, also while they connect; raises ImportError."""
    errors: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
    if postgresql:
        import asyncpg  # type: ignore[import-untyped]  # an extra of the distribution

        # While it connects the driver's own errors come through as they are.
        errors += (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    return errors


def cause_of(error: BaseException) -> str:
    """Return what is wrong: never a statement, a value or a part of the URL."""
    for each in _chain(error):
        text = _known(each)
        if text is not None:
            return text
    return type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(_MAX_DEPTH):
        if found is None:
            return
        yield found
        found = getattr(found, "orig", None) or found.__cause__


def _known(error: BaseException) -> str | None:
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and state:
        return _SQLSTATES.get(state, f"SQLSTATE {state}")
    if isinstance(error, sqlite3.Error):
        return str(getattr(error, "sqlite_errorname", type(error).__name__))
    if isinstance(error, ConnectionRefusedError):
        return "nobody answers there"
    if isinstance(error, socket.gaierror):
        return "the name of its host is not known"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}"
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return "the server speaks no TLS"
    if type(error).__name__ == "ClientConfigurationError":
        return "the options of the URL cannot be used"
    return None
