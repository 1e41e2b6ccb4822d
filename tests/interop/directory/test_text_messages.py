"""Codes by text message over real SMSCs: processes, two routes, receipts, failures."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from discovery.directory.identifier import parse_identifier
from discovery.directory.reason import Refused
from gateway.demo.smsc import Smsc
from gateway.demo.smsc_settings import SmscSettings
from gateway.directory.authority import NotSent
from gateway.directory.couriers import Couriers
from gateway.sms.message import OutgoingMessage
from gateway.sms.transceiver import SmppSettings, SmsFailed, SmsFailure, SmsTransceiver
from stir.certificates.issuing import make_intermediate, make_root
from tests.support.command_line import Said
from tests.support.directory_world import TOKEN, DirectoryWorld

pytestmark = pytest.mark.real
NUMBER = "+14155550123"
CSI = parse_identifier(f"tel:{NUMBER}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def program(folder: Path, *arguments: object) -> AsyncIterator[asyncio.StreamReader]:
    """A program of ours while it runs, and its standard output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *map(str, arguments)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
        assert "Traceback" not in err.decode(), err.decode()


async def shown(telephone: asyncio.StreamReader) -> dict[str, Any]:
    """The next message on the screen of a telephone of an SMSC."""
    async with asyncio.timeout(60):
        found: dict[str, Any] = json.loads(await telephone.readline())
        return found


def prepared(folder: Path, ports: list[int]) -> str:
    """The files of a directory with these SMSCs; returns its URL."""
    DirectoryWorld(folder)
    now = time.time()
    root = make_root("Numbers", now - 86_400)
    issuing = make_intermediate(root, "Number CA", now - 86_400)
    (folder / "ca.pem").write_bytes(issuing.certificate_pem + root.certificate_pem)
    (folder / "ca.key").write_bytes(issuing.key_pem)
    (folder / "token").write_text(f"{TOKEN}\n")
    port = free_port()
    centres = "".join(
        f'[[sms]]\nhost = "127.0.0.1"\nport = {each}\nsystem_id = "directory"\n'
        "reconnect_seconds = 0.2\nsubmit_timeout_seconds = 20\n"
        for each in ports
    )
    (folder / "directory.toml").write_text(
        f"""
[directory]
url = "https://127.0.0.1:{port}"
address = "127.0.0.1"
port = {port}
certificate = "https.pem"
key = "https.key"
state_directory = "run"
[[directory.peer]]
name = "alpha"
token_file = "token"
[authority]
certificate = "ca.pem"
key = "ca.key"
prefixes = ["+1"]
{centres}
"""
    )
    return f"https://127.0.0.1:{port}"


async def register(folder: Path, url: str, *more: object) -> Said:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "directory", "register", NUMBER, "--json"),
        *("--directory", url, "--trust-anchors", "tls-root.pem", "--key", "mine.key"),
        *("--uri", "voice=sip:+14155550123@b.example;user=phone", *map(str, more)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


@pytest.mark.parametrize("routes", [1, 2])
async def test_each_smsc_carries_its_part_of_the_code(tmp_path: Path, routes: int) -> None:
    ports = [free_port() for _ in range(routes)]
    url = prepared(tmp_path, ports)
    async with AsyncExitStack() as stack:
        telephones = [
            await stack.enter_async_context(program(tmp_path, "gateway.demo.smsc", "--port", port))
            for port in ports
        ]
        run = ("gateway", "directory", "run", "-c", "directory.toml", "--json")
        output = await stack.enter_async_context(program(tmp_path, *run))
        assert json.loads(await output.readline())["event"] == "serving"
        first = await register(tmp_path, url)
        told = "a code is" if routes == 1 else "2 codes are"
        assert (first.code, f"{told} under way by message" in first.err) == (1, True), first.err
        texts = [await shown(each) for each in telephones]
        assert {each["number"] for each in texts} == {NUMBER}
        codes = []
        for each in texts:
            found = re.search(r"[0-9]{4}-[0-9]{4}", each["text"])
            assert found is not None
            codes.append(found[0])
        assert len(set(codes)) == routes
        if routes == 2:
            half = await register(tmp_path, url, "--code", codes[0])
            assert (half.code, "403" in half.err) == (1, True)
        whole = await register(tmp_path, url, "--code", " ".join(codes))
        assert (whole.code, whole.only["state"]) == (0, "live"), whole.err


@asynccontextmanager
async def centre() -> AsyncIterator[int]:
    """An SMSC; gives its port."""
    smsc = Smsc(SmscSettings(free_port()))
    await smsc.start()
    try:
        yield smsc.settings.port
    finally:
        await smsc.stop()


@asynccontextmanager
async def couriers(*ports: int) -> AsyncIterator[Couriers]:
    """Couriers over SMSCs on these ports."""
    made: list[Couriers] = []
    routes = [
        SmsTransceiver(
            SmppSettings("127.0.0.1", port, "directory", "", submit_timeout=1.0),
            lambda _message: None,
            on_delivery=lambda label, arrived: made[0].delivered(label, arrived),
        )
        for port in ports
    ]
    made.append(Couriers(routes, ["Spingate"] * len(routes), None))
    for each in routes:
        each.start()
    try:
        yield made[0]
    finally:
        for each in routes:
            await each.stop()


async def test_receipts_say_what_arrived() -> None:
    async with centre() as port, couriers(port) as carrying:
        await carrying.deliver(CSI, ("12345678",))
        async with asyncio.timeout(20):
            while ("sms1", "arrived") not in carrying.outcomes:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert carrying.outcomes == {("sms1", "sent"): 1, ("sms1", "arrived"): 1}


class Refusing:
    """An SMSC that fails in one way."""

    def __init__(self, failure: SmsFailure) -> None:
        self._failure = failure

    async def send(self, message: OutgoingMessage) -> None:
        raise SmsFailed("SMSC smsc.example:2775", self._failure, "detail")


@pytest.mark.parametrize("failure", list(SmsFailure))
async def test_what_may_have_left_us_counts_and_what_did_not_does_not(failure: SmsFailure) -> None:
    carrying = Couriers([Refusing(failure)], ["Spingate"], None)
    with pytest.raises(Refused) as caught:
        await carrying.deliver(CSI, ("12345678",))
    ours = failure in {SmsFailure.NOT_BOUND, SmsFailure.BUSY, SmsFailure.THROTTLED}
    assert isinstance(caught.value, NotSent) is ours
    assert carrying.outcomes == {("sms1", str(failure)): 1}


async def test_an_smsc_that_is_away_is_one_refusal_in_time() -> None:
    async with couriers(free_port()) as carrying:
        with pytest.raises(NotSent) as caught:
            await carrying.deliver(CSI, ("12345678",))
    assert "555" not in caught.value.detail


async def test_half_a_code_on_its_way_counts_as_sent() -> None:
    async with centre() as port, couriers(port, free_port()) as carrying:
        with pytest.raises(Refused) as caught:
            await carrying.deliver(CSI, ("12345678", "87654321"))
        assert not isinstance(caught.value, NotSent)
        assert carrying.outcomes["sms1", "sent"] == 1
