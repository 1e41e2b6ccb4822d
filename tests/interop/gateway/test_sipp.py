"""SIPp calls SIPp: over UDP to alpha, over TLS to beta, over UDP to the callee."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sipp import Load, call, callee
from tests.support.two_providers import TwoProviders

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

CALLS = 20


@pytest.mark.parametrize(
    ("called", "source", "caller"),
    [("+12125550130", 62, "+14155550150"), ("+12125550140", 61, "+14155550120")],
    ids=["media passed", "media bridged"],
)
async def test_twenty_calls_of_sipp_go_through_both_gateways(
    world: TwoProviders, tmp_path: Path, called: str, source: int, caller: str
) -> None:
    await world.beta.register_handler("agent", called)
    answering, calling = tmp_path / "callee", tmp_path / "caller"
    answering.mkdir()
    calling.mkdir()
    async with callee(answering, world.address(80).host, 5060):
        outcome = await call(
            calling,
            Load(calls=CALLS, rate=10, hold=0.2),
            source=world.address(source).host,
            to=str(world.address(11)),
            called=called,
            keys={"from": caller, "domain": "alpha.example", "to_domain": "beta.example"},
        )
    assert (outcome.successful, outcome.failed) == (CALLS, 0)
    await world.idle()
