"""What nobody awaits is logged once, and only our own faults with a traceback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from gateway.loop_faults import on_loop_fault


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def raised_in(filename: str) -> RuntimeError:
    """An exception whose whole traceback lies in a file of that name."""
    code = compile("raise RuntimeError('the handler is closed')", filename, "exec")
    with pytest.raises(RuntimeError) as caught:
        exec(code, {})
    inner = caught.tb
    while inner.tb_next is not None:
        inner = inner.tb_next
    return caught.value.with_traceback(inner)


@pytest.mark.parametrize(
    "error",
    [
        raised_in("uvloop/sslproto.pyx"),
        ConnectionResetError("reset by peer"),
        ssl.SSLError("bad record"),
    ],
    ids=repr,
)
def test_what_the_network_did_is_one_line_without_a_traceback(
    loop: asyncio.AbstractEventLoop, error: Exception
) -> None:
    with capture_logs() as lines:
        on_loop_fault(loop, {"message": "Fatal error", "exception": error})
    (line,) = lines
    assert line["log_level"] == "info"
    assert "exc_info" not in line


def test_a_fault_of_our_own_keeps_its_traceback(loop: asyncio.AbstractEventLoop) -> None:
    error = raised_in("gateway/app.py")
    with capture_logs() as lines:
        on_loop_fault(loop, {"message": "in a callback", "exception": error})
    assert lines == [{"event": "in a callback", "exc_info": error, "log_level": "error"}]


def test_a_message_without_an_exception_is_logged_too(loop: asyncio.AbstractEventLoop) -> None:
    with capture_logs() as lines:
        on_loop_fault(loop, {"message": "Task was destroyed"})
    assert lines == [{"event": "Task was destroyed", "log_level": "error"}]
