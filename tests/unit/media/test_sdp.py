"""Session descriptions: what parses, what does not, what is kept (RFC 8866)."""

from __future__ import annotations

import pytest

from media.fingerprint import Fingerprint
from media.sdp import MAX_MEDIA, MalformedSdp, fingerprints, parse_sdp
from media.sdp_check import problems
from media.sdp_lines import Line
from tests.unit.media.sdp_samples import BROWSER, PHONE, SECURE_PHONE, SHA256, sdp

HEAD = "v=0\r\no=jdoe 2890844526 2890842807 IN IP4 192.0.2.5\r\ns=SDP Seminar\r\n"
TIMED = HEAD + "t=3034423619 3042462419\r\n"


SILENT = TIMED + "m=audio 0 RTP/AVP 0\r\n"


@pytest.mark.parametrize(
    "text",
    [
        TIMED,
        TIMED.replace("\r\n", "\n"),
        TIMED + "\r\n",
        TIMED.removesuffix("\r\n"),
        "\r\n" + TIMED,
        HEAD,
        "v=0\r\no=0 0 0 IN IP4 0\r\ns=\r\nt=0 0\r\n",
        "v=0\r\ns=x\r\no=sdp_torture 0 0 IN IP4 0.0.0.0\r\nm=video 0 *\r\n".replace("0 *", "0 * *"),
        "v=0\r\no=- 1001 1 IN IP4\r\ns=camera\r\nt=0 0\r\n",
        "v=0\r\no=- 1001 1 IN\r\ns=camera\r\nt=0 0\r\n",
        TIMED + "c=IN IP4\r\n",
        TIMED + "r=604800 3600 0 90000\r\nr=7d 1h 0 25h\r\n",
        TIMED + "z=2882844526 -1h 2898848070 0\r\n",
        TIMED + "b=X-YZ:128\r\n",
        TIMED + "m=video 0 RTP/AVP 99\r\n",
        TIMED + "m=video 65535 RTP/AVP 99\r\n",
        TIMED + "m=video 49170/2 RTP/AVP 31\r\n",
        TIMED + "m=audio  5000  RTP/AVP  0 \r\n",
        TIMED + "m=application 1544 TCP/TLS/MRCPv2 1\r\n",
        TIMED + "m=application 50178 UDP/FEC *\r\n",
        TIMED + "m=message 12763 TCP/MSRP *\r\n",
        TIMED + "f=unknown type\r\n",
        TIMED + "m=audio 5000 RTP/AVP 0\r\nX=\r\n".replace("X=", "x="),
        TIMED + "s=Caf\xe9 \u2615\r\n",
    ],
)
def test_descriptions_in_use_parse(text: str) -> None:
    parse_sdp(text.encode())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("\r\n\r\n", 0),
        ("foo", 1),
        ("v=1\r\n", 1),
        ("v=\r\n", 1),
        ("v=0\r\n", 0),
        ("s=x\r\n" + TIMED, 1),
        ("v=0\r\no=\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\no=user\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\no=user 1001 1\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\no=- 1001 1 INVALID IP4 192.0.2.1\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\no=- 1001 1 IN INVALID 192.0.2.1\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\no=- one 1 IN IP4 192.0.2.1\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\no=- \u0661 1 IN IP4 192.0.2.1\r\ns=Test\r\nt=0 0\r\n", 2),
        ("v=0\r\ns=nobody\r\nt=0 0\r\n", 0),
        (HEAD + "t=0\r\n", 4),
        (HEAD + "t=now later\r\n", 4),
        (TIMED + "r=\r\n", 5),
        (TIMED + "o=- 1 1 IN IP4 192.0.2.1\r\n", 5),
        (TIMED + "c=ATM NSAP 47\r\n", 5),
        (TIMED + "c=IN IPX 1.2.3.4\r\n", 5),
        (TIMED + "c=\r\n", 5),
        (TIMED + "m=video -1 RTP/AVP 99\r\n", 5),
        (TIMED + "m=video 65536 RTP/AVP 99\r\n", 5),
        (TIMED + "m=video --- RTP/AVP 99\r\n", 5),
        (TIMED + "m=video 1/0 RTP/AVP 99\r\n", 5),
        (TIMED + "m=video 1/ RTP/AVP 99\r\n", 5),
        (TIMED + "m=video 1\r\n", 5),
        (TIMED + "m=\r\n", 5),
        (TIMED + "garbage\r\n", 5),
        (TIMED + "A=upper\r\n", 5),
        (TIMED + " a=indented\r\n", 5),
        (TIMED + "a=one\ra=two\r\n", 5),
        (TIMED + "a=nul\0\r\n", 5),
        ("\ufeff" + TIMED, 1),
    ],
)
def test_descriptions_that_would_lead_astray_are_malformed(text: str, line: int) -> None:
    with pytest.raises(MalformedSdp) as caught:
        parse_sdp(text.encode())
    assert caught.value.line == line
    assert caught.value.reason


def test_the_number_of_sections_is_bounded() -> None:
    section = "m=audio 0 RTP/AVP 0\r\n"
    assert len(parse_sdp((TIMED + section * MAX_MEDIA).encode()).media) == MAX_MEDIA
    with pytest.raises(MalformedSdp, match="more than 32"):
        parse_sdp((TIMED + section * (MAX_MEDIA + 1)).encode())


