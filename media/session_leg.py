"""One leg of a session: an engine leg with its sockets and its half of the negotiation.

Nothing a peer says takes effect before the exchange is answered: `plan_answered` and
`plan_offered` judge without changing anything, `carry_out` then does it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from media import relay, udp
from media.bridge import Direction
from media.candidate import host_candidate
from media.crypto_attribute import CryptoAttribute
from media.demux import PacketKind, classify
from media.dtls import DtlsIdentity, DtlsRole
from media.ice import IceAgent
from media.ice_values import (
    Address,
    IceParameters,
    IceSettings,
    new_credentials,
)
from media.leg import Leg
from media.leg_connectivity import IceConnectivity, StaticConnectivity
from media.leg_ice import IceDtls
from media.local_media import LocalMedia, Setup
from media.offer_answer import answer_setup, choose_crypto, our_role
from media.refusal import Unacceptable
from media.relay import Receive
from media.remote_media import LegKind, RemoteMedia, check_continuation
from media.sdes import UnusableCrypto, key_params, new_key, parse_key
from media.session_ports import OpenPorts
from media.session_settings import LegProfile, MediaSettings, Side
from media.srtp import PROFILES, SrtpKey

_ROLES: dict[str, DtlsRole] = {"active": "client", "passive": "server"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What carrying out a peer's description will do to a leg.

    `None` keys: SDES is not used; `offered`: the description is an offer, which we answer.
    """

    remote: RemoteMedia
    inbound: SrtpKey | None = None
    outbound: SrtpKey | None = None
    crypto_tag: int = 1
    role: DtlsRole | None = None
    offered: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all legs of an engine share."""

    settings: MediaSettings
    identity: DtlsIdentity
    rand: Random
    clock: Callable[[], float]


class SessionLeg:
    """A leg from its first offer until it is closed. `changed` is called after ICE or DTLS ran."""

    def __init__(
        self,
        side: Side,
        kind: LegKind,
        profile: LegProfile,
        ports: OpenPorts,
        surroundings: Surroundings,
        changed: Callable[[SessionLeg], None],
    ) -> None:
        settings = surroundings.settings
        self.side, self.kind, self.profile = side, kind, profile
        self.remote: RemoteMedia | None = None
        self.ice: IceDtls | None = None
        host = settings.networks[profile.network]
        self.advertised = settings.advertised.get(profile.network, host)
        self.port = ports.port
        self._ports = ports
        self._around = surroundings
        self._changed = changed
        self._clock = surroundings.clock
        self._static: StaticConnectivity | None = None
        if kind == "webrtc":
            self.leg = Leg(IceConnectivity(), protected=True)
        else:
            self._static = StaticConnectivity(
                behind_nat=profile.behind_nat, protected=kind == "sdes"
            )
            self.leg = Leg(self._static, protected=kind == "sdes")
        self._credentials = new_credentials(surroundings.rand)
        self._offered_keys: dict[int, SrtpKey] = {}
        self._plan: Plan | None = None

    def join(self, other: SessionLeg) -> None:
        """Sends on to `other` what comes in here, from now on."""
        direction = Direction(self.leg, other.leg)
        self._ports.rtp.read_by(
            relay.reader(
                self.leg,
                other.leg,
                self._ports.rtp,
                other._ports.rtp,
                otherwise=self._rtp_receiver(direction, other),
                clock=self._clock,
            )
        )
        if self._ports.rtcp is not None:
            receive = self._rtcp_receiver(direction, other)
            self._ports.rtcp.read_by(udp.reader(self._ports.rtcp, receive))

    def close(self) -> None:
        """Closes the sockets. Idempotent."""
        self._ports.close()

    # -- negotiation --

    def offer_media(self) -> LocalMedia:
        """Our end for an offer to this peer; keys and credentials stay those of before."""
        match self.kind:
            case "rtp":
                return LocalMedia(self.advertised, self.port, self.port + 1)
            case "sdes":
                return LocalMedia(
                    self.advertised, self.port, self.port + 1, crypto=self._offer_crypto()
                )
            case "webrtc":
                if self.ice is None:
                    self._make_agent(lite=False)
                return self._webrtc_media("actpass")

    def plan_answered(self, remote: RemoteMedia) -> Plan:
        """Judges what this peer answered to our offer; raises `Unacceptable`."""
        self._check(remote)
        match self.kind:
            case "rtp":
                return Plan(remote)
            case "sdes":
                chosen = remote.crypto[0]
                return Plan(
                    remote, _key(chosen), self._offered_keys[chosen.tag], crypto_tag=chosen.tag
                )
            case "webrtc":
                return Plan(remote, role=_ROLES[our_role(remote.setup)])

    def plan_offered(self, remote: RemoteMedia) -> Plan:
        """Judges what this peer offers and decides how to answer; raises `Unacceptable`."""
        self._check(remote)
        match self.kind:
            case "rtp":
                return Plan(remote, offered=True)
            case "sdes":
                chosen = choose_crypto(remote.crypto, self._around.settings.srtp_profiles)
                inbound = _key(chosen)
                before = self._plan.outbound if self._plan else None
                keep = before is not None and before.profile is inbound.profile
                outbound = before if keep and before is not None else new_key(inbound.profile)
                if inbound.key == outbound.key:
                    raise Unacceptable("our own SRTP key is offered back")
                return Plan(remote, inbound, outbound, crypto_tag=chosen.tag, offered=True)
            case "webrtc":
                current = self.ice.role if self.ice else None
                setup = answer_setup(remote.setup, "passive" if current == "server" else "active")
                return Plan(remote, role=_ROLES[setup], offered=True)

    def carry_out(self, plan: Plan) -> None:
        """Makes the leg what the plan says. The same again changes nothing."""
        self._plan, self.remote = plan, plan.remote
        self.leg.clock_rates.update(
            {
                codec.payload_type: codec.clock_rate
                for codec in plan.remote.codecs
                if codec.clock_rate
            }
        )
        if self._static is not None:
            self._use_address(self._static, plan)
        elif plan.remote.ice is not None and plan.role is not None:
            self._use_ice(plan.remote.ice, plan)

    def answer_media(self) -> LocalMedia:
        """Our end for the answer to this peer, after its offer was carried out."""
        assert self._plan is not None
        mux = self._plan.remote.rtcp_mux
        rtcp_port = None if mux else self.port + 1
        match self.kind:
            case "rtp":
                return LocalMedia(self.advertised, self.port, rtcp_port, mux)
            case "sdes":
                assert self._plan.outbound is not None
                line = _line(self._plan.crypto_tag, self._plan.outbound)
                return LocalMedia(self.advertised, self.port, rtcp_port, mux, crypto=(line,))
            case "webrtc":
                assert self.ice is not None
                return self._webrtc_media("active" if self.ice.role == "client" else "passive")

    def park(self) -> None:
        """The peer refused or ended this stream: nothing goes to or comes from it."""
        if self._static is not None:
            self._static.signal(None, None)
            self.leg.readdress()
        self.leg.use_keys(None, None)

    # -- packets --

    @property
    def expects_media(self) -> bool:
        """Whether the peer said it would send."""
        return self.remote is not None and self.remote.direction in ("sendrecv", "sendonly")

    def flush(self) -> None:
        """Sends what ICE and DTLS have to say."""
        if self.ice is not None:
            for data, destination in self.ice.outbox:
                self._ports.rtp.send(data, destination)
            self.ice.outbox.clear()

    def _rtp_receiver(self, direction: Direction, other: SessionLeg) -> Receive:
        def receive(data: bytes, source: Address) -> None:
            kind = classify(data)
            if kind is PacketKind.RTP:
                datagram = direction.rtp(data, source, self._clock())
                if datagram is not None:
                    other._ports.rtp.send(datagram, other.leg.connectivity.destination)
            elif kind is PacketKind.RTCP:
                self._relay_rtcp(direction, other, data, source)
            else:
                self._control(kind, data, source)

        return receive

    def _rtcp_receiver(self, direction: Direction, other: SessionLeg) -> Receive:
        def receive(data: bytes, source: Address) -> None:
            if classify(data) is PacketKind.RTCP:
                self._relay_rtcp(direction, other, data, source)
            else:
                self.leg.drop("unexpected")

        return receive

    def _relay_rtcp(
        self, direction: Direction, other: SessionLeg, data: bytes, source: Address
    ) -> None:
        sent = direction.rtcp(data, source)
        if sent is not None:
            through = other._ports.rtcp if sent.own_port else other._ports.rtp
            if through is not None:
                through.send(sent.data, sent.destination)

    def _control(self, kind: PacketKind, data: bytes, source: Address) -> None:
        if self.ice is None or kind is PacketKind.OTHER:
            self.leg.drop("unexpected")
            return
        if kind is PacketKind.STUN:
            self.ice.receive_stun(data, source, self._clock())
        else:
            self.ice.receive_dtls(data, source, self._clock())
        if self.ice.outbox or self.ice.events:
            self._changed(self)

    # -- parts --

    def _check(self, remote: RemoteMedia) -> None:
        if self.remote is not None:
            check_continuation(self.remote, remote)
        if remote.leg != self.kind:
            raise Unacceptable(f"stream {remote.index} must be {self.kind}, not {remote.leg}")

    def _use_address(self, static: StaticConnectivity, plan: Plan) -> None:
        remote = plan.remote
        rtp = _numeric(remote.destination)
        rtcp = rtp if remote.rtcp_mux else _numeric(remote.rtcp_destination)
        hosts = (self.profile.signalling_host,) if self.profile.signalling_host else ()
        static.signal(rtp, rtcp, hosts)
        self.leg.readdress()
        self.leg.use_keys(plan.inbound, plan.outbound)
        if static.strict:
            if rtp is not None:
                self._ports.rtp.connect(rtp)
            if self._ports.rtcp is not None and rtcp is not None and rtcp != rtp:
                self._ports.rtcp.connect(rtcp)

    def _use_ice(self, parameters: IceParameters, plan: Plan) -> None:
        if self.ice is None:
            # The answerer needs no checks of its own, unless the offerer makes none either.
            self._make_agent(lite=not parameters.lite)
        assert self.ice is not None
        assert plan.role is not None
        # Used only where the peer's offer restarts ICE, which takes new ones of ours too.
        fresh = new_credentials(self._around.rand) if plan.offered else None
        self.ice.start(
            parameters, plan.remote.fingerprints, plan.role, self._clock(), credentials=fresh
        )
        self.leg.readdress()

    def _make_agent(self, *, lite: bool) -> None:
        settings = self._around.settings
        agent = IceAgent(
            self._credentials,
            (self.advertised, self.port),
            controlling=not lite,
            lite=lite,
            rand=self._around.rand,
            settings=IceSettings(timeout=settings.ice_timeout),
        )
        self.ice = IceDtls(
            self.leg,
            agent,
            self._credentials,
            self._around.identity,
            dtls_timeout=settings.dtls_timeout,
        )

    def _webrtc_media(self, setup: Setup) -> LocalMedia:
        assert self.ice is not None
        candidate = host_candidate(self.advertised, self.port)
        lite = self.ice.agent.lite
        return LocalMedia(
            self.advertised,
            self.port,
            rtcp_mux=True,
            fingerprints=(self._around.identity.fingerprint,),
            setup=setup,
            ice=IceParameters(self.ice.credentials, (candidate,), lite),
        )

    def _offer_crypto(self) -> tuple[CryptoAttribute, ...]:
        """Fresh keys, one a suite; in a later offer the one in use (RFC 4568 section 7.1.4)."""
        if self._plan is not None and self._plan.outbound is not None:
            self._offered_keys = {1: self._plan.outbound}
        elif not self._offered_keys:
            profiles = [PROFILES[name] for name in self._around.settings.srtp_profiles]
            self._offered_keys = {
                tag: new_key(profile) for tag, profile in enumerate(profiles, start=1)
            }
        return tuple(_line(tag, key) for tag, key in self._offered_keys.items())


def _line(tag: int, key: SrtpKey) -> CryptoAttribute:
    return CryptoAttribute(tag, key.profile.name, key_params(key))


def _key(crypto: CryptoAttribute) -> SrtpKey:
    try:
        return parse_key(crypto.suite, crypto.key_params, crypto.session_params)
    except UnusableCrypto as unusable:
        raise Unacceptable(f"crypto line {crypto.tag}: {unusable.reason}") from None


def _numeric(address: Address | None) -> Address | None:
    """The address as the kernel writes it, so that sources compare equal."""
    if address is None:
        return None
    return str(ipaddress.ip_address(address[0])), address[1]
