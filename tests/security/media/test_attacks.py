"""What strangers and bad peers send to open media ports (section E of the security list)."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import struct
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from media.session import Failed, MediaEvent, MediaExhausted, MediaRefused, MediaSession
from tests.support.media_phone import Phone, converse, engine, open_session, phones, until

pytestmark = pytest.mark.real

NULL_CIPHER_HELLO = bytes.fromhex(
    "16feff000000000000000000360100002a000000000000002afefd" + "11" * 32 + "000000020000" + "0100"
)


@pytest.fixture
def attacker() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.66", 0))
        made.setblocking(False)
        yield made


def rtp(number: int, ssrc: int = 3) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, ssrc) + b"X" * 160


def ready(at_alpha: MediaSession, at_beta: MediaSession) -> bool:
    """Whether both legs between the gateways have keys."""
    legs = [*at_alpha._negotiation.legs("callee"), *at_beta._negotiation.legs("caller")]
    return all(leg.leg.ready for leg in legs)


def highest_descriptor() -> int:
    return max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())


def address(sdp: bytes) -> tuple[str, int]:
    probe = Phone(b"probe")
    probe.learn(sdp)
    probe.close()
    assert probe.remote is not None
    return probe.remote


async def test_a_client_hello_spray_breaks_no_handshake(attacker: socket.socket) -> None:
    """E1: from the first moment a port is open until after the call is up, 20 of 20."""
    alpha, beta = engine("127.0.0.1"), engine("127.0.0.2")
    targets: list[tuple[str, int]] = []

    async def spray() -> None:
        while True:
            for target in targets:
                for data in (NULL_CIPHER_HELLO, b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28"):
                    attacker.sendto(data, target)
            await asyncio.sleep(0.002)

    task = asyncio.create_task(spray())
    with phones(Phone(b"A"), Phone(b"B")) as (a, b):
        for _ in range(20):
            at_alpha = open_session(alpha, "rtp", "webrtc")
            at_beta = open_session(beta, "webrtc", "rtp")
            between = await at_alpha.offer(a.sdp(), "caller")
            targets[:] = [address(between)]
            b.learn(await at_beta.offer(between, "caller"))
            await asyncio.sleep(0.02)
            between = await at_beta.answer(b.sdp(), "callee")
            targets.append(address(between))
            a.learn(await at_alpha.answer(between, "callee"))
            await until(partial(ready, at_alpha, at_beta), seconds=1)
            await converse(a, b, packets=5)
            assert at_alpha.statistics().callee.dropped["source"] > 0
            await at_alpha.close()
            await at_beta.close()
    task.cancel()
    await alpha.close()
    await beta.close()


async def test_a_flood_at_an_unanswered_offer_takes_no_memory() -> None:
    """E1: five seconds of 1.4 kB datagrams from off the path, less than 20 MiB."""
    media = engine()
    session = open_session(media, "rtp", "webrtc")
    with phones(Phone(b"A")) as (a,):
        host, port = address(await session.offer(a.sdp(), "caller"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        flood = (
            "import socket,time\ns=socket.socket(2,2);e=time.time()+3\n"
            "kinds=[b'\\x80'+bytes(1400),b'\\x16'+bytes(1400),bytes(1400),b'\\xff'*1400]\n"
            f"while time.time()<e:\n for k in kinds: s.sendto(k,('{host}',{port}))"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", flood)
        await process.wait()
        await asyncio.sleep(0.2)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    dropped = session.statistics().callee.dropped
    assert sum(dropped.values()) > 1_000
    assert grown < 20 * 1024
    await media.close()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.66", "127.0.0.1"])
async def test_rtp_neither_bleeds_to_nor_enters_from_a_stranger(host: str, first: bool) -> None:
    """E3, the table of bleed.py: 0 bled, 0 injected, also from the peer's own host."""
    media = engine()
    session = open_session(media, "rtp", "rtp")
    with phones(Phone(b"A"), Phone(b"B"), Phone(b"X", host=host)) as (a, b, stranger):
        b.learn(await session.offer(a.sdp(), "caller"))
        a.learn(await session.answer(b.sdp(), "callee"))
        assert a.remote is not None
        for number in range(100):
            if first or number > 50:
                stranger.socket.sendto(rtp(number), a.remote)
            if number > 10:
                a.talk()
                b.talk()
            await asyncio.sleep(0.001)
        await converse(a, b)
        assert stranger.listen() == []
        assert not [heard for heard in b.heard if b"X" in heard]
    await media.close()


async def refused(session: MediaSession, packets: int) -> None:
    """Wait until so many packets were refused, lest the socket's buffer drops some unseen."""
    async with asyncio.timeout(20):
        while session.statistics().caller.dropped.get("authentication", 0) < packets:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_bad_tags_and_replays_do_not_end_a_call() -> None:
    """E4: where others hang up after 100, 10,000 bad packets leave the call talking."""
    media = engine()
    events: list[MediaEvent] = []
    session = open_session(media, "sdes", "rtp", events)
    with phones(Phone(b"A", secure=True), Phone(b"B")) as (a, b):
        b.learn(await session.offer(a.sdp(), "caller"))
        a.learn(await session.answer(b.sdp(), "callee"))
        await converse(a, b, packets=5)
        assert a.remote is not None
        for burst in range(100):
            for number in range(100):
                a.socket.sendto(rtp(burst * 100 + number, ssrc=a.number) + bytes(10), a.remote)
            await refused(session, 100 * (burst + 1))
        for data in (b"\x80\xc9", b"\x80\xc9\x00\x01" + bytes(4), b"\x81\xc8" + bytes(40)):
            a.socket.sendto(data, a.remote)
        await converse(a, b)
        dropped = session.statistics().caller.dropped
        assert dropped["authentication"] >= 10_000
        assert not [event for event in events if isinstance(event, Failed)]
    await media.close()


