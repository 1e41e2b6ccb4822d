"""Fuzz targets of the gateway room: what people hand to the command line.

With atheris installed: `python -m tests.fuzz.gateway.targets capture [CORPUS]`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Callable
from typing import Final

from gateway.capture.file import MalformedCapture
from gateway.capture.sip import read_capture
from tests.support.captures import RAW, pcap


def capture(data: bytes) -> None:
    """Read a capture file."""
    with contextlib.suppress(MalformedCapture):
        read_capture(io.BytesIO(data))


def packet(data: bytes) -> None:
    """Read one IP packet of a well-formed capture twice: fragments and segments meet themselves."""
    found = read_capture(io.BytesIO(pcap(data, data, link=RAW)))
    assert found.frames == 2


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"capture": capture, "packet": packet}


def main() -> None:
    """Fuzz the target named by the first argument."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
