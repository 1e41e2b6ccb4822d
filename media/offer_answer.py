"""Turn the SDP of one leg into the SDP of the other (RFC 3264), as pure functions.

An offer from A becomes our offer to B; B's answer becomes our answer to A:

    A --offer--> describe, make_offer --our offer--> B
    A <--our answer-- make_answer, describe, check_answer <--answer-- B

Every `m=` section keeps its place; what cannot be relayed stands with port 0. Payload types,
codec order, fmtp, packet time and hold pass through; transport, keys and addresses never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from media.crypto_attribute import SUITES, CryptoAttribute
from media.local_media import LocalMedia
from media.refusal import Unacceptable
from media.remote_media import LegKind, RemoteMedia, leg_kind
from media.sdp import MediaDescription, SessionDescription
from media.sdp_lines import Connection, Line, Origin
from media.sdp_rewrite import connection_to, rejected, section, session_lines

__all__ = [
    "Unacceptable",
    "answer_setup",
    "check_answer",
    "choose_crypto",
    "make_answer",
    "make_offer",
    "our_role",
    "relayable",
    "versioned",
]

DtlsRole = Literal["active", "passive"]

_PROTO: Final[dict[LegKind, str]] = {
    "rtp": "RTP/AVP",
    "sdes": "RTP/SAVP",
    # RFC 8834 section 4.2: WebRTC end points speak the feedback profile.
    "webrtc": "UDP/TLS/RTP/SAVPF",
}


def relayable(remote: RemoteMedia | None, other: LegKind) -> bool:
    """Whether a stream is relayed to a leg of kind `other`: audio always, video between like.

    Video lives from feedback and retransmission that a change of profile takes away.
    """
    if remote is None:
        return False
    return remote.kind == "audio" or remote.leg == other


def make_offer(
    received: SessionDescription,
    remotes: Sequence[RemoteMedia | None],
    locals_: Sequence[LocalMedia | None],
    *,
    kind: LegKind,
    origin: Origin,
) -> SessionDescription:
    """Our offer to the other leg, of kind `kind`, for an offer received.

    `remotes` is describe()'s of it; `locals_` has our end for each relayed section and None for
    the others. `origin` carries our session id, version and address. Raises Unacceptable where
    no section is relayed.
    """
    _check_some(locals_)
    connection = _first_connection(locals_)
    like = _like(remotes, kind)
    sections: list[MediaDescription] = []
    for index, media in enumerate(received.media):
        remote, local = remotes[index], locals_[index]
        if remote is None or local is None:
            sections.append(rejected(media, proto=media.proto, mid=media.mid))
            continue
        mid = media.mid or (str(index) if kind == "webrtc" else None)
        proto = media.proto if remote.leg == kind else _PROTO[kind]
        sections.append(
            section(
                media,
                local,
                proto=proto,
                direction=remote.direction,
                mid=mid,
                session_connection=connection,
                like_legs=remote.leg == kind,
            )
        )
    lite = _lite(locals_)
    lines = session_lines(received, origin, connection, like_legs=like, lite=lite)
    return SessionDescription(lines, tuple(sections), origin, connection)


def make_answer(
    offer: SessionDescription,
    answer: SessionDescription,
    answered: Sequence[RemoteMedia | None],
    locals_: Sequence[LocalMedia | None],
    *,
    origin: Origin,
) -> SessionDescription:
    """Our answer to the `offer` of one leg from the `answer` of the other (RFC 3264 section 6).

    `answered` is describe()'s of the answer, which check_answer() has passed; `locals_` is our
    end towards the offerer. Where everything was refused, so is everything here.
    """
    connection = _first_connection(locals_)
    kinds = [leg_kind(offer, media) for media in offer.media]
    sections: list[MediaDescription] = []
    like = False
    for index, media in enumerate(offer.media):
        remote = answered[index] if index < len(answered) else None
        local = locals_[index]
        if remote is None or local is None:
            sections.append(rejected(media, proto=media.proto, mid=media.mid))
            continue
        like_legs = remote.leg == kinds[index]
        like = like or like_legs
        mux = local.rtcp_mux and media.has("rtcp-mux")
        sections.append(
            section(
                answer.media[index],
                replace(local, rtcp_mux=mux),
                proto=media.proto,
                direction=remote.direction,
                mid=media.mid,
                session_connection=connection,
                like_legs=like_legs,
            )
        )
    lite = _lite(locals_)
    lines = session_lines(answer, origin, connection, like_legs=like, lite=lite)
    return SessionDescription(lines, tuple(sections), origin, connection)


def check_answer(
    offer: SessionDescription,
    answer: SessionDescription,
    answered: Sequence[RemoteMedia | None],
    locals_: Sequence[LocalMedia | None],
) -> None:
    """Check what a peer answered to our `offer`; `locals_` is what that offer was made of.

    Raises Unacceptable: other sections than offered, a refused one revived, another kind of
    transport (no silent downgrade), no payload type of ours, keys we did not offer or our own.
    """
    if len(answer.media) != len(offer.media):
        raise Unacceptable("the answer has another number of streams than the offer")
    for index, (asked, media) in enumerate(zip(offer.media, answer.media, strict=True)):
        if media.kind != asked.kind:
            raise Unacceptable(f"stream {index} is answered with {media.kind}")
        if media.port == 0:
            continue
        if asked.port == 0:
            raise Unacceptable(f"stream {index} was not offered but is answered")
        remote, local = answered[index], locals_[index]
        if remote is None or local is None or remote.leg != leg_kind(offer, asked):
            raise Unacceptable(f"stream {index} is answered with transport {media.proto[:32]}")
        if not set(media.formats) & set(asked.formats):
            raise Unacceptable(f"stream {index} is answered without a codec of the offer")
        if remote.leg == "sdes":
            _check_answered_crypto(index, remote.crypto, local.crypto)


def choose_crypto(
    offered: Sequence[CryptoAttribute], suites: Sequence[str] = tuple(SUITES)
) -> CryptoAttribute:
    """The offered line to answer: the offerer's first of `suites` (RFC 4568 section 5.1.2).

    Raises Unacceptable if none is acceptable.
    """
    for crypto in offered:
        if crypto.usable and crypto.suite.upper() in suites:
            return crypto
    raise Unacceptable("no usable crypto suite")


def answer_setup(offered: str | None, prefer: DtlsRole = "active") -> DtlsRole:
    """Our `a=setup` in the answer to an offer's (RFC 5763 section 5, RFC 8842 section 5.3).

    An offer without setup counts as actpass. Raises Unacceptable for anything unknown.
    """
    if offered in (None, "actpass"):
        return prefer
    return _opposite(offered)


def our_role(answered: str | None) -> DtlsRole:
    """Our DTLS role after an answer to our actpass; without setup the answerer is active.

    Raises Unacceptable for actpass, holdconn or anything unknown (RFC 8842 section 5.4).
    """
    return _opposite(answered or "active")


def versioned(made: SessionDescription, previous: SessionDescription | None) -> SessionDescription:
    """Give `made` the o= version after `previous`: one more if anything else changed.

    RFC 3264 section 8: the same version means the same description.
    """
    if previous is None:
        return made
    before = previous.origin
    same = _with_origin(made, before).to_bytes() == previous.to_bytes()
    version = before.session_version if same else str(int(before.session_version) + 1)
    return _with_origin(
        made, replace(made.origin, session_id=before.session_id, session_version=version)
    )


def _with_origin(description: SessionDescription, origin: Origin) -> SessionDescription:
    lines = tuple(
        Line("o", str(origin)) if line.type == "o" else line for line in description.lines
    )
    return replace(description, lines=lines, origin=origin)


def _opposite(setup: str | None) -> DtlsRole:
    if setup == "active":
        return "passive"
    if setup == "passive":
        return "active"
    raise Unacceptable("setup is neither active nor passive")


def _check_answered_crypto(
    index: int, answered: Sequence[CryptoAttribute], ours: Sequence[CryptoAttribute]
) -> None:
    """RFC 4568 section 5.1.3: one line, with tag and suite of one we offered, and a new key."""
    offered = {(crypto.tag, crypto.suite.upper()) for crypto in ours}
    if len(answered) != 1 or (answered[0].tag, answered[0].suite.upper()) not in offered:
        raise Unacceptable(f"stream {index} is answered with a crypto line that was not offered")
    if answered[0].key_params in {crypto.key_params for crypto in ours}:
        raise Unacceptable(f"stream {index} is answered with our own key")


def _check_some(locals_: Sequence[LocalMedia | None]) -> None:
    if not any(locals_):
        raise Unacceptable("no stream of the offer can be relayed")


def _first_connection(locals_: Sequence[LocalMedia | None]) -> Connection:
    for local in locals_:
        if local is not None:
            return connection_to(local.address)
    return connection_to("0.0.0.0")  # noqa: S104 - all refused: RFC 8866 still wants a c= line


def _like(remotes: Sequence[RemoteMedia | None], kind: LegKind) -> bool:
    return any(remote is not None and remote.leg == kind for remote in remotes)


def _lite(locals_: Sequence[LocalMedia | None]) -> bool:
    return any(local is not None and local.ice is not None and local.ice.lite for local in locals_)
