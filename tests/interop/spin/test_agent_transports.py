"""The agent's interface at a Unix socket, and with TLS and client certificates."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from discovery.client import agent
from discovery.client.agent import AgentProblem, read_credential
from gateway.config.discovery import Agent
from gateway.http import agent_calls
from gateway.http.agent_calls import CallLimits
from gateway.http.agent_client import AgentClient, AgentUnreachable
from gateway.http.listener import ListenerLimits
from gateway.http.unix_listener import UnixListener
from gateway.spin_service import agent_listener
from tests.interop.sms.test_transceiver import free_port
from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, agent_scene
from tests.support.spin_passports import BOB
from tests.support.tls_certificates import Authority

pytestmark = pytest.mark.real


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


def mode_of(path: Path) -> int | None:
    """The mode of a file, None where there is none."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def write(path: Path) -> None:
    path.write_text("not a socket")


def application(scene: AgentScene) -> web.Application:
    """The scene's interface once more, for a listener of our own."""
    return scene.make_application()


@pytest.mark.parametrize(("group", "mode"), [(False, 0o600), (True, 0o660)])
async def test_the_interface_is_at_a_socket_that_others_cannot_open(
    tmp_path: Path, path: Path, group: bool, mode: int
) -> None:
    configured = Agent(socket=path, socket_group=group, token=SecretStr(PROVIDER_TOKEN))
    async with agent_scene(tmp_path) as scene:
        key, listener = agent_listener(application(scene), configured)
        assert key == "spin.agent.socket"
        await listener.start()
        try:
            assert mode_of(path) == mode
            async with AgentClient("http://agent", PROVIDER_TOKEN, socket=path) as client:
                opened = read_credential(await client.send(agent.open_session(f"+{BOB}")))
            assert opened.number == f"+{BOB}"
            # The token is asked for here, too.
            async with AgentClient("http://agent", "another", socket=path) as client:
                with pytest.raises(AgentProblem):
                    await client.send(agent.audit())
        finally:
            await listener.stop()
    assert mode_of(path) is None


