"""Short messages around the gateways: what people read, and what they do not."""

from __future__ import annotations

import pytest

from gateway.demo.handset import ShortMessage
from gateway.demo.scene import BOB
from tests.support.raw_dialog import rtp_sdp
from tests.support.two_providers import TwoProviders, eventually

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

NOBODYS = "+13035550178"


async def test_an_ordinary_message_reaches_the_handset_untouched(world: TwoProviders) -> None:
    text = b"Dinner at eight? spin me a yarn:1:"
    world.scene.smsc.submit(ShortMessage("14155550177", BOB.removeprefix("+"), text))

    async def arrived() -> list[str]:
        inbox = world.scene.smsc.inbox(BOB)
        return [message.text for message in inbox if message.source == "14155550177"]

    assert await eventually(arrived, "the message is on the handset") == [text.decode()]


async def test_a_person_without_an_agent_reads_only_the_fallback_text(world: TwoProviders) -> None:
    trunk = await world.trunk(61, "+14155550121")
    call = await trunk.call(NOBODYS, rtp_sdp(trunk.wire.local.host))
    assert (await call.refused()).status_code == 404
    (message,) = world.scene.smsc.inbox(NOBODYS)
    assert message.source == "14155550121"
    assert message.complete
    readable, _, token = message.text.partition("spin:1:")
    assert "+1 415-555-0121 wants to voice-call you" in readable
    assert len(readable.strip()) > 20
    assert token.count(".") == 2


async def test_the_person_who_is_called_reads_nothing_of_an_invitation_that_was_answered(
    world: TwoProviders,
) -> None:
    trunk = await world.trunk(61, "+14155550122")
    before = len(world.scene.smsc.inbox(BOB))
    call = await trunk.call(BOB, rtp_sdp(trunk.wire.local.host))
    assert (await call.refused()).status_code == 480
    assert len(world.scene.smsc.inbox(BOB)) == before
