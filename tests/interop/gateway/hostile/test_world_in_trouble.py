"""DNS, the SMSC and the callback slow, broken or away: calls fail in time, the culprit is named.

Alpha's PBX calls Bob at beta. Calls that need nothing of what is broken go on.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.demo.dns import Record, Trouble, sip_records
from gateway.demo.scene import BOB
from gateway.demo.smsc_settings import Chaos
from sip.message import Response
from tests.support.spin_stranger import send_text
from tests.support.stir_peer import Caller, Handset, alphas_signer, caller, pbx
from tests.support.troubled_scene import TroubledScene, log_lines, logged, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

ANSWER_SECONDS, DNS_SECONDS, SMS_SECONDS, CACHE_SECONDS = 3.0, 1.0, 2.0, 4.0
SETTINGS = {"discovery": {"negative_seconds": 0.0, "cache_seconds": 600}}
# Each test dials numbers nobody dialled before; beta delivers them all to one handset.
_numbers = (f"+121255501{number:02d}" for number in itertools.count(40))
_calls = itertools.count()


async def dial(pbx: Caller, number: str) -> tuple[Response, str, float]:
    """Call a number; return the final response, the Call-ID and the seconds it took."""
    call_id, started = f"call-{next(_calls)}@pbx", time.monotonic()
    response = await pbx.call(to=number, domain="alpha.example", call_id=call_id)
    return response, call_id, time.monotonic() - started


async def fresh_number(scene: TroubledScene) -> str:
    """A number of beta's that no provider has asked for yet, with a handler."""
    number = next(_numbers)
    await scene.beta.register_handler("bob", number)
    return number


async def known_number(scene: TroubledScene, pbx: Caller) -> str:
    """A number whose mapping alpha has in its cache."""
    number = await fresh_number(scene)
    assert (await dial(pbx, number))[0].status_code == 486
    return number


@asynccontextmanager
async def dns_in_trouble(scene: TroubledScene, **trouble: Any) -> AsyncIterator[None]:
    """Let DNS misbehave, once everything cached is over."""
    scene.dns.trouble = Trouble(**trouble)
    await asyncio.sleep(1.1)
    try:
        yield
    finally:
        scene.dns.trouble = Trouble()
        await asyncio.sleep(1.1)  # an unanswered question is not asked again for a second


def reason_of(response: Response) -> str:
    return response.headers.get("Reason") or ""


# --- all is well ---------------------------------------------------------------------------------


async def test_a_number_is_found_called_and_never_asked_for_again(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        number = await fresh_number(scene)
        response, call_id, _ = await dial(trunk, number)
        assert response.status_code == 486
        assert bob.got(call_id) is not None
        sent = len(scene.smsc.history)
        assert sent > 0
        response, again, _ = await dial(trunk, number)
    assert response.status_code == 486
    assert len(scene.smsc.history) == sent
    record = await record_of(scene.alpha, again)
    assert [each["source"] for each in record["discovery"]["asked"]] == ["cache"]


# --- DNS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [{"drop": 1.0}, {"servfail": 1.0}, {"delay": 10.0}], ids=["silent", "broken", "slow"]
)
async def test_without_dns_a_call_fails_in_time_and_dns_is_named(
    scene: TroubledScene, bob: Handset, trouble: dict[str, Any]
) -> None:
    async with pbx(scene) as trunk, caller(scene) as stranger:
        number = await known_number(scene, trunk)
        assert (await stranger.call(alphas_signer(scene).identity())).status_code == 486
        lines = len(log_lines(scene.alpha))
        async with dns_in_trouble(scene, **trouble):
            waiting = asyncio.create_task(dial(trunk, number))
            # Beta has alpha's certificate: that call needs no DNS and does not wait.
            assert (await stranger.call(alphas_signer(scene).identity())).status_code == 486
            if "servfail" not in trouble:
                assert not waiting.done()
            response, call_id, took = await waiting
        assert response.status_code in (500, 503)
        assert "DNS did not answer" in reason_of(response)
        assert took < DNS_SECONDS + 0.7, "one time-out for the whole search, not one a question"
        named = [line for line in log_lines(scene.alpha)[lines:] if line.get("call_id") == call_id]
        assert any(line["detail"].startswith("dns: ") for line in named), named
        assert (await dial(trunk, number))[0].status_code == 486, "it has to recover by itself"


async def test_without_dns_a_certificate_is_not_to_be_had_and_dns_is_to_blame(
    scene: TroubledScene, bob: Handset
) -> None:
    signer = alphas_signer(scene)
    fresh = type(signer)(signer.key, signer.x5u.replace("alpha.pem", "beta.pem"))
    async with caller(scene) as stranger, dns_in_trouble(scene, drop=1.0):
        started = time.monotonic()
        response = await stranger.call(fresh.identity(), call_id="nodns@stranger")
        took = time.monotonic() - started
    assert response.status_code == 436
    assert took < DNS_SECONDS + 1.0
    record = await record_of(scene.beta, "nodns@stranger")
    failed = [check for check in record["verdict"]["checks"] if check["outcome"] == "unavailable"]
    assert "dns" in failed[0]["got"].lower()


# --- the SMSC ------------------------------------------------------------------------------------


