"""The transceiver against SMSCs over TCP: one that works, one that throttles, hangs, or goes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import smpp34

from discovery.spin.segments import split_text
from gateway.sms.message import IncomingSms, OutgoingMessage
from gateway.sms.transceiver import SmppSettings, SmsFailed, SmsFailure, SmsTransceiver
from tests.support.https import TestAuthority
from tests.support.spin_passports import ALICE, BOB

pytestmark = pytest.mark.real
TEXT = "x" * 400
RTHROTTLED = 0x58
RINVDSTADR = 0x0B


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(port: int) -> SmppSettings:
    return SmppSettings(
        "127.0.0.1",
        port,
        "alpha",
        "secret",
        submit_timeout=1.0,
        connect_timeout=0.5,
        throttle_pause=0.05,
        reconnect_pause=0.1,
    )


def message(text: str = TEXT) -> OutgoingMessage:
    return OutgoingMessage(ALICE, BOB, split_text(text, 9))


class Smsc:
    """A development SMSC: remembers what was submitted; `decide` gives each a command_status."""

    def __init__(self) -> None:
        self.port = free_port()
        self.submitted: list[smpp34.SubmitSmEvent] = []
        self.esmes: list[smpp34.Esme] = []
        self.decide: Callable[[int], int] = lambda _: 0
        self.arrived = asyncio.Event()

    async def run(self) -> None:
        server = smpp34.Server("127.0.0.1", self.port, system_id="DEV")
        await server.start()
        try:
            while True:
                event = await server.next()
                if isinstance(event, smpp34.Esme):
                    self.esmes.append(event)
                elif isinstance(event, smpp34.SubmitSmEvent):
                    status = self.decide(len(self.submitted))
                    self.submitted.append(event)
                    if status:
                        event.reject(status)
                    else:
                        event.accept(f"id{len(self.submitted)}")
        finally:
            await server.stop()


@asynccontextmanager
async def smsc() -> AsyncIterator[Smsc]:
    centre = Smsc()
    task = asyncio.create_task(centre.run())
    await asyncio.sleep(0.05)
    try:
        yield centre
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def transceiver(
    config: SmppSettings,
    received: list[IncomingSms] | None = None,
    receipts: list[IncomingSms] | None = None,
) -> AsyncIterator[SmsTransceiver]:
    inbox = [] if received is None else received
    notices = [] if receipts is None else receipts
    link = SmsTransceiver(config, inbox.append, on_receipt=notices.append)
    link.start()
    try:
        yield link
    finally:
        await link.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - other programs give no event
            await asyncio.sleep(0.01)


async def test_a_message_of_three_parts_is_submitted_in_order() -> None:
    async with smsc() as centre, transceiver(settings(centre.port)) as link:
        await link.send(message())
        assert link.counters.sent == 3
    assert [bytes(event.short_message[:6]) for event in centre.submitted] == [
        bytes((5, 0, 3, 9, 3, number)) for number in (1, 2, 3)
    ]
    assert {event.esm_class for event in centre.submitted} == {0x40}
    assert {event.data_coding for event in centre.submitted} == {0}
    assert {event.destination_addr for event in centre.submitted} == {BOB}
    assert {event.dest_addr_ton for event in centre.submitted} == {1}


async def test_messages_and_receipts_go_to_different_places() -> None:
    received: list[IncomingSms] = []
    receipts: list[IncomingSms] = []
    async with (
        smsc() as centre,
        transceiver(settings(centre.port), received, receipts) as link,
    ):
        await link.wait_bound()
        await until(lambda: bool(centre.esmes))
        esme = centre.esmes[0]
        await esme.deliver_sm(BOB, b"\x05\x00\x03\x01\x02\x01hi", source_addr=ALICE, esm_class=0x40)
        await esme.deliver_sm(BOB, b"id:1 stat:DELIVRD", source_addr=ALICE, esm_class=0x04)
        await until(lambda: bool(receipts))
    assert [sms.octets for sms in received] == [b"\x05\x00\x03\x01\x02\x01hi"]
    assert (received[0].source, received[0].destination) == (ALICE, BOB)
    assert len(receipts) == 1


async def test_a_throttled_part_is_submitted_again_and_not_the_others() -> None:
    async with smsc() as centre:
        centre.decide = lambda count: RTHROTTLED if count in (1, 2) else 0
        async with transceiver(settings(centre.port)) as link:
            await link.send(message())
            assert (link.counters.sent, link.counters.throttled) == (3, 2)
    assert [event.short_message[5] for event in centre.submitted] == [1, 2, 2, 2, 3]


async def test_throttling_without_end_fails_within_the_time_and_names_the_smsc() -> None:
    async with smsc() as centre:
        centre.decide = lambda _: RTHROTTLED
        async with transceiver(settings(centre.port)) as link:
            async with asyncio.timeout(20):
                with pytest.raises(SmsFailed) as caught:
                    await link.send(message())
    assert caught.value.failure is SmsFailure.THROTTLED
    assert caught.value.culprit == f"SMSC 127.0.0.1:{centre.port}"


async def test_a_rejected_number_is_not_tried_again() -> None:
    async with smsc() as centre:
        centre.decide = lambda _: RINVDSTADR
        async with transceiver(settings(centre.port)) as link:
            with pytest.raises(SmsFailed) as caught:
                await link.send(message())
    assert caught.value.failure is SmsFailure.REJECTED
    assert len(centre.submitted) == 1


async def test_an_unreachable_smsc_fails_the_message_in_time_and_says_why() -> None:
    async with transceiver(settings(free_port())) as link:
        async with asyncio.timeout(20):
            with pytest.raises(SmsFailed) as caught:
                await link.send(message())
    assert caught.value.failure is SmsFailure.NOT_BOUND
    assert "refused" in caught.value.detail


async def test_an_smsc_that_starts_late_is_found_without_help() -> None:
    async with transceiver(settings(port := free_port())) as link:
        sending = asyncio.create_task(link.send(message()))
        await asyncio.sleep(0.2)
        centre = Smsc()
        centre.port = port
        task = asyncio.create_task(centre.run())
        await sending
        assert link.bound
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def raw_smsc(*, answer_submits: bool, bind: bool = True) -> AsyncIterator[list[object]]:
    """An SMSC of a few lines that can do what no library lets one do: hang and hang up."""
    facts: list[object] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        facts.append("connected")
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(16)
                length, command, _, sequence = struct.unpack(">IIII", head)
                await reader.readexactly(length - 16)
                if command == 9 and bind:
                    writer.write(struct.pack(">IIII", 20, 0x80000009, 0, sequence) + b"DEV\0")
                    facts.append("bound")
                if command == 4:
                    facts.append("submit")
                    if answer_submits:
                        writer.write(struct.pack(">IIII", 18, 0x80000004, 0, sequence) + b"1\0")
                    if "hang up" in facts:
                        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    facts.append(listener.sockets[0].getsockname()[1])
    try:
        yield facts
    finally:
        listener.close()
        for writer in writers:
            writer.transport.abort()
        await listener.wait_closed()


def port_of(facts: list[object]) -> int:
    port = facts[0]
    assert isinstance(port, int)
    return port


async def test_an_smsc_that_never_answers_a_bind_is_named() -> None:
    async with (
        raw_smsc(answer_submits=False, bind=False) as facts,
        transceiver(settings(port_of(facts))) as link,
    ):
        with pytest.raises(SmsFailed) as caught:
            await link.send(message())
        assert caught.value.failure is SmsFailure.NOT_BOUND


async def test_an_smsc_that_hangs_fails_messages_in_time_and_keeps_the_window_bounded() -> None:
    async with raw_smsc(answer_submits=False) as facts:
        config = replace(settings(port_of(facts)), window=2, max_waiting=5)
        async with transceiver(config) as link:
            await link.wait_bound()
            # Far more than `submit_timeout`: that a message waits for no answer is what is shown.
            async with asyncio.timeout(20):
                results = await asyncio.gather(
                    *(link.send(message("short")) for _ in range(8)), return_exceptions=True
                )
    failures = [result.failure for result in results if isinstance(result, SmsFailed)]
    assert sorted(failures) == sorted([SmsFailure.TIMEOUT] * 2 + [SmsFailure.BUSY] * 6)
    assert facts.count("submit") == 2


async def test_a_lost_link_is_bound_again() -> None:
    async with (
        raw_smsc(answer_submits=True) as facts,
        transceiver(settings(port_of(facts))) as link,
    ):
        await link.send(message("first"))
        facts.append("hang up")
        with contextlib.suppress(SmsFailed):
            await link.send(message("second"))
        facts.remove("hang up")
        await until(lambda: facts.count("bound") >= 2 and link.bound)
        await link.send(message("third"))
        assert link.counters.binds >= 2


async def test_a_taker_that_fails_costs_only_that_message() -> None:
    received: list[IncomingSms] = []

    def taker(sms: IncomingSms) -> None:
        received.append(sms)
        if len(received) == 1:
            raise RuntimeError("broken taker")

    async with smsc() as centre:
        link = SmsTransceiver(settings(centre.port), taker)
        link.start()
        await link.wait_bound()
        await until(lambda: bool(centre.esmes))
        for text in (b"one", b"two"):
            await centre.esmes[0].deliver_sm(BOB, text, source_addr=ALICE)
        await until(lambda: len(received) == 2)
        await link.stop()


async def test_receipts_of_labelled_messages_say_once_whether_they_arrived() -> None:
    told: list[tuple[str, bool]] = []
    async with smsc() as centre:
        link = SmsTransceiver(
            settings(centre.port), lambda _: None, on_delivery=lambda *each: told.append(each)
        )
        link.start()
        await link.send(replace(message("one"), label="text:1"))
        await link.send(replace(message("two"), label="text:2"))
        await link.send(message("three"))
        await until(lambda: bool(centre.esmes))
        assert [each.registered_delivery for each in centre.submitted] == [1, 1, 0]
        text = "id:{} sub:001 dlvrd:001 submit date:1 done date:1 stat:{} err:000 text:"
        for message_id, stat in (
            ("id1", "ENROUTE"),
            ("id1", "DELIVRD"),
            ("id1", "DELIVRD"),
            ("id2", "UNDELIV"),
            ("id3", "DELIVRD"),
            ("unknown", "DELIVRD"),
        ):
            await centre.esmes[0].deliver_sm(
                ALICE, text.format(message_id, stat).encode(), source_addr=BOB, esm_class=0x04
            )
        await until(lambda: link.counters.receipts == 6)
        await link.stop()
    assert told == [("text:1", True), ("text:2", False)]


async def test_an_smsc_whose_certificate_nobody_vouches_for_is_never_told_the_password(
    tmp_path: Path,
) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            heard.append(await reader.read(64))
        writer.close()

    context = TestAuthority(tmp_path).server_context("localhost")
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    try:
        config = replace(settings(port), host="localhost", tls=ssl.create_default_context())
        async with transceiver(config) as link:
            with pytest.raises(SmsFailed) as caught:
                await link.send(message())
        assert caught.value.failure is SmsFailure.NOT_BOUND
        assert b"secret" not in b"".join(heard)
    finally:
        listener.close()
        await listener.wait_closed()
