"""The SDP of one leg becomes the SDP of the other (RFC 3264, 3711, 4568, 5763, 8839)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from media.crypto_attribute import parse_crypto
from media.local_media import LocalMedia
from media.offer_answer import (
    answer_setup,
    check_answer,
    choose_crypto,
    make_answer,
    make_offer,
    our_role,
    relayable,
    versioned,
)
from media.refusal import Unacceptable
from media.remote_media import LegKind, check_continuation, classify_leg, describe
from media.sdp import SessionDescription, parse_sdp
from tests.unit.media.sdp_samples import (
    BROWSER,
    KEY_A,
    KEY_B,
    KEY_OURS,
    ORIGIN,
    OUR_SHA256,
    PHONE,
    PHONE_ANSWER,
    POLICY,
    SECURE_PHONE,
    SHA256,
    plain,
    sdp,
    secure,
    webrtc,
)


def offered(text: str, kind: LegKind, *locals_: LocalMedia | None) -> SessionDescription:
    received = sdp(text)
    made = make_offer(received, describe(received, POLICY), locals_, kind=kind, origin=ORIGIN)
    assert parse_sdp(made.to_bytes()).to_bytes() == made.to_bytes()
    return made


def answered(offer_text: str, answer_text: str, *locals_: LocalMedia | None) -> SessionDescription:
    offer, answer = sdp(offer_text), sdp(answer_text)
    remotes = describe(answer, POLICY)
    made = make_answer(offer, answer, remotes, locals_, origin=ORIGIN)
    assert parse_sdp(made.to_bytes()).to_bytes() == made.to_bytes()
    return made


# -- offers --


def test_a_phones_offer_keeps_codecs_and_gets_our_transport() -> None:
    made = offered(PHONE, "rtp", plain())
    assert made.to_bytes().decode() == (
        "v=0\r\n"
        "o=- 7001 1 IN IP4 203.0.113.1\r\n"
        "s=Desk phone\r\n"
        "c=IN IP4 203.0.113.1\r\n"
        "t=0 0\r\n"
        "a=X-maker:11\r\n"
        "m=audio 30000 RTP/AVP 9 0 8 101\r\n"
        "b=AS:64\r\n"
        "a=rtpmap:9 G722/8000\r\n"
        "a=rtpmap:0 PCMU/8000\r\n"
        "a=rtpmap:8 PCMA/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-15\r\n"
        "a=ptime:20\r\n"
        "a=sendrecv\r\n"
    )


def test_a_phones_offer_becomes_dtls_srtp_with_ice() -> None:
    made = offered(PHONE, "webrtc", webrtc())
    (audio,) = made.media
    assert audio.proto == "UDP/TLS/RTP/SAVPF"
    assert audio.formats == ("9", "0", "8", "101")
    assert audio.setup() == "actpass"
    assert audio.fingerprints() == (OUR_SHA256,)
    assert (audio.ice_ufrag(), audio.ice_pwd()) == ("ours", "our-password-of-24-chars")
    assert [str(found) for found in audio.candidates()] == [
        "1 1 UDP 2130706431 203.0.113.1 30000 typ host"
    ]
    assert audio.has("rtcp-mux")
    assert audio.has("end-of-candidates")
    assert audio.attribute("ice-options") == "ice2"
    assert audio.mid == "0"
    assert not made.has("ice-lite")


def test_a_lite_agent_says_so_at_session_level() -> None:
    assert offered(PHONE, "webrtc", webrtc(lite=True)).has("ice-lite")


def test_a_browsers_offer_becomes_plain_rtp_without_a_trace_of_its_transport() -> None:
    made = offered(BROWSER, "rtp", plain(), None, None)
    audio, video, data = made.media
    assert (audio.proto, audio.port) == ("RTP/AVP", 30000)
    assert audio.formats == ("111", "9", "0", "8", "126")
    assert audio.fmtp()["111"] == "minptime=10;useinbandfec=1"
    assert (video.port, video.proto) == (0, "UDP/TLS/RTP/SAVPF")
    assert (data.port, data.formats) == (0, ("webrtc-datachannel",))
    text = made.to_bytes().decode()
    for trace in (
        "10.1.2.3",
        "192.0.2.33",
        ".local",
        "nWnq",
        "DTdCVj",
        "fingerprint",
        "setup",
        "rtcp-mux",
        "rtcp-fb",
        "candidate",
        "BUNDLE",
        "msid",
        "ssrc",
        "extmap",
        "127.0.0.1",
    ):
        assert trace not in text


def test_between_two_browsers_video_and_extensions_pass_but_bundle_does_not() -> None:
    made = offered(BROWSER, "webrtc", webrtc(port=30000), webrtc(port=30002), None)
    audio, video, data = made.media
    assert (audio.port, video.port, data.port) == (30000, 30002, 0)
    assert audio.attribute("extmap") == "1 urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    assert video.attribute("rtcp-fb") == "96 nack pli"
    assert audio.attribute("ssrc") == "3262661846 cname:yFbnkIWTHwPXy6MO"
    assert (audio.mid, video.mid, data.mid) == ("0", "1", "2")
    assert not made.has("group")
    assert audio.ice_ufrag() == "ours"


def test_a_private_note_of_the_caller_does_not_pass() -> None:
    text = offered(PHONE, "rtp", plain()).to_bytes()
    for private in (b"Accounting", b"someone@", b"+1 617", b"k=", b"192.0.2.46"):
        assert private not in text


def test_rtcp_on_an_odd_port_is_written() -> None:
    local = replace(plain(), rtcp_port=30011)
    assert offered(PHONE, "rtp", local).media[0].attribute("rtcp") == "30011"


def test_two_addresses_give_each_section_its_connection() -> None:
    second = replace(plain(30002), address="2001:db8::9")
    text = PHONE + "m=audio 2300 RTP/AVP 0\n"
    made = offered(text, "rtp", plain(), second)
    assert made.media[0].connection is None
    assert str(made.media[1].connection) == "IN IP6 2001:db8::9"


def test_an_offer_of_which_nothing_is_relayed_is_refused() -> None:
    received = sdp(PHONE.replace("m=audio", "m=image"))
    remotes = describe(received, POLICY)
    assert remotes == (None,)
    with pytest.raises(Unacceptable, match="no stream") as caught:
        make_offer(received, remotes, [None], kind="rtp", origin=ORIGIN)
    assert caught.value.status == 488


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
def test_hold_passes_at_either_level(direction: str) -> None:
    at_media = PHONE.replace("a=sendrecv", f"a={direction}")
    at_session = PHONE.replace("a=sendrecv\n", "").replace("a=X-maker:11", f"a={direction}")
    for text in (at_media, at_session):
        assert offered(text, "webrtc", webrtc()).media[0].direction == direction


@pytest.mark.parametrize(
    ("written", "passed"), [("sendrecv", "sendonly"), ("recvonly", "inactive")]
)
def test_hold_by_the_unspecified_address_passes_as_direction(written: str, passed: str) -> None:
    text = PHONE.replace("c=IN IP4 192.0.2.46", "c=IN IP4 0.0.0.0").replace(
        "a=sendrecv", f"a={written}"
    )
    (remote,) = describe(sdp(text), POLICY)
    assert remote is not None
    assert remote.destination is None
    assert offered(text, "rtp", plain()).media[0].direction == passed


def test_video_is_relayed_only_between_like_legs() -> None:
    audio, video, data = describe(sdp(BROWSER), POLICY)
    assert relayable(audio, "rtp")
    assert relayable(video, "webrtc")
    assert not relayable(video, "rtp")
    assert not relayable(data, "webrtc")


# -- what a peer asks --


@pytest.mark.parametrize(
    ("proto", "extra", "kind"),
    [
        ("RTP/AVP", "", "rtp"),
        ("RTP/AVPF", "", "rtp"),
        ("rtp/avp", "", "rtp"),
        ("RTP/SAVP", "", "sdes"),
        ("RTP/SAVPF", f"a=fingerprint:{SHA256}\n", "webrtc"),
        ("UDP/TLS/RTP/SAVP", "", "webrtc"),
        ("UDP/TLS/RTP/SAVPF", "", "webrtc"),
    ],
)
def test_the_profile_tells_the_kind_of_leg(proto: str, extra: str, kind: str) -> None:
    assert classify_leg(sdp(PHONE.replace("RTP/AVP", proto) + extra)) == kind


def test_without_rtp_there_is_no_kind_of_leg() -> None:
    with pytest.raises(Unacceptable):
        classify_leg(sdp(PHONE.replace("RTP/AVP", "udptl")))


def test_a_phone_is_described_with_destinations_and_codecs() -> None:
    (remote,) = describe(sdp(PHONE), POLICY)
    assert remote is not None
    assert remote.destination == ("192.0.2.46", 2262)
    assert remote.rtcp_destination == ("192.0.2.46", 2270)
    assert [codec.name for codec in remote.codecs][:2] == ["G722/8000", "PCMU/8000"]


def test_without_rtcp_attribute_the_next_port_is_meant() -> None:
    (remote,) = describe(sdp(PHONE_ANSWER), POLICY)
    assert remote is not None
    assert remote.rtcp_destination == ("198.51.100.7", 4001)


def test_a_browser_is_described_with_ice_and_only_reachable_candidates() -> None:
    audio = describe(sdp(BROWSER), POLICY)[0]
    assert audio is not None
    assert audio.ice is not None
    assert audio.destination is None
    assert audio.setup == "actpass"
    assert audio.fingerprints == (SHA256,)
    assert [found.address for found in audio.ice.candidates] == ["192.0.2.33"]
    assert not audio.ice.lite


# -- answers --


def test_an_answer_comes_back_with_our_transport_and_the_chosen_codecs() -> None:
    made = answered(BROWSER, PHONE_ANSWER, webrtc("active"), None, None)
    audio, video, data = made.media
    assert audio.proto == "UDP/TLS/RTP/SAVPF"
    assert audio.formats == ("0", "101")
    assert audio.attribute("ptime") == "30"
    assert audio.setup() == "active"
    assert audio.mid == "0"
    assert audio.has("rtcp-mux")
    assert (video.port, video.formats, video.mid) == (0, ("96",), "1")
    assert (data.port, data.proto, data.mid) == (0, "UDP/DTLS/SCTP", "2")
    assert b"198.51.100.7" not in made.to_bytes()


def test_rtcp_mux_is_answered_only_where_it_was_offered() -> None:
    made = answered(PHONE, PHONE_ANSWER, replace(plain(), rtcp_mux=True))
    assert not made.media[0].has("rtcp-mux")
    assert made.media[0].mid is None


def test_a_refused_stream_is_refused_to_the_offerer() -> None:
    made = answered(PHONE, PHONE_ANSWER.replace("audio 4000", "audio 0"), plain())
    assert made.media[0].port == 0
    assert made.media[0].formats == ("9", "0", "8", "101")


def test_the_answer_to_sdes_carries_the_chosen_line_with_our_key() -> None:
    (remote,) = describe(sdp(SECURE_PHONE), POLICY)
    assert remote is not None
    chosen = choose_crypto(remote.crypto)
    assert chosen.tag == 2
    made = answered(SECURE_PHONE, PHONE_ANSWER, secure(chosen.tag))
    (crypto,) = made.media[0].crypto()
    assert (crypto.tag, crypto.key_params) == (2, KEY_OURS)
    assert made.media[0].proto == "RTP/SAVP"


def test_the_suites_can_be_narrowed() -> None:
    (remote,) = describe(sdp(SECURE_PHONE), POLICY)
    assert remote is not None
    assert choose_crypto(remote.crypto, ("AES_CM_128_HMAC_SHA1_32",)).tag == 3
    with pytest.raises(Unacceptable):
        choose_crypto(remote.crypto, ("AEAD_AES_128_GCM",))


SAVP_ANSWER = PHONE_ANSWER.replace("RTP/AVP", "RTP/SAVP")


def _check(answer_text: str, kind: LegKind, local: LocalMedia) -> None:
    offer = offered(PHONE, kind, local)
    answer = sdp(answer_text)
    check_answer(offer, answer, describe(answer, POLICY), [local])


def test_a_sound_answer_passes() -> None:
    _check(PHONE_ANSWER, "rtp", plain())
    _check(PHONE_ANSWER.replace("audio 4000", "audio 0"), "rtp", plain())
    good = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY_B}\n"
    _check(SAVP_ANSWER + good, "sdes", secure(1, 2))


@pytest.mark.parametrize(
    ("answer_text", "reason"),
    [
        (PHONE_ANSWER, "transport RTP/AVP"),
        (SAVP_ANSWER, "no usable crypto"),
        (SAVP_ANSWER + f"a=crypto:9 AES_CM_128_HMAC_SHA1_80 {KEY_B}\n", "not offered"),
        (SAVP_ANSWER + f"a=crypto:1 AES_CM_128_HMAC_SHA1_32 {KEY_B}\n", "not offered"),
        (SAVP_ANSWER + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY_OURS}\n", "our own key"),
        (
            SAVP_ANSWER
            + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY_A}\n"
            + f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 {KEY_B}\n",
            "not offered",
        ),
    ],
)
def test_an_answer_that_weakens_our_sdes_offer_is_refused(answer_text: str, reason: str) -> None:
    with pytest.raises(Unacceptable, match=reason) as caught:
        _check(answer_text, "sdes", secure(1, 2))
    assert caught.value.status == 488


@pytest.mark.parametrize(
    ("answer_text", "reason"),
    [
        (PHONE_ANSWER + "m=audio 0 RTP/AVP 0\n", "another number"),
        (PHONE_ANSWER.replace("m=audio", "m=video"), "answered with video"),
        (PHONE_ANSWER.replace("RTP/AVP 0 101", "RTP/AVP 3"), "without a codec"),
        (PHONE_ANSWER.replace("RTP/AVP", "udptl"), "transport udptl"),
    ],
)
def test_an_answer_that_does_not_fit_the_offer_is_refused(answer_text: str, reason: str) -> None:
    with pytest.raises(Unacceptable, match=reason):
        _check(answer_text, "rtp", plain())


def test_a_stream_we_refused_cannot_be_answered() -> None:
    offer = offered(BROWSER, "rtp", plain(), None, None)
    answer = sdp(PHONE_ANSWER + "m=video 5000 RTP/AVP 96\n" + "m=application 0 UDP/DTLS/SCTP x\n")
    with pytest.raises(Unacceptable, match="was not offered"):
        check_answer(offer, answer, describe(answer, POLICY), [plain(), None, None])


# -- DTLS roles, versions, re-offers --


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("actpass", "active"), (None, "active"), ("active", "passive"), ("passive", "active")],
)
def test_our_setup_answers_theirs(theirs: str | None, ours: str) -> None:
    assert answer_setup(theirs) == ours


def test_an_actpass_offer_may_be_answered_passive() -> None:
    assert answer_setup("actpass", "passive") == "passive"


@pytest.mark.parametrize(
    ("answered_setup", "role"), [("active", "passive"), ("passive", "active"), (None, "passive")]
)
def test_our_role_follows_the_answer(answered_setup: str | None, role: str) -> None:
    assert our_role(answered_setup) == role


@pytest.mark.parametrize("setup", ["actpass", "holdconn", "sometimes"])
def test_an_answer_without_a_role_is_refused(setup: str) -> None:
    with pytest.raises(Unacceptable):
        our_role(setup)


def test_the_version_rises_only_with_a_change() -> None:
    first = offered(PHONE, "rtp", plain())
    again = versioned(offered(PHONE, "rtp", plain()), first)
    assert again.to_bytes() == first.to_bytes()
    held = versioned(offered(PHONE.replace("a=sendrecv", "a=sendonly"), "rtp", plain()), first)
    assert (held.origin.session_id, held.origin.session_version) == ("7001", "2")
    assert versioned(first, None) is first


def test_a_changed_fingerprint_needs_an_ice_restart() -> None:
    before = describe(sdp(BROWSER), POLICY)[0]
    swapped = BROWSER.replace("AB:AB", "EE:AB")
    after = describe(sdp(swapped), POLICY)[0]
    restarted = describe(sdp(swapped.replace("nWnq", "othr")), POLICY)[0]
    assert before is not None
    assert after is not None
    assert restarted is not None
    check_continuation(before, before)
    check_continuation(before, restarted)
    with pytest.raises(Unacceptable, match="fingerprint"):
        check_continuation(before, after)


def test_a_secure_stream_cannot_become_plain() -> None:
    before = describe(sdp(SECURE_PHONE), POLICY)[0]
    after = describe(sdp(PHONE), POLICY)[0]
    assert before is not None
    assert after is not None
    with pytest.raises(Unacceptable, match="from sdes to rtp"):
        check_continuation(before, after)


# -- a=crypto --


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY_A}", True),
        (f"1 AES_CM_128_HMAC_SHA1_32 {KEY_A}|2^20", True),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY_A} WSH=64", True),
        (f"1 AEAD_AES_128_GCM {KEY_A}", False),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY_A}|1:4", False),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY_A};{KEY_B}", False),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY_A} UNENCRYPTED_SRTP", False),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY_A} UNAUTHENTICATED_SRTP", False),
        (f"1 NULL_HMAC_SHA1_80 {KEY_A}", False),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:QUFB", False),
    ],
)
def test_only_sound_crypto_lines_are_usable(value: str, usable: bool) -> None:
    crypto = parse_crypto(value)
    assert crypto is not None
    assert crypto.usable is usable
    assert str(crypto) == value


@pytest.mark.parametrize("value", ["", "1", "1 SUITE", f"x SUITE {KEY_A}", "1 SUITE nokey"])
def test_what_is_no_crypto_line_is_none(value: str) -> None:
    assert parse_crypto(value) is None


def test_no_key_is_ever_shown() -> None:
    description = sdp(SECURE_PHONE)
    shown = repr(description) + repr(description.media) + repr(description.media[0].lines)
    shown += repr(describe(description, POLICY)) + repr(describe(sdp(BROWSER), POLICY))
    for secret in ("QUFB", "DTdCVj00s9nGkNgWra0P30A2"):
        assert secret not in shown
