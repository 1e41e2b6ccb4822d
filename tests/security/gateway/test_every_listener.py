"""F1 and F2 in octets: what no HTTP library would send, at every listener that takes bodies."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from discovery.log.witness import Witness
from discovery.privacy.split_storage import SEALED_SIZES, StorageQuestion, encode_entries
from gateway.directory.bodies import MAX_BODY, checked_object
from gateway.directory_log.witness_server import WitnessServer, WitnessStore
from gateway.http.listener import HttpListener
from gateway.http.problem import Problem
from tests.security.gateway import test_callback_description as callback
from tests.security.gateway import test_operator_description as operator
from tests.support.agent_scene import PROVIDER_TOKEN, agent_scene
from tests.support.directory_world import DirectoryWorld, running
from tests.support.log_world import ORIGIN, cosigner, log_signer
from tests.support.oblivious_services import (
    CLIENT_TOKEN,
    issuer_config,
    relay_config,
    running_issuer,
    running_relay,
    tls_root,
)
from tests.support.signing_api_scene import TOKEN, signing_api_scene
from tests.support.split_scene import (
    BUCKETS_TOKEN,
    EVALUATOR_TOKEN,
    GENERATION,
    SplitScene,
)

pytestmark = pytest.mark.real
OCTETS = "application/octet-stream"
REFUSED = frozenset({400, 408, 411, 413, 415})


@dataclass(frozen=True)
class Door:
    """Where to post, with what opens it and what it takes.

    also: statuses that refuse here besides the usual ones; body: what is asked with in good order.
    """

    port: int
    path: str
    authorization: str
    kind: str
    method: str = "POST"
    also: frozenset[int] = frozenset()
    body: bytes = b"{}"
    tls: ssl.SSLContext | None = None

    def head(self, *fields: str, kind: str | None = None) -> bytes:
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            "Host: x.example",
            f"Content-Type: {kind or self.kind}",
            *([f"Authorization: {self.authorization}"] if self.authorization else []),
            *fields,
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    async def ask(self, octets: bytes, *, wait: float = 20.0) -> int:
        """Send and return the status; 0 where the connection was closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        try:
            async with asyncio.timeout(wait):
                writer.write(octets)
                line = await reader.readline()
            return int(line.split(b" ", 2)[1]) if line else 0
        except (ConnectionError, ssl.SSLError):
            return 0
        finally:
            writer.close()

    def good(self) -> bytes:
        return self.head(f"Content-Length: {len(self.body)}") + self.body


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "tls-root.pem"))


@asynccontextmanager
async def agent(folder: Path) -> AsyncIterator[Door]:
    async with agent_scene(folder) as scene:
        port = scene.client.make_url("/").port
        assert port is not None
        yield Door(port, "/os/v1/sessions", f"Bearer {PROVIDER_TOKEN}", "application/json")


@asynccontextmanager
async def signing(folder: Path) -> AsyncIterator[Door]:
    async with signing_api_scene() as scene:
        port = int(scene.url.rpartition(":")[2])
        yield Door(port, "/stir/v1/signing", f"Bearer {TOKEN}", "application/json")


@asynccontextmanager
async def the_operator(folder: Path) -> AsyncIterator[Door]:
    async with operator.interface() as url:
        port = int(url.rpartition(":")[2])
        yield Door(port, "/v1/discover", f"Bearer {operator.TOKEN}", "application/json")


@asynccontextmanager
async def answers(folder: Path) -> AsyncIterator[Door]:
    doors = callback.Doors()
    async with doors.open():
        port = int(doors.url.rpartition(":")[2])
        path, token = f"/s/{doors.waiting.invitation_id}", doors.waiting.token
        yield Door(port, path, f"Bearer {token}", "application/jose")


@asynccontextmanager
async def multimedia(folder: Path) -> AsyncIterator[Door]:
    doors = callback.Doors()
    async with doors.open():
        yield Door(int(doors.url.rpartition(":")[2]), "/mm7", callback.BASIC, "text/xml")


@asynccontextmanager
async def witness(folder: Path) -> AsyncIterator[Door]:
    judge = Witness(cosigner(1), {ORIGIN: (log_signer().verifier,)})
    server = WitnessServer(judge, WitnessStore(folder / "witness"))
    listener = HttpListener(server.application(), "127.0.0.1", 0, tls=None)
    await listener.start()
    yield Door(listener.port, "/add-checkpoint", "", "application/octet-stream")
    await listener.stop()


