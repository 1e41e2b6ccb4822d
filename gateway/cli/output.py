"""What every command prints: tables for people, one JSON object a line for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Final, NoReturn

from rich.console import Console
from rich.markup import escape

EXIT_WELL: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

# Off a terminal nobody can widen the window: tables get room enough not to wrap.
_WIDTH_OFF_TERMINAL: Final = 120
console: Final = Console(
    highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL
)
error_console: Final = Console(stderr=True, highlight=False)


def emit_json(record: Mapping[str, object]) -> None:
    """Print one JSON object on one line of standard output."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def usage_error(text: str) -> NoReturn:
    """Say on standard error what was wrong with the call of the command, and exit with 2."""
    _complain(text)
    raise SystemExit(EXIT_USAGE)


def failure(text: str) -> NoReturn:
    """Say on standard error what did not work, and exit with 1."""
    _complain(text)
    raise SystemExit(EXIT_FAILED)


def _complain(text: str) -> None:
    """One line, however long: scripts and logs read it as well as people."""
    error_console.print(f"[bold red]spingate:[/] {escape(text)}", soft_wrap=True)
