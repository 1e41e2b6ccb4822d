import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.softphone.phone import CallError, PhoneCall, Softphone, SoftphoneError
from gateway.softphone.protocol import SoftphoneSettings, Srtp, Transport
from gateway.softphone.tone import measure_file, write_tone
from tests.support.certificates import TestAuthority

pytest.importorskip("pjsua2", reason="the softphone extra is not installed")
pytestmark = pytest.mark.real

ALICE = "127.31.1.1"
BOB = "127.31.1.2"


@asynccontextmanager
async def pair(folder: Path, **changes: Any) -> AsyncIterator[tuple[Softphone, Softphone]]:
    """Two telephones; all that alice sends goes to bob. `bob` holds changes for bob alone."""
    for_bob = changes.pop("bob", {})
    for name, frequency in (("alice", 440.0), ("bob", 700.0)):
        await asyncio.to_thread(write_tone, folder / f"{name}.wav", frequency, 20)
    common = SoftphoneSettings(
        "sip:bob@beta.example",
        transport="udp",
        bind_address=BOB,
        play=folder / "bob.wav",
        record=folder / "bob-{call}.wav",
        answer_after=0.05,
    )
    common = replace(common, **changes)
    async with AsyncExitStack() as stack:
        bob = await stack.enter_async_context(Softphone(replace(common, **for_bob)))
        alice_settings = replace(
            common,
            address_of_record="sip:alice@alpha.example",
            bind_address=ALICE,
            proxy=f"sip:{bob.contact};transport={common.transport}",
            play=folder / "alice.wav",
            record=folder / "alice-{call}.wav",
        )
        yield await stack.enter_async_context(Softphone(alice_settings)), bob


async def connect(alice: Softphone, bob: Softphone) -> tuple[PhoneCall, PhoneCall]:
    outgoing = await alice.call("sip:bob@beta.example")
    incoming = await bob.next_call(10)
    await outgoing.reached("confirmed", 10)
    await incoming.reached("confirmed", 10)
    return outgoing, incoming


@pytest.mark.parametrize(
    ("transport", "srtp", "encrypted"),
    [("udp", "disabled", False), ("tcp", "mandatory", True), ("tls", "mandatory", True)],
)
async def test_both_ends_hear_the_others_tone(
    tmp_path: Path, transport: Transport, srtp: Srtp, encrypted: bool
) -> None:
    authority = TestAuthority(tmp_path)
    served = authority.issue(BOB)
    async with pair(
        tmp_path,
        transport=transport,
        srtp=srtp,
        trust_anchor_file=authority.root_file,
        certificate_file=served.certificate,
        key_file=served.key,
    ) as (alice, bob):
        outgoing, incoming = await connect(alice, bob)
        (stream,) = await outgoing.media(10)
        assert stream.srtp is encrypted
        assert stream.codec == "PCMU/8000"
        await outgoing.received(100)
        await incoming.received(100)
        await outgoing.hang_up()
        assert (await outgoing.over(10)).status == 200
        await incoming.over(10)
        assert outgoing.at("early") is not None
        for call, file, frequency in (
            (outgoing, "alice-1.wav", 700),
            (incoming, "bob-1.wav", 440),
        ):
            heard = await asyncio.to_thread(measure_file, tmp_path / file)
            assert heard.frequency == pytest.approx(frequency, abs=2)
            assert heard.loss < 0.05
            assert heard.tone_seconds > 1.5
            (counted,) = call.streams
            assert counted.packets_received > 80
            assert counted.packets_lost == 0
    assert (alice.exit_status, bob.exit_status) == (0, 0)


async def test_the_called_side_may_hang_up(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, bob):
        outgoing, incoming = await connect(alice, bob)
        await incoming.hang_up()
        assert (await outgoing.over(10)).state == "disconnected"
        assert (await incoming.over(10)).state == "disconnected"