@asynccontextmanager
async def evaluator(folder: Path) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        scene = SplitScene(folder, stack)
        scene.make_world()
        service = await scene.start_evaluator()
        path, bearer = f"/ev/v1/evaluations/{GENERATION}", f"Bearer {EVALUATOR_TOKEN}"
        question = StorageQuestion("tel:+14155550123").request
        yield Door(service.listener.port, path, bearer, OCTETS, body=question, tls=trusting(folder))


@asynccontextmanager
async def buckets(folder: Path) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        scene = SplitScene(folder, stack)
        scene.make_world()
        service = await scene.start_buckets()
        path, bearer = f"/sb/v1/entries/{GENERATION}", f"Bearer {BUCKETS_TOKEN}"
        entry = encode_entries([(bytes(32), bytes(min(SEALED_SIZES)))])
        port, tls = service.listener.port, trusting(folder)
        yield Door(port, path, bearer, OCTETS, method="PUT", body=entry, tls=tls)


@asynccontextmanager
async def issuer(folder: Path) -> AsyncIterator[Door]:
    async with running_issuer(issuer_config(folder, tls_root(folder))) as service:
        path, kind = "/token-request", "application/private-token-request"
        bearer, also = f"Bearer {CLIENT_TOKEN}", frozenset({422})
        port, tls = service.listener.port, trusting(folder)
        yield Door(port, path, bearer, kind, also=also, tls=tls)


@asynccontextmanager
async def relay(folder: Path) -> AsyncIterator[Door]:
    config = relay_config(folder, tls_root(folder), {"dp": "https://127.0.0.1:1"})
    async with running_relay(config) as service:
        # It does not know what it passes on; here nobody takes it.
        also, port, tls = frozenset({502}), service.listener.port, trusting(folder)
        yield Door(port, "/relay/dp", "", "message/ohttp-req", also=also, tls=tls)


Opening = Callable[[Path], AbstractAsyncContextManager[Door]]
LOCKED: tuple[Opening, ...] = (
    *(agent, signing, the_operator, answers, multimedia),
    *(evaluator, buckets, issuer),
)
# Open to everybody: what a witness is given is signed, what a relay is given is sealed.
OPEN: tuple[Opening, ...] = (witness, relay)
each_door = pytest.mark.parametrize("opening", LOCKED + OPEN, ids=lambda each: each.__name__)
each_locked_door = pytest.mark.parametrize("opening", LOCKED, ids=lambda each: each.__name__)


