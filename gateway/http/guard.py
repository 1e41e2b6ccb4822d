"""Which URLs and addresses a stranger may make us connect to. Pure: nothing is sent here.

A URL in a PASSporT (x5u, SPIN callback) is chosen by whoever wrote it. It has to be plain https at
a DNS name, and every address that name has must be an ordinary public one: special-purpose
addresses (RFC 6890), and IPv4 ones hidden in IPv6 (mapped, 6to4, Teredo, NAT64), are refused.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 2048
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label has a letter, so no spelling of an IPv4 address (127.1, 0x7f000001) is a name.
_URL: Final = re.compile(
    rf"(?P<scheme>(?i:https?))://(?P<host>(?:{_LABEL}\.)*[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?"
    r"|(?:[0-9]{1,3}\.){1,3}[0-9]{1,3}|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)

# IANA special-purpose registry (RFC 6890 and successors), with multicast and reserved space.
_SPECIAL_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
# Only global unicast is routed at all; inside it, what is set aside.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class RefusalReason(StrEnum):
    """Why a URL or an address is not connected to."""

    URL = "url"
    PORT = "port"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """What may be connected to.

    ports: allowed ones; allow_networks: special-purpose networks that are allowed all the same
    (a demonstration on loopback, a private interconnection); deny_networks: refused whatever else
    is said, for instance the gateway's own addresses. plain_http: http as well as https, for what
    is signed by itself.
    """

    ports: frozenset[int] = frozenset({443, 8443})
    allow_networks: tuple[IpNetwork, ...] = ()
    deny_networks: tuple[IpNetwork, ...] = ()
    plain_http: bool = False


@dataclass(frozen=True, slots=True)
class GuardedUrl:
    """A URL that passed by syntax: host in lower case without brackets, port, path."""

    text: str
    host: str
    port: int
    path: str

    @property
    def numeric(self) -> bool:
        """Tell whether the host is an address; no name has digits and dots or colons only."""
        return not self.host.strip("0123456789.") or ":" in self.host


class UrlRefused(ValueError):
    """A URL is not fetched; `reason` is closed, the message is for people."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def check_url(text: str, policy: GuardPolicy) -> GuardedUrl:
    """Check a URL by syntax: https, ASCII host, allowed port, no userinfo, query or fragment.

    Raises UrlRefused.
    """
    parts = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    https = parts is not None and parts["scheme"].lower() == "https"
    if parts is None or not (https or policy.plain_http):
        raise UrlRefused(RefusalReason.URL, "not a plain https URL")
    port = int(parts["port"] or (HTTPS_PORT if https else HTTP_PORT))
    if port not in policy.ports:
        raise UrlRefused(RefusalReason.PORT, f"port {port} is not allowed")
    return GuardedUrl(text, parts["host"].strip("[]").lower(), port, parts["path"] or "/")


def check_address(text: str, policy: GuardPolicy) -> str:
    """Return the address to connect to, in canonical form; IPv4 mapped into IPv6 is unwrapped.

    Raises UrlRefused(ADDRESS) for one that is not public and not allowed.
    """
    try:
        address: IpAddress = ipaddress.ip_address(text)
    except ValueError:
        raise UrlRefused(RefusalReason.ADDRESS, "not an IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise UrlRefused(RefusalReason.ADDRESS, "an address with a zone")
        address = address.ipv4_mapped or address
    if _within(address, policy.deny_networks):
        raise UrlRefused(RefusalReason.ADDRESS, "an address of a denied network")
    if not _within(address, policy.allow_networks) and _is_special(address):
        raise UrlRefused(RefusalReason.ADDRESS, "a special-purpose address")
    for hidden in _hidden_in(address):
        if _within(hidden, policy.deny_networks) or _is_special(hidden):
            raise UrlRefused(RefusalReason.ADDRESS, "an address that hides a special-purpose one")
    return str(address)


def _is_special(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _SPECIAL_V4)
    if address in _NAT64:
        return False  # judged by the address it stands for
    return address not in _GLOBAL_V6 or any(address in network for network in _SPECIAL_V6)


def _hidden_in(address: IpAddress) -> tuple[IpAddress, ...]:
    """Return the IPv4 addresses that a packet to this IPv6 address may end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    hidden: list[IpAddress] = []
    if address in _NAT64:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        hidden.append(address.sixtofour)
    if address.teredo is not None:
        hidden.extend(address.teredo)
    return tuple(hidden)


def _within(address: IpAddress, networks: tuple[IpNetwork, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
