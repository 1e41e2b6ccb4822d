"""Where media may be sent: nobody talks us into flooding an internal or special address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA IPv4 Special-Purpose Address Registry (RFC 6890), anycast and documentation included.
_SPECIAL_IPV4: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
    )
)
# RFC 4291: global unicast is 2000::/3; within it, RFC 6890 and later name these.
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20")
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """Which transport addresses may receive media.

    Special-purpose addresses only within `allowed`; multicast, unspecified and broadcast
    addresses, port 0 and our own media ports (`own_hosts` x `own_ports`) never. IPv4 inside
    IPv6 (mapped, 6to4, NAT64) is judged as the IPv4 address.
    """

    allowed: tuple[Network, ...] = ()
    own_hosts: frozenset[str] = frozenset()
    own_ports: range = range(0)

    def refusal(self, host: str, port: int) -> str | None:
        """Why media must not go there, None if it may."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return "address is not numeric"
        if port == 0:
            return "port is 0"
        effective = _unwrap(address)
        if _never(effective) or _never(address):
            return "address is multicast, broadcast or unspecified"
        if str(effective) in self.own_hosts and port in self.own_ports:
            return "address is a media port of our own"
        if _special(effective) and not any(
            address in network or effective in network for network in self.allowed
        ):
            return "address is special-purpose and not in an allowed network"
        return None


def _unwrap(address: Ip) -> Ip:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return inner
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _never(address: Ip) -> bool:
    if address.is_multicast or address.is_unspecified:
        return True
    return isinstance(address, ipaddress.IPv4Address) and int(address) >= 0xF0000000


def _special(address: Ip) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _SPECIAL_IPV4)
    return address not in _GLOBAL_IPV6 or any(address in network for network in _SPECIAL_IPV6)
