"""The media engine: sessions, their exchanges of SDP, and the timers behind their legs.

The only asyncio code of the media room beside media/udp.py. A session is two sides; each stream
that both want (an `m=` section) is a pair of legs joined by a bridge.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections.abc import Callable

from media.destination import DestinationPolicy
from media.dtls import DtlsIdentity
from media.fingerprint import Fingerprint
from media.leg_ice import LegConnected, LegFailed
from media.remote_media import LegKind
from media.session_exchange import Negotiation
from media.session_leg import SessionLeg, Surroundings
from media.session_ports import PortOpener
from media.session_settings import (
    Connected,
    Failed,
    LegProfile,
    MediaEvent,
    MediaExhausted,
    MediaRefused,
    MediaSettings,
    Side,
)
from media.srtp import PROFILES
from media.statistics import LegStatistics, MediaStatistics, StreamStatistics, total
from media.udp import UdpPoller

NOT_ACCEPTABLE_HERE = 488

__all__ = [
    "Connected",
    "Failed",
    "LegProfile",
    "LegStatistics",
    "MediaEngine",
    "MediaEvent",
    "MediaExhausted",
    "MediaRefused",
    "MediaSession",
    "MediaSettings",
    "MediaStatistics",
    "StreamStatistics",
]


class MediaEngine:
    """Opens sessions and bounds them. Make it anywhere; `open` needs a running event loop."""

    def __init__(self, settings: MediaSettings) -> None:
        self.settings = settings
        self._rand = secrets.SystemRandom()
        self._identity = self._new_identity()
        self._ports = PortOpener(
            settings.networks.values(),
            settings.port_min,
            settings.port_max,
            quarantine=settings.port_quarantine,
            rand=self._rand,
            clock=time.monotonic,
        )
        self._policy = DestinationPolicy(
            tuple(ipaddress.ip_network(text) for text in settings.allow_networks),
            frozenset({*settings.networks.values(), *settings.advertised.values()}),
            range(settings.port_min, settings.port_max + 1),
        )
        self._poller: UdpPoller | None = None
        self._sessions: dict[str, MediaSession] = {}

    @property
    def fingerprint(self) -> Fingerprint:
        """The certificate's fingerprint that new sessions show (algorithm, value)."""
        return self._current_identity().fingerprint

    @property
    def active(self) -> int:
        """Sessions open now."""
        return len(self._sessions)

    @property
    def ports_in_use(self) -> int:
        """Port pairs open now."""
        return self._ports.in_use

    def open(
        self,
        session_id: str,
        *,
        caller: LegProfile,
        callee: LegProfile,
        on_event: Callable[[MediaEvent], None],
    ) -> MediaSession:
        """Begins a session, without a socket until its first offer.

        `on_event` is called from the event loop, never from within a call into the session.
        Raises `MediaExhausted` at `max_sessions`, `ValueError` for an id in use or an unknown
        network.
        """
        if session_id in self._sessions:
            raise ValueError(f"media session {session_id!r} is open already")
        for profile in (caller, callee):
            if profile.network not in self.settings.networks:
                raise ValueError(f"unknown media network {profile.network!r}")
        if len(self._sessions) >= self.settings.max_sessions:
            raise MediaExhausted(f"{self.settings.max_sessions} media sessions are open")
        if self._poller is None:
            self._poller = UdpPoller(asyncio.get_running_loop())
        session = MediaSession(
            {"caller": caller, "callee": callee},
            on_event,
            Surroundings(self.settings, self._current_identity(), self._rand, time.monotonic),
            self._ports,
            self._poller,
            self._policy,
            lambda: self._sessions.pop(session_id, None),
        )
        self._sessions[session_id] = session
        return session

    async def close(self) -> None:
        """Closes every session and leaves the event loop."""
        for session in list(self._sessions.values()):
            await session.close()
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    def _current_identity(self) -> DtlsIdentity:
        """Our certificate; a new one for new sessions when half of its life is over."""
        left = self._identity.not_after - time.time()
        if left < self.settings.dtls_certificate_lifetime / 2:
            self._identity = self._new_identity()
        return self._identity

    def _new_identity(self) -> DtlsIdentity:
        profiles = [PROFILES[name] for name in self.settings.srtp_profiles]
        lifetime = self.settings.dtls_certificate_lifetime
        return DtlsIdentity.generate(time.time(), lifetime, profiles)


