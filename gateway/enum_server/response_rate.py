"""How many answers one network gets over UDP, where sources can be forged."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto


class Allowance(Enum):
    """What a query gets: an answer, an empty one that asks to come back over TCP, or nothing."""

    ANSWER = auto()
    TRUNCATED = auto()
    NOTHING = auto()


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    over: int = 0


class ResponseRate:
    """A token bucket a network (IPv4 /24, IPv6 /56); `now` counts seconds and never goes back.

    per_second, burst: answers. Of the queries beyond, every second one gets a truncated answer no
    longer than itself, so that whoever really asks can come over TCP. max_networks: the least
    recently seen are forgotten first.
    """

    def __init__(
        self, *, per_second: float = 50.0, burst: float = 200.0, max_networks: int = 20_000
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._max_networks = max_networks
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, host: str, now: float) -> Allowance:
        """Count a query of an address."""
        network = _network(host)
        bucket = self._buckets.get(network)
        if bucket is None:
            bucket = self._buckets[network] = _Bucket(self._burst, now)
            if len(self._buckets) > self._max_networks:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(network)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return Allowance.ANSWER
        bucket.over += 1
        return Allowance.TRUNCATED if bucket.over % 2 else Allowance.NOTHING


def _network(host: str) -> str:
    address = ipaddress.ip_address(host.partition("%")[0])
    length = 24 if address.version == 4 else 56
    return str(ipaddress.ip_network((address, length), strict=False))
