"""A gateway asks a directory that cannot know it: through a relay, with a token each time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from discovery.model import Assurance, Outcome, Service
from discovery.privacy.private_token import format_authorization
from gateway.directory_log.auditing import LogAuditor
from gateway.http.fetch import FetchFailed
from gateway.metrics import Metrics
from tests.support.directory_world import VOICE_URI
from tests.support.oblivious_lookups import (
    DIGITS,
    DIRECTORY,
    ObliviousScene,
    find,
    oblivious_scene,
)
from tests.support.oblivious_services import ISSUER, RELAY

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[ObliviousScene]:
    async with oblivious_scene(tmp_path) as scene:
        yield scene


async def test_a_number_is_found_logged_though_the_directory_is_never_connected_to(
    scene: ObliviousScene,
) -> None:
    source = await scene.ready()
    answer = await find(source)
    assert answer.outcome is Outcome.FOUND, answer.detail
    assert [(each.uri, each.assurance) for each in answer.uris] == [(VOICE_URI, Assurance.LOGGED)]
    # Not a connection, not a name resolved: the gateway has no way to the directory but the relay.
    assert set(scene.dns.asked) == {RELAY, ISSUER}
    assert scene.relay.relay.forwarded == 2  # the description, and the lookup
    assert scene.directory.service.access.outcomes["token", "admitted"] == 1
    assert not any(who == "alpha" for who, *_ in scene.directory.service.access.outcomes)


async def test_the_log_is_followed_through_the_relay_as_well(scene: ObliviousScene) -> None:
    source = await scene.ready()
    assert (await find(source)).outcome is Outcome.FOUND
    await scene.directory.register(scene.world.owner("tel:+14155550124"))
    assert (await find(source)).outcome is Outcome.FOUND
    before = scene.relay.relay.forwarded
    assert source._auditor is not None
    await source._auditor.audit()
    (seen,) = source._auditor._logs.seen.values()
    assert seen.unproven() == []
    assert scene.relay.relay.forwarded > before
    assert DIRECTORY not in scene.dns.asked


async def test_a_log_that_is_left_out_is_not_read(scene: ObliviousScene) -> None:
    source = await scene.ready()
    await find(source)
    assert source._auditor is not None
    url = scene.world.config.directory.url
    ways = {url: source._oblivious[0].requests}
    logs, client = source._auditor._logs, source._clients[0]
    before = scene.relay.relay.forwarded
    await LogAuditor(logs, client, ways=ways, left_out=[url]).audit()
    assert scene.relay.relay.forwarded == before
    assert DIRECTORY not in scene.dns.asked


async def test_a_single_lookup_does_not_show_at_the_issuer(
    scene: ObliviousScene,
) -> None:
    source = await scene.ready()
    issued = scene.issuer.api.outcomes["alpha", "issued"]
    assert issued == 4
    await find(source)
    (parts,) = source._oblivious
    await parts.tokens.round()  # one token is gone: less than a batch, so none is bought
    assert scene.issuer.api.outcomes["alpha", "issued"] == issued
    await find(source)
    await parts.tokens.round()
    assert scene.issuer.api.outcomes["alpha", "issued"] == issued + 2


async def test_a_token_is_taken_once(scene: ObliviousScene) -> None:
    source = await scene.ready()
    (parts,) = source._oblivious
    token = await parts.tokens.take()
    headers = {"content-type": "application/json", "authorization": format_authorization(token)}
    body = json.dumps({"csi": f"tel:+{DIGITS}"}).encode()
    client = parts.way.client
    assert (await client.request("POST", "/dp/v1/lookup", headers, body)).status == 200
    assert (await client.request("POST", "/dp/v1/lookup", headers, body)).status == 401


async def test_without_relay_nothing_is_found_and_nothing_goes_another_way(
    scene: ObliviousScene,
) -> None:
    source = await scene.ready()
    scene.dns.hidden.clear()  # the directory could be reached, but must not be
    await scene.relay.listener.stop()
    answer = await find(source)
    assert answer.outcome is Outcome.UNAVAILABLE
    assert DIRECTORY not in scene.dns.asked
    assert scene.directory.service.access.outcomes["token", "admitted"] == 0


async def test_without_issuer_the_tokens_in_hand_last_and_then_lookups_fail_at_once(
    scene: ObliviousScene,
) -> None:
    source = await scene.ready(tokens=2, batch=1)
    await scene.issuer.listener.stop()
    (parts,) = source._oblivious
    assert [(await find(source)).outcome for _ in range(2)] == [Outcome.FOUND, Outcome.FOUND]
    answer = await find(source)
    assert answer.outcome is Outcome.UNAVAILABLE
    assert "no token is in hand" in answer.detail
    assert await parts.tokens.round() > 0
    assert parts.tokens.failed["connect"] == 1
    metrics = Metrics()
    source.measure(metrics)
    shown = metrics.exposition().decode()
    assert "spingate_directory_tokens 0.0" in shown
    assert 'spingate_directory_tokens_bought_total{outcome="bought"} 2.0' in shown
    assert 'spingate_directory_oblivious_lookups_total{outcome="answered"} 2.0' in shown
    assert 'spingate_directory_oblivious_lookups_total{outcome="busy"} 1.0' in shown


async def test_the_issuers_key_is_replaced_without_a_lookup_that_fails(
    scene: ObliviousScene,
) -> None:
    second, first = scene.issuer.keys.load(scene.clock())
    source = await scene.ready(tokens=2, batch=1)  # both keys are pinned, at the directory too
    (parts,) = source._oblivious
    assert (await find(source)).outcome is Outcome.FOUND
    scene.clock.now += 7_200
    await parts.tokens.round()
    tokens = [await parts.tokens.take() for _ in range(2)]
    assert {each.signed.key_id for each in tokens} == {first.public.key_id, second.public.key_id}
    await parts.tokens.round()
    assert [(await find(source)).outcome for _ in range(2)] == [Outcome.FOUND] * 2


async def test_tokens_of_a_key_that_the_directory_does_not_take_are_dropped(
    scene: ObliviousScene,
) -> None:
    now = scene.clock()
    other = scene.issuer.keys.make(now + 7_200, now)  # nobody told the directory
    scene.clock.now += 7_201
    scene.issuer.reload()
    source = await scene.ready(tokens=4, batch=1)
    (parts,) = source._oblivious
    assert {(await parts.tokens.take()).signed.key_id} == {other.public.key_id}
    answer = await find(source)
    assert answer.outcome is Outcome.UNAVAILABLE
    assert "401" in answer.detail
    assert len(parts.tokens) == 0


@pytest.mark.parametrize("wrong", [-3_600.0, 3_600.0])
async def test_a_clock_that_is_wrong_costs_a_second_request_and_no_token(
    scene: ObliviousScene, wrong: float
) -> None:
    source = await scene.ready()
    (parts,) = source._oblivious
    parts.way.client._wall_clock = lambda: scene.clock() + wrong
    answer = await find(source)
    assert answer.outcome is Outcome.FOUND, answer.detail
    assert len(parts.tokens) == 3


async def test_keys_are_fetched_where_relay_and_directory_agree(scene: ObliviousScene) -> None:
    scene.dns.hidden.clear()
    source = await scene.ready(keys=None)
    (parts,) = source._oblivious
    compared = parts.upkeep[1]
    with pytest.raises(FetchFailed):
        await parts.way.lookup(scene.world.config.directory.url, b"{}", timeout=1.0)
    for _ in range(100):  # the relay fetches its copy in its own time
        if await compared.fetch():  # type: ignore[attr-defined]
            break
        await asyncio.sleep(0.02)
    assert DIRECTORY in scene.dns.asked  # at a time that has nothing to do with a lookup
    scene.dns.asked.clear()
    scene.dns.hidden.add(DIRECTORY)
    await source._clients[3].close()
    assert (await find(source)).outcome is Outcome.FOUND
    assert DIRECTORY not in scene.dns.asked


async def test_a_source_begins_its_work_once_and_ends_it(scene: ObliviousScene) -> None:
    source = scene.source()
    source.begin()
    source.begin()
    (parts,) = source._oblivious
    assert len(source._upkeep) == 1
    for _ in range(200):
        if len(parts.tokens) == 4:
            break
        await asyncio.sleep(0.02)
    answer = await source.find(DIGITS, Service.VOICE, caller="12125550100")
    assert answer.outcome is Outcome.FOUND
    await source.close()
    assert all(task.cancelled() for task in source._upkeep)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/.well-known/spin-dp", 200),
        ("GET", "/log/checkpoint", 200),
        ("GET", "/log/tile/0/000.p/1", 200),
        ("GET", "/log/tile/entries/000.p/1", 200),
        ("GET", "/log/tile/00/000.p/2", 404),
        ("GET", "/log/tile/99/000", 404),
        ("GET", "/log/tile/0/../../../secret", 404),
        ("GET", "/log/tile/entries/" + "x" * 200, 404),
        ("GET", "/log/", 404),
        ("GET", "/logs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/dp/v1/lookup", 404),
        ("PUT", "/dp/v1/records", 404),
        ("POST", "/ca/v1/challenges", 404),
        ("POST", "/dp/v1/lookup", 401),
    ],
)
async def test_without_a_token_only_what_is_published_is_answered_inside(
    scene: ObliviousScene, method: str, path: str, status: int
) -> None:
    (parts,) = scene.source()._oblivious
    answer = await parts.way.client.request(method, path, {"content-type": "application/json"})
    assert answer.status == status
