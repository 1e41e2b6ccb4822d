"""What the gateway signs passes Kamailio's secsipid, and what secsipid signs passes the gateway."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.demo.scene import ALICE, BOB
from sip.message import Request, Response
from sip.parser import parse_datagram
from tests.support.kamailio import is_installed, kamailio
from tests.support.stir_peer import Handset, alphas_signer, handset, pbx
from tests.support.troubled_scene import HANDSET, TroubledScene, record_of

pytestmark = [
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not is_installed(), reason="kamailio and kamailio-secsipid-modules are not installed"
    ),
]

CONFIGURATION = Path(__file__).parent / "kamailio.cfg"
PEERS_UDP, KAMAILIO, BEHIND_KAMAILIO, TELEPHONE = 24, 73, 63, 74


class Telephone(asyncio.DatagramProtocol):
    """Sends one INVITE over UDP, keeps the final response and acknowledges it."""

    def __init__(self) -> None:
        self.final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse_datagram(data)
        if isinstance(message, Response) and message.status_code >= 200 and not self.final.done():
            self.final.set_result(message)


async def invite(scene: TroubledScene, to: int, *headers: str, call_id: str) -> Response:
    """Send an INVITE from a telephone to port 5060 of an address of the scene."""
    own, branch = scene.address(TELEPHONE), f"z9hG4bK{secrets.token_hex(8)}"
    common = [
        f"Via: SIP/2.0/UDP {own};branch={branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:{ALICE}@alpha.example;user=phone>;tag={secrets.token_hex(4)}",
        f"Call-ID: {call_id}",
    ]
    uri = f"sip:{BOB}@beta.example;user=phone"
    lines = [f"INVITE {uri} SIP/2.0", *common, f"To: <{uri}>", "CSeq: 1 INVITE"]
    lines += [f"Contact: <sip:{own}>", *headers, "Content-Length: 0", "", ""]
    loop = asyncio.get_running_loop()
    transport, telephone = await loop.create_datagram_endpoint(
        Telephone, local_addr=(own, 0), remote_addr=(scene.address(to), 5060)
    )
    try:
        transport.sendto("\r\n".join(lines).encode())
        async with asyncio.timeout(8):
            response = await telephone.final
        ack = [f"ACK {uri} SIP/2.0", *common, f"To: {response.headers.get('To')}", "CSeq: 1 ACK"]
        transport.sendto("\r\n".join([*ack, "Content-Length: 0", "", ""]).encode())
    finally:
        transport.close()
    return response


@asynccontextmanager
async def verifier(scene: TroubledScene, folder: Path, address: int) -> AsyncIterator[Handset]:
    """A Kamailio that passes on what secsipid finds valid, and the handset behind it."""
    loop = asyncio.get_running_loop()
    transport, behind = await loop.create_datagram_endpoint(
        Handset, local_addr=(scene.address(BEHIND_KAMAILIO), 5060)
    )
    words = {
        "NEXT_ADDRESS": f"{scene.address(BEHIND_KAMAILIO)}:5060",
        "ROOT_FILE": str(scene.folder / "alpha" / "keys" / "sti-root.pem"),
        "CHAIN_FILE": str(scene.folder / "certs" / "alpha.pem"),
    }
    try:
        async with kamailio(folder, CONFIGURATION, scene.address(address), **words):
            yield behind
    finally:
        transport.close()


async def test_what_the_gateway_signs_passes_secsipid(scene: TroubledScene, tmp_path: Path) -> None:
    # Beta delivers to Kamailio: a call is signed by alpha, verified by beta, and again there.
    async with verifier(scene, tmp_path, HANDSET) as behind, pbx(scene) as caller:
        response = await caller.call(caller_domain="alpha.example", call_id="ours@secsipid")
        assert response.status_code == 486, response.reason_phrase
    delivered = behind.got("ours@secsipid")
    assert delivered is not None
    assert len(delivered.headers.all("Identity")) == 1


async def test_secsipid_does_look_at_what_it_is_given(scene: TroubledScene, tmp_path: Path) -> None:
    identity = alphas_signer(scene).identity()
    token, _, parameters = identity.partition(";")
    forged = f"{token[:-8]}AAAAAAAA;{parameters}"
    async with verifier(scene, tmp_path, KAMAILIO):
        good = await invite(scene, KAMAILIO, f"Identity: {identity}", call_id="good@secsipid")
        bad = await invite(scene, KAMAILIO, f"Identity: {forged}", call_id="bad@secsipid")
    assert (good.status_code, bad.status_code) == (486, 438)


async def test_what_secsipid_signs_passes_the_gateway(scene: TroubledScene, tmp_path: Path) -> None:
    words = {
        "NEXT_ADDRESS": f"{scene.address(PEERS_UDP)}:5060",
        "KEY_FILE": str(scene.folder / "alpha" / "keys" / "sti.key"),
        "CERTIFICATE_URL": alphas_signer(scene).x5u,
    }
    signing = kamailio(tmp_path, CONFIGURATION, scene.address(KAMAILIO), "SIGNING", **words)
    async with handset(scene) as bob, signing:
        response = await invite(scene, KAMAILIO, call_id="theirs@secsipid")
    assert response.status_code == 486, response.headers.all("Reason")
    delivered = bob.got("theirs@secsipid")
    assert delivered is not None
    assert _asserted(delivered).startswith(f"<sip:{ALICE};verstat=TN-Validation-Passed@")
    record = await record_of(scene.beta, "theirs@secsipid")
    assert record["verdict"]["passport"]["header"]["ppt"] == "shaken"


def _asserted(request: Request) -> str:
    return request.headers.get("P-Asserted-Identity") or ""
