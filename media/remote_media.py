"""What a received `m=` section asks of us: leg kind, destination, keys, ICE (RFC 3264).

`describe` judges a whole offer or answer; what must not be honoured raises Unacceptable.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from media.codec import Codec, payload_type
from media.crypto_attribute import CryptoAttribute
from media.destination import DestinationPolicy
from media.fingerprint import Fingerprint
from media.ice_values import Address, IceCredentials, IceParameters
from media.refusal import Unacceptable
from media.sdp import MediaDescription, SessionDescription
from media.sdp_lines import Direction

LegKind = Literal["rtp", "sdes", "webrtc"]

# RFC 3264, 3711, 4585, 5124, 5764. SAVP alone is SDES, unless a fingerprint says DTLS.
_PROFILES: Final[dict[str, LegKind]] = {
    "RTP/AVP": "rtp",
    "RTP/AVPF": "rtp",
    "RTP/SAVP": "sdes",
    "RTP/SAVPF": "sdes",
    "UDP/TLS/RTP/SAVP": "webrtc",
    "UDP/TLS/RTP/SAVPF": "webrtc",
}
# Milliseconds a packet: below, a relay drowns in packets; above, nobody can talk.
_PTIME: Final = (2.0, 1000.0)
_MILLISECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_RTCP: Final = re.compile(r"([0-9]{1,5})(?:[ \t]+IN[ \t]+IP[46][ \t]+(\S+))?")
# RFC 8839 section 5.4: at least 4 and 22, at most 256 characters.
_ICE_CHARS: Final = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
_HELD: Final[dict[Direction, Direction]] = {"sendrecv": "sendonly", "recvonly": "inactive"}


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """One stream as the peer wants it.

    `destination` is None while the peer is on hold by `c=0.0.0.0` and where ICE decides;
    `crypto` holds only usable lines, `fingerprints` only strong ones; `ice` has only
    candidates media may be sent to. `direction` is the peer's (sendonly: it holds us).
    """

    index: int
    kind: str
    leg: LegKind
    proto: str
    destination: Address | None
    rtcp_destination: Address | None
    rtcp_mux: bool
    direction: Direction
    codecs: tuple[Codec, ...]
    crypto: tuple[CryptoAttribute, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: str | None = None
    ice: IceParameters | None = None


def leg_kind(description: SessionDescription, media: MediaDescription) -> LegKind | None:
    """The kind of leg a section asks for, None for what is not RTP."""
    kind = _PROFILES.get(media.proto.upper())
    if kind == "sdes" and description.fingerprints_of(media) and not media.has("crypto"):
        return "webrtc"
    return kind


def classify_leg(description: SessionDescription) -> LegKind:
    """The kind of the first live audio (else any) stream; raises Unacceptable if none is RTP."""
    live = [media for media in description.media if media.port]
    for media in sorted(live, key=lambda media: media.kind != "audio"):
        kind = leg_kind(description, media)
        if kind is not None:
            return kind
    raise Unacceptable("no RTP stream is offered")


def describe(
    description: SessionDescription, policy: DestinationPolicy
) -> tuple[RemoteMedia | None, ...]:
    """Judge each section; None stands for a refused (port 0) or unsupported stream.

    Raises Unacceptable for a stream that must not be set up: no usable key or fingerprint, an
    address media must not go to, absurd packet times, formats that are no payload types.
    """
    return tuple(
        _describe(description, media, index, policy)
        for index, media in enumerate(description.media)
    )


def check_continuation(before: RemoteMedia, after: RemoteMedia) -> None:
    """Refuse a re-offer or repeated answer that takes security away or swaps the identity.

    A new fingerprint needs a new DTLS association, and that an ICE restart (RFC 8842 section
    4). Raises Unacceptable.
    """
    if before.leg != after.leg:
        raise Unacceptable(f"stream {after.index} changes from {before.leg} to {after.leg}")
    if before.ice is None or after.ice is None:
        return
    changed = set(before.fingerprints) != set(after.fingerprints)
    if changed and before.ice.credentials == after.ice.credentials:
        raise Unacceptable(f"stream {after.index} changes its fingerprint without ICE restart")


def _describe(
    description: SessionDescription,
    media: MediaDescription,
    index: int,
    policy: DestinationPolicy,
) -> RemoteMedia | None:
    kind = leg_kind(description, media)
    if kind is None or media.port == 0 or media.kind not in ("audio", "video"):
        return None
    _check_formats(media)
    _check_packet_time(media)
    connection = description.connection_of(media)
    host = connection.host if connection else ""
    ice = _ice(description, media, policy) if kind == "webrtc" else None
    held = ice is None and _unspecified(host)
    direction = description.direction_of(media)
    remote = RemoteMedia(
        index,
        media.kind,
        kind,
        media.proto,
        None,
        None,
        media.has("rtcp-mux"),
        _HELD.get(direction, direction) if held else direction,
        media.codecs(),
    )
    if ice is not None:
        return _with_dtls(remote, description, media, ice)
    if kind == "sdes":
        remote = replace(remote, crypto=_crypto(media))
    return remote if held else _with_destination(remote, media, host, policy)


def _with_dtls(
    remote: RemoteMedia,
    description: SessionDescription,
    media: MediaDescription,
    ice: IceParameters,
) -> RemoteMedia:
    strong = tuple(found for found in description.fingerprints_of(media) if found.strong)
    if not strong:
        raise Unacceptable("no certificate fingerprint of SHA-256 or better")
    if not remote.rtcp_mux:
        raise Unacceptable("DTLS-SRTP without rtcp-mux")
    setup = description.attribute_of(media, "setup")
    return replace(remote, fingerprints=strong, setup=setup.lower() if setup else None, ice=ice)


def _with_destination(
    remote: RemoteMedia, media: MediaDescription, host: str, policy: DestinationPolicy
) -> RemoteMedia:
    destination = (host, media.port)
    _check_destination(policy, destination)
    if remote.rtcp_mux:
        return replace(remote, destination=destination)
    rtcp = _rtcp_destination(media, host)
    if rtcp is not None:
        _check_destination(policy, rtcp)
    return replace(remote, destination=destination, rtcp_destination=rtcp)


def _check_destination(policy: DestinationPolicy, destination: Address) -> None:
    refusal = policy.refusal(*destination)
    if refusal is not None:
        raise Unacceptable(f"media {refusal}")


def _rtcp_destination(media: MediaDescription, host: str) -> Address | None:
    """RFC 3605 section 2.1: `a=rtcp`, else the next port (RFC 3550 section 11)."""
    match = _RTCP.fullmatch(media.attribute("rtcp") or "")
    if match is not None and 0 < int(match[1]) <= 65535:
        return match[2] or host, int(match[1])
    return (host, media.port + 1) if media.port < 65535 else None


def _check_formats(media: MediaDescription) -> None:
    if not media.formats or any(payload_type(text) is None for text in media.formats):
        raise Unacceptable("an RTP stream lists a format that is no payload type")


def _check_packet_time(media: MediaDescription) -> None:
    for name in ("ptime", "maxptime", "minptime"):
        value = media.attribute(name)
        if value is None:
            continue
        if not _MILLISECONDS.fullmatch(value) or not _PTIME[0] <= float(value) <= _PTIME[1]:
            raise Unacceptable(f"{name} is not between 2 and 1000 ms")


def _crypto(media: MediaDescription) -> tuple[CryptoAttribute, ...]:
    usable = tuple(crypto for crypto in media.crypto() if crypto.usable)
    if not usable:
        raise Unacceptable("no usable crypto suite")
    return usable


def _ice(
    description: SessionDescription, media: MediaDescription, policy: DestinationPolicy
) -> IceParameters:
    ufrag = description.attribute_of(media, "ice-ufrag") or ""
    pwd = description.attribute_of(media, "ice-pwd") or ""
    if not _ICE_CHARS.fullmatch(ufrag) or not _ICE_CHARS.fullmatch(pwd) or len(pwd) < 22:
        raise Unacceptable("DTLS-SRTP without ICE credentials")
    candidates = tuple(
        candidate
        for candidate in media.candidates()
        if candidate.numeric and policy.refusal(candidate.address, candidate.port) is None
    )
    return IceParameters(IceCredentials(ufrag, pwd), candidates, description.has("ice-lite"))


def _unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