def test_keys_are_neither_shown_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    """E8: SDES keys stay out of logs, reprs and errors; both legs have keys of their own."""

    async def scenario() -> None:
        media = engine()
        session = open_session(media, "sdes", "sdes")
        with phones(Phone(b"A", secure=True), Phone(b"B", secure=True)) as (a, b):
            toward_b = await session.offer(a.sdp(), "caller")
            b.learn(toward_b)
            toward_a = await session.answer(b.sdp(), "callee")
            keys = {
                part.split(b"inline:")[1].split(b"|")[0].strip()
                for sdp in (toward_a, toward_b, a.sdp(), b.sdp())
                for part in sdp.split(b"\r\n")
                if b"inline:" in part
            }
            assert len(keys) == 5, "one a suite offered, one answered, the phones' two"
            shown = repr(vars(session)) + caplog.text
            for stream in session._negotiation.streams.values():
                shown += repr(stream) + repr(vars(stream.caller)) + repr(vars(stream.callee))
            assert not [key for key in keys if key.decode() in shown]
            with pytest.raises(MediaRefused) as caught:
                await session.offer(toward_a.replace(b"RTP/SAVP", b"RTP/AVP"), "caller")
            assert not [key for key in keys if key.decode() in repr(caught.value)]
        await media.close()

    caplog.set_level(logging.DEBUG)
    asyncio.run(scenario())


async def test_a_downgrade_to_plain_rtp_is_refused_at_first_and_later() -> None:
    """E8: RTP/SAVP to RTP/AVP is no silent plaintext."""
    media = engine()
    session = open_session(media, "sdes", "rtp")
    with phones(Phone(b"A", secure=True), Phone(b"P"), Phone(b"B")) as (a, plain, b):
        with pytest.raises(MediaRefused) as caught:
            await session.offer(plain.sdp(), "caller")
        assert (caught.value.status, media.ports_in_use) == (488, 0)
        b.learn(await session.offer(a.sdp(), "caller"))
        a.learn(await session.answer(b.sdp(), "callee"))
        with pytest.raises(MediaRefused):
            await session.offer(plain.sdp(), "caller")
        await converse(a, b)
    await media.close()


async def test_our_own_key_offered_back_is_refused() -> None:
    """E8: one key on both directions would be a two-time pad."""
    media = engine()
    session = open_session(media, "sdes", "rtp")
    with phones(Phone(b"A", secure=True), Phone(b"B")) as (a, b):
        await session.offer(a.sdp(), "caller")
        answer = await session.answer(b.sdp(), "callee")
        ours = answer.split(b"inline:")[1].split(b"\r\n")[0]
        theirs = a.sdp().split(b"inline:")[1].split(b"\r\n")[0]
        with pytest.raises(MediaRefused) as caught:
            await session.offer(a.sdp().replace(theirs, ours), "caller")
        assert caught.value.status == 488
    await media.close()


async def test_ports_and_sessions_run_out_with_a_clear_error() -> None:
    media = engine(max_sessions=2)
    with phones(Phone(b"A")) as (a,):
        first = open_session(media, "rtp", "rtp")
        open_session(media, "rtp", "rtp")
        with pytest.raises(MediaExhausted):
            open_session(media, "rtp", "rtp")
        assert media.ports_in_use == 0, "no socket before an offer"
        await first.offer(a.sdp(), "caller")
        assert media.ports_in_use == 2
        await media.close()
        tight = engine(port_min=32_000, port_max=32_003)
        await open_session(tight, "rtp", "rtp").offer(a.sdp(), "caller")
        refused = open_session(tight, "rtp", "rtp")
        with pytest.raises(MediaExhausted):
            await refused.offer(a.sdp(), "caller")
        assert tight.ports_in_use == 2
        await tight.close()


async def test_no_descriptor_left_is_exhaustion_and_leaks_none() -> None:
    media = engine()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with phones(Phone(b"A")) as (a,):
        open_session(media, "rtp", "rtp")
        session = open_session(media, "rtp", "rtp")
        used = highest_descriptor()
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 60, hard))
        held: list[socket.socket] = []
        try:
            while True:
                held.append(socket.socket())
        except OSError:
            pass
        held.pop().close()
        try:
            with pytest.raises(MediaExhausted):
                await session.offer(a.sdp(), "caller")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for one in held:
                one.close()
        assert media.ports_in_use == 0
        await session.offer(a.sdp(), "caller")
    await media.close()


async def test_a_side_that_should_talk_and_does_not_is_reported_once() -> None:
    media = engine(no_media_timeout=0.1)
    events: list[MediaEvent] = []
    session = open_session(media, "rtp", "rtp", events)
    with phones(Phone(b"A"), Phone(b"B")) as (a, b):
        b.learn(await session.offer(a.sdp(), "caller"))
        a.learn(await session.answer(b.sdp(), "callee"))
        for _ in range(60):
            b.talk()
            await asyncio.sleep(0.01)
        assert [event for event in events if isinstance(event, Failed)] == [
            Failed("caller", "no media")
        ]
    await media.close()


async def test_a_side_on_hold_need_not_talk() -> None:
    media = engine(no_media_timeout=0.05)
    events: list[MediaEvent] = []
    session = open_session(media, "rtp", "rtp", events)
    with phones(Phone(b"A"), Phone(b"B")) as (a, b):
        b.learn(await session.offer(a.sdp(direction="inactive"), "caller"))
        a.learn(await session.answer(b.sdp(direction="inactive"), "callee"))
        await asyncio.sleep(0.2)
        assert not [event for event in events if isinstance(event, Failed)]
    await media.close()
