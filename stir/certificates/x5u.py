"""Which credential URLs are fetched at all, decided before any packet is sent."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

MAX_URL: Final = 2_048
PORTS: Final = frozenset({443, 8443})
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<authority>[^/?#\\]*)(?P<path>/[^?#\\]*)?"
)
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_PORT: Final = re.compile(r"[0-9]{1,5}")


class UrlRefused(ValueError):
    """The URL is not fetched; the message says which rule it breaks, without quoting the URL."""


@lru_cache(maxsize=2_048)
def check_url(url: str, *, extra_ports: frozenset[int] = frozenset()) -> None:
    """Raise UrlRefused unless the URL is one a verification service may fetch (ATIS-1000074 5.3).

    https, at most 2,048 printable ASCII characters, port 443 or 8443 (or one of `extra_ports`), an
    ASCII host name or IP literal, no user information, query or fragment. Whether the *address*
    is public is for the fetcher to say, after it resolved the name.
    """
    if len(url) > MAX_URL:
        raise UrlRefused(f"longer than {MAX_URL} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UrlRefused("has characters outside printable ASCII")
    for mark, name in (("?", "a query"), ("#", "a fragment"), ("\\", "a backslash")):
        if mark in url:
            raise UrlRefused(f"has {name}")
    match = _URL.fullmatch(url)
    if match is None:
        raise UrlRefused("is not an absolute URL with a host")
    if match["scheme"].lower() != "https":
        raise UrlRefused(f"is {match['scheme'].lower()}, not https")
    authority = match["authority"]
    if "@" in authority:
        raise UrlRefused("has user information")
    host, port = _split(authority)
    if port not in PORTS and port not in extra_ports:
        raise UrlRefused("uses a port other than 443 or 8443")
    _check_host(host)


def _split(authority: str) -> tuple[str, int]:
    host, colon, port = authority, "", ""
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        host += bracket
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise UrlRefused("has a malformed host")
    else:
        host, colon, port = authority.partition(":")
    if not colon:
        return host, 443
    if _PORT.fullmatch(port) is None:
        raise UrlRefused("has a malformed port")
    return host, int(port)


def _check_host(host: str) -> None:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise UrlRefused("has a malformed IPv6 address") from None
        return
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("has a malformed host")
    if labels[-1].isdigit() or labels[-1].lower().startswith("0x"):
        # resolvers read 127.1, 0x7f000001 and 2130706433 as addresses, ipaddress does not
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise UrlRefused("has a host that is a number, not an address or name") from None
