"""A WebRTC end point that is not ours: aiortc, with its own ICE, DTLS, SRTP and codecs."""

from __future__ import annotations

import asyncio
import fractions
import re

import aioice.ice
import av
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack

from media.session import Connected, Failed, MediaEvent, MediaRefused
from tests.support.media_phone import Phone, engine, open_session, phones, until

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves loopback out of its candidates; here there is nothing else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda *_args, **_kw: ["127.0.0.1"])


class Tone(AudioStreamTrack):
    """8 kHz frames of one constant sample."""

    async def recv(self) -> av.AudioFrame:
        frame = av.AudioFrame(format="s16", layout="mono", samples=160)
        frame.planes[0].update(b"\x00\x10" * 160)
        frame.sample_rate = 8000
        self.at = getattr(self, "at", 0) + 160
        frame.pts, frame.time_base = self.at, fractions.Fraction(1, 8000)
        await asyncio.sleep(0.02)
        return frame


class Browser:
    """An aiortc end point that speaks and counts what it hears, PCMU only."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection()
        self.connection.addTrack(Tone())
        self.frames = 0
        self._listeners: list[asyncio.Task[None]] = []
        self.connection.on("track", self._listen)

    def _listen(self, track: MediaStreamTrack) -> None:
        async def count() -> None:
            while True:
                await track.recv()
                self.frames += 1

        self._listeners.append(asyncio.ensure_future(count()))

    async def offer(self) -> bytes:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return pcmu_only(self.connection.localDescription.sdp)

    async def accept(self, sdp: bytes) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp.decode(), "answer"))

    async def answer(self, offer: bytes) -> bytes:
        await self.connection.setRemoteDescription(RTCSessionDescription(offer.decode(), "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return self.connection.localDescription.sdp.encode()

    async def close(self) -> None:
        for task in self._listeners:
            task.cancel()
        await self.connection.close()


def pcmu_only(sdp: str) -> bytes:
    """Takes the other codecs out, as the phone has none of them."""
    sdp = re.sub(r"(m=audio \d+ \S+) .*", r"\1 0", sdp)
    kept = [
        line for line in sdp.split("\r\n") if not re.match(r"a=(rtpmap|fmtp|rtcp-fb):(?!0 )", line)
    ]
    return "\r\n".join(kept).encode()


async def talk(phone: Phone, browser: Browser) -> None:
    """Both hear at least 20 frames of the other."""
    for _ in range(500):
        phone.talk()
        await asyncio.sleep(0.02)
        if len(phone.listen()) >= 20 and browser.frames >= 20:
            return
    raise AssertionError(f"phone heard {len(phone.heard)}, aiortc {browser.frames} frames")


async def test_a_phone_calls_aiortc() -> None:
    """We offer: full ICE, controlling; aiortc answers active."""
    media, browser = engine(), Browser()
    events: list[MediaEvent] = []
    session = open_session(media, "rtp", "webrtc", events)
    with phones(Phone(b"A")) as (phone,):
        offer = await session.offer(phone.sdp(formats="0"), "caller")
        phone.learn(await session.answer(await browser.answer(offer), "callee"))
        await until(lambda: Connected("callee") in events)
        await talk(phone, browser)
    await browser.close()
    await media.close()


async def test_aiortc_calls_a_phone_with_sdes() -> None:
    """We answer: ICE lite; aiortc controls."""
    media, browser = engine(), Browser()
    events: list[MediaEvent] = []
    session = open_session(media, "webrtc", "sdes", events)
    with phones(Phone(b"B", secure=True)) as (phone,):
        phone.learn(await session.offer(await browser.offer(), "caller"))
        answer = await session.answer(phone.sdp(formats="0"), "callee")
        assert b"a=ice-lite" in answer
        await browser.accept(answer)
        await until(lambda: Connected("caller") in events)
        await talk(phone, browser)
    await browser.close()
    await media.close()


async def test_an_altered_fingerprint_fails_the_leg_within_two_seconds() -> None:
    media, browser = engine(), Browser()
    events: list[MediaEvent] = []
    session = open_session(media, "rtp", "webrtc", events)
    with phones(Phone(b"A")) as (phone,):
        offer = await session.offer(phone.sdp(formats="0"), "caller")
        answer = await browser.answer(offer)
        altered = re.sub(
            rb"(a=fingerprint:sha-\d+ )(\S\S)",
            lambda m: m[1] + b"%02X" % (int(m[2], 16) ^ 1),
            answer,
        )
        phone.learn(await session.answer(altered, "callee"))
        await until(lambda: Failed("callee", "dtls fingerprint") in events, seconds=2)
        phone.talk(5)
        await until(lambda: session.statistics().callee.dropped.get("no destination") == 5)
        assert session.statistics().callee.packets_out == 0
    await browser.close()
    await media.close()


@pytest.mark.parametrize("change", ["sha-1", "none"])
async def test_a_weak_or_missing_fingerprint_is_refused(change: str) -> None:
    media, browser = engine(), Browser()
    session = open_session(media, "webrtc", "rtp")
    offer = await browser.offer()
    replaced = b"a=fingerprint:sha-1 AA:BB\r\n" if change == "sha-1" else b""
    weak = re.sub(rb"a=fingerprint:[^\r]*\r\n", replaced, offer)
    with pytest.raises(MediaRefused) as caught:
        await session.offer(weak, "caller")
    assert caught.value.status == 488
    assert media.ports_in_use == 0
    await browser.close()
    await media.close()
