"""The client, by the examples its documentation gives, and where the agent misbehaves."""

from __future__ import annotations

import asyncio
import doctest
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import discovery.client.agent
from discovery.client.agent import (
    AgentProblem,
    EventReader,
    MalformedAnswer,
    Request,
    audit,
    proof_token,
    read_answer,
    read_credential,
    read_question,
)
from discovery.model import Service
from gateway.http.agent_client import AgentClient, AgentUnreachable
from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, AppDomain, agent_scene

pytestmark = pytest.mark.real
GUIDE = Path(__file__).parents[4] / "docs" / "agent.md"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AgentScene]:
    async with agent_scene(tmp_path) as held:
        held.finder.go.set()
        yield held


def test_the_examples_of_the_builders_are_true() -> None:
    assert doctest.testmod(discovery.client.agent).failed == 0


async def test_the_guide_runs_from_top_to_bottom(
    scene: AgentScene, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = AppDomain("chat.example", "wire")
    scene.web.publish(chat)

    def sign_at_chat_example(signing_input: bytes) -> bytes:
        r, s = decode_dss_signature(chat.key.sign(signing_input, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    source = "async def guide():\n" + textwrap.indent("\n".join(blocks), "    ")
    names: dict[str, Any] = {
        "url": str(scene.client.make_url("/")),
        "provider_token": PROVIDER_TOKEN,
        "sign_at_chat_example": sign_at_chat_example,
    }
    exec(compile(source, str(GUIDE), "exec"), names)
    await names["guide"]()
    assert capsys.readouterr().out == "sip:+14155550100@a.example 12125550123>14155550100\n"
    handlers = await scene.store.handlers(limit=9)
    assert [(handler.app_id, handler.active) for handler in handlers] == [
        ("softphone", True),
        ("wire", True),
    ]
    assert len(await scene.store.rules("12125550123")) == 3


async def test_a_refusal_says_its_status_and_why(scene: AgentScene) -> None:
    async with AgentClient(str(scene.client.make_url("/")), "a-wrong-token") as client:
        with pytest.raises(AgentProblem) as caught:
            await client.send(audit())
    assert caught.value.status == 401


async def test_an_agent_that_is_not_there_or_hangs_is_named() -> None:
    async with AgentClient("http://127.0.0.1:1", "token") as client:
        with pytest.raises(AgentUnreachable, match=r"127\.0\.0\.1:1"):
            await client.send(audit())

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    application = web.Application()
    application.router.add_get("/os/v1/audit", hang)
    async with (
        TestServer(application) as server,
        AgentClient(str(server.make_url("/")), "token", timeout=0.1) as client,
    ):
        with pytest.raises(AgentUnreachable, match="nothing within"):
            await client.send(audit())


async def test_waiting_goes_on_where_a_connection_ends_too_early() -> None:
    looks = 0
    waiting = {"id": "q", "state": "waiting", "svc": "voice", "uris": [], "asked": []}

    async def ask(_: web.Request) -> web.Response:
        return web.json_response(waiting, status=202)

    async def look(_: web.Request) -> web.Response:
        nonlocal looks
        looks += 1
        if looks == 1:
            return web.Response(body=b"event: waiting\ndata: {}\n\nevent: do")
        done = web.json_response({**waiting, "state": "done"}).text
        return web.Response(text=f"event: done\ndata: {done}\n\n")

    application = web.Application()
    application.router.add_post("/os/v1/resolve", ask)
    application.router.add_get("/os/v1/resolve/q", look)
    async with (
        TestServer(application) as server,
        AgentClient(str(server.make_url("/")), "token") as client,
    ):
        found = await client.resolve("+14155550100", Service.VOICE)
    assert (found.done, found.uris, looks) == (True, (), 2)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "application/json", b""),
        (200, "application/json", b"[]"),
        (200, "text/html", b"{}"),
        (200, "application/json", b'{"a":1,"a":2}'),
        (200, "application/json", b"x" * (1 << 20) + b"x"),
    ],
)
def test_what_is_no_answer_is_refused(status: int, kind: str, body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read_answer(status, kind, body)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"id": 7},
        {"id": "q", "state": "done", "svc": "fax", "uris": [], "asked": []},
        {"id": "q", "state": "done", "svc": "im", "uris": {}, "asked": []},
        {"id": "q", "state": "done", "svc": "im", "uris": [7], "asked": []},
        {"id": "q", "state": "done", "svc": "im", "uris": [{"svc": "im"}], "asked": []},
    ],
)
def test_a_question_out_of_shape_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(MalformedAnswer):
        read_question(document)


def test_the_small_things_are_checked_too() -> None:
    with pytest.raises(MalformedAnswer):
        read_credential({"token": "t", "number": "+1", "expires_at": True})
    with pytest.raises(ValueError, match="64 octets"):
        proof_token(b"a.b", b"short")
    with pytest.raises(MalformedAnswer):
        EventReader().feed(b"x" * (1 << 20) + b"x")
    with pytest.raises(MalformedAnswer):
        EventReader().feed(b"data: [\n\n")
    assert "secret" not in repr(Request("POST", "/os/v1/apps", b"secret"))
    with pytest.raises(AgentProblem, match="502"):
        read_answer(502, "text/html", b"<html>")
