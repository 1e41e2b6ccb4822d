"""A media engine without sockets: it notes what it is asked, and refuses or waits on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from media.session import (
    Failed,
    LegProfile,
    LegStatistics,
    MediaEvent,
    MediaExhausted,
    MediaStatistics,
)
from media.session_settings import Side
from tests.support.stir_authority import FINGERPRINT
from tests.support.virtual_loop import VirtualLoop

SDP_TYPE = ("Content-Type", "application/sdp")


def sdp(who: str) -> bytes:
    """A session description that tells who made it."""
    return (
        f"v=0\r\no={who} 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 0\r\n"
    ).encode()


def our_sdp(what: str, number: int) -> bytes:
    """What the fake engine makes of the description it was given."""
    hash_name, value = FINGERPRINT
    return sdp(f"gateway-{what}-{number}") + f"a=fingerprint:{hash_name} {value}\r\n".encode()


class FakeSession:
    """One call's media; `troubles` are raised one by one, `gate` holds every exchange up."""

    def __init__(
        self,
        caller: LegProfile,
        callee: LegProfile,
        on_event: Callable[[MediaEvent], None],
        on_close: Callable[[], object],
        loop: VirtualLoop,
    ) -> None:
        self._loop = loop
        self.profiles: dict[Side, LegProfile] = {"caller": caller, "callee": callee}
        self.seen: list[tuple[str, str, bytes]] = []
        self.troubles: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.rolled_back = 0
        self.closed = 0
        self._on_event = on_event
        self._on_close = on_close

    @property
    def exchanged(self) -> list[tuple[str, str]]:
        """What was offered and answered, and by which side."""
        return [(what, side) for what, side, _ in self.seen]

    async def offer(self, body: bytes, side: Side) -> bytes:
        return await self._step("offer", body, side)

    async def answer(self, body: bytes, side: Side) -> bytes:
        return await self._step("answer", body, side)

    async def _step(self, what: str, body: bytes, side: Side) -> bytes:
        if self.gate is not None:
            await self.gate.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.seen.append((what, side, body))
        return our_sdp(what, len(self.seen))

    def rollback(self) -> None:
        self.rolled_back += 1

    async def close(self) -> MediaStatistics:
        self.closed += 1
        self._on_close()
        return MediaStatistics(LegStatistics(packets_in=5), LegStatistics(), 1.0)

    def fail(self, side: Side, reason: str = "ice timeout") -> None:
        """Let a leg die."""
        self.happen(Failed(side, reason))

    def happen(self, event: MediaEvent) -> None:
        """Tell of an event."""
        self._loop.do(lambda: self._on_event(event))


class FakeMediaEngine:
    """Opens fake sessions; `full` makes it refuse, `troubles` and `gated` go to new sessions."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.sessions: list[FakeSession] = []
        self.open_now: set[str] = set()
        self.full = False
        self.troubles: list[Exception] = []
        self.gate: asyncio.Event | None = None

    @property
    def only(self) -> FakeSession:
        """The one session that was opened."""
        (session,) = self.sessions
        return session

    def open(
        self,
        session_id: str,
        *,
        caller: LegProfile,
        callee: LegProfile,
        on_event: Callable[[MediaEvent], None],
    ) -> FakeSession:
        if self.full:
            raise MediaExhausted("full")
        assert session_id not in self.open_now
        self.open_now.add(session_id)
        session = FakeSession(
            caller, callee, on_event, lambda: self.open_now.discard(session_id), self._loop
        )
        session.troubles, self.troubles = self.troubles, []
        session.gate = self.gate
        self.sessions.append(session)
        return session
