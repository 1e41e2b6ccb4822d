"""SIGTERM: calls that are up may end, new ones go elsewhere, nobody is left ringing."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from sip.message import Request
from tests.support.stir_peer import Handset, alphas_signer, caller
from tests.support.troubled_scene import TroubledScene, eventually, logged, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


def tell_beta(scene: TroubledScene, number: signal.Signals) -> None:
    process = scene.beta.process_id
    assert process is not None
    os.kill(process, number)


async def test_a_draining_gateway_takes_no_new_calls_and_leaves_nobody_ringing(
    scene: TroubledScene, bob: Handset
) -> None:
    bob.status = 180
    async with caller(scene) as stranger:
        ringing = asyncio.create_task(
            stranger.call(alphas_signer(scene).identity(), call_id="ringing")
        )

        def rings() -> Request | None:
            return bob.got("ringing")

        await eventually(rings, "the call was not delivered")
        tell_beta(scene, signal.SIGTERM)
        await logged(scene.beta, "stopping", calls=1)
        refused = await stranger.call(alphas_signer(scene).identity(), call_id="too-late")
        assert refused.status_code == 503
        assert refused.headers.get("Retry-After") == "30"
        assert not ringing.done()
        tell_beta(scene, signal.SIGTERM)
        assert (await ringing).status_code == 487
    assert [each.method for each in bob.others] == ["CANCEL"]
    assert bob.got("too-late") is None
    assert (await record_of(scene.beta, "ringing"))["status"] == 487
