"""baresip as beta's device, over UDP: a call to it, and one from it, through both gateways."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.demo.scene import ALICE, TONES, Scene
from gateway.softphone.phone import Softphone
from gateway.softphone.tone import Measurement, measure_file
from tests.support.baresip import Baresip, BaresipSettings, MediaEncryption

pytest.importorskip("pjsua2", reason="the softphone extra is not installed")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Baresip.is_installed(), reason="baresip-core is not installed"),
]

CAROL, DAVE = "+12125550124", "+12125550125"
UDP_PORT = 5060
# baresip does not bind its media sockets, so that on loopback its packets come from here.
PBX = "127.0.0.1"
# baresip 1.0 gives up on a challenge that also offers SHA-256 (its library answers ENOSYS to
# any algorithm but MD5), hence a trunk that is known by its address, as a PBX is.
SETTINGS = """

[[listen]] # added by the test: a PBX over UDP
name = "udp"
role = "access"
transport = "udp"
address = "127.61.0.21"
port = 5060

[[trunk]]
name = "pbx"
sources = ["127.0.0.1/32"]
numbers = ["{number}"]

[[route]]
numbers = ["{number}"]
uri = "sip:{{number}}@127.0.0.1:{port}"
media = "{media}"
"""

DEVICES = [
    pytest.param(CAROL, "rtp", "", id="RTP"),
    pytest.param(DAVE, "sdes", "srtp-mand", id="SDES-SRTP"),
]


class PbxScene(Scene):
    """The scene with a PBX at beta, on an address outside of the scene's own."""

    def _configure(self, name: str) -> Path:
        path = super()._configure(name)
        before, key, after = path.read_text(encoding="utf-8").rpartition("allow_networks = [")
        path.write_text(f'{before}{key}"{PBX}/32", {after}', encoding="utf-8")
        return path


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((PBX, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def called_and_calling(
    folder: Path, number: str, media: str, encryption: MediaEncryption
) -> AsyncIterator[tuple[Softphone, Baresip]]:
    """Alice's softphone at alpha, and baresip as a PBX at beta."""
    port = free_port()
    settings = SETTINGS.format(number=number, media=media, port=port)
    scene = PbxScene(
        folder / "scene", lambda _: None, with_phones=False, additions={"beta": settings}
    )
    async with scene:
        await scene.beta.register_handler("pbx", number)
        device = BaresipSettings(
            f"sip:{number}@beta.example",
            PBX,
            scene.folder / "bob.wav",
            port=port,
            outbound=f"sip:{scene.prefix}.21:{UDP_PORT}",
            encryption=encryption,
        )
        alice_settings = scene.phone_settings("alice", ALICE, scene.alpha, "mandatory")
        async with (
            Baresip(device, folder / "baresip") as baresip,
            Softphone(alice_settings) as alice,
        ):
            await alice.register()
            yield alice, baresip


async def check_recordings(folder: Path, baresip: Baresip) -> None:
    alice: Measurement = await asyncio.to_thread(
        measure_file, folder / "scene" / "alice-heard-1.wav"
    )
    other = await asyncio.to_thread(measure_file, baresip.heard())
    assert alice.frequency == pytest.approx(TONES["bob"], abs=2)
    assert other.frequency == pytest.approx(TONES["alice"], abs=2)
    assert max(alice.loss, other.loss) < 0.05


@pytest.mark.parametrize(("number", "media", "encryption"), DEVICES)
async def test_alice_calls_a_device_on_baresip(
    tmp_path: Path, number: str, media: str, encryption: MediaEncryption
) -> None:
    async with called_and_calling(tmp_path, number, media, encryption) as (alice, baresip):
        call = await alice.call(f"sip:{number}@alpha.example")
        await call.reached("confirmed", 20)
        await baresip.says("Call established")
        await asyncio.sleep(2)
        (stream,) = await call.statistics()
        assert stream.packets_received > 60
        assert stream.packets_lost == 0
        assert bool(encryption) == any("SRTP is Enabled" in line for line in baresip.lines)
        await call.hang_up()
        assert (await call.over(10)).status == 200
        await baresip.says("terminated")
    await check_recordings(tmp_path, baresip)


@pytest.mark.parametrize(("number", "media", "encryption"), DEVICES)
async def test_a_device_on_baresip_calls_alice_and_hangs_up(
    tmp_path: Path, number: str, media: str, encryption: MediaEncryption
) -> None:
    async with called_and_calling(tmp_path, number, media, encryption) as (alice, baresip):
        await baresip.dial(f"sip:{ALICE}@beta.example")
        call = await alice.next_call(20)
        await call.reached("confirmed", 10)
        await baresip.says("Call established")
        await asyncio.sleep(2)
        await baresip.hang_up()
        assert (await call.over(10)).status == 200
        (stream,) = call.streams
        assert stream.srtp
        assert stream.packets_lost == 0
    await check_recordings(tmp_path, baresip)