class MediaSession:
    """The media of one call; made by `MediaEngine.open`.

    Any side may offer, at any time, while no offer of the other is unanswered.
    """

    def __init__(
        self,
        profiles: dict[Side, LegProfile],
        on_event: Callable[[MediaEvent], None],
        surroundings: Surroundings,
        ports: PortOpener,
        poller: UdpPoller,
        policy: DestinationPolicy,
        on_close: Callable[[], object],
    ) -> None:
        self._profiles = profiles
        self._on_event = on_event
        self._around = surroundings
        self._clock = surroundings.clock
        self._ports, self._poller = ports, poller
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._clock()
        self._negotiation = Negotiation(profiles, policy, self._open_leg)
        self._told: set[MediaEvent] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self._heard: dict[Side, int] = {}
        self._final: MediaStatistics | None = None

    async def offer(self, sdp: bytes, side: Side) -> bytes:
        """Takes an offer of `side`; returns the offer to send to the other side.

        Opens the sockets of what is new in it. Raises `MediaRefused` with the SIP status to
        answer, `MediaExhausted`.
        """
        self._check_open()
        return self._negotiation.offer(sdp, side)

    async def answer(self, sdp: bytes, side: Side) -> bytes:
        """Takes an answer of `side`; returns the answer to send to the offerer.

        May be called again for one offer: the same (183 then 200) changes nothing, another one
        (a fork) replaces the first. Raises `MediaRefused`.
        """
        self._check_open()
        answer = self._negotiation.answer(sdp, side)
        for every in self._profiles:
            for leg in self._negotiation.legs(every):
                self._after(leg)
        self._watch_silence()
        return answer

    def rollback(self) -> None:
        """Forgets an offer that was refused (RFC 3264 section 8); without one, nothing."""
        self._negotiation.rollback()

    def statistics(self) -> MediaStatistics:
        """A snapshot; after `close` the final one."""
        if self._final is not None:
            return self._final
        caller, callee = (
            total(leg.leg.statistics() for leg in self._negotiation.legs(side))
            for side in ("caller", "callee")
        )
        return MediaStatistics(caller, callee, self._clock() - self._opened_at)

    async def close(self) -> MediaStatistics:
        """Frees every port and timer; idempotent."""
        if self._final is None:
            self._final = self.statistics()
            for timer in (self._timer, self._silence):
                if timer is not None:
                    timer.cancel()
            self._negotiation.close()
            self._on_close()
        return self._final

    def _check_open(self) -> None:
        if self._final is not None:
            raise MediaRefused(NOT_ACCEPTABLE_HERE, "the call has ended")

    def _open_leg(self, side: Side, kind: LegKind) -> SessionLeg:
        profile = self._profiles[side]
        host = self._around.settings.networks[profile.network]
        ports = self._ports.open(self._poller, host, with_rtcp=kind != "webrtc")
        return SessionLeg(side, kind, profile, ports, self._around, self._after)

    # -- after anything happened to a leg --

    def _after(self, leg: SessionLeg) -> None:
        """Sends, tells and sets the timer as ICE and DTLS of the leg ask for."""
        leg.flush()
        if leg.ice is None:
            if leg.leg.ready:
                self._tell(Connected(leg.side))
            return
        events, leg.ice.events = leg.ice.events, []
        for event in events:
            match event:
                case LegConnected():
                    self._tell(Connected(leg.side))
                case LegFailed(reason):
                    self._tell(Failed(leg.side, reason))
        deadline = leg.ice.next_deadline()
        if deadline is not None and (self._timer is None or deadline < self._timer_at):
            self._set_timer(deadline)

    def _tell(self, event: MediaEvent) -> None:
        """Each event once, and only one failure a side."""
        if isinstance(event, Failed) and any(
            isinstance(told, Failed) and told.side == event.side for told in self._told
        ):
            return
        if event not in self._told:
            self._told.add(event)
            self._loop.call_soon(self._deliver, event)

    def _deliver(self, event: MediaEvent) -> None:
        if self._final is None:
            self._on_event(event)

    # -- timers --

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay = max(0.0, deadline - self._clock())
        self._timer = self._loop.call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        # The loop's clock may be a little early; the engines' time is the deadline at least.
        now = max(self._clock(), self._timer_at)
        self._timer = None
        for side in self._profiles:
            for leg in self._negotiation.legs(side):
                if leg.ice is not None:
                    leg.ice.expire(now)
                    self._after(leg)

    def _watch_silence(self) -> None:
        limit = self._around.settings.no_media_timeout
        if limit > 0 and self._silence is None:
            self._heard = {side: self._packets(side) for side in self._profiles}
            self._silence = self._loop.call_later(limit, self._on_silence)

    def _on_silence(self) -> None:
        """Runs once every `no_media_timeout`: a side that should talk must have been heard."""
        self._silence = None
        for side, before in self._heard.items():
            expected = any(leg.expects_media for leg in self._negotiation.legs(side))
            if expected and self._packets(side) == before:
                self._tell(Failed(side, "no media"))
        self._watch_silence()

    def _packets(self, side: Side) -> int:
        return sum(leg.leg.heard for leg in self._negotiation.legs(side))
