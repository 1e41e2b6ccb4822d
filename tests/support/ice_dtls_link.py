"""Two ICE and DTLS legs on a virtual clock, joined by a link that may lose and reorder."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from media.candidate import host_candidate
from media.demux import PacketKind, classify
from media.dtls import DtlsIdentity, DtlsRole
from media.fingerprint import Fingerprint
from media.ice import IceAgent
from media.ice_values import Address, IceParameters, new_credentials
from media.leg import Leg
from media.leg_connectivity import IceConnectivity
from media.leg_ice import IceDtls, LegEvent
from media.srtp import AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80

EPOCH = 1_790_000_000.0


def identity() -> DtlsIdentity:
    return DtlsIdentity.generate(EPOCH, 86400, (AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80))


@dataclass
class End:
    """One gateway's leg towards the other."""

    address: Address
    lite: bool
    identity: DtlsIdentity
    rand: random.Random
    leg: Leg = field(init=False)
    ice: IceDtls = field(init=False)
    seen: list[LegEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credentials = new_credentials(self.rand)
        self.leg = Leg(IceConnectivity(), protected=True)
        agent = IceAgent(
            self.credentials,
            self.address,
            controlling=not self.lite,
            lite=self.lite,
            rand=self.rand,
        )
        self.ice = IceDtls(self.leg, agent, self.credentials, self.identity, dtls_timeout=10.0)

    @property
    def parameters(self) -> IceParameters:
        return IceParameters(self.ice.credentials, (host_candidate(*self.address),), self.lite)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        match classify(data):
            case PacketKind.STUN:
                self.ice.receive_stun(data, source, now)
            case PacketKind.DTLS:
                self.ice.receive_dtls(data, source, now)
            case PacketKind.RTP:
                self.leg.accept(data, source, now)


class Link:
    """Carries datagrams with a delay of 20 ms and up to 10 ms more; drops what `loses` says."""

    def __init__(
        self,
        seed: int = 1,
        *,
        loss: float = 0.0,
        loses: Callable[[bytes], bool] = lambda data: False,
    ) -> None:
        self.now = 0.0
        self.rand = random.Random(seed)
        self.full = End(("192.0.2.1", 1000), False, identity(), self.rand)
        self.lite = End(("192.0.2.2", 2000), True, identity(), self.rand)
        self.loss, self.loses = loss, loses
        self._flying: list[tuple[float, int, bytes, Address, Address]] = []
        self._order = itertools.count()

    def start(
        self,
        *,
        full_expects: Sequence[Fingerprint] | None = None,
        lite_expects: Sequence[Fingerprint] | None = None,
        full_role: DtlsRole = "server",
    ) -> None:
        full, lite = self.full, self.lite
        other: DtlsRole = "client" if full_role == "server" else "server"
        lite.ice.start(
            full.parameters, lite_expects or [full.identity.fingerprint], other, self.now
        )
        full.ice.start(
            lite.parameters, full_expects or [lite.identity.fingerprint], full_role, self.now
        )

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        if self.rand.random() < self.loss or self.loses(data):
            return
        arrival = self.now + 0.02 + self.rand.random() * 0.01
        heapq.heappush(self._flying, (arrival, next(self._order), data, source, destination))

    def run(self, until: float, *, each: Callable[[], None] = lambda: None) -> None:
        """Goes on until the time is come, whatever happens."""
        while True:
            each()
            for end in (self.full, self.lite):
                for data, destination in end.ice.outbox:
                    self.send(data, end.address, destination)
                end.ice.outbox.clear()
                end.seen += end.ice.events
                end.ice.events.clear()
            times = [end.ice.next_deadline() for end in (self.full, self.lite)]
            times.append(self._flying[0][0] if self._flying else None)
            at = min((time for time in times if time is not None), default=until)
            if at >= until:
                self.now = until
                return
            self.now = max(self.now, at)
            self._arrive()

    def _arrive(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, data, source, destination = heapq.heappop(self._flying)
            for end in (self.full, self.lite):
                if end.address == destination:
                    end.receive(data, source, self.now)
        for end in (self.full, self.lite):
            end.ice.expire(self.now)
