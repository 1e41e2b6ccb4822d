"""Whole sessions on real sockets: phones, one or two engines, ICE and DTLS between them."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from media.session import (
    Connected,
    Failed,
    LegProfile,
    MediaEvent,
    MediaRefused,
    MediaSession,
)
from tests.support.media_phone import Phone, converse, engine, open_session, phones, until

pytestmark = pytest.mark.real

RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 7)


def kind(secure: bool) -> str:
    return "sdes" if secure else "rtp"


async def call(session: MediaSession, caller: Phone, callee: Phone) -> None:
    """Offer and answer through one session."""
    offer = await session.offer(caller.sdp(), "caller")
    callee.learn(offer)
    caller.learn(await session.answer(callee.sdp(), "callee"))


class Trunk:
    """Two engines as two providers have them: phone - alpha = ICE, DTLS-SRTP = beta - phone."""

    def __init__(self, caller_kind: str, callee_kind: str, beta_offers: str = "webrtc") -> None:
        self.alpha, self.beta = engine("127.0.0.1"), engine("127.0.0.2")
        self.alpha_events: list[MediaEvent] = []
        self.beta_events: list[MediaEvent] = []
        self.at_alpha = open_session(self.alpha, caller_kind, "webrtc", self.alpha_events)
        self.at_beta = open_session(self.beta, beta_offers, callee_kind, self.beta_events)

    async def call(self, caller: Phone, callee: Phone) -> None:
        between = await self.at_alpha.offer(caller.sdp(), "caller")
        callee.learn(await self.at_beta.offer(between, "caller"))
        await self.answer(caller, callee)

    async def answer(self, caller: Phone, callee: Phone) -> None:
        between = await self.at_beta.answer(callee.sdp(), "callee")
        caller.learn(await self.at_alpha.answer(between, "callee"))

    async def connected(self) -> None:
        await until(lambda: Connected("callee") in self.alpha_events)
        await until(lambda: Connected("caller") in self.beta_events)

    async def close(self) -> None:
        for media in (self.alpha, self.beta):
            await media.close()
            assert (media.active, media.ports_in_use) == (0, 0)


@pytest.mark.parametrize("caller_secure", [False, True])
@pytest.mark.parametrize("callee_secure", [False, True])
async def test_two_phones_talk_through_one_engine(caller_secure: bool, callee_secure: bool) -> None:
    media = engine()
    events: list[MediaEvent] = []
    session = open_session(media, kind(caller_secure), kind(callee_secure), events)
    with phones(Phone(b"A", secure=caller_secure), Phone(b"B", secure=callee_secure)) as (a, b):
        await call(session, a, b)
        await converse(a, b)
        a.send_rtcp(RECEIVER_REPORT, own_port=False)
        statistics = await session.close()
    assert (statistics.caller.packets_in, statistics.caller.packets_out) == (20, 20)
    assert statistics.caller.lost == statistics.callee.lost == 0
    assert set(events) == {Connected("caller"), Connected("callee")}
    assert (media.active, media.ports_in_use) == (0, 0)
    await media.close()


@pytest.mark.parametrize("caller_secure", [False, True])
@pytest.mark.parametrize("callee_secure", [False, True])
async def test_two_phones_talk_over_ice_and_dtls_between_two_gateways(
    caller_secure: bool, callee_secure: bool
) -> None:
    trunk = Trunk(kind(caller_secure), kind(callee_secure))
    with phones(Phone(b"A", secure=caller_secure), Phone(b"B", secure=callee_secure)) as (a, b):
        await trunk.call(a, b)
        await trunk.connected()
        await converse(a, b)
    statistics = trunk.at_alpha.statistics()
    assert statistics.callee.packets_in == statistics.callee.packets_out == 20
    assert statistics.callee.lost == 0
    await trunk.close()


async def test_rtcp_crosses_from_its_own_port_to_the_multiplexed_one() -> None:
    trunk = Trunk("rtp", "sdes")
    with phones(Phone(b"A"), Phone(b"B", secure=True)) as (a, b):
        await trunk.call(a, b)
        await trunk.connected()
        await converse(a, b, packets=2)
        b.send_rtcp(RECEIVER_REPORT, own_port=False)
        await until(lambda: trunk.at_alpha.statistics().callee.rtcp_in == 1)
    assert trunk.at_beta.statistics().caller.rtcp_out == 1
    await trunk.close()


async def test_hold_resume_and_a_moved_phone_do_not_disturb_the_trunk() -> None:
    trunk = Trunk("sdes", "rtp")
    moved = Phone(b"M")
    with phones(Phone(b"A", secure=True), Phone(b"B"), moved) as (a, b, moved):
        await trunk.call(a, b)
        await trunk.connected()
        await converse(a, b)
        # A holds, then resumes: keys, ports and fingerprints stay.
        for direction in ("sendonly", "sendrecv"):
            between = await trunk.at_alpha.offer(a.sdp(direction=direction), "caller")
            assert f"a={direction}".encode() in between
            offered = await trunk.at_beta.offer(between, "caller")
            assert f"a={direction}".encode() in offered
            answer = b"recvonly" if direction == "sendonly" else b"sendrecv"
            between = await trunk.at_beta.answer(b.sdp(direction=answer.decode()), "callee")
            final = await trunk.at_alpha.answer(between, "callee")
            assert b"a=" + answer in final
            a.learn(final)
        await converse(a, b)
        # B's call moves to another phone: an offer from the other side.
        between = await trunk.at_beta.offer(moved.sdp(), "callee")
        a.learn(await trunk.at_alpha.offer(between, "callee"))
        between = await trunk.at_alpha.answer(a.sdp(), "caller")
        moved.learn(await trunk.at_beta.answer(between, "caller"))
        await converse(a, moved)
        assert Failed not in {type(event) for event in trunk.alpha_events + trunk.beta_events}
    assert trunk.at_alpha.statistics().callee.dropped.get("authentication", 0) == 0
    await trunk.close()


async def test_a_repeated_answer_changes_nothing_and_another_one_replaces_it() -> None:
    trunk = Trunk("rtp", "rtp")
    with phones(Phone(b"A"), Phone(b"B"), Phone(b"C")) as (a, b, c):
        await trunk.call(a, b)
        await trunk.connected()
        await converse(a, b)
        b.version -= 1
        await trunk.answer(a, b)
        await converse(a, b)
        c.remote = b.remote
        await trunk.answer(a, c)
        await converse(a, c)
    assert trunk.alpha_events.count(Connected("callee")) == 1
    await trunk.close()


async def test_a_fork_that_answers_later_from_another_gateway_takes_over() -> None:
    trunk = Trunk("rtp", "rtp")
    gamma = engine("127.0.0.3")
    at_gamma = open_session(gamma, "webrtc", "rtp")
    with phones(Phone(b"A"), Phone(b"B"), Phone(b"C")) as (a, b, c):
        between = await trunk.at_alpha.offer(a.sdp(), "caller")
        b.learn(await trunk.at_beta.offer(between, "caller"))
        c.learn(await at_gamma.offer(between, "caller"))
        await trunk.answer(a, b)
        await trunk.connected()
        await converse(a, b)
        a.learn(await trunk.at_alpha.answer(await at_gamma.answer(c.sdp(), "callee"), "callee"))
        await until(lambda: at_gamma.statistics().seconds > 0.5)
        await converse(a, c)
    await gamma.close()
    await trunk.close()


async def test_a_late_offer_goes_the_other_way() -> None:
    trunk = Trunk("rtp", "sdes")
    with phones(Phone(b"A"), Phone(b"B", secure=True)) as (a, b):
        between = await trunk.at_beta.offer(b.sdp(), "callee")
        a.learn(await trunk.at_alpha.offer(between, "callee"))
        between = await trunk.at_alpha.answer(a.sdp(), "caller")
        b.learn(await trunk.at_beta.answer(between, "caller"))
        await trunk.connected()
        await converse(a, b)
    await trunk.close()


async def test_a_refused_reoffer_leaves_the_call_as_it_was() -> None:
    trunk = Trunk("sdes", "rtp")
    with phones(Phone(b"A", secure=True), Phone(b"B"), Phone(b"X", secure=True)) as (a, b, x):
        await trunk.call(a, b)
        await trunk.connected()
        await converse(a, b)
        between = await trunk.at_alpha.offer(x.sdp(formats="8"), "caller")
        await trunk.at_beta.offer(between, "caller")
        trunk.at_beta.rollback()
        trunk.at_alpha.rollback()
        await converse(a, b)
        with pytest.raises(MediaRefused):
            await trunk.at_alpha.answer(b.sdp(), "callee")
    await trunk.close()


async def test_changed_keys_of_a_phone_begin_a_new_stream_of_srtp() -> None:
    media = engine()
    session = open_session(media, "sdes", "rtp")
    with phones(Phone(b"A", secure=True), Phone(b"B"), Phone(b"N", secure=True)) as (a, b, renewed):
        await call(session, a, b)
        await converse(a, b)
        b.learn(await session.offer(renewed.sdp(), "caller"))
        renewed.learn(await session.answer(b.sdp(), "callee"))
        await converse(renewed, b)
    await media.close()


async def test_offers_crossing_each_other_are_refused_as_pending() -> None:
    media = engine()
    session = open_session(media, "rtp", "rtp")
    with phones(Phone(b"A"), Phone(b"B")) as (a, b):
        await call(session, a, b)
        await session.offer(a.sdp(), "caller")
        with pytest.raises(MediaRefused) as caught:
            await session.offer(b.sdp(), "callee")
        assert caught.value.status == 491
        await session.answer(b.sdp(), "callee")
        await converse(a, b)
    await media.close()


async def test_packets_before_the_answer_are_dropped_and_counted() -> None:
    trunk = Trunk("rtp", "rtp")
    with phones(Phone(b"A"), Phone(b"B")) as (a, b):
        between = await trunk.at_alpha.offer(a.sdp(), "caller")
        b.learn(await trunk.at_beta.offer(between, "caller"))
        b.talk(5)
        await until(lambda: trunk.at_beta.statistics().callee.dropped.get("early") == 5)
        await trunk.answer(a, b)
        await trunk.connected()
        await converse(a, b)
    await trunk.close()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_thousand_sessions_leave_nothing_behind() -> None:
    loop = asyncio.get_running_loop()
    alpha, beta = engine("127.0.0.1"), engine("127.0.0.2")
    with phones(Phone(b"A", secure=True), Phone(b"B")) as (a, b):
        before = 0
        for number in range(1_000):
            at_alpha = open_session(alpha, "sdes", "webrtc")
            at_beta = open_session(beta, "webrtc", "rtp")
            between = await at_alpha.offer(a.sdp(), "caller")
            b.learn(await at_beta.offer(between, "caller"))
            if number % 3:
                between = await at_beta.answer(b.sdp(), "callee")
                await at_alpha.answer(between, "callee")
            if number % 100 == 99:
                await asyncio.sleep(0.05)
            await at_alpha.close()
            await at_beta.close()
            await at_beta.close()
            if number == 0:
                before = open_descriptors()
        assert open_descriptors() == before
        for media in (alpha, beta):
            assert (media.active, media.ports_in_use) == (0, 0)
    scheduled = [
        handle
        for handle in getattr(loop, "_scheduled", ())
        if not handle.cancelled() and "media" in repr(handle)
    ]
    assert scheduled == []
    await alpha.close()
    await beta.close()


async def test_a_phone_behind_nat_is_found_where_its_signalling_comes_from() -> None:
    media = engine()
    events: list[MediaEvent] = []
    session = media.open(
        "nat",
        caller=LegProfile("rtp", "net", behind_nat=True, signalling_host="127.0.0.5"),
        callee=LegProfile("rtp", "net"),
        on_event=events.append,
    )
    with phones(Phone(b"A", host="127.0.0.5"), Phone(b"B"), Phone(b"X", host="127.0.0.66")) as (
        a,
        b,
        stranger,
    ):
        private = a.sdp().replace(b"127.0.0.5", b"127.0.0.9")
        b.learn(await session.offer(private, "caller"))
        a.learn(await session.answer(b.sdp(), "callee"))
        stranger.remote = a.remote
        stranger.talk(10)
        await asyncio.sleep(0.05)
        a.talk()
        await until(lambda: session.statistics().caller.packets_in == 1)
        stranger.talk(10)
        await converse(a, b)
        assert stranger.listen() == []
        assert session.statistics().caller.dropped == {"source": 20}
        assert not [heard for heard in b.heard if heard.startswith(b"X")]
    await media.close()


async def test_a_peer_that_is_ice_lite_itself_is_checked_by_us() -> None:
    """RFC 8445 section 6.1.1: of two sides one must be full."""
    alpha, beta = engine("127.0.0.1"), engine("127.0.0.2")
    at_alpha, at_beta = open_session(alpha, "rtp", "webrtc"), open_session(beta, "webrtc", "rtp")
    with phones(Phone(b"A"), Phone(b"B")) as (a, b):
        between = await at_alpha.offer(a.sdp(), "caller")
        lite = between.replace(b"a=ice-ufrag", b"a=ice-lite\r\na=ice-ufrag", 1)
        lines = [line for line in lite.split(b"\r\n") if line != b"a=ice-lite"]
        session_end = next(i for i, line in enumerate(lines) if line.startswith(b"m="))
        lines.insert(session_end, b"a=ice-lite")
        b.learn(await at_beta.offer(b"\r\n".join(lines), "caller"))
        answer = await at_beta.answer(b.sdp(), "callee")
        assert b"a=ice-lite" not in answer
        a.learn(await at_alpha.answer(answer, "callee"))
        for _ in range(100):
            await asyncio.sleep(0.01)
            a.talk()
            if b.listen():
                break
        await converse(a, b)
    await alpha.close()
    await beta.close()