async def test_closing_a_phone_in_a_call_hangs_up_first(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, bob):
        _, incoming = await connect(alice, bob)
        await alice.close()
        assert alice.exit_status == 0
        assert (await incoming.over(10)).status == 200


async def test_a_call_that_is_refused_ends_with_its_status(tmp_path: Path) -> None:
    async with pair(tmp_path, answer_after=None) as (alice, bob):
        outgoing = await alice.call("sip:bob@beta.example")
        incoming = await bob.next_call(10)
        await incoming.answer(180)
        await outgoing.reached("early", 10)
        await incoming.hang_up(486)
        with pytest.raises(CallError) as refused:
            await outgoing.reached("confirmed", 10)
        assert refused.value.status == 486


async def test_a_ringing_call_may_be_given_up(tmp_path: Path) -> None:
    async with pair(tmp_path, answer_after=20) as (alice, bob):
        outgoing = await alice.call("sip:bob@beta.example")
        incoming = await bob.next_call(10)
        await outgoing.reached("early", 10)
        await outgoing.hang_up()
        assert (await outgoing.over(10)).status == 487
        assert (await incoming.over(10)).status == 487


async def test_calls_with_and_without_encryption_do_not_mix(tmp_path: Path) -> None:
    async with pair(tmp_path, srtp="mandatory", bob={"srtp": "disabled"}) as (alice, _):
        outgoing = await alice.call("sip:bob@beta.example")
        with pytest.raises(CallError) as refused:
            await outgoing.reached("confirmed", 10)
        assert refused.value.status in (406, 488)


async def test_optional_encryption_meets_mandatory(tmp_path: Path) -> None:
    async with pair(tmp_path, srtp="mandatory", bob={"srtp": "optional"}) as (alice, bob):
        outgoing, _ = await connect(alice, bob)
        (stream,) = await outgoing.media(10)
        assert stream.srtp


async def test_further_calls_get_recordings_of_their_own(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, bob):
        for number in (1, 2):
            outgoing, incoming = await connect(alice, bob)
            await asyncio.sleep(0.5)
            await outgoing.hang_up()
            await outgoing.over(10)
            await incoming.over(10)
            recording = tmp_path / f"bob-{number}.wav"
            heard = await asyncio.to_thread(measure_file, recording)
            assert heard.frequency == pytest.approx(440, abs=3)


async def test_what_cannot_be_done_is_told_in_one_line(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, _):
        with pytest.raises(SoftphoneError, match="PJSIP"):
            await alice.call("this is no URI")
        with pytest.raises(SoftphoneError, match="there is no call 99"):
            await alice.command("hangup", call=99)
        with pytest.raises(SoftphoneError, match="unknown command"):
            await alice.command("dance")


async def test_a_busy_address_is_told_in_one_line(tmp_path: Path) -> None:
    async with pair(tmp_path, transport="tcp") as (_, bob):
        port = int(bob.contact.rsplit(":", 1)[1])
        again = Softphone(replace(bob.settings, port=port))
        with pytest.raises(SoftphoneError, match="in use"):
            await again.start()


async def test_the_death_of_the_process_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, bob):
        outgoing, incoming = await connect(alice, bob)
        waiting = asyncio.create_task(outgoing.over(10))
        await asyncio.sleep(0)
        assert alice.process_id is not None
        os.kill(alice.process_id, signal.SIGABRT)
        with pytest.raises(SoftphoneError, match="ended with status -6"):
            await waiting
        with pytest.raises(SoftphoneError, match="ended with status -6"):
            await alice.call("sip:bob@beta.example")
        await incoming.hang_up()


def test_settings_do_not_show_the_password() -> None:
    settings = SoftphoneSettings("sip:a@alpha.example", username="a", password="hidden")
    assert "hidden" not in repr(settings)
    assert settings.proxy_uri == "sip:alpha.example;transport=tls;lr"
    assert SoftphoneSettings.from_json(settings.to_json()) == settings
