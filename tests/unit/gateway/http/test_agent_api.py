"""F1 and F2 of the security bar for the agent's interface, and what it is good for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import create_async_engine

from discovery.model import Service
from tests.support.agent_scene import (
    PROVIDER_TOKEN,
    AgentScene,
    AppDomain,
    FakeFinder,
    FakeWeb,
    agent_scene,
    make_api,
)
from tests.support.spin_passports import BOB

pytestmark = pytest.mark.real
HANDLER = {
    "app_id": "softphone",
    "number": "+1212555",
    "svc": ["voice"],
    "uri": "sip:{number}@beta.example",
    "msp": "beta.example",
}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AgentScene]:
    async with agent_scene(tmp_path) as held:
        yield held


@pytest.fixture
async def app(scene: AgentScene) -> str:
    """The token of the provider's own application."""
    return await scene.token_for("softphone", number="+1212555")


async def post(scene: AgentScene, app: str, document: object) -> ClientResponse:
    return await scene.call("POST", "/handlers", document, token=app)


async def test_the_providers_own_app_registers_without_a_proof_and_answers_at_once(
    scene: AgentScene, app: str
) -> None:
    response = await post(scene, app, HANDLER)
    document = await response.json()
    assert response.status == 201
    assert {**HANDLER, "state": "active"}.items() <= document.items()
    location = response.headers["Location"].removeprefix("/os/v1")
    assert await scene.told("GET", location, token=app) == document
    assert await scene.told("GET", location) == document
    assert await scene.told("GET", "/handlers", token=app) == {"handlers": [document]}
    found = await scene.store.handlers_for(BOB, Service.VOICE)
    assert [handler.handler_id for handler in found] == [document["id"]]
    assert (await scene.call("DELETE", location)).status == 403  # not the user's to remove
    assert (await scene.call("DELETE", location, token=app)).status == 204
    assert (await scene.call("DELETE", location, token=app)).status == 404


async def test_a_user_chooses_a_default_and_takes_it_back(scene: AgentScene, app: str) -> None:
    handler = (await scene.told("POST", "/handlers", HANDLER, token=app))["id"]
    chosen = {"number": f"+{BOB}", "handler": handler}
    assert (await scene.call("PUT", "/defaults/voice", chosen)).status == 204
    assert (await scene.told("GET", "/defaults"))["defaults"] == {
        "voice": handler,
        "video": None,
        "im": None,
    }
    assert (await scene.call("PUT", "/defaults/voice", {"handler": None})).status == 204
    assert await scene.store.default(BOB, Service.VOICE) is None
    assert scene.changed == [BOB, BOB]


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PUT", "/defaults/voice", {"handler": None}),
        ("PUT", "/rules", {"rules": []}),
        ("PUT", "/contacts", {"contacts": []}),
        ("GET", "/rules", None),
        ("GET", "/contacts", None),
        ("POST", "/handlers/x/consent", None),
        ("POST", "/apps", {"app_id": "another"}),
        ("POST", "/sessions", {"number": f"+{BOB}"}),
        ("GET", "/audit", None),
    ],
)
async def test_an_app_never_does_what_is_the_users_or_the_providers(
    scene: AgentScene, app: str, method: str, path: str, document: object
) -> None:
    assert (await scene.call(method, path, document, token=app)).status == 403


async def test_the_provider_never_chooses_for_a_user_without_a_session(scene: AgentScene) -> None:
    for path, document in (("/defaults/voice", {"handler": None}), ("/rules", {"rules": []})):
        assert (await scene.call("PUT", path, document, token=PROVIDER_TOKEN)).status == 403


async def test_sessions_end_by_time_and_by_word(scene: AgentScene) -> None:
    scene.now[0] += 31 * 86_400
    assert (await scene.call("GET", "/rules")).status == 401
    scene.session = await scene.open_session()
    assert (await scene.call("GET", "/rules")).status == 200
    other = await scene.open_session("+12125550124")
    path = f"/sessions/+{BOB}"
    assert (await scene.call("DELETE", path, token=other)).status == 404
    assert (await scene.call("DELETE", path)).status == 204
    assert (await scene.call("GET", "/rules")).status == 401


