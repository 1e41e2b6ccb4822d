"""A gateway that stops: new calls are refused, what is under way ends with an answer."""

from __future__ import annotations

from tests.support.call_scene import FROM_ALICE, CallScene, invite, within


def test_a_draining_gateway_takes_no_new_call_and_goes_on_with_the_others(
    scene: CallScene,
) -> None:
    incoming = scene.talking()
    scene.control.drain()
    refused = scene.receive(invite(call_id="late"), FROM_ALICE)
    assert refused.statuses == [503]
    assert "Retry-After" in refused.last.headers
    scene.receive(within("BYE", incoming, "caller"), FROM_ALICE)
    assert len(scene.sent("BYE")) == 1


def test_calls_that_still_ring_at_the_end_are_answered(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(180)
    scene.loop.do(scene.control.give_up)
    assert scene.only.cancelled or incoming.statuses[-1] >= 400
    if scene.only.cancelled:
        scene.only.answer(487)
    assert incoming.statuses[-1] >= 400
    assert len(scene.calls) == 0
