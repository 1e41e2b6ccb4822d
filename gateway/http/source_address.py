"""What counts as one source of requests where they are limited."""

from __future__ import annotations

import ipaddress
from typing import Final

_IPV6_NETWORK: Final = 64


def source_of(remote: str | None) -> str:
    """Return an IPv4 address as it is, and of an IPv6 address the /64, all of which one host may
    have (RFC 4291 2.5.4); empty for what is no address."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, _IPV6_NETWORK), strict=False))
    return str(address)
