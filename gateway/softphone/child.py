"""The child process that holds PJSIP: `python -m gateway.softphone.child`.

PJSIP aborts the process on misuse and is GPL-2.0, so it lives here and nowhere else. One
thread runs PJSIP's events and reads commands in turn, because its callbacks must not meet
the interpreter from a thread it does not know.
"""

import json
import os
import select
import sys
from typing import Any

from gateway.softphone.protocol import LONGEST_LINE
from gateway.softphone.telephone import Telephone, TelephoneError

POLL_MILLISECONDS = 10


class CommandPipe:
    """Standard input as JSON lines, read without waiting; `closed` once the parent is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = b""
        self.closed = False
        os.set_blocking(descriptor, False)

    def read(self) -> list[dict[str, Any]]:
        ready, _, _ = select.select([self._descriptor], [], [], 0)
        if not ready:
            return []
        data = os.read(self._descriptor, 65536)
        self.closed = not data
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LONGEST_LINE:
            self.closed = True
        return [json.loads(line) for line in lines if line.strip()]


class EventPipe:
    """The parent's end of standard output, which PJSIP's own printing must not reach."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

    def emit(self, message: dict[str, Any]) -> None:
        """One line; where the parent is gone there is nothing left to do."""
        try:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(0)


def answer(telephone: Telephone, command: dict[str, Any]) -> dict[str, Any]:
    """Carry out one command and build its reply."""
    try:
        return {"reply": command["id"], **telephone.do(command)}
    except TelephoneError as error:
        return {"reply": command["id"], "error": str(error)}


def main() -> None:
    """Serve commands until "quit" or the parent's end, then leave PJSIP in good order."""
    pipe = CommandPipe(sys.stdin.fileno())
    events = EventPipe()
    telephone = Telephone(events.emit)
    try:
        while not (pipe.closed or telephone.quitting):
            for command in pipe.read():
                events.emit(answer(telephone, command))
            telephone.poll(POLL_MILLISECONDS)
    finally:
        telephone.close()
    events.emit({"event": "closed"})
    # PJSIP's C++ objects may outlive their library in the interpreter's own clean-up.
    os._exit(0)


if __name__ == "__main__":
    main()
