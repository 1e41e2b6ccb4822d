"""The admin interface: closed without its token, and what its clients make of the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.config import Config, load_config
from gateway.http.admin import admin_application
from gateway.http.admin_client import NoGateway, WrongQuestion, ask_admin, is_running

TOKEN = "correct-horse-battery"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
CONFIG = """
[provider]
domain = "edge.example"
numbers = ["+12125550100"]
state_directory = "state"
[[listen]]
name = "access"
role = "access"
transport = "udp"
address = "127.0.0.1"
port = 5060
[admin]
token = "{token}"
port = {port}
"""


async def look_up(number: str, service: str, sender: str) -> dict[str, Any]:
    if number != "+12125550123":
        raise ValueError("no telephone number")
    return {"number": number, "service": service, "from": sender}


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    application = admin_application(
        TOKEN, lambda: b"spingate_calls_total 0\n", {"calls": lambda: [{"call_id": "1"}]}, look_up
    )
    started = TestServer(application)
    await started.start_server()
    yield started
    await started.close()


def config(folder: Path, port: int | None, token: str = TOKEN) -> Config:
    path = folder / "edge.toml"
    path.write_text(CONFIG.format(token=token, port=port or 1))
    return load_config(path, {})


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", TOKEN)],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")],
        [("Authorization", "Bearer \u00e9")],
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/v1/calls", "/v1/none"])
async def test_nothing_is_shown_without_the_one_right_token(
    server: TestServer, headers: list[tuple[str, str]], path: str
) -> None:
    async with TestClient(server) as client:
        answer = await client.get(path, headers=headers)
        assert answer.status in (400, 401)
        assert "spingate" not in await answer.text()


async def test_health_is_open_and_says_nothing_else(server: TestServer) -> None:
    async with TestClient(server) as client:
        assert await (await client.get("/healthz")).json() == {"status": "ok"}


async def test_metrics_and_lists_are_shown_with_the_token(server: TestServer) -> None:
    async with TestClient(server, headers=AUTHORISED) as client:
        assert "spingate_calls_total" in await (await client.get("/metrics")).text()
        assert await (await client.get("/v1/calls")).json() == {"calls": [{"call_id": "1"}]}
        assert (await client.get("/v1/none")).status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b'{"number": 1}', b"x" * 5000])
async def test_a_malformed_question_is_a_400_or_413(server: TestServer, body: bytes) -> None:
    async with TestClient(server, headers=AUTHORISED) as client:
        assert (await client.post("/v1/discover", data=body)).status in (400, 413)


async def test_the_client_asks_and_is_told_what_was_wrong(
    server: TestServer, tmp_path: Path
) -> None:
    settings = config(tmp_path, server.port)
    question = {"number": "+12125550123", "service": "voice", "from": "+12125550100"}
    assert await ask_admin(settings, "/v1/discover", question) == question
    with pytest.raises(WrongQuestion, match="no telephone number"):
        await ask_admin(settings, "/v1/discover", {**question, "number": "x"})
    assert await ask_admin(settings, "/v1/calls") == {"calls": [{"call_id": "1"}]}


async def test_another_gateway_and_none_at_all_are_told_apart(
    server: TestServer, tmp_path: Path
) -> None:
    with pytest.raises(NoGateway, match="another gateway"):
        await ask_admin(config(tmp_path, server.port, "some-other-token"), "/v1/calls")
    with pytest.raises(NoGateway, match="spingate run"):
        await ask_admin(config(tmp_path, None), "/v1/calls")
    assert not await is_running(config(tmp_path, None))
