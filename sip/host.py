"""Hosts as RFC 3261 section 25 writes them: names, IPv4 and bracketed IPv6 addresses."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
# Underscores are in no RFC's hostname but in many operators' DNS, and ambiguous with nothing.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*+\.?")
_LONGEST = 255


def parse_host(text: str) -> str | None:
    """Return the host without brackets, or None when the text is no host.

    A last label of digits only makes it a mistyped address, not a name (RFC 3261: toplabel).
    """
    return None if len(text) > _LONGEST else _parse_host(text)


# The hosts of a gateway's peers are in nearly every message. At most 4,096 of 255 characters.
@lru_cache(maxsize=4096)
def _parse_host(text: str) -> str | None:
    if text.startswith("["):
        return parse_ipv6(text[1:-1]) if text.endswith("]") else None
    if _IPV4.fullmatch(text) is not None:
        return text
    if _NAME.fullmatch(text) is None:
        return None
    return None if text.rstrip(".").rpartition(".")[2].isdigit() else text


def parse_ipv6(text: str) -> str | None:
    """Return an IPv6 address without brackets as written, or None.

    RFC 5118 section 4.10: the grammar of RFC 3261 lets an element write three colons before an
    embedded IPv4 address; they are read as two.
    """
    if _IPV6.fullmatch(text) is None:
        return None
    if text.count(":::") == 1 and "." in text:
        text = text.replace(":::", "::")
    try:
        IPv6Address(text)
    except AddressValueError:
        return None
    return text


def write_host(host: str) -> str:
    """Return the host as it stands in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def canonical_host(host: str) -> str:
    """Return what equal hosts share: lower case, no final dot, compressed IPv6 (RFC 5952)."""
    if ":" in host:
        return IPv6Address(host).compressed
    return host.lower().removesuffix(".")
