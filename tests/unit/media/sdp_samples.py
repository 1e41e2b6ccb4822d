"""Offers as phones, browsers and gateways write them; addresses and numbers are fictional."""

from __future__ import annotations

import ipaddress

from media.candidate import host_candidate
from media.crypto_attribute import CryptoAttribute
from media.destination import DestinationPolicy
from media.fingerprint import Fingerprint
from media.ice_values import IceCredentials, IceParameters
from media.local_media import LocalMedia, Setup
from media.sdp import SessionDescription, parse_sdp
from media.sdp_lines import Origin

# Documentation networks are special-purpose: the tests allow them by name.
POLICY = DestinationPolicy(
    allowed=tuple(
        ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32")
    )
)
ORIGIN = Origin("-", "7001", "1", "IN", "IP4", "203.0.113.1")
KEY_A = "inline:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
KEY_B = "inline:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC"
KEY_OURS = "inline:T09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
SHA256 = Fingerprint("sha-256", ":".join(["AB"] * 32))
OUR_SHA256 = Fingerprint("sha-256", ":".join(["CD"] * 32))

PHONE = """v=0
o=- 1251311173 1251311173 IN IP4 192.0.2.46
s=Desk phone
i=Accounting, third floor
e=someone@example.com
p=+1 617 555 0100
c=IN IP4 192.0.2.46
k=prompt
t=0 0
a=X-maker:11
m=audio 2262 RTP/AVP 9 0 8 101
b=AS:64
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=rtcp:2270 IN IP4 192.0.2.46
a=sendrecv
"""
PHONE_ANSWER = """v=0
o=b 1 1 IN IP4 198.51.100.7
s=-
c=IN IP4 198.51.100.7
t=0 0
m=audio 4000 RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:30
"""
SECURE_PHONE = f"""v=0
o=- 1 1 IN IP4 192.0.2.46
s=-
c=IN IP4 192.0.2.46
t=0 0
m=audio 2262 RTP/SAVP 0 8
a=crypto:1 F8_128_HMAC_SHA1_80 {KEY_B}
a=crypto:2 AES_CM_128_HMAC_SHA1_80 {KEY_A}|2^31
a=crypto:3 AES_CM_128_HMAC_SHA1_32 {KEY_A}
a=rtpmap:0 PCMU/8000
"""
BROWSER = f"""v=0
o=- 7169721126327183323 3 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2122260223 192.0.2.33 51000 typ host generation 0
a=candidate:2 1 udp 2122194687 10.1.2.3 51001 typ host generation 0
a=candidate:3 1 udp 2122194687 0b7c3f0e-4a57-4c0a-9d0f-000000000000.local 51002 typ host
a=ice-ufrag:nWnq
a=ice-pwd:DTdCVj00s9nGkNgWra0P30A2
a=ice-options:trickle
a=fingerprint:{SHA256}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:- 06574f1e-f4bf-4b6d-b66c-3493cd7ab50f
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:9 G722/8000
a=rtpmap:126 telephone-event/8000
a=ssrc:3262661846 cname:yFbnkIWTHwPXy6MO
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=ice-ufrag:nWnq
a=ice-pwd:DTdCVj00s9nGkNgWra0P30A2
a=fingerprint:{SHA256}
a=setup:actpass
a=mid:1
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack pli
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:nWnq
a=ice-pwd:DTdCVj00s9nGkNgWra0P30A2
a=fingerprint:{SHA256}
a=setup:actpass
a=mid:2
a=sctp-port:5000
"""


def sdp(text: str) -> SessionDescription:
    return parse_sdp(text.replace("\n", "\r\n").encode())


def plain(port: int = 30000) -> LocalMedia:
    return LocalMedia("203.0.113.1", port, rtcp_port=port + 1)


def secure(*tags: int, key: str = KEY_OURS, port: int = 30000) -> LocalMedia:
    lines = tuple(CryptoAttribute(tag, "AES_CM_128_HMAC_SHA1_80", key) for tag in tags)
    return LocalMedia("203.0.113.1", port, rtcp_port=port + 1, crypto=lines)


def webrtc(setup: Setup = "actpass", *, lite: bool = False, port: int = 30000) -> LocalMedia:
    ice = IceParameters(
        IceCredentials("ours", "our-password-of-24-chars"),
        (host_candidate("203.0.113.1", port),),
        lite,
    )
    return LocalMedia(
        "203.0.113.1", port, rtcp_mux=True, fingerprints=(OUR_SHA256,), setup=setup, ice=ice
    )
