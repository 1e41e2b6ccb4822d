"""Signing by redirection: the switch gets its call back signed, in a 302, and routes it itself.

The Identity travels as header field of the 302, as signing servers commonly send it, or in the
header part of the Contact URI (RFC 3261 section 19.1.1), or both. Nothing is kept of such a call.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from gateway.config.sip import Trunk
from gateway.refusal import CallRefused
from sip.host import write_host
from sip.message import Request
from sip.uri import SipUri, parse_uri

# RFC 3261 section 25.1: hnv-unreserved, besides letters, digits and marks.
_UNESCAPED: Final = "[]/?:+$-_.!~*'()"


def redirection(signed: Request, trunk: Trunk, number: str, domain: str) -> CallRefused:
    """Return the 302 for a signed request: Contact, Date and Identity as the trunk wants them.

    `domain` is ours, for a call to a tel: URI.
    """
    identities = signed.headers.all("Identity")
    date = signed.headers.get("Date")
    beside = [("Identity", value) for value in identities]
    if date is not None and identities:
        beside.append(("Date", date))
    uri = f"sip:{number}@{_host(signed, trunk, domain)};user=phone"
    headers: list[tuple[str, str]] = []
    if trunk.redirect_identity in ("contact", "both") and beside:
        uri += "?" + "&".join(f"{name}={quote(value, _UNESCAPED)}" for name, value in beside)
    headers.append(("Contact", f"<{uri}>"))
    if trunk.redirect_identity in ("header", "both"):
        headers += beside
    return CallRefused(302, headers=tuple(headers))


def _host(request: Request, trunk: Trunk, domain: str) -> str:
    """Where the switch is to go on: what the trunk says, or where it meant to go."""
    if trunk.redirect_host is not None:
        return trunk.redirect_host
    uri = parse_uri(request.request_uri)
    if not isinstance(uri, SipUri):
        return domain
    host = write_host(uri.host)
    return host if uri.port is None else f"{host}:{uri.port}"
