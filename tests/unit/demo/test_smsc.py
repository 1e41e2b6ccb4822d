import asyncio
import json
import random
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import smpp34

from discovery.spin.segments import split_text
from gateway.demo.handset import Handsets, ShortMessage
from gateway.demo.smsc import Smsc
from gateway.demo.smsc_settings import Chaos, SmscSettings

ROUTES = {"alpha": ["+14155550100"], "beta": ["+1212555*"]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def centre() -> AsyncIterator[Smsc]:
    smsc = Smsc(SmscSettings(free_port(), routes=ROUTES))
    await smsc.start()
    yield smsc
    await smsc.stop()


async def bind(centre: Smsc, system_id: str) -> tuple[smpp34.Client, smpp34.Smsc]:
    client = smpp34.Client("127.0.0.1", centre.settings.port, system_id, "secret", bind_type="TRX")
    session = await client.connect()
    await until(lambda: system_id in centre.bound())
    return client, session


async def until(met: Callable[[], object], timeout: float = 5.0) -> None:
    async with asyncio.timeout(timeout):
        while not met():  # noqa: ASYNC110  (nothing signals it)
            await asyncio.sleep(0.01)


async def take(session: smpp34.Smsc) -> smpp34.DeliverSmEvent:
    async with asyncio.timeout(5):
        event = await session.next()
    assert isinstance(event, smpp34.DeliverSmEvent)
    return event


def text_message(text: str, part: int = 0, reference: int = 7) -> ShortMessage:
    parts = split_text(text, reference)
    return ShortMessage(
        "14155550100",
        "12015550111",
        parts[part].octets,
        esm_class=0x40 if parts[part].concatenation else 0,
    )


# -- handsets --------------------------------------------------------------------------------


def test_a_person_reads_parts_as_one_message_in_whatever_order_they_come() -> None:
    handsets = Handsets()
    text = "Call me back, please. " * 20
    for part in (2, 0, 1, 0):
        handsets.take(text_message(text, part), now=5.0)
    (shown,) = handsets.inbox("+12015550111", now=6.0)
    assert (shown.text, shown.parts, shown.complete) == (text, 3, True)


def test_a_person_sees_the_parts_that_came_when_one_is_lost() -> None:
    handsets = Handsets()
    handsets.take(text_message("x" * 200, 1), now=0.0)
    assert handsets.inbox("+12015550111", now=1.0) == ()
    (shown,) = handsets.inbox("+12015550111", now=100.0)
    assert not shown.complete


def test_other_alphabets_and_broken_headers_are_shown_as_far_as_they_go() -> None:
    handsets = Handsets()
    handsets.take(ShortMessage("1", "2", "Grüße €".encode("utf-16-be"), data_coding=0x08), now=0.0)
    handsets.take(ShortMessage("1", "2", b"\xffbroken", esm_class=0x40), now=0.0)
    first, second = handsets.inbox("2", now=0.0)
    assert first.text == "Grüße €"
    assert second.text.endswith("broken")


# -- decisions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "system_id"),
    [("14155550100", "alpha"), ("12125550123", "beta"), ("12015550111", None)],
)
def test_numbers_are_routed_by_the_longest_match(number: str, system_id: str | None) -> None:
    settings = SmscSettings(1, routes={**ROUTES, "wide": ["+1212*"]})
    assert settings.esme_for(number) == system_id


def test_it_refuses_to_listen_beyond_loopback() -> None:
    with pytest.raises(ValueError, match="not loopback"):
        SmscSettings(2775, host="0.0.0.0")


def test_chaos_does_each_thing_to_the_share_asked_for() -> None:
    chaos = Chaos(lose=0.2, duplicate=0.3, reorder=0.5, rand=random.Random(3))
    plans = [chaos.plan() for _ in range(2000)]
    assert 0.15 < sum(not plan for plan in plans) / 2000 < 0.25
    assert 0.19 < sum(len(plan) == 2 for plan in plans) / 2000 < 0.29
    assert 0.35 < sum(bool(plan) and plan[0] > 0 for plan in plans) / 2000 < 0.45
    assert Chaos().plan() == (0.0,)