async def test_an_app_put_out_loses_its_token_and_its_handlers(scene: AgentScene) -> None:
    domain = AppDomain()
    await scene.register(domain)
    token = await scene.token_for("wire")
    assert (await scene.call("GET", "/handlers", token=token)).status == 200
    assert (await scene.call("DELETE", "/apps/wire")).status == 204
    assert (await scene.call("GET", "/handlers", token=token)).status == 401
    assert await scene.store.count_handlers() == 0
    assert (await scene.call("DELETE", "/apps/wire")).status == 404


async def test_a_user_sees_the_own_audit_trail_only_with_masked_numbers(scene: AgentScene) -> None:
    await scene.register(AppDomain())
    other = await scene.open_session("+12125550124")
    events = [entry["event"] for entry in (await scene.told("GET", "/audit"))["audit"]]  # type: ignore[attr-defined]
    assert events == ["handler agreed to", "handler added", "app let in", "session opened"]
    theirs = (await scene.told("GET", "/audit", token=other))["audit"]
    assert [entry["event"] for entry in theirs] == ["session opened"]  # type: ignore[attr-defined]
    assert BOB not in json.dumps(await scene.told("GET", "/audit", token=PROVIDER_TOKEN))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", f"Basic {PROVIDER_TOKEN}")],
        [
            ("Authorization", f"Bearer {PROVIDER_TOKEN}"),
            ("Authorization", f"Bearer {PROVIDER_TOKEN}"),
        ],
        [("Authorization", "Bearer")],
    ],
)
async def test_without_the_one_token_nothing_is_said(
    scene: AgentScene, headers: list[tuple[str, str]]
) -> None:
    client = scene.client
    for method, path in (("GET", "/os/v1/handlers"), ("POST", "/os/v1/handlers")):
        response = await client.request(method, path, headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    response = await client.get(f"/os/v1/audit?access_token={PROVIDER_TOKEN}", headers=headers)
    assert response.status == 401


async def test_guessing_tokens_is_slowed_down(scene: AgentScene) -> None:
    client = scene.client
    wrong = {"Authorization": "Bearer guess"}
    statuses = [(await client.get("/os/v1/audit", headers=wrong)).status for _ in range(25)]
    assert statuses == [401] * 20 + [429] * 5


async def test_wrong_tokens_of_one_application_do_not_shut_out_the_others_of_the_host(
    scene: AgentScene, app: str
) -> None:
    wrong = {"Authorization": "Bearer expired"}
    for _ in range(25):
        await scene.client.get("/os/v1/handlers", headers=wrong)
    assert (await scene.call("GET", "/handlers", token=app)).status == 200
    assert (await scene.call("GET", "/audit", token=PROVIDER_TOKEN)).status == 200
    assert (await scene.client.get("/os/v1/handlers", headers=wrong)).status == 429


async def test_elsewhere_a_source_that_guesses_is_not_even_looked_up(
    scene: AgentScene, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.BaseRequest, "remote", "2001:db8::7")
    wrong = {"Authorization": "Bearer guess"}
    statuses = [
        (await scene.client.get("/os/v1/handlers", headers=wrong)).status for _ in range(21)
    ]
    assert statuses == [401] * 20 + [429]
    assert (await scene.call("GET", "/handlers", token=app)).status == 429


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"number": "+1310555"}, 403),
        ({"number": "Bob"}, 422),
        ({"number": 12125550123}, 422),
        ({"svc": []}, 422),
        ({"svc": ["fax"]}, 422),
        ({"svc": [{}]}, 422),
        ({"svc": "voice"}, 422),
        ({"uri": "sip:{number}@evil.example"}, 422),
        ({"uri": "javascript:alert(1)"}, 422),
        ({"uri": None}, 422),
        ({"msp": "gamma.example", "uri": "sip:{number}@gamma.example"}, 403),
        ({"app_id": "another"}, 403),
        ({"app_id": "silent"}, 422),
        ({"proof": "x"}, 422),
        ({"proof": 1}, 422),
        ({"app_id": "x\r\ny"}, 422),
        ({"extra": 1}, 422),
    ],
)
async def test_a_registration_out_of_shape_is_refused(
    scene: AgentScene, app: str, change: dict[str, object], status: int
) -> None:
    response = await post(scene, app, {**HANDLER, **change})
    assert response.status == status
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"number": "+13105550100", "handler": "x"}, 403),
        ({"number": "+12125550123", "handler": "unknown"}, 404),
        ({"number": "+12125550123", "handler": "../etc"}, 404),
        ({"number": "Bob", "handler": "x"}, 422),
        ({"number": "+12125550124", "handler": None}, 403),
        ({"number": "+12125550123"}, 422),
        ({"number": "+12125550123", "handler": 7}, 422),
    ],
)
async def test_a_default_out_of_shape_is_refused(
    scene: AgentScene, document: dict[str, object], status: int
) -> None:
    response = await scene.call("PUT", "/defaults/voice", document)
    assert response.status == status


