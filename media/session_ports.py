"""Opens the sockets of a leg on ports of the pool, and gives them back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from media.ports import PortPool, PortsExhausted
from media.session_settings import MediaExhausted
from media.udp import MediaSocket, UdpPoller, busy

MAX_BUSY = 32
"""Ports of other programs that are stepped over before the pool counts as exhausted."""


class OpenPorts:
    """An RTP socket on an even port and, where RTCP is not multiplexed, one on the port above."""

    def __init__(
        self, port: int, rtp: MediaSocket, rtcp: MediaSocket | None, give_back: Callable[[], None]
    ) -> None:
        self.port, self.rtp, self.rtcp = port, rtp, rtcp
        self._give_back: Callable[[], None] | None = give_back

    def close(self) -> None:
        """Closes the sockets; the port pair rests in quarantine. Idempotent."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            self.rtp.close()
            if self.rtcp is not None:
                self.rtcp.close()
            give_back()


class PortOpener:
    """The pools of all addresses of an engine."""

    def __init__(
        self,
        hosts: Iterable[str],
        port_min: int,
        port_max: int,
        *,
        quarantine: float,
        rand: Random,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._pools = {
            host: PortPool(port_min, port_max, quarantine=quarantine, rand=rand)
            for host in set(hosts)
        }

    @property
    def in_use(self) -> int:
        """Port pairs now open, over all addresses."""
        return sum(pool.in_use for pool in self._pools.values())

    def open(self, poller: UdpPoller, host: str, *, with_rtcp: bool) -> OpenPorts:
        """Binds a random pair; raises `MediaExhausted` where no port or descriptor is left."""
        pool = self._pools[host]
        for _ in range(MAX_BUSY):
            try:
                port = pool.take(self._clock())
            except PortsExhausted:
                raise MediaExhausted(f"no media port is free on {host}") from None
            try:
                return self._bind(poller, pool, host, port, with_rtcp=with_rtcp)
            except OSError as error:
                pool.give_back(port, self._clock())
                if not busy(error):
                    raise MediaExhausted(f"media socket on {host}: {error.strerror}") from None
        raise MediaExhausted(f"media ports of {host} are held by other programs")

    def _bind(
        self, poller: UdpPoller, pool: PortPool, host: str, port: int, *, with_rtcp: bool
    ) -> OpenPorts:
        rtp = MediaSocket(poller, host, port)
        try:
            rtcp = MediaSocket(poller, host, port + 1) if with_rtcp else None
        except OSError:
            rtp.close()
            raise
        return OpenPorts(port, rtp, rtcp, lambda: pool.give_back(port, self._clock()))
