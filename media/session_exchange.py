"""Offers and answers of a session (RFC 3264): what one side says, said to the other by us.

Without I/O, but for the legs that `open_leg` opens when an offer is taken. What an offer changes
waits for its answer: a refused re-offer leaves the call as it was.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from media.destination import DestinationPolicy
from media.local_media import LocalMedia
from media.offer_answer import check_answer, make_answer, make_offer, relayable, versioned
from media.refusal import Unacceptable
from media.remote_media import LegKind, RemoteMedia, classify_leg, describe
from media.sdp import SessionDescription, parse_sdp
from media.sdp_lines import MalformedSdp, Origin, address_type
from media.session_leg import Plan, SessionLeg
from media.session_settings import LegProfile, MediaRefused, Side

Remotes = tuple[RemoteMedia | None, ...]
Locals = list[LocalMedia | None]

BAD_REQUEST = 400
NOT_ACCEPTABLE_HERE = 488
REQUEST_PENDING = 491


def other_side(side: Side) -> Side:
    """The far side of a call."""
    return "callee" if side == "caller" else "caller"


@dataclass(frozen=True, slots=True)
class Stream:
    """The two legs of one `m=` section."""

    caller: SessionLeg
    callee: SessionLeg

    def leg(self, side: Side) -> SessionLeg:
        """The leg of a side."""
        return self.caller if side == "caller" else self.callee

    def close(self) -> None:
        """Closes the sockets of both."""
        self.caller.close()
        self.callee.close()


@dataclass(slots=True)
class _Exchange:
    """An offer on its way: what came from `side`, what we made of it, and what it opened."""

    side: Side
    received: SessionDescription
    remotes: Remotes
    made: SessionDescription
    locals: Locals
    opened: tuple[int, ...]
    previously_sent: SessionDescription | None
    answered: bool = False


class Negotiation:
    """The offer/answer state of one session and the streams it led to."""

    def __init__(
        self,
        profiles: Mapping[Side, LegProfile],
        policy: DestinationPolicy,
        open_leg: Callable[[Side, LegKind], SessionLeg],
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self._profiles = profiles
        self._policy = policy
        self._open_leg = open_leg
        self._exchange: _Exchange | None = None
        self._sent: dict[Side, SessionDescription] = {}
        self._session_ids = {side: str(secrets.randbits(62)) for side in profiles}

    def legs(self, side: Side) -> Iterator[SessionLeg]:
        """The legs of a side, one a stream."""
        return (stream.leg(side) for stream in self.streams.values())

    def offer(self, sdp: bytes, side: Side) -> bytes:
        """Takes an offer from `side`; returns ours to the other side.

        Raises `MediaRefused`, and `MediaExhausted` where a leg cannot be opened.
        """
        pending = self._exchange
        if pending is not None and not pending.answered:
            if pending.side != side:
                raise MediaRefused(REQUEST_PENDING, "an offer is pending")
            self.rollback()
        received = _parse(sdp)
        try:
            return self._offer(received, side)
        except Unacceptable as refused:
            raise MediaRefused(refused.status, refused.reason) from None

    def answer(self, sdp: bytes, side: Side) -> bytes:
        """Takes the answer of `side`, also a repeated or another one (forks, 183 then 200).

        Returns our answer to the offerer. Raises `MediaRefused`; nothing has changed then.
        """
        exchange = self._exchange
        if exchange is None or exchange.side == side:
            raise MediaRefused(NOT_ACCEPTABLE_HERE, "an answer without an offer")
        received = _parse(sdp)
        try:
            return self._answer(exchange, received, side)
        except Unacceptable as refused:
            raise MediaRefused(refused.status, refused.reason) from None

    def rollback(self) -> None:
        """Forgets an offer that is not answered, and the streams it would have added."""
        exchange = self._exchange
        if exchange is None or exchange.answered:
            return
        self._exchange = None
        far = other_side(exchange.side)
        if exchange.previously_sent is not None:
            self._sent[far] = exchange.previously_sent
        for index in exchange.opened:
            self.streams.pop(index).close()

    def close(self) -> None:
        """Closes every socket."""
        self._exchange = None
        for stream in self.streams.values():
            stream.close()

    # -- offers --

    def _offer(self, received: SessionDescription, side: Side) -> bytes:
        far = other_side(side)
        kind = self._kind_towards(far, classify_leg(received))
        remotes = describe(received, self._policy)
        for remote in remotes:
            if remote is not None and relayable(remote, kind):
                self._check_offered(remote, side)
        before = frozenset(self.streams)
        try:
            locals_ = [self._offer_stream(remote, side, kind) for remote in remotes]
            made = make_offer(received, remotes, locals_, kind=kind, origin=self._origin(far))
        except BaseException:
            for index in self.streams.keys() - before:
                self.streams.pop(index).close()
            raise
        made = versioned(made, self._sent.get(far))
        opened = tuple(self.streams.keys() - before)
        self._exchange = _Exchange(
            side, received, remotes, made, locals_, opened, self._sent.get(far)
        )
        self._sent[far] = made
        return made.to_bytes()

    def _kind_towards(self, far: Side, offered: LegKind) -> LegKind:
        """What `far` is offered: as configured; else what it offered itself, once it has."""
        wanted = self._profiles[far].kind
        if wanted != "as_offered":
            return wanted
        known = next(self.legs(far), None)
        return offered if known is None else known.kind

    def _check_offered(self, remote: RemoteMedia, side: Side) -> None:
        """Judges what is to be carried out when the answer comes, so as to refuse it now."""
        wanted = self._profiles[side].kind
        if wanted not in ("as_offered", remote.leg):
            raise Unacceptable(f"stream {remote.index} must be {wanted}, not {remote.leg}")
        stream = self.streams.get(remote.index)
        if stream is not None:
            stream.leg(side).plan_offered(remote)

    def _offer_stream(
        self, remote: RemoteMedia | None, side: Side, kind: LegKind
    ) -> LocalMedia | None:
        if remote is None or not relayable(remote, kind):
            return None
        stream = self.streams.get(remote.index)
        if stream is None:
            stream = self._open_stream(remote, side, kind)
            stream.leg(side).plan_offered(remote)
        return stream.leg(other_side(side)).offer_media()

    def _open_stream(self, remote: RemoteMedia, side: Side, kind: LegKind) -> Stream:
        far = other_side(side)
        near_leg = self._open_leg(side, remote.leg)
        try:
            far_leg = self._open_leg(far, kind)
        except BaseException:
            near_leg.close()
            raise
        near_leg.join(far_leg)
        far_leg.join(near_leg)
        stream = Stream(near_leg, far_leg) if side == "caller" else Stream(far_leg, near_leg)
        self.streams[remote.index] = stream
        return stream

    # -- answers --

    def _answer(self, exchange: _Exchange, received: SessionDescription, side: Side) -> bytes:
        answered = describe(received, self._policy)
        check_answer(exchange.made, received, answered, exchange.locals)
        plans = [self._plan(exchange, index, remote, side) for index, remote in enumerate(answered)]
        # From here on nothing is refused any more.
        exchange.answered = True
        locals_ = [self._carry_out(index, plan, side) for index, plan in enumerate(plans)]
        near = exchange.side
        made = make_answer(
            exchange.received, received, answered, locals_, origin=self._origin(near)
        )
        made = versioned(made, self._sent.get(near))
        self._sent[near] = made
        return made.to_bytes()

    def _plan(
        self, exchange: _Exchange, index: int, answered: RemoteMedia | None, side: Side
    ) -> tuple[Plan, Plan] | None:
        """What becomes of a stream: of the answerer's leg and of the offerer's."""
        offered, stream = exchange.remotes[index], self.streams.get(index)
        if answered is None or offered is None or stream is None:
            return None
        return (
            stream.leg(side).plan_answered(answered),
            stream.leg(exchange.side).plan_offered(offered),
        )

    def _carry_out(
        self, index: int, plans: tuple[Plan, Plan] | None, side: Side
    ) -> LocalMedia | None:
        stream = self.streams.get(index)
        if stream is None:
            return None
        far_leg, near_leg = stream.leg(side), stream.leg(other_side(side))
        if plans is None:
            far_leg.park()
            near_leg.park()
            return None
        far_leg.carry_out(plans[0])
        near_leg.carry_out(plans[1])
        return near_leg.answer_media()

    def _origin(self, side: Side) -> Origin:
        address = next((leg.advertised for leg in self.legs(side)), "0.0.0.0")  # noqa: S104
        return Origin("-", self._session_ids[side], "1", "IN", address_type(address), address)


def _parse(sdp: bytes) -> SessionDescription:
    try:
        return parse_sdp(sdp)
    except MalformedSdp as malformed:
        raise MediaRefused(BAD_REQUEST, f"SDP: {malformed}") from None
