"""SIPp as the peer, both ways and over both transports it has."""

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from sip.endpoint import ClientEvent, Endpoint, ResponseEvent
from sip.flow import Address, Hop, Transport
from sip.message import Request, Response
from sip.timers import Timers
from tests.support.sip_endpoints import Events, User, Watcher, listener, request, running

pytestmark = pytest.mark.real

SIPP = shutil.which("sipp") or "/usr/bin/sipp"
CALLS = 50


async def sipp(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        SIPP,
        *arguments,
        "-nostdin",
        "-timeout",
        "30",
        "-timeout_error",
        "-m",
        str(CALLS),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def finished(process: asyncio.subprocess.Process) -> None:
    """Wait for SIPp; its screen is shown where not every call went well."""
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode(errors="replace")[-3000:]


@pytest.mark.parametrize(("transport", "mode"), [("udp", "u1"), ("tcp", "t1"), ("tcp", "tn")])
async def test_calls_of_sipp_are_answered(transport: Transport, mode: str, tmp_path: Path) -> None:
    user, watcher = User(), Watcher()
    async with running(
        listener(transport, "127.0.0.21"), user=user, observer=watcher, timers=Timers()
    ) as endpoint:
        address = endpoint.transports.bound(transport)
        process = await sipp(
            tmp_path, "-sn", "uac", str(address), "-i", "127.0.0.20", "-t", mode, "-r", "50",
            "-d", "20", "-max_socket", "40",
        )  # fmt: skip
        await finished(process)
    assert len(user.acks) == CALLS
    assert sum(r.method == "BYE" for r in user.requests) == CALLS
    assert watcher.dropped_reasons == []


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.22", 0))
        port: int = probe.getsockname()[1]
    return port


async def one_call(endpoint: Endpoint, hop: Hop, number: int) -> list[int]:
    """INVITE, ACK, BYE as a proxy's user would send them; gives the final statuses."""
    events, ended = Events(), Events()
    call_id = f"{number}@sipp.test"
    endpoint.send(request(call_id=call_id), [hop], events)
    answer = final_response(await events.until(is_final, timeout=15))
    endpoint.send_stateless(in_dialog("ACK", call_id, answer), hop)
    endpoint.send(in_dialog("BYE", call_id, answer), [hop], ended)
    bye = final_response(await ended.until(is_final, timeout=15))
    return [answer.status_code, bye.status_code]


def is_final(event: ClientEvent) -> bool:
    return not isinstance(event, ResponseEvent) or event.response.status_code >= 200


def final_response(event: ClientEvent) -> Response:
    assert isinstance(event, ResponseEvent), event
    return event.response


def in_dialog(method: str, call_id: str, answer: Response) -> Request:
    made = request(method, call_id=call_id)
    headers = made.headers.replace("To", answer.headers.get("To") or "")
    number = 1 if method == "ACK" else 2
    return made.with_headers(headers.replace("CSeq", f"{number} {method}"))


@pytest.mark.parametrize(("transport", "mode"), [("udp", "u1"), ("tcp", "t1")])
async def test_sipp_answers_our_calls(transport: Transport, mode: str, tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
    watcher = Watcher()
    process = await sipp(
        tmp_path, "-sn", "uas", "-i", "127.0.0.22", "-p", str(port), "-t", mode
    )  # fmt: skip
    async with running(
        listener(transport, "127.0.0.23"), observer=watcher, timers=Timers()
    ) as endpoint:
        hop = Hop(transport, Address("127.0.0.22", port))
        await asyncio.sleep(0.5)  # SIPp does not say when it listens
        results = await asyncio.gather(*(one_call(endpoint, hop, n) for n in range(CALLS)))
        assert results == [[200, 200]] * CALLS
        await finished(process)
    assert watcher.dropped_reasons == []