async def test_without_smsc_a_call_is_not_found_in_time_and_works_again_afterwards(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        known, number = await known_number(scene, trunk), await fresh_number(scene)
        await scene.smsc.stop()
        waiting = asyncio.create_task(dial(trunk, number))
        assert (await dial(trunk, known))[0].status_code == 486, "it needs no SMSC"
        assert not waiting.done()
        response, call_id, took = await waiting
        assert response.status_code == 404
        assert re.search(r"spin.*SMSC", reason_of(response))
        assert took < SMS_SECONDS + 1.0
        assert any("SMSC" in str(line.get("culprit")) for line in log_lines(scene.alpha))
        record = await record_of(scene.alpha, call_id)
        assert record["discovery"]["asked"][-1]["outcome"] == "unavailable"
        await scene.smsc.start()
        until = time.monotonic() + 10
        while (await dial(trunk, number))[0].status_code != 486:
            assert time.monotonic() < until, "the SMSC is back, but nothing is found"


async def test_an_answer_counts_although_the_smsc_has_not_confirmed_the_last_part(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        number = await fresh_number(scene)
        scene.smsc.chaos = Chaos(answer_after=0.42)  # five parts; two seconds for all of them
        try:
            response, _, took = await dial(trunk, number)
        finally:
            scene.smsc.chaos = Chaos()
    assert response.status_code == 486, reason_of(response)
    assert took < SMS_SECONDS


async def test_an_smsc_that_hangs_costs_its_own_call_only(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        known, number = await known_number(scene, trunk), await fresh_number(scene)
        scene.smsc.chaos = Chaos(answer_after=30, lose=1.0)
        try:
            waiting = asyncio.create_task(dial(trunk, number))
            assert (await dial(trunk, known))[0].status_code == 486
            assert not waiting.done()
            response, _, took = await waiting
        finally:
            scene.smsc.chaos = Chaos()
    assert response.status_code == 404
    assert re.search(r"spin.*SMSC", reason_of(response))
    assert took < SMS_SECONDS + 1.0


@pytest.mark.parametrize(
    "chaos",
    [
        {"reorder": 1.0, "scatter": 0.4},
        {"duplicate": 1.0, "scatter": 0.3},
        {"delay": 0.8},
        {"throttle": 0.3},
        {"reorder": 0.7, "duplicate": 0.5, "delay": 0.2, "throttle": 0.1, "scatter": 0.4},
    ],
    ids=["reordered", "duplicated", "delayed", "throttled", "all of it"],
)
async def test_a_number_is_found_through_a_bad_smsc(
    scene: TroubledScene, bob: Handset, chaos: dict[str, Any]
) -> None:
    async with pbx(scene) as trunk:
        number = await fresh_number(scene)
        scene.smsc.chaos = Chaos(**chaos)
        try:
            response, call_id, took = await dial(trunk, number)
        finally:
            scene.smsc.chaos = Chaos()
    assert response.status_code == 486, reason_of(response)
    assert bob.got(call_id) is not None
    assert took < ANSWER_SECONDS


async def test_a_lost_part_means_not_found_and_disturbs_nothing_else(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        lost, number = await fresh_number(scene), await fresh_number(scene)
        scene.smsc.chaos = Chaos(lose=1.0)
        waiting = asyncio.create_task(dial(trunk, lost))
        await logged_invitations(scene, 1)
        await asyncio.sleep(0.3)
        scene.smsc.chaos = Chaos()
        assert (await dial(trunk, number))[0].status_code == 486
        assert not waiting.done()
        response, _, took = await waiting
    assert response.status_code == 404
    assert re.search(r"spin.*no.answer", reason_of(response))
    assert took < ANSWER_SECONDS + 1.0
    send_text(scene, number, "and texts still arrive")
    await asyncio.sleep(0.2)
    assert "and texts still arrive" in [each.text for each in scene.smsc.inbox(number)]


async def logged_invitations(scene: TroubledScene, more: int) -> None:
    """Wait until an invitation has been taken by the SMSC."""
    before = len(scene.smsc.history)
    until = time.monotonic() + 3
    while len(scene.smsc.history) < before + more:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


# --- the callback --------------------------------------------------------------------------------


async def test_an_unreachable_callback_means_not_found_in_time_and_beta_names_it(
    scene: TroubledScene, bob: Handset
) -> None:
    zones = scene.dns.zones
    zones.remove("spin.alpha.example")
    await asyncio.sleep(1.1)
    try:
        async with pbx(scene) as trunk:
            response, _, took = await dial(trunk, await fresh_number(scene))
    finally:
        zones.add(Record("spin.alpha.example", "A", scene.address(10)))
    assert response.status_code == 404
    assert "spin" in reason_of(response)
    assert took < ANSWER_SECONDS + 1.0
    line = await logged(scene.beta, "answer not delivered")
    assert "spin.alpha.example" in line["detail"]


async def test_bob_is_reached_when_everything_is_well_again(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        assert (await dial(trunk, BOB))[0].status_code == 486


async def test_a_provider_that_dns_does_not_know_is_said_so(scene: TroubledScene) -> None:
    async with pbx(scene) as trunk:
        number = await known_number(scene, trunk)
        target = ("gw1.beta.example", scene.address(20), 5061)
        for record in sip_records("beta.example", [target]):
            scene.dns.zones.remove(record.name)
        await asyncio.sleep(1.1)
        try:
            response, _, _ = await dial(trunk, number)
        finally:
            for record in sip_records("beta.example", [target]):
                scene.dns.zones.add(record)
    assert response.status_code in (500, 503)
    assert "DNS knows no server" in reason_of(response)
