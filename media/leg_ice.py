"""ICE and DTLS of one leg: together they say where the peer is and give the leg its keys.

    STUN -> agent;  DTLS, RTP, RTCP -> only from an address the agent validated
    agent selects -> association starts -> fingerprint matches -> keys -> leg ready

So a ClientHello from anywhere else reaches nothing that could break (OWASP ASVS 17.2.6), and
nothing is kept of a datagram that is not let in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from media.dtls import (
    DtlsAssociation,
    DtlsConnected,
    DtlsEvent,
    DtlsIdentity,
    DtlsRole,
)
from media.fingerprint import Fingerprint
from media.ice import IceAgent
from media.ice_values import (
    Address,
    ConsentLost,
    IceAction,
    IceCredentials,
    IceFailed,
    IceParameters,
    Selected,
    SendStun,
)
from media.leg import Leg
from media.leg_connectivity import IceConnectivity


@dataclass(frozen=True, slots=True)
class LegConnected:
    """Keys are there: media flows from now on."""


@dataclass(frozen=True, slots=True)
class LegFailed:
    """The leg is dead; `reason` is one of a few fixed phrases, fit for a log and a metric."""

    reason: str


LegEvent = LegConnected | LegFailed


class IceDtls:
    """Drives the agent and the association of a leg; bytes, source and `now` in.

    What is to be sent collects in `outbox` and what happened in `events`, both emptied by the
    driver after each call; a call adds a handful of entries at most.
    """

    def __init__(
        self,
        leg: Leg,
        agent: IceAgent,
        credentials: IceCredentials,
        identity: DtlsIdentity,
        *,
        dtls_timeout: float,
    ) -> None:
        assert isinstance(leg.connectivity, IceConnectivity)
        self.agent = agent
        self.credentials = credentials
        self.role: DtlsRole | None = None
        self.outbox: list[tuple[bytes, Address]] = []
        self.events: list[LegEvent] = []
        self._leg = leg
        self._connectivity = leg.connectivity
        self._connectivity.agent = agent
        self._identity = identity
        self._dtls_timeout = dtls_timeout
        self._remote: IceParameters | None = None
        self._fingerprints: tuple[Fingerprint, ...] = ()
        self._association: DtlsAssociation | None = None

    def start(
        self,
        remote: IceParameters,
        fingerprints: Sequence[Fingerprint],
        role: DtlsRole,
        now: float,
        *,
        credentials: IceCredentials | None = None,
    ) -> None:
        """Takes what the peer's SDP says; repeatable, and the same again changes nothing.

        Other ICE credentials of the peer restart ICE (RFC 8445 section 9), with `credentials` as
        ours where given. Other fingerprints, or the other role after an ICE restart, make a new
        association and take the keys away until it is done (RFC 8842 section 5).
        Raises `ValueError` without a fingerprint of a usable hash function.
        """
        restarted = self._remote is None or remote.credentials != self._remote.credentials
        renewed = self._association is None or tuple(fingerprints) != self._fingerprints
        if renewed or (restarted and role != self.role):
            self._associate(tuple(fingerprints), role)
        if restarted:
            if self._remote is not None:
                self.credentials = credentials or self.credentials
                self.agent.restart(self.credentials)
            self._remote = remote
            self._perform(self.agent.start(remote, now), now)
        self._begin_association(now)

    def receive_stun(self, data: bytes, source: Address, now: float) -> None:
        """STUN may come from anywhere: the agent checks its integrity and limits its answers."""
        self._perform(self.agent.receive(data, source, now), now)

    def receive_dtls(self, data: bytes, source: Address, now: float) -> None:
        """DTLS from an address that is not validated is dropped here, before anything else."""
        if not self.agent.is_validated(source):
            self._leg.drop("source")
            return
        if self._association is None:
            self._leg.drop("early")
            return
        self._settle(self._association.receive(data, now))
        self._flush(source)

    def next_deadline(self) -> float | None:
        """When `expire` must be called next, None if never."""
        times = (
            self.agent.next_deadline(),
            self._association.next_deadline() if self._association else None,
        )
        return min((at for at in times if at is not None), default=None)

    def expire(self, now: float) -> None:
        """Does what is due."""
        self._perform(self.agent.expire(now), now)
        if self._association is not None:
            self._settle(self._association.expire(now))
            self._flush(self.agent.selected)

    def _associate(self, fingerprints: tuple[Fingerprint, ...], role: DtlsRole) -> None:
        association = DtlsAssociation(
            self._identity, role, fingerprints, timeout=self._dtls_timeout
        )
        self._association, self._fingerprints, self.role = association, fingerprints, role
        self._leg.use_keys(None, None)

    def _perform(self, actions: list[IceAction], now: float) -> None:
        for action in actions:
            match action:
                case SendStun(data, destination):
                    self.outbox.append((data, destination))
                case Selected(remote):
                    self._connectivity.destination = remote
                    self._begin_association(now)
                case IceFailed():
                    self._disconnect("ice timeout")
                case ConsentLost():
                    self._disconnect("consent lost")

    def _begin_association(self, now: float) -> None:
        selected = self.agent.selected
        if self._association is not None and selected is not None:
            self._settle(self._association.start(now))
            self._flush(selected)

    def _settle(self, event: DtlsEvent | None) -> None:
        if event is None:
            return
        if isinstance(event, DtlsConnected):
            self._leg.use_keys(event.inbound, event.outbound)
            self.events.append(LegConnected())
        else:
            self._leg.use_keys(None, None)
            self._disconnect(f"dtls {event.reason}")

    def _disconnect(self, reason: str) -> None:
        """Nothing is sent to or taken from the peer any more (RFC 7675 section 5.1).

        Keys stay where they are: should an ICE restart bring the peer back, their rollover
        counters must go on.
        """
        self._connectivity.destination = None
        self._leg.readdress()
        self.events.append(LegFailed(reason))

    def _flush(self, destination: Address | None) -> None:
        assert self._association is not None
        datagrams = self._association.take_datagrams()
        if destination is not None:
            self.outbox.extend((data, destination) for data in datagrams)