async def test_a_socket_left_by_a_killed_process_is_taken_over_and_a_living_one_is_not(
    path: Path,
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    first = UnixListener(web.Application(), path)
    await first.start()
    with pytest.raises(OSError, match="somebody listens"):
        await UnixListener(web.Application(), path).start()
    assert mode_of(path) == 0o600
    await first.stop()
    write(path)
    with pytest.raises(OSError, match="no socket"):
        await UnixListener(web.Application(), path).start()
    assert mode_of(path) is not None


async def test_nobody_is_there_where_the_socket_is_gone(path: Path) -> None:
    async with AgentClient("http://agent", "token", socket=path) as client:
        with pytest.raises(AgentUnreachable):
            await client.send(agent.audit())


async def test_whoever_comes_over_tls_shows_a_certificate_and_the_token(tmp_path: Path) -> None:
    servers, clients = Authority.make(tmp_path / "ca"), Authority.make(tmp_path / "clients")
    certificate, key = servers.issue("agent", dns=("localhost",))
    configured = Agent(
        port=free_port(),
        certificate=Path(certificate),
        key=Path(key),
        client_trust_anchors=Path(clients.anchor_file),
        token=SecretStr(PROVIDER_TOKEN),
    )
    url = f"https://localhost:{configured.port}"
    known = ssl.create_default_context(cafile=servers.anchor_file)
    known.load_cert_chain(*clients.issue("app", dns=("app.example",)))
    unknown = ssl.create_default_context(cafile=servers.anchor_file)
    async with agent_scene(tmp_path) as scene:
        _, listener = agent_listener(application(scene), configured)
        await listener.start()
        try:
            async with AgentClient(url, PROVIDER_TOKEN, tls=known) as client:
                assert await client.send(agent.open_session(f"+{BOB}"))
            async with AgentClient(url, "another", tls=known) as client:
                with pytest.raises(AgentProblem):
                    await client.send(agent.audit())
            async with AgentClient(url, PROVIDER_TOKEN, tls=unknown) as client:
                with pytest.raises(AgentUnreachable):
                    await client.send(agent.audit())
        finally:
            await listener.stop()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"address": "192.0.2.10"}, "not loopback"),
        ({"address": "0.0.0.0"}, "not loopback"),
        ({"address": "::"}, "not loopback"),
        ({"certificate": "a.pem"}, "go together"),
        ({"client_trust_anchors": "a.pem"}, "needs certificate"),
        ({"socket": "a.sock", "certificate": "a.pem", "key": "a.key"}, "has no TLS"),
    ],
)
def test_a_way_that_strangers_could_listen_to_is_refused_at_the_start(
    changes: dict[str, str], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        Agent.model_validate({"token": PROVIDER_TOKEN, **changes})


async def connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def test_on_loopback_too_all_applications_are_one_source() -> None:
    configured = Agent(address="127.0.0.1", port=free_port(), token=SecretStr(PROVIDER_TOKEN))
    _, listener = agent_listener(web.Application(), configured)
    await listener.start()
    held = [await asyncio.open_connection("127.0.0.1", configured.port) for _ in range(80)]
    await until(lambda: listener.connections == 80)
    for _, writer in held:
        writer.close()
    await listener.stop()


async def test_connections_at_the_socket_are_counted_and_end(path: Path) -> None:
    limits = ListenerLimits(max_connections=3, max_per_source=1, lifetime=0.3)
    listener = UnixListener(web.Application(), path, limits=limits)
    await listener.start()
    try:
        held = [await connected(path) for _ in range(3)]
        await until(lambda: listener.connections == 3)
        reader, writer = await connected(path)
        assert await reader.read() == b""  # one too many
        writer.close()
        assert listener.refused_connections == 1
        for reader, writer in held:  # silent ones are ended, and their places are free
            assert await reader.read() == b""
            writer.close()
        await until(lambda: listener.connections == 0)
        async with AgentClient("http://agent", "token", socket=path) as client:
            with pytest.raises(AgentProblem, match="404"):
                await client.send(agent.audit())
    finally:
        await listener.stop()


# --- server-sent events ----------------------------------------------------------------------


async def ask(scene: AgentScene) -> tuple[str, str]:
    app = await scene.token_for("wire")
    made = await scene.told("POST", "/resolve", {"tn": "+14155550100", "svc": "voice"}, token=app)
    return app, str(made["id"])


async def test_many_wait_for_one_answer_and_all_are_told(tmp_path: Path) -> None:
    async with agent_scene(tmp_path) as scene:
        app, question = await ask(scene)
        waiting = [
            await scene.call("GET", f"/resolve/{question}", token=app, Accept="text/event-stream")
            for _ in range(CallLimits().max_listeners)
        ]
        scene.finder.go.set()
        for response in waiting:
            assert "event: done" in (await response.read()).decode()


async def test_whoever_lost_the_stream_asks_again_and_gets_the_answer(tmp_path: Path) -> None:
    async with agent_scene(tmp_path) as scene:
        app, question = await ask(scene)
        path = f"/resolve/{question}"
        first = await scene.call("GET", path, token=app, Accept="text/event-stream")
        assert "event: waiting" in (await first.content.readuntil(b"\n\n")).decode()
        first.close()
        scene.finder.go.set()
        await asyncio.sleep(0.02)
        # Whatever it has seen: a question has one answer, and that is what is sent.
        for last in ("0", "waiting", "x" * 500):
            again = await scene.call(
                "GET", path, token=app, Accept="text/event-stream", **{"Last-Event-ID": last}
            )
            assert (await again.read()).decode().startswith("event: done")


async def test_one_who_reads_nothing_costs_a_connection_and_holds_up_nobody(
    tmp_path: Path, path: Path
) -> None:
    async with agent_scene(tmp_path) as scene:
        app, question = await ask(scene)
        listener = UnixListener(application(scene), path)
        await listener.start()
        try:
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(
                f"GET /os/v1/resolve/{question} HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer "
                f"{app}\r\nAccept: text/event-stream\r\n\r\n".encode()
            )
            await writer.drain()
            response = await scene.call(
                "GET", f"/resolve/{question}", token=app, Accept="text/event-stream"
            )
            scene.finder.go.set()
            assert "event: done" in (await response.read()).decode()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        finally:
            await listener.stop()
    assert mode_of(path) is None


async def test_a_reader_whose_buffer_is_full_is_cut_off_and_gives_its_place_back(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = CallLimits(max_listeners=1)
    async with agent_scene(tmp_path, limits=limits) as scene:
        app, question = await ask(scene)
        # More than a socket and a transport hold, so that sending it waits for its reader.
        monkeypatch.setattr(agent_calls, "_event", lambda _: b"data: " + b"x" * 4_000_000 + b"\n\n")
        listener = UnixListener(application(scene), path, limits=ListenerLimits(lifetime=0.5))
        await listener.start()
        request = (
            f"GET /os/v1/resolve/{question} HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer "
            f"{app}\r\nAccept: text/event-stream\r\n\r\n"
        ).encode()
        try:
            reader, writer = await connected(path)
            writer.write(request)
            assert b"200 OK" in await reader.readuntil(b"\r\n")
            # It holds the one place for listeners, and nothing else of the agent.
            path_of = f"/resolve/{question}"
            other = await scene.call("GET", path_of, token=app, Accept="text/event-stream")
            assert other.status == 429
            assert (await scene.told("GET", path_of, token=app))["state"] == "waiting"
            await until(lambda: listener.connections == 0)
            writer.close()
            scene.finder.go.set()
            again = await scene.call("GET", path_of, token=app, Accept="text/event-stream")
            assert again.status == 200
            again.close()
        finally:
            await listener.stop()