def bodies(door: Door) -> dict[str, bytes]:
    """Hostile requests by what they try."""
    big = b"x" * 1_200_000
    deep = b"[" * 10_000
    bomb = gzip.compress(bytes(1_000_000))
    chunked = "Transfer-Encoding: chunked"
    return {
        "a body of more than a megabyte": door.head(f"Content-Length: {len(big)}") + big,
        "one that is announced only": door.head("Content-Length: 2000000000") + b"{",
        "brackets ten thousand deep": door.head(f"Content-Length: {len(deep)}") + deep,
        "a compressed bomb": door.head("Content-Encoding: gzip", f"Content-Length: {len(bomb)}")
        + bomb,
        "a hundred thousand chunks": door.head(chunked) + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n",
        "a chunk of a strange size": door.head(chunked) + b"-1\r\nx\r\n0\r\n\r\n",
        "two ways to say the length": door.head("Content-Length: 5", chunked) + b"0\r\n\r\n",
        "two lengths": door.head("Content-Length: 2", "Content-Length: 3") + b"{}x",
        "a negative length": door.head("Content-Length: -1"),
        "a length that is no number": door.head("Content-Length: 0x10") + b"{" * 16,
        "a header field without end": door.head("X: " + "y" * 20_000),
        "thousands of header fields": door.head(*(f"X{n}: y" for n in range(3_000))),
        "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    }


@each_door
async def test_hostile_octets_are_refused_and_the_next_request_is_served(
    opening: Opening, tmp_path: Path
) -> None:
    async with opening(tmp_path) as door:
        for what, octets in bodies(door).items():
            status = await door.ask(octets)
            # A large body that is not read to its end may end in a reset instead.
            closed = status == 0 and len(octets) > 65_536
            assert closed or status in REFUSED | door.also, f"{what}: {status}"
        assert await door.ask(door.good()) not in (0, 500)


@each_door
async def test_a_body_that_never_ends_is_given_up(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path) as door:
        status = await door.ask(door.head("Content-Length: 9") + b"{", wait=20)
        assert status in (0, 408)


@each_locked_door
async def test_only_the_one_right_credential_opens(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path) as door:
        assert door.authorization
        scheme, _, secret = door.authorization.partition(" ")
        nothing = replace(door, authorization="")
        in_query = replace(nothing, path=f"{door.path}?token={secret}&access_token={secret}")
        body = f"Content-Length: {len(door.body)}"
        twice = f"Authorization: {door.authorization}"
        tried = {
            "none": nothing.head(body),
            "in the query": in_query.head(body),
            "twice": door.head(twice, body),
            "twice, one wrong": door.head(f"Authorization: {scheme} x", body),
            "a prefix": nothing.head(f"Authorization: {scheme} {secret[:-1]}", body),
            "with more": nothing.head(f"Authorization: {scheme} {secret}x", body),
            "another scheme": nothing.head(f"Authorization: Digest {secret}", body),
            "not ASCII": nothing.head(f"Authorization: {scheme} \u00e9{secret}", body),
        }
        for what, octets in tried.items():
            assert await door.ask(octets + door.body) in (400, 401), what
        assert await door.ask(door.good()) not in (0, 401)


def test_the_deepest_and_longest_body_costs_little_time() -> None:
    """F2 asks for less than 20 ms in which nothing else is served; this is CPU time."""
    hostile = (
        b"[" * MAX_BODY,
        b'{"a":' * (MAX_BODY // 5),
        b'{"a":' + b"9" * (MAX_BODY - 6) + b"}",
        b'{"a":"' + b"\\ud83d" * (MAX_BODY // 6),
        b"{" + b",".join(b'"%d":1' % n for n in range(MAX_BODY // 9)) + b"}",
    )
    for body in hostile:
        spent = []
        for _ in range(5):
            begun = time.process_time()
            with pytest.raises(Problem):
                checked_object(body, {"csi"})
            spent.append(time.process_time() - begun)
        assert min(spent) < 0.02


PLACES = (
    "/log/tile/0/../../../checkpoint",
    "/log/tile/0/%2e%2e/%2e%2e/secret",
    "/log/tile/99/000",
    "/log/tile/-1/000",
    "/log/tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    "/log/tile/0/000.p/0",
    "/log/tile/0/000.p/999",
    "/log/tile/entries/" + "x000/" * 400 + "000",
    "/log/tile/0/%00",
    "/log/tile/0/\u0663",
    "/log/" + "y" * 7_000,
    "/log/checkpoint/",
)


async def test_hostile_paths_of_a_log_are_not_found_and_the_checkpoint_is_still_served(
    tmp_path: Path,
) -> None:
    world = DirectoryWorld(tmp_path, transparency_log={"interval_seconds": 0.02})
    async with running(world) as client:
        assert (await client.register(world.owner())).status == 200
        door = Door(client.service.listener.port, "", "", "", method="GET", tls=trusting(tmp_path))
        for place in PLACES:
            hostile = replace(door, path=place)
            assert await hostile.ask(hostile.head()) in (400, 404), place
        for path in ("/log/checkpoint", "/log/tile/0/000.p/1", "/log/tile/entries/000.p/1"):
            good = replace(door, path=path)
            assert await good.ask(good.head()) == 200
        body = replace(door, path="/log/checkpoint", method="POST")
        assert await body.ask(body.head("Content-Length: 2000000000") + b"{") == 405


async def test_what_follows_a_request_of_two_lengths_is_no_second_request() -> None:
    async with operator.interface() as url, aiohttp.ClientSession() as session:
        door = Door(int(url.rpartition(":")[2]), "/v1/discover", "Bearer x", "application/json")
        hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        smuggled = door.head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(smuggled + hidden)
        async with asyncio.timeout(10):
            said = await reader.read()
        writer.close()
        assert said.count(b"HTTP/1.") == 1
        assert b" 400 " in said
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200
