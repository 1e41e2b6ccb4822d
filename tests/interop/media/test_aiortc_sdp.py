"""aiortc, a WebRTC end point of others, answers the offers we make and reads our answers."""

from __future__ import annotations

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from media.offer_answer import check_answer, make_answer, make_offer, our_role
from media.remote_media import describe
from media.sdp import SessionDescription, parse_sdp
from tests.unit.media.sdp_samples import ORIGIN, PHONE, POLICY, plain, sdp, webrtc

pytestmark = pytest.mark.real


def _text(description: SessionDescription) -> str:
    return description.to_bytes().decode()


@pytest.mark.parametrize("lite", [True, False])
async def test_aiortc_answers_our_offer_and_the_phone_gets_its_answer(lite: bool) -> None:
    received = sdp(PHONE)
    local = webrtc(lite=lite)
    offer = make_offer(received, describe(received, POLICY), [local], kind="webrtc", origin=ORIGIN)
    peer = RTCPeerConnection()
    try:
        await peer.setRemoteDescription(RTCSessionDescription(_text(offer), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        answer = parse_sdp(peer.localDescription.sdp.encode())
    finally:
        await peer.close()
    remotes = describe(answer, POLICY)
    check_answer(offer, answer, remotes, [local])
    (audio,) = remotes
    assert audio is not None
    assert audio.leg == "webrtc"
    assert our_role(audio.setup) == "passive"
    assert audio.rtcp_mux
    made = make_answer(received, answer, remotes, [plain()], origin=ORIGIN)
    assert made.media[0].proto == "RTP/AVP"
    assert made.media[0].port == 30000
    assert {codec.encoding for codec in made.media[0].codecs()} <= {"G722", "PCMU", "PCMA"}


async def test_aiortc_takes_our_answer_to_its_offer() -> None:
    peer = RTCPeerConnection()
    try:
        peer.addTransceiver("audio")
        await peer.setLocalDescription(await peer.createOffer())
        offer = parse_sdp(peer.localDescription.sdp.encode())
        phone = parse_sdp(
            b"v=0\r\no=- 1 1 IN IP4 192.0.2.46\r\ns=-\r\nc=IN IP4 192.0.2.46\r\nt=0 0\r\n"
            b"m=audio 2262 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        )
        remotes = describe(phone, POLICY)
        local = webrtc("active", lite=True)
        made = make_answer(offer, phone, remotes, [local], origin=ORIGIN)
        await peer.setRemoteDescription(RTCSessionDescription(_text(made), "answer"))
        assert peer.signalingState == "stable"
    finally:
        await peer.close()
