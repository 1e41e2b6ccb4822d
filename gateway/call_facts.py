"""What STIR has to know of a SIP request: its identities, date, media keys and Identity values."""

from __future__ import annotations

from collections.abc import Iterable

from media.sdp import fingerprints, parse_sdp
from media.sdp_lines import MalformedSdp
from sip.fields import NameAddr, parse_date, parse_name_addrs
from sip.headers import MalformedHeader
from sip.message import Request
from stir.media_keys import Fingerprint
from stir.verification import CallFacts


def call_facts(request: Request, *, trust_asserted: bool = True) -> CallFacts:
    """Gather the facts a verification service compares with (RFC 8224 section 6.2).

    Originators: every P-Asserted-Identity (unless the peer's may not be trusted), then From.
    Destinations: To, then the Request-URI. A header that cannot be read contributes nothing, so
    that what was signed cannot match it.
    """
    asserted = _uris(request, "P-Asserted-Identity") if trust_asserted else ()
    return CallFacts(
        orig_candidates=(*asserted, *_uris(request, "From")),
        dest_candidates=(*_uris(request, "To"), request.request_uri),
        date=_date(request),
        fingerprints=_fingerprints(request),
        method=request.method,
        call_id=request.headers.get("Call-ID"),
    )


def identity_values(request: Request) -> tuple[str, ...]:
    """Return the Identity header field values in order; a value is never split at commas."""
    return request.headers.all("Identity")


def _uris(request: Request, name: str) -> tuple[str, ...]:
    addresses: Iterable[NameAddr]
    try:
        addresses = parse_name_addrs(name, request.headers.all(name))
    except MalformedHeader:
        return ()
    return tuple(str(address.uri) for address in addresses)


def _date(request: Request) -> int | None:
    value = request.headers.get("Date")
    if value is None:
        return None
    try:
        return parse_date(value)
    except MalformedHeader:
        return None


def _fingerprints(request: Request) -> tuple[Fingerprint, ...]:
    """The fingerprints of the SDP; none where the body is no SDP, so that mky cannot match."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/sdp" or not request.body:
        return ()
    try:
        return fingerprints(parse_sdp(request.body))
    except MalformedSdp:
        return ()