# -- over SMPP -------------------------------------------------------------------------------


@pytest.mark.real
async def test_a_message_reaches_the_esme_that_serves_the_number(centre: Smsc) -> None:
    alpha, from_alpha = await bind(centre, "alpha")
    beta, to_beta = await bind(centre, "beta")
    taken = asyncio.ensure_future(to_beta.next())
    response = await from_alpha.submit_sm(
        "12125550123", b"\x05\x00\x03\x01\x02\x01hello", source_addr="14155550100", esm_class=0x40
    )
    assert response.is_success
    event = await asyncio.wait_for(taken, 5)
    assert isinstance(event, smpp34.DeliverSmEvent)
    assert (event.source_addr, event.destination_addr) == ("14155550100", "12125550123")
    assert event.short_message == b"\x05\x00\x03\x01\x02\x01hello"
    assert event.esm_class & 0x40
    assert centre.inbox("+12125550123") == ()
    assert centre.history[-1].message_id == response.message_id
    await alpha.stop()
    await beta.stop()


@pytest.mark.real
async def test_a_number_nobody_serves_is_a_handset_and_gets_a_receipt(centre: Smsc) -> None:
    alpha, session = await bind(centre, "alpha")
    response = await session.submit_sm(
        "12015550111", b"hello", source_addr="14155550100", registered_delivery=1
    )
    receipt = await take(session)
    assert receipt.esm_class & 0x04
    assert f"id:{response.message_id} ".encode() in receipt.short_message
    assert b"stat:DELIVRD" in receipt.short_message
    (shown,) = centre.inbox("+12015550111")
    assert shown.text == "hello"
    await alpha.stop()


@pytest.mark.real
async def test_what_an_agent_passes_on_reaches_the_handset_it_serves(centre: Smsc) -> None:
    beta, session = await bind(centre, "beta")
    centre.submit(ShortMessage("12015550111", "12125550123", b"lunch?"))
    event = await take(session)
    assert centre.inbox("+12125550123") == ()
    await session.submit_sm("12125550123", event.short_message, source_addr=event.source_addr)
    assert [shown.text for shown in centre.inbox("+12125550123")] == ["lunch?"]
    await beta.stop()


@pytest.mark.real
async def test_messages_wait_for_an_esme_that_is_away(centre: Smsc) -> None:
    centre.submit(ShortMessage("12015550111", "12125550123", b"first"))
    beta, session = await bind(centre, "beta")
    assert (await take(session)).short_message == b"first"
    # A centre delivers again what it saw no response to, so the response has to have arrived.
    await until(lambda: centre.counts.get("delivered"))
    gone = asyncio.ensure_future(session.next())
    await centre.disconnect("beta")
    assert isinstance(await asyncio.wait_for(gone, 5), smpp34.Disconnected)
    await until(lambda: not centre.bound())
    centre.submit(ShortMessage("12015550111", "12125550123", b"second"))
    await beta.stop()
    again, session = await bind(centre, "beta")
    assert (await take(session)).short_message == b"second"
    await again.stop()


@asynccontextmanager
async def bound_by_hand(centre: Smsc) -> AsyncIterator[None]:
    """A receiver that is bound as beta, never answers, and goes without a word."""
    body = b"beta\0secret\0\0\x34\0\0\0"
    _, writer = await asyncio.open_connection("127.0.0.1", centre.settings.port)
    writer.write(struct.pack(">IIII", 16 + len(body), 1, 0, 1) + body)
    await until(lambda: "beta" in centre.bound())
    yield
    writer.close()
    await writer.wait_closed()


@pytest.mark.real
async def test_an_esme_that_vanishes_is_forgotten(centre: Smsc) -> None:
    async with bound_by_hand(centre):
        assert centre.bound() == ("beta",)
    await until(lambda: not centre.bound())