def test_octets_that_are_no_utf8_survive() -> None:
    data = TIMED.encode() + b"a=charset:ISO-8859-1\r\ni=caf\xe9\xff\r\n"
    assert parse_sdp(data).to_bytes() == data


def test_levels_inherit_connection_direction_and_fingerprint() -> None:
    text = (
        TIMED
        + "c=IN IP4 192.0.2.9\r\na=sendonly\r\n"
        + f"a=fingerprint:{SHA256.algorithm} {SHA256.value.lower()}\r\n"
        + "m=audio 1 RTP/AVP 0\r\nm=audio 2 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\na=recvonly\r\n"
    )
    description = parse_sdp(text.encode())
    first, second = description.media
    assert str(description.connection_of(first)) == "IN IP4 192.0.2.9"
    assert str(description.connection_of(second)) == "IN IP6 2001:db8::1"
    assert description.direction_of(first) == "sendonly"
    assert description.direction_of(second) == "recvonly"
    assert description.fingerprints_of(second) == (SHA256,)


def test_fingerprints_are_unique_and_normalised_for_signing() -> None:
    assert fingerprints(sdp(BROWSER)) == (("sha-256", SHA256.value),)
    assert fingerprints(sdp(PHONE)) == ()
    two = BROWSER.replace(f"a=fingerprint:{SHA256}", "a=fingerprint:SHA-1 ab:cd", 1)
    assert fingerprints(sdp(two)) == (("sha-1", "AB:CD"), ("sha-256", SHA256.value))
    assert not Fingerprint("sha-1", "AB:CD").strong


def test_codecs_join_rtpmap_fmtp_and_the_static_table() -> None:
    codecs = sdp(PHONE).media[0].codecs()
    assert [(codec.payload_type, codec.name, codec.static) for codec in codecs] == [
        (9, "G722/8000", False),
        (0, "PCMU/8000", False),
        (8, "PCMA/8000", False),
        (101, "telephone-event/8000", False),
    ]
    assert codecs[3].fmtp == "0-15"
    bare = parse_sdp((TIMED + "m=audio 1 RTP/AVP 8 96\r\n").encode()).media[0].codecs()
    assert [(codec.name, codec.static) for codec in bare] == [
        ("PCMA/8000", True),
        ("unknown", False),
    ]


def test_secrets_are_not_shown() -> None:
    for line in (
        Line("a", "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET"),
        Line("a", "ice-pwd:SECRET"),
        Line("k", "clear:SECRET"),
    ):
        assert "SECRET" not in repr(line)
        assert "SECRET" in str(line)
    assert "inline" not in repr(sdp(SECURE_PHONE))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD, "there is no t= line (RFC 8866 section 5.9)"),
        (TIMED.replace("s=SDP Seminar\r\n", ""), "there is no s= line (RFC 8866 section 5.3)"),
        (TIMED.replace("SDP Seminar", ""), "line 3: s= is empty; '-' is meant for that"),
        (TIMED + "c=IN IP4 192.0.2.1\r\n", "line 5: c= stands after t="),
        (TIMED + "f=x\r\n", "line 5: f= is not known here; kept, not understood"),
        (TIMED + "b=much\r\n", "line 5: b= is not <type>:<kilobits>"),
        (TIMED + "a=\r\n", "line 5: a= names no attribute"),
        (
            TIMED + "m=audio 1 RTP/AVP 0\r\n",
            "line 5: no c= line counts for this section (RFC 8866 section 5.7)",
        ),
        (TIMED + "m=audio 0 RTP/AVP 96\r\n", "line 5: payload type 96 has no a=rtpmap"),
        (TIMED + "m=audio 0 RTP/AVP 0 0\r\n", "line 5: a payload type is listed twice"),
        (TIMED + "m=audio 0 RTP/AVP x\r\n", "line 5: x is no RTP payload type (0 to 127)"),
        (TIMED + "m=audio 0 RTP/AVP\r\n", "line 5: m= lists no format"),
        (
            SILENT + "a=rtpmap 97 AMR/8000\r\na=rtpmap:x\r\n",
            "line 7: a=rtpmap is not <payload type> <encoding>/<clock rate>",
        ),
        (
            SILENT + "a=rtpmap:96 X/1\r\n",
            "line 6: a=rtpmap is for a payload type that m= does not list",
        ),
        (SILENT + "c=IN IP4 fe80::1\r\n", "line 6: c= says IP4 of an IPv6 address"),
        (SILENT + "a=candidate:1\r\n", "line 6: a=candidate does not follow RFC 8839 section 5.1"),
        (
            TIMED + "a=setup:maybe\r\n",
            "line 5: a=setup is none of actpass, active, passive, holdconn",
        ),
        (TIMED + "a=fingerprint:md5 AB\r\n", "line 5: a=fingerprint by md5 is not relied on"),
        (TIMED + "a=fingerprint:zz\r\n", "line 5: a=fingerprint is not <hash> <hex with colons>"),
    ],
)
def test_oddities_are_named_with_their_line(text: str, problem: str) -> None:
    assert problem in [str(found) for found in problems(parse_sdp(text.encode()))]


def test_a_browsers_and_a_phones_description_have_no_oddities() -> None:
    # k= only belongs before t= here because the sample puts it there.
    assert problems(sdp(BROWSER)) == ()
    assert [found.text for found in problems(sdp(PHONE.replace("k=prompt\n", "")))] == []
