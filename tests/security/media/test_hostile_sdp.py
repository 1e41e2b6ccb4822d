"""Cases E2, E7 and E8 of the security bar: what a peer must not talk us into by SDP."""

from __future__ import annotations

import ipaddress

import pytest

from media.destination import DestinationPolicy
from media.refusal import Unacceptable
from media.remote_media import describe
from media.sdp import MalformedSdp, parse_sdp
from tests.unit.media.sdp_samples import BROWSER, PHONE, POLICY, SECURE_PHONE, SHA256, sdp

STRICT = DestinationPolicy(own_hosts=frozenset({"8.8.4.4"}), own_ports=range(30000, 40000))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.0.9",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fec0::1",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "host.example.com",
        "",
    ],
)
def test_media_goes_to_no_special_address(host: str) -> None:
    family = "IP6" if ":" in host else "IP4"
    text = PHONE.replace("IP4 192.0.2.46", f"{family} {host}")
    with pytest.raises(Unacceptable) as caught:
        describe(sdp(text), STRICT)
    assert caught.value.status == 488


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_unspecified_address_is_hold_and_no_destination(host: str) -> None:
    family = "IP6" if ":" in host else "IP4"
    (remote,) = describe(sdp(PHONE.replace("IP4 192.0.2.46", f"{family} {host}")), STRICT)
    assert remote is not None
    assert remote.destination is None
    assert remote.rtcp_destination is None


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_served(host: str) -> None:
    assert STRICT.refusal(host, 4000) is None


def test_our_own_media_ports_are_no_destination() -> None:
    assert STRICT.refusal("8.8.4.4", 30001) == "address is a media port of our own"
    assert STRICT.refusal("8.8.4.4", 29999) is None
    assert STRICT.refusal("::ffff:8.8.4.4", 30001) == "address is a media port of our own"


def test_an_allowed_network_opens_special_addresses_but_never_multicast() -> None:
    lab = DestinationPolicy(allowed=(ipaddress.ip_network("0.0.0.0/0"),))
    assert lab.refusal("127.0.0.1", 4000) is None
    assert lab.refusal("::ffff:10.0.0.1", 4000) is None
    for never in ("224.0.0.1", "0.0.0.0", "255.255.255.255"):
        assert lab.refusal(never, 4000) is not None
    assert lab.refusal("8.8.8.8", 0) == "port is 0"


def test_rtcp_is_judged_like_media() -> None:
    with pytest.raises(Unacceptable):
        describe(
            sdp(PHONE.replace("a=rtcp:2270 IN IP4 192.0.2.46", "a=rtcp:22 IN IP4 10.0.0.1")), POLICY
        )


def test_candidates_to_special_addresses_are_left_out() -> None:
    audio = describe(sdp(BROWSER), STRICT)[0]
    assert audio is not None
    assert audio.ice is not None
    assert audio.ice.candidates == ()


def test_a_thousand_mdns_candidates_cost_nothing() -> None:
    lines = "".join(
        f"a=candidate:{n} 1 udp 1 {n:08d}-0000-4000-8000-000000000000.local 5000 typ host\n"
        for n in range(500)
    )
    audio = describe(sdp(BROWSER.replace("a=mid:0\n", "a=mid:0\n" + lines)), POLICY)[0]
    assert audio is not None
    assert audio.ice is not None
    assert len(audio.ice.candidates) == 1


@pytest.mark.parametrize(
    "text",
    [
        PHONE + "m=audio 4000 RTP/AVP 0\n" * 1000,
        PHONE.replace("audio 2262", "audio 65536"),
        PHONE.replace("9 0 8 101", " ".join(str(n) for n in range(500))),
        PHONE + "a=x\n" * 2000,
        PHONE + "a=x:" + "y" * 70_000 + "\n",
        PHONE.replace("a=ptime:20", "a=ptime:20\rm=audio 1 RTP/AVP 0"),
        PHONE.replace("a=ptime:20", "a=ptime:20\0"),
    ],
)
def test_descriptions_out_of_bounds_are_malformed(text: str) -> None:
    with pytest.raises(MalformedSdp):
        parse_sdp(text.encode())


def test_port_0_is_legal_and_means_no_stream() -> None:
    assert describe(sdp(PHONE.replace("audio 2262", "audio 0")), POLICY) == (None,)


@pytest.mark.parametrize(
    "text",
    [
        PHONE.replace("a=ptime:20", "a=ptime:1"),
        PHONE.replace("a=ptime:20", "a=ptime:1000000000"),
        PHONE.replace("a=ptime:20", "a=ptime:-1"),
        PHONE.replace("a=ptime:20", "a=maxptime:99999999999999999999"),
        PHONE.replace("9 0 8 101", "9 0 8 200"),
        PHONE.replace("9 0 8 101", "9 ٠ 8"),
        PHONE.replace(" 9 0 8 101", ""),
        SECURE_PHONE.replace("AES_CM_128_HMAC_SHA1_80", "AES_CM_40").replace(
            "AES_CM_128_HMAC_SHA1_32", "NULL"
        ),
        PHONE.replace("RTP/AVP", "RTP/SAVP"),
        BROWSER.replace(str(SHA256), "sha-1 " + ":".join(["AB"] * 20)),
        BROWSER.replace(f"a=fingerprint:{SHA256}\n", ""),
        BROWSER.replace(f"a=fingerprint:{SHA256}\n", "a=fingerprint:sha-256 AB:CD\n"),
        BROWSER.replace("a=ice-pwd:DTdCVj00s9nGkNgWra0P30A2\n", ""),
        BROWSER.replace("a=ice-pwd:DTdCVj00s9nGkNgWra0P30A2\n", "a=ice-pwd:short\n"),
        BROWSER.replace("a=rtcp-mux\n", ""),
    ],
)
def test_offers_that_cannot_be_safe_get_488(text: str) -> None:
    with pytest.raises(Unacceptable) as caught:
        describe(sdp(text), POLICY)
    assert caught.value.status == 488
    assert "QUFB" not in caught.value.reason


def test_a_strong_fingerprint_beside_a_weak_one_counts_alone() -> None:
    weak = "a=fingerprint:sha-1 " + ":".join(["AB"] * 20) + "\n"
    text = BROWSER.replace(f"a=fingerprint:{SHA256}\n", weak + f"a=fingerprint:{SHA256}\n")
    audio = describe(sdp(text), POLICY)[0]
    assert audio is not None
    assert audio.fingerprints == (SHA256,)
