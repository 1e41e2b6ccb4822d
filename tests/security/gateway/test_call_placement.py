"""The call placement service against publishers and retrievers who mean no good."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.http.call_placement_client import Placement
from stir.authentication import AuthenticationService
from stir.certificates.certificate import load_credential
from stir.certificates.issuing import key_to_pem, make_root
from stir.oob.access import Asked
from stir.oob.encryption import encrypt_passports
from stir.oob.rate import Rate
from stir.oob.store import StoreLimits
from stir.oob.tokens import digest_of
from tests.support.call_placement_scene import (
    DEST,
    ORIG,
    CallPlacementScene,
    Provider,
    call_placement_scene,
)

pytestmark = pytest.mark.real
PATH = f"/passports/{DEST}/{ORIG}"
RETRIEVE = Asked("retrieve", DEST, ORIG)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[CallPlacementScene]:
    async with call_placement_scene(tmp_path) as running:
        yield running


async def test_what_one_provider_publishes_the_other_retrieves(scene: CallPlacementScene) -> None:
    token = scene.alpha.passport()
    where = Placement(DEST, ORIG)
    assert await scene.client(scene.alpha).publish(where, (token,)) == 1
    assert await scene.client(scene.beta).retrieve(where) == (token,)


async def test_the_encrypted_form_shows_the_service_neither_caller_nor_token(
    scene: CallPlacementScene,
) -> None:
    sealed = encrypt_passports((scene.alpha.passport(),), KEY.public_key())
    where = Placement(DEST, None)
    assert await scene.client(scene.alpha).publish(where, (sealed,)) == 1
    assert await scene.client(scene.beta).retrieve(where) == (sealed,)
    assert ORIG not in where.path


async def test_the_interface_is_that_of_atis_1000096(scene: CallPlacementScene) -> None:
    token = scene.alpha.passport()
    asked = Asked("publish", DEST, ORIG, digest_of((token,)))
    created = await scene.post(PATH, [token], scene.alpha.permission(asked))
    assert (created.status, json.loads(created.body)) == (
        201,
        {"status": 201, "message": "Created"},
    )
    found = await scene.get(PATH, scene.beta.permission(RETRIEVE))
    assert (found.status, json.loads(found.body)) == (200, {"passports": [token]})
    health = await scene.get("/health", None)
    assert (health.status, json.loads(health.body)["message"]) == (200, "OK")
    described = json.loads((await scene.get("/openapi.json", None)).body)
    assert set(described["paths"]) >= {"/passports/{dest}/{orig}", "/encrypted/{dest}", "/health"}


async def test_unknown_numbers_are_answered_like_known_ones(scene: CallPlacementScene) -> None:
    await scene.publish(scene.alpha, scene.alpha.passport())
    for orig in ("14155550101", "19995550199"):
        asked = Asked("retrieve", DEST, orig)
        answer = await scene.get(f"/passports/{DEST}/{orig}", scene.beta.permission(asked))
        assert answer.status == 404
    empty = await scene.get(
        f"/encrypted/{DEST}", scene.beta.permission(Asked("retrieve", DEST, None))
    )
    assert (empty.status, json.loads(empty.body)) == (200, {"passports": []})


async def test_entries_end(scene: CallPlacementScene) -> None:
    assert await scene.publish(scene.alpha, scene.alpha.passport()) == 201
    scene.now[0] = 16.0
    assert (await scene.get(PATH, scene.beta.permission(RETRIEVE))).status == 404


@pytest.mark.parametrize("token", [None, "", "nonsense", "a.b.c"])
async def test_nobody_gets_in_without_a_token(scene: CallPlacementScene, token: str | None) -> None:
    answer = await scene.get(PATH, token)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_token_opens_once(scene: CallPlacementScene) -> None:
    token = scene.beta.permission(RETRIEVE)
    assert (await scene.get(PATH, token)).status == 404
    assert (await scene.get(PATH, token)).status == 401
    assert scene.server.refused["token_replayed"] == 1


@pytest.mark.parametrize(
    ("changes", "reason", "status"),
    [
        ({"iat": 1_700_000_000}, "token_stale", 401),
        ({"aud": "other.example"}, "token_audience", 401),
        ({"action": "publish"}, "token_action", 403),
        ({"dest": {"tn": [ORIG]}}, "token_numbers", 403),
        ({"iss": "13035550100", "sub": "13035550100"}, "token_issuer", 403),
    ],
)
async def test_tokens_for_something_else_do_not_open(
    scene: CallPlacementScene, changes: dict[str, Any], reason: str, status: int
) -> None:
    answer = await scene.get(PATH, scene.beta.permission(RETRIEVE, **changes))
    assert (answer.status, scene.server.refused[reason]) == (status, 1)


async def test_another_numbers_certificate_retrieves_nothing(scene: CallPlacementScene) -> None:
    await scene.publish(scene.alpha, scene.alpha.passport())
    gamma = scene.certificates.add(Provider("13035550100", scene.root))
    for provider in (gamma, scene.alpha):
        answer = await scene.get(PATH, provider.permission(RETRIEVE))
        assert answer.status == 403
    assert scene.server.refused["number_not_covered"] == 2


async def test_a_stranger_to_the_authorities_neither_stores_nor_fetches(
    scene: CallPlacementScene,
) -> None:
    mallory = scene.certificates.add(Provider(ORIG, make_root("Mallory's root", time.time())))
    assert await scene.publish(mallory, mallory.passport()) == 403
    assert scene.server.refused["credential_untrusted"] == 1
    assert len(scene.server.store) == 0


async def test_an_unknown_certificate_is_the_publishers_fault(scene: CallPlacementScene) -> None:
    unknown = Provider(ORIG, scene.root)
    assert await scene.publish(unknown, unknown.passport()) == 403
    assert scene.server.refused["credential_unavailable"] == 1


async def test_forged_and_stale_passports_are_refused_at_the_door(
    scene: CallPlacementScene,
) -> None:
    mallory = scene.certificates.add(Provider("13035550100", scene.root))
    forged = mallory.passport(orig_tn=ORIG)
    asked = Asked("publish", DEST, ORIG, digest_of((forged,)))
    assert (await scene.post(PATH, [forged], mallory.permission(asked))).status == 422
    stale = scene.alpha.passport(iat=int(time.time()) - 120)
    other = scene.alpha.passport(dest="12125550199")
    for token in (stale, other):
        assert await scene.publish(scene.alpha, token) == 422
    assert len(scene.server.store) == 0
    assert scene.server.refused["authority_not_covered"] == 1


async def test_what_is_forged_beside_something_valid_is_left_out(scene: CallPlacementScene) -> None:
    good, stale = scene.alpha.passport(), scene.alpha.passport(iat=int(time.time()) - 120)
    assert await scene.publish(scene.alpha, stale, good) == 201
    assert await scene.client(scene.beta).retrieve(Placement(DEST, ORIG)) == (good,)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"passports":[]}', 400),
        (b'{"passports":["a.b.c"]}', 400),
        (b'{"passports":["\\""]}', 400),
        (b'{"passports":[1]}', 400),
        (b'{"passports":["x"],"passports":["y"]}', 400),
        (b'{"passports":' + b"[" * 60_000, 400),
        (b'{"passports":["' + b"x" * 70_000 + b'"]}', 413),
        (os.urandom(300), 400),
    ],
)
async def test_no_body_breaks_the_service(
    scene: CallPlacementScene, body: bytes, status: int
) -> None:
    for path in (PATH, f"/encrypted/{DEST}"):
        assert (await scene.post(path, [], None, body=body)).status == status


async def test_no_path_breaks_the_service(scene: CallPlacementScene) -> None:
    for path in (
        "/passports/+12125550123/1",
        "/passports/%2B1/1",
        "/passports/1",
        "/passports/urn%3Aservice%3Asos/1",
        "/encrypted/" + "1" * 33,
        "/encrypted/%00",
        "/encrypted/1/2",
    ):
        assert (await scene.get(path, None)).status in (400, 404), path
    assert (await scene.post("/health", [], None)).status == 405


async def test_other_content_types_are_refused(scene: CallPlacementScene) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
        assert (await scene.post(PATH, [], None, headers=headers)).status == 415


async def test_a_flood_of_sealed_junk_does_not_push_out_what_belongs_to_the_call(
    tmp_path: Path,
) -> None:
    limits = StoreLimits(per_place=8, per_publisher_and_place=3)
    async with call_placement_scene(tmp_path, store=limits) as scene:
        where = Placement(DEST, None)
        good = encrypt_passports((scene.alpha.passport(),), KEY.public_key())
        await scene.client(scene.alpha).publish(where, (good,))
        mallory = scene.certificates.add(Provider("13035550100", scene.root))
        for _ in range(12):
            junk = encrypt_passports((mallory.passport(),), KEY.public_key())
            assert await scene.client(mallory).publish(where, (junk,)) == 1
        found = await scene.client(scene.beta).retrieve(where)
        assert good in found
        assert len(found) == 4


async def test_publishers_and_addresses_have_a_rate(tmp_path: Path) -> None:
    slow = Rate(0.001, 3)
    async with call_placement_scene(tmp_path, per_certificate=slow) as scene:
        statuses = [
            (await scene.get(PATH, scene.beta.permission(RETRIEVE))).status for _ in range(5)
        ]
        assert statuses == [404, 404, 404, 429, 429]
        assert await scene.publish(scene.alpha, scene.alpha.passport()) == 201
    async with call_placement_scene(tmp_path, per_source=slow) as scene:
        answers = [await scene.get(PATH, None) for _ in range(4)]
        assert [answer.status for answer in answers] == [401, 401, 401, 429]
        assert answers[3].headers["retry-after"] == "1"


async def test_a_full_store_says_so(tmp_path: Path) -> None:
    async with call_placement_scene(tmp_path, store=StoreLimits(per_publisher=1)) as scene:
        assert await scene.publish(scene.alpha, scene.alpha.passport()) == 201
        other = scene.alpha.passport(dest="12125550199")
        assert await scene.publish(scene.alpha, other, dest="12125550199") == 429
    async with call_placement_scene(tmp_path, store=StoreLimits(total=0)) as scene:
        assert await scene.publish(scene.alpha, scene.alpha.passport()) == 503


async def test_a_form_that_is_switched_off_is_not_there(tmp_path: Path) -> None:
    async with call_placement_scene(tmp_path, plain=False) as scene:
        assert (await scene.get(PATH, scene.beta.permission(RETRIEVE))).status == 404
        assert len(scene.server.store) == 0


async def test_a_dead_service_beside_a_living_one_costs_no_more_than_the_budget(
    scene: CallPlacementScene,
) -> None:
    token = scene.alpha.passport()
    where = Placement(DEST, ORIG)
    urls = (scene.url, "https://dead.example:9")
    assert await scene.client(scene.alpha, urls=urls).publish(where, (token,)) == 1
    assert await scene.client(scene.beta, urls=urls).retrieve(where) == (token,)
    assert await scene.client(scene.beta, urls=urls[1:]).retrieve(where) == ()
    # A certificate for another name is no service of ours.
    misnamed = (f"https://other.example:{scene.port}",)
    assert await scene.client(scene.beta, urls=misnamed).retrieve(where) == ()


async def test_what_else_its_url_serves_gives_a_certificate_no_further_share(
    tmp_path: Path,
) -> None:
    async with call_placement_scene(tmp_path, per_certificate=Rate(0.001, 2.0)) as scene:
        statuses = []
        for count in range(4):
            junk = make_root(f"Junk {count}", time.time()).chain_pem
            scene.alpha.credential = load_credential(scene.alpha.credential.pem + junk)
            scene.certificates.add(scene.alpha)
            statuses.append(await scene.publish(scene.alpha, scene.alpha.passport()))
    assert statuses == [201, 201, 429, 429]


async def test_strangers_have_few_certificates_fetched(scene: CallPlacementScene) -> None:
    stranger, statuses = Provider(DEST, scene.root), []
    for count in range(30):
        stranger.signer = AuthenticationService(
            key_to_pem(stranger.signer._key),
            stranger.credential.pem,
            f"https://certs.example/dead-{count}.pem",
        )
        statuses.append((await scene.get(PATH, stranger.permission(RETRIEVE))).status)
    assert statuses.count(429) >= 8
    assert (await scene.get(PATH, scene.beta.permission(RETRIEVE))).status == 404
