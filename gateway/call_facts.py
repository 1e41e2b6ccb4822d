"""What STIR has to know of a SIP request: its identities, date, media keys and Identity values."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from media.sdp import fingerprints, parse_sdp
from media.sdp_lines import MalformedSdp
from sip.fields import NameAddr, parse_date, parse_name_addrs
from sip.headers import Headers, MalformedHeader
from sip.message import Request, Response
from sip.multipart import part_of
from stir.call_info import CallInfo
from stir.extensions.rsp import RESPONSE
from stir.media_keys import Fingerprint
from stir.telephone_number import number_of
from stir.verification import CallFacts

_SHORTEST_NATIONAL: Final = 7
_MAX_CALL_INFO: Final = 16
_FINGERPRINT: Final = b"a=fingerprint"


def call_facts(request: Request) -> CallFacts:
    """Gather the facts a verification service compares with (RFC 8224 section 6.2).

    Originators: every P-Asserted-Identity, then From. Destinations: To, then the Request-URI. A
    header that cannot be read contributes nothing, so that what was signed cannot match it.
    """
    headers = request.headers
    asserted, shown = _addresses(request, "P-Asserted-Identity"), _addresses(request, "From")
    return CallFacts(
        orig_candidates=tuple(str(address.uri) for address in (*asserted, *shown)),
        dest_candidates=(*_uris(request, "To"), request.request_uri),
        date=_date(request),
        fingerprints=_fingerprints(request),
        method=request.method,
        call_id=headers.get("Call-ID"),
        display_names=tuple([a.display_name for a in (*shown, *asserted) if a.display_name]),
        call_info=_call_info(request) if "Call-Info" in headers else (),
        resource_priority=_resource_priority(headers) if "Resource-Priority" in headers else (),
        priority=(headers.get("Priority") or "").strip(),
        body=request.body,
    )


def live_facts(request: Request, *, accept_asserted: bool) -> CallFacts:
    """Gather the facts of a call that is to be delivered; stricter than what the RFC lets pass.

    What is proven has to be what people see and what is done. The number in From is displayed:
    P-Asserted-Identity counts where From shows none, or the same one as dialled at home, or where
    it is accepted anyway. The number in the Request-URI is called: a token for somebody else's To
    would otherwise be good for calls to everybody (RFC 8946 section 1). Where the call was
    forwarded there, div PASSporTs have to lead from that token to this number.
    """
    facts = call_facts(request)
    shown = _uris(request, "From")
    if not accept_asserted:
        asserted = (each for each in _uris(request, "P-Asserted-Identity") if _agree(each, shown))
        facts = replace(facts, orig_candidates=(*asserted, *shown))
    if number_of(request.request_uri) is not None:
        facts = replace(facts, dest_candidates=(request.request_uri,))
    return facts


def asserted_as_shown(request: Request) -> bool:
    """Whether no P-Asserted-Identity names another number than From shows."""
    shown = _uris(request, "From")
    return all(_agree(each, shown) for each in _uris(request, "P-Asserted-Identity"))


def _agree(asserted: str, shown: tuple[str, ...]) -> bool:
    """Whether no number is shown that is not, at least, the tail of the asserted one."""
    number = number_of(asserted) or ""
    displayed = [digits for uri in shown if (digits := number_of(uri)) is not None]
    return all(
        digits == number or (len(digits) >= _SHORTEST_NATIONAL and number.endswith(digits))
        for digits in (each.lstrip("0") for each in displayed)
    )


def identity_values(request: Request) -> tuple[str, ...]:
    """Return the Identity header field values in order; a value is never split at commas."""
    return request.headers.all("Identity")


def _uris(request: Request, name: str) -> tuple[str, ...]:
    return tuple(str(address.uri) for address in _addresses(request, name))


def _addresses(request: Request, name: str) -> tuple[NameAddr, ...]:
    try:
        return parse_name_addrs(name, request.headers.all(name))
    except MalformedHeader:
        return ()


def _resource_priority(headers: Headers) -> tuple[str, ...]:
    values = headers.all("Resource-Priority")
    return tuple(text.strip() for value in values for text in value.split(","))


def _call_info(request: Request) -> tuple[CallInfo, ...]:
    """Every Call-Info value (RFC 9796); what cannot be read is nothing the caller said."""
    found = []
    for address in _addresses(request, "Call-Info")[:_MAX_CALL_INFO]:
        purpose = address.params.text("purpose")
        reason = address.params.text("call-reason")
        found.append(CallInfo(str(address.uri), purpose.lower() if purpose else None, reason))
    return tuple(found)


def _date(request: Request) -> int | None:
    value = request.headers.get("Date")
    if value is None:
        return None
    try:
        return parse_date(value)
    except MalformedHeader:
        return None


def answer_facts(response: Response, *, orig: str, dest: str) -> CallFacts:
    """Gather the facts of the answer to a call between two numbers, as it arrived."""
    return CallFacts(
        orig_candidates=(orig,),
        dest_candidates=(dest,),
        fingerprints=answered_fingerprints(response),
        method=RESPONSE,
        call_id=response.headers.get("Call-ID"),
    )


def answered_fingerprints(response: Response) -> tuple[Fingerprint, ...]:
    """Return the media keys in an answer's SDP."""
    return _fingerprints(response)


def _fingerprints(request: Request | Response) -> tuple[Fingerprint, ...]:
    """The fingerprints of the SDP; none where the body has no SDP, so that mky cannot match."""
    sdp = part_of(request, "application/sdp")
    if sdp is None or _FINGERPRINT not in sdp:
        return ()  # most descriptions of plain RTP have none: they need not be parsed
    try:
        return fingerprints(parse_sdp(sdp))
    except MalformedSdp:
        return ()
