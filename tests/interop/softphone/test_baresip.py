import asyncio
from pathlib import Path

import pytest

from gateway.softphone.phone import Softphone
from gateway.softphone.protocol import SoftphoneSettings, Srtp
from gateway.softphone.tone import measure_file, write_tone
from tests.support.baresip import Baresip, BaresipSettings, MediaEncryption

pytest.importorskip("pjsua2", reason="the softphone extra is not installed")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Baresip.is_installed(), reason="baresip-core is not installed"),
]

OTHER, OURS = "127.32.1.1", "127.32.1.2"


def baresip_settings(folder: Path, encryption: MediaEncryption, outbound: str) -> BaresipSettings:
    write_tone(folder / "other.wav", 440, 20, sample_rate=8000)
    return BaresipSettings(
        "sip:alice@alpha.example",
        OTHER,
        folder / "other.wav",
        encryption=encryption,
        outbound=outbound,
    )


def our_settings(folder: Path, srtp: Srtp, proxy: str | None = None) -> SoftphoneSettings:
    write_tone(folder / "ours.wav", 700, 20)
    return SoftphoneSettings(
        "sip:bob@beta.example",
        transport="udp",
        bind_address=OURS,
        srtp=srtp,
        proxy=proxy,
        play=folder / "ours.wav",
        record=folder / "heard.wav",
        answer_after=0.05,
    )


@pytest.mark.parametrize(
    ("encryption", "srtp"), [("", "disabled"), ("srtp-mand", "mandatory"), ("srtp", "optional")]
)
async def test_baresip_calls_and_both_hear_each_other(
    tmp_path: Path, encryption: MediaEncryption, srtp: Srtp
) -> None:
    async with Softphone(our_settings(tmp_path, srtp)) as bob:
        settings = baresip_settings(tmp_path, encryption, f"sip:{bob.contact}")
        async with Baresip(settings, tmp_path / "baresip") as alice:
            await alice.dial("sip:bob@beta.example")
            call = await bob.next_call(10)
            await call.reached("confirmed", 10)
            await alice.says("Call established")
            await asyncio.sleep(1.5)
            (stream,) = await call.statistics()
            assert stream.srtp is (srtp == "mandatory")
            await alice.hang_up()
            await call.over(10)
        heard_by_alice = await asyncio.to_thread(measure_file, alice.heard())
    heard_by_bob = await asyncio.to_thread(measure_file, tmp_path / "heard.wav")
    assert heard_by_alice.frequency == pytest.approx(700, abs=2)
    assert heard_by_bob.frequency == pytest.approx(440, abs=2)
    assert max(heard_by_alice.loss, heard_by_bob.loss) < 0.05


async def test_baresip_is_called_and_hangs_up(tmp_path: Path) -> None:
    settings = baresip_settings(tmp_path, "srtp-mand", "")
    async with Baresip(settings, tmp_path / "baresip") as alice:
        proxy = f"sip:{OTHER}:{settings.port};transport=udp"
        async with Softphone(our_settings(tmp_path, "mandatory", proxy)) as bob:
            call = await bob.call("sip:alice@alpha.example")
            await call.reached("confirmed", 10)
            await asyncio.sleep(1)
            await alice.hang_up()
            ended = await call.over(10)
            assert ended.status == 200
    heard = await asyncio.to_thread(measure_file, tmp_path / "heard.wav")
    assert heard.frequency == pytest.approx(440, abs=2)