@pytest.mark.real
async def test_an_esme_that_does_not_answer_is_unbound_and_its_messages_wait() -> None:
    centre = Smsc(SmscSettings(free_port(), routes=ROUTES, delivery_timeout=0.2))
    await centre.start()
    async with bound_by_hand(centre):
        centre.submit(ShortMessage("12015550111", "12125550123", b"are you there?"))
        await until(lambda: not centre.bound())
    beta, session = await bind(centre, "beta")
    assert (await take(session)).short_message == b"are you there?"
    await beta.stop()
    await centre.stop()


@pytest.mark.real
async def test_chaos_throttles_loses_doubles_and_reorders(centre: Smsc) -> None:
    alpha, from_alpha = await bind(centre, "alpha")
    centre.chaos = Chaos(throttle=1.0)
    response = await from_alpha.submit_sm("12125550123", b"x", source_addr="1")
    assert response.command_status == 0x58
    beta, to_beta = await bind(centre, "beta")
    centre.chaos = Chaos(lose=0.2, duplicate=0.2, reorder=1.0, rand=random.Random(5))
    for number in range(50):
        await from_alpha.submit_sm("12125550123", b"%02d" % number, source_addr="1")
    came: list[bytes] = []
    pending = asyncio.ensure_future(to_beta.next())
    while True:
        done, _ = await asyncio.wait([pending], timeout=0.8)
        if not done:
            break
        event = pending.result()
        assert isinstance(event, smpp34.DeliverSmEvent)
        came.append(event.short_message)
        pending = asyncio.ensure_future(to_beta.next())
    assert 30 <= len(set(came)) < 50
    assert len(came) > len(set(came))
    assert came != sorted(came)
    await alpha.stop()
    await beta.stop()


@pytest.mark.real
async def test_chaos_disconnects_after_the_answer(centre: Smsc) -> None:
    alpha, session = await bind(centre, "alpha")
    centre.chaos = Chaos(disconnect=1.0)
    response = await session.submit_sm("12015550111", b"x", source_addr="1")
    assert response.is_success
    async with asyncio.timeout(5):
        assert isinstance(await session.next(), smpp34.Disconnected)
    await alpha.stop()


@pytest.mark.real
async def test_a_busy_port_is_an_ordinary_error(centre: Smsc) -> None:
    with pytest.raises(OSError, match="in use"):
        await Smsc(SmscSettings(centre.settings.port)).start()


@pytest.mark.real
async def test_it_runs_by_itself_and_prints_what_people_read() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.demo.smsc", f"--port={port}", "--serve=alpha=+1415*"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    session = await connected("alpha", port)
    await session.submit_sm("12015550111", b"hello", source_addr="14155550100")
    shown = json.loads(await asyncio.wait_for(process.stdout.readline(), 5))
    assert (shown["number"], shown["text"]) == ("+12015550111", "hello")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def connected(system_id: str, port: int) -> smpp34.Smsc:
    async with asyncio.timeout(10):
        while True:
            with suppress(smpp34.SmppError):
                return await smpp34.Client("127.0.0.1", port, system_id, "secret").connect()
            await asyncio.sleep(0.1)


async def test_it_stops_while_it_still_forgets_an_esme_that_left(centre: Smsc) -> None:
    """The end of the session's task was taken for its own, and stopping waited for ever."""
    _, session = await bind(centre, "alpha")
    held = next(iter(centre._bound.values()))
    ending = asyncio.Event()

    async def ends_slowly(delivering: asyncio.Task[None]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            delivering.cancel()
            ending.set()
            await asyncio.sleep(0.05)

    held._task = asyncio.create_task(ends_slowly(held._task))
    await session.unbind()
    async with asyncio.timeout(3) as limit:
        await ending.wait()
        await centre.stop()
    assert not limit.expired()  # a cancellation swallowed looks like an end
