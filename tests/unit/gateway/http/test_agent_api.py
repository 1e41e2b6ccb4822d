"""F1 and F2 of the security bar for the agent's interface, and what it is good for."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import create_async_engine

from discovery.model import Service
from discovery.number import NumberRanges
from gateway.agent_store import SqlAgentStore
from gateway.http.agent import AgentApi, AgentApiSettings
from tests.support.spin_passports import BOB

pytestmark = pytest.mark.real
TOKEN = "a-token-of-the-agent"
Client = TestClient[web.Request, web.Application]
HANDLER = {
    "app_id": "softphone",
    "number": "+1212555",
    "svc": ["voice"],
    "uri": "sip:{number}@beta.example",
    "msp": "beta.example",
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlAgentStore]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'agent.sqlite'}")
    held = SqlAgentStore(engine)
    await held.create_tables()
    yield held
    await engine.dispose()


@pytest.fixture
async def client(store: SqlAgentStore) -> AsyncIterator[Client]:
    counter = itertools.count()
    api = AgentApi(
        store,
        AgentApiSettings(
            NumberRanges(["+12125550100-+12125550199"]),
            domains=frozenset({"beta.example"}),
            max_handlers=3,
        ),
        TOKEN,
        random=lambda count: next(counter).to_bytes(count, "big"),
        wall_clock=lambda: 1_795_000_000.0,
    )
    async with TestClient(TestServer(api.application())) as held:
        yield held


def authorised(**extra: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}", **extra}


async def post(client: Client, document: object) -> ClientResponse:
    return await client.post("/os/v1/handlers", json=document, headers=authorised())


async def registered(client: Client) -> str:
    response = await post(client, HANDLER)
    assert response.status == 201
    return str((await response.json())["id"])


async def test_a_handler_is_registered_listed_and_removed(
    client: Client, store: SqlAgentStore
) -> None:
    response = await post(client, HANDLER)
    document = await response.json()
    assert response.status == 201
    assert {**HANDLER, "number": "+1212555"}.items() <= document.items()
    location = response.headers["Location"]
    assert (await (await client.get(location, headers=authorised())).json()) == document
    listed = await client.get("/os/v1/handlers", headers=authorised())
    assert (await listed.json()) == {"handlers": [document]}
    assert [h.handler_id for h in await store.handlers_for(BOB, Service.VOICE)] == [document["id"]]
    assert (await client.delete(location, headers=authorised())).status == 204
    assert (await client.delete(location, headers=authorised())).status == 404


async def test_a_user_chooses_a_default_and_takes_it_back(
    client: Client, store: SqlAgentStore
) -> None:
    handler_id = await registered(client)
    path = "/os/v1/defaults/voice"
    chosen = {"number": f"+{BOB}", "handler": handler_id}
    assert (await client.put(path, json=chosen, headers=authorised())).status == 204
    assert await store.default(BOB, Service.VOICE) == handler_id
    nobody = {"number": BOB, "handler": None}
    assert (await client.put(path, json=nobody, headers=authorised())).status == 204
    assert await store.default(BOB, Service.VOICE) is None


async def test_the_audit_trail_tells_who_did_what_with_masked_numbers(client: Client) -> None:
    handler_id = await registered(client)
    response = await client.get("/os/v1/audit", headers=authorised())
    (entry,) = (await response.json())["audit"]
    assert (entry["event"], entry["handler"]) == ("handler added", handler_id)
    assert entry["number"] == "+1212*55"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
        [("Authorization", "Bearer")],
    ],
)
async def test_without_the_one_token_nothing_is_said(
    client: Client, headers: list[tuple[str, str]]
) -> None:
    for method, path in (("GET", "/os/v1/handlers"), ("POST", "/os/v1/handlers")):
        response = await client.request(method, path, headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    response = await client.get(f"/os/v1/audit?access_token={TOKEN}", headers=headers)
    assert response.status == 401


async def test_guessing_tokens_is_slowed_down(client: Client) -> None:
    wrong = {"Authorization": "Bearer guess"}
    statuses = [(await client.get("/os/v1/audit", headers=wrong)).status for _ in range(25)]
    assert statuses == [401] * 20 + [429] * 5


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
        ({"msp": "gamma.example", "uri": "sip:{number}@gamma.example"}, 422),
        ({"app_id": "x\r\ny"}, 422),
        ({"extra": 1}, 422),
    ],
)
async def test_a_registration_out_of_shape_is_refused(
    client: Client, change: dict[str, object], status: int
) -> None:
    response = await post(client, {**HANDLER, **change})
    assert response.status == status
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"number": "+13105550100", "handler": "x"}, 403),
        ({"number": "+12125550123", "handler": "unknown"}, 404),
        ({"number": "+12125550123", "handler": "../etc"}, 404),
        ({"number": "Bob", "handler": "x"}, 422),
        ({"number": "+12125550123"}, 422),
        ({"number": "+12125550123", "handler": 7}, 422),
    ],
)
async def test_a_default_out_of_shape_is_refused(
    client: Client, document: dict[str, object], status: int
) -> None:
    response = await client.put("/os/v1/defaults/voice", json=document, headers=authorised())
    assert response.status == status


async def test_a_default_for_what_the_handler_does_not_serve_is_refused(client: Client) -> None:
    document = {"number": f"+{BOB}", "handler": await registered(client)}
    for service, status in (("im", 422), ("fax", 404)):
        response = await client.put(
            f"/os/v1/defaults/{service}", json=document, headers=authorised()
        )
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
    client: Client, body: bytes, content_type: str, status: int
) -> None:
    headers = authorised(**{"Content-Type": content_type})
    response = await client.post("/os/v1/handlers", data=body, headers=headers)
    assert response.status == status
    assert response.content_type == "application/problem+json"


async def test_a_compressed_body_is_refused_unread(client: Client) -> None:
    headers = authorised(**{"Content-Type": "application/json", "Content-Encoding": "gzip"})
    response = await client.post("/os/v1/handlers", data=b"\x1f\x8b", headers=headers)
    assert response.status == 415


async def test_methods_and_paths_that_do_not_exist_say_so(client: Client) -> None:
    response = await client.patch("/os/v1/handlers", headers=authorised())
    assert response.status == 405
    assert "POST" in response.headers["Allow"]
    assert (await client.get("/os/v1/nothing", headers=authorised())).status == 404


async def test_the_number_of_handlers_is_bounded(client: Client) -> None:
    assert [(await post(client, HANDLER)).status for _ in range(4)] == [201, 201, 201, 409]


async def test_the_description_names_every_route_and_every_status_seen_here(
    client: Client,
) -> None:
    description = await (await client.get("/os/v1/openapi.json")).json()
    assert description["openapi"].startswith("3.1")
    served = {
        (resource.canonical.removeprefix("/os/v1"), route.method.lower())
        for resource in client.app.router.resources()
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
    api = AgentApi(
        SqlAgentStore(engine),
        AgentApiSettings(NumberRanges()),
        TOKEN,
        random=bytes,
        wall_clock=lambda: 0.0,
    )
    async with TestClient(TestServer(api.application())) as client:
        assert (await client.get("/os/v1/handlers", headers=authorised())).status == 503
        assert (await client.get("/os/v1/openapi.json")).status == 200
    await engine.dispose()


async def test_a_short_token_is_refused_before_anything_listens(store: SqlAgentStore) -> None:
    settings = AgentApiSettings(NumberRanges())
    with pytest.raises(ValueError, match="16 characters"):
        AgentApi(store, settings, "short", random=bytes, wall_clock=lambda: 0.0)