async def test_a_default_for_what_the_handler_does_not_serve_is_refused(
    scene: AgentScene, app: str
) -> None:
    made = await scene.told("POST", "/handlers", HANDLER, token=app)
    for service, status in (("im", 422), ("fax", 404)):
        response = await scene.call("PUT", f"/defaults/{service}", {"handler": made["id"]})
        assert response.status == status


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"x" * 9000, "application/json", 413),
        (b"[" * 5000, "application/json", 400),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "application/json", 400),
        (b'{"app_id":"a","app_id":"b"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"a":NaN}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 400),
        (json.dumps(HANDLER).encode(), "text/plain", 415),
        (json.dumps(HANDLER).encode(), "application/xml", 415),
    ],
)
async def test_a_body_that_is_not_ours_is_refused(
    scene: AgentScene, app: str, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {app}", "Content-Type": content_type}
    response = await scene.client.post("/os/v1/handlers", data=body, headers=headers)
    assert response.status == status
    assert response.content_type == "application/problem+json"


async def test_a_compressed_body_is_refused_unread(scene: AgentScene, app: str) -> None:
    headers = {
        "Authorization": f"Bearer {app}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    response = await scene.client.post("/os/v1/handlers", data=b"\x1f\x8b", headers=headers)
    assert response.status == 415


async def test_methods_and_paths_that_do_not_exist_say_so(scene: AgentScene) -> None:
    response = await scene.call("PATCH", "/handlers")
    assert response.status == 405
    assert "POST" in response.headers["Allow"]
    assert (await scene.call("GET", "/nothing")).status == 404


async def test_the_number_of_handlers_is_bounded(scene: AgentScene, app: str) -> None:
    statuses = [(await post(scene, app, HANDLER)).status for _ in range(4)]
    assert statuses == [201, 201, 201, 409]


async def test_the_description_names_every_route(scene: AgentScene) -> None:
    description = await (await scene.client.get("/os/v1/openapi.json")).json()
    assert description["openapi"].startswith("3.1")
    served = {
        (resource.canonical.removeprefix("/os/v1"), route.method.lower())
        for resource in scene.client.app.router.resources()
        for route in resource
        if route.method != "HEAD"
    }
    described = {
        (path, method)
        for path, operations in description["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert served == described


async def test_a_store_that_fails_answers_503_and_keeps_the_rest_alive(tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite").write_bytes(b"no database at all " * 100)
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'broken.sqlite'}")
    api, _ = make_api(engine, FakeWeb(), FakeFinder(), [], [0.0])
    async with TestClient(TestServer(api.application())) as client:
        headers = {"Authorization": f"Bearer {PROVIDER_TOKEN}"}
        assert (await client.get("/os/v1/handlers", headers=headers)).status == 503
        assert (await client.get("/os/v1/openapi.json")).status == 200
    await engine.dispose()


async def test_a_short_token_is_refused_before_anything_listens(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'agent.sqlite'}")
    with pytest.raises(ValueError, match="16 characters"):
        make_api(engine, FakeWeb(), FakeFinder(), [], [0.0], token="short")
    await engine.dispose()
