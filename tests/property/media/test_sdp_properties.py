"""Whatever the octets: only declared errors, what is written parses, nothing of a peer leaks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.sdp_facts import media_facts, session_facts
from media.candidate import parse_candidate
from media.codec import parse_rtpmap
from media.crypto_attribute import parse_crypto
from media.fingerprint import parse_fingerprint
from media.local_media import LocalMedia
from media.offer_answer import make_answer, make_offer, relayable
from media.refusal import Unacceptable
from media.remote_media import LegKind, describe
from media.sdp import MalformedSdp, SessionDescription, parse_sdp
from media.sdp_check import problems
from tests.unit.media.sdp_samples import (
    BROWSER,
    ORIGIN,
    PHONE,
    POLICY,
    SECURE_PHONE,
    plain,
    secure,
    webrtc,
)

SAMPLES = [text.encode() for text in (BROWSER, PHONE, SECURE_PHONE)]
LINES = sorted({line for sample in SAMPLES for line in sample.split(b"\n")})
LEGS: dict[LegKind, Callable[[], LocalMedia]] = {
    "rtp": plain,
    "sdes": lambda: secure(1),
    "webrtc": webrtc,
}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sample with lines lost, doubled, swapped, replaced, and octets changed."""
    lines = draw(st.sampled_from(SAMPLES)).split(b"\n")
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "insert", "octets", "junk"]))
        if change == "drop" and len(lines) > 1:
            del lines[place]
        elif change == "insert":
            lines.insert(place, draw(st.sampled_from(LINES)))
        elif change == "octets":
            cut = draw(st.integers(0, len(lines[place])))
            lines[place] = lines[place][:cut] + draw(st.binary(max_size=8)) + lines[place][cut:]
        else:
            lines.insert(place, draw(st.binary(max_size=40)))
    return draw(st.sampled_from([b"\n", b"\r\n"])).join(lines)


@given(st.one_of(st.binary(max_size=400), damaged()))
def test_any_octets_parse_or_are_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedSdp):
        description = parse_sdp(data)
        problems(description)
        repr(description)
        facts = [media_facts(description, media) for media in description.media]
        json.dumps([session_facts(description), facts]).encode("ascii")


@given(damaged())
def test_what_parses_is_written_and_read_back_the_same(data: bytes) -> None:
    with contextlib.suppress(MalformedSdp):
        description = parse_sdp(data)
        written = description.to_bytes()
        again = parse_sdp(written)
        assert again.to_bytes() == written
        assert [media.lines for media in again.media] == [
            media.lines for media in description.media
        ]
        assert again.origin == description.origin


@given(damaged(), st.sampled_from(sorted(LEGS)))
def test_our_offer_parses_and_holds_no_address_of_the_peer(data: bytes, kind: LegKind) -> None:
    with contextlib.suppress(MalformedSdp, Unacceptable):
        received = parse_sdp(data)
        made = _offer(received, kind)
        assert parse_sdp(made.to_bytes()).to_bytes() == made.to_bytes()
        assert len(made.media) == len(received.media)
        for line in made.to_bytes().split(b"\r\n"):
            assert not line.startswith((b"a=candidate", b"c=", b"o=")) or b"203.0.113.1" in line
            assert not line.startswith(b"k=")


@given(damaged(), damaged(), st.sampled_from(sorted(LEGS)))
def test_our_answer_parses_and_fits_the_offer(
    offered: bytes, answered: bytes, kind: LegKind
) -> None:
    with contextlib.suppress(MalformedSdp, Unacceptable):
        offer, answer = parse_sdp(offered), parse_sdp(answered)
        remotes = describe(answer, POLICY)
        locals_ = [LEGS[kind]() for _ in offer.media]
        made = make_answer(offer, answer, remotes, locals_, origin=ORIGIN)
        assert parse_sdp(made.to_bytes()).to_bytes() == made.to_bytes()
        assert [media.proto for media in made.media] == [media.proto for media in offer.media]


@given(st.text(max_size=200))
def test_attribute_values_parse_or_are_none(text: str) -> None:
    for parse in (parse_candidate, parse_crypto, parse_fingerprint, parse_rtpmap):
        found = parse(text)
        if found is not None:
            assert parse(str(found)) == found


def _offer(received: SessionDescription, kind: LegKind) -> SessionDescription:
    remotes = describe(received, POLICY)
    locals_ = [LEGS[kind]() if relayable(remote, kind) else None for remote in remotes]
    return make_offer(received, remotes, locals_, kind=kind, origin=ORIGIN)
