"""Oblivious HTTP over real sockets: what each party learns, and what hostile ones can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from discovery.privacy.alike import RESPONSE_SIZES, Beat
from discovery.privacy.bhttp import BinaryRequest, BinaryResponse
from discovery.privacy.encapsulation import REQUEST_MEDIA_TYPE, RESPONSE_MEDIA_TYPE
from discovery.privacy.ohttp import KEY_PROBLEM, MAX_REQUEST, OhttpClient, ResponseOpener
from discovery.privacy.ohttp_keys import GatewayKey, GatewayKeys
from discovery.privacy.reason import Fault, PrivacyError
from discovery.spin.limits import RateLimit
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, client_context
from gateway.http.guard import UrlRefused
from gateway.http.listener import ListenerLimits
from gateway.http.ohttp_client import FetchedKeys, ObliviousClient, PinnedKeys
from gateway.http.ohttp_gateway import GatewayLimits
from gateway.http.ohttp_relay import OhttpRelay
from gateway.http.problem import Problem, problems
from tests.support.https import TestAuthority, answer, raw_https
from tests.support.oblivious import DIRECTORY, NOW, World, oblivious_world

pytestmark = pytest.mark.real
LOOKUP = BinaryRequest("POST", "https", DIRECTORY, "/dp/v1/lookup", (), b'{"csi":"tel:+1"}')
TYPED = {"Content-Type": REQUEST_MEDIA_TYPE}
REVEALING = {
    **TYPED,
    "Cookie": "id=canary",
    "Authorization": "Bearer canary",
    "User-Agent": "canary",
    "X-Forwarded-For": "canary",
    "Forwarded": "for=canary",
    "Via": "canary",
    "Accept-Language": "canary",
    "Referer": "https://canary.example/",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with oblivious_world(tmp_path) as made:
        yield made


def sealed(world: World, request: BinaryRequest = LOOKUP) -> tuple[bytes, ResponseOpener]:
    return OhttpClient(world.key.configuration).seal(request, world.now)


async def post(
    world: World, url: str, body: bytes, headers: dict[str, str] | None = None
) -> Fetched:
    return await world.service.request(
        "POST", url, timeout=2.0, headers=TYPED if headers is None else headers, body=body
    )


async def lookup(client: ObliviousClient) -> BinaryResponse:
    return await client.request("POST", "/dp/v1/lookup", {"content-type": "text/plain"}, b"x")


async def test_a_request_goes_through_the_relay_and_its_answer_comes_back(world: World) -> None:
    response = await lookup(world.client)
    assert json.loads(response.content) == {"method": "POST", "path": "/dp/v1/lookup", "size": 1}
    ((_, _, headers, _),) = world.origin.asked
    assert headers == {"content-type": "text/plain", "date": "Wed, 18 Nov 2026 11:06:40 GMT"}
    assert (world.relay.forwarded, world.gateway.taken) == (1, 1)


async def test_the_gateway_sees_nothing_of_the_client(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-res\r\nContent-Length: 1\r\n\r\nr"
    async with raw_https(authority.server_context(DIRECTORY), answer(reply)) as server:
        url = server.url("/gateway", DIRECTORY)
        async with oblivious_world(tmp_path, gateway_url=url, authority=authority) as world:
            found = await post(world, world.relay_url, b"sealed", REVEALING)
    assert (found.status, found.body) == (200, b"r")
    (sent,) = server.requests
    assert b"canary" not in sent
    names = {line.partition(b":")[0].lower() for line in sent.split(b"\r\n")[1:] if line}
    expected = {b"host", b"accept", b"accept-encoding", b"user-agent", b"content-length"}
    assert names == expected | {b"content-type"}


async def test_the_relay_sends_the_content_and_its_type_only() -> None:
    sent: list[tuple[str, bytes, dict[str, str]]] = []

    class Recorder:
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
            sent.append((url, body, dict(headers)))
            return Fetched(200, {"content-type": RESPONSE_MEDIA_TYPE, "set-cookie": "a=b"}, b"r")

    application = web.Application()
    OhttpRelay({"dp": "https://dp.example/gw"}, Recorder()).add_to(application)
    async with TestClient(TestServer(application)) as client:
        response = await client.post("/relay/dp?canary=1", data=b"sealed", headers=REVEALING)
        assert (response.status, await response.read()) == (200, b"r")
        assert "Set-Cookie" not in response.headers
    assert sent == [("https://dp.example/gw", b"sealed", {"Content-Type": REQUEST_MEDIA_TYPE})]


async def test_the_relay_is_no_way_to_anywhere_else(world: World) -> None:
    base = world.relay_url.removesuffix("dp")
    for name in (
        "other",
        "dp/x",
        "https:%2f%2f127.0.0.1%2f",
        "..%2f..%2fadmin",
        "dp%00",
        "127.0.0.1:22",
        "%64p2",
    ):
        assert (await post(world, base + name, b"x")).status == 404
    port = int(world.relay_url.split(":")[2].split("/")[0])
    tls = client_context(world.authority.trust_file)
    target = world.gateway_url.split("/.well", 1)[0]
    lines = f"POST {target}/secret", "CONNECT 127.0.0.1:443", "GET /relay/dp", "PUT /relay/dp"
    for line in lines:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="relay.example"
        )
        request = f"{line} HTTP/1.1\r\nHost: 169.254.169.254\r\nContent-Length: 0\r\n\r\n"
        writer.write(request.encode())
        assert (await reader.readline()).split()[1] in (b"400", b"404", b"405"), line
        writer.close()
        await writer.wait_closed()
    assert (world.relay.forwarded, world.origin.asked) == (0, [])


@pytest.mark.parametrize(
    "url", ["http://dp.example/gw", "https://dp.example:22/gw", "https://u@dp.example/", "file:///"]
)
def test_the_relay_takes_https_urls_of_the_operator_only(url: str) -> None:
    with pytest.raises(UrlRefused):
        OhttpRelay({"dp": url}, None)  # type: ignore[arg-type]


async def test_a_source_is_limited_by_the_relay(tmp_path: Path) -> None:
    async with oblivious_world(tmp_path, per_source=RateLimit(2, 60.0)) as world:
        statuses = [(await post(world, world.relay_url, b"x")).status for _ in range(4)]
        assert statuses == [422, 422, 429, 429]
        world.now += 61
        assert (await post(world, world.relay_url, b"x")).status == 422


@pytest.mark.parametrize("resource", ["relay", "gateway"])
async def test_bodies_of_wrong_type_or_size_go_no_further(world: World, resource: str) -> None:
    url = world.relay_url if resource == "relay" else world.gateway_url
    assert (await post(world, url, b"x", {"Content-Type": "text/plain"})).status == 415
    assert (await post(world, url, b"x", {**TYPED, "Content-Encoding": "gzip"})).status == 415
    assert (await post(world, url, bytes(MAX_REQUEST + 1))).status == 413
    assert (await post(world, url, b"")).status == 400
    assert world.relay.forwarded == 0


async def test_a_replayed_request_is_not_answered_again(world: World) -> None:
    body, opener = sealed(world)
    first = await post(world, world.relay_url, body)
    again = await post(world, world.relay_url, body)
    assert opener.open(first.body).status == 200
    assert opener.open(again.body).status == 409
    assert len(world.origin.asked) == 1
    assert len(first.body) == len(again.body)


async def test_truncated_flipped_and_misdirected_requests_are_refused_in_the_clear(
    world: World,
) -> None:
    body, _ = sealed(world)
    for bad, status in (
        (body[:20], 400),
        (body[:-1], 422),
        (body[:-1] + bytes((body[-1] ^ 1,)), 422),
        (b"\x09" + body[1:], 422),
        (body[:1] + b"\0\x10" + body[3:], 422),
    ):
        found = await post(world, world.relay_url, bad)
        assert found.status == status
        kind = json.loads(found.body)["type"]
        assert kind == (KEY_PROBLEM if status == 422 else "about:blank")
    assert world.origin.asked == []
    assert (await lookup(world.client)).status == 200


async def test_what_is_for_another_origin_is_not_taken(world: World) -> None:
    for authority in ("other.example", "", "169.254.169.254", f"{DIRECTORY}:22"):
        assert (await lookup(world.another(authority=authority))).status == 421
    assert (await lookup(world.another(authority="DP.example"))).status == 200
    body, opener = sealed(world, BinaryRequest("GET", "http", DIRECTORY, "/"))
    assert opener.open((await post(world, world.gateway_url, body)).body).status == 421
    assert len(world.origin.asked) == 1


async def test_two_authorizations_are_one_too_many(world: World) -> None:
    fields = (("authorization", "a"), ("authorization", "b"))
    body, opener = sealed(world, BinaryRequest("GET", "https", DIRECTORY, "/", fields))
    assert opener.open((await post(world, world.gateway_url, body)).body).status == 400
    fields = (("accept", "a"), ("accept", "b"))
    body, opener = sealed(world, BinaryRequest("GET", "https", DIRECTORY, "/", fields))
    assert opener.open((await post(world, world.gateway_url, body)).body).status == 200
    assert world.origin.asked[0][2]["accept"] == "a, b"


async def test_whatever_happens_inside_is_said_inside_and_in_one_size(world: World) -> None:
    world.origin.failure = Problem(404, "unknown")
    missing = await post(world, world.relay_url, sealed(world)[0])
    statuses = []
    for failure, answered in (
        (Problem(429, "quota", kind="urn:x"), None),
        (RuntimeError("a bug"), None),
        (None, BinaryResponse(200, (), bytes(RESPONSE_SIZES.sizes[-1]))),
        (None, BinaryResponse(200, (("bad name", ""),))),
    ):
        world.origin.failure, world.origin.answer = failure, answered
        body, opener = sealed(world)
        outer = await post(world, world.relay_url, body)
        assert (outer.status, len(outer.body)) == (200, len(missing.body))
        assert outer.headers["content-type"] == RESPONSE_MEDIA_TYPE
        inner = opener.open(outer.body)
        assert b"bug" not in inner.content
        statuses.append(inner.status)
    assert statuses == [429, 500, 500, 500]


async def test_a_handler_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with oblivious_world(tmp_path, limits=GatewayLimits(handler_time=0.05)) as world:
        world.origin.failure = TimeoutError()
        assert (await lookup(world.client)).status == 504


async def test_requests_past_the_limit_are_turned_away(tmp_path: Path) -> None:
    async with oblivious_world(tmp_path, limits=GatewayLimits(concurrent=0)) as world:
        with pytest.raises(FetchFailed, match="503"):
            await lookup(world.client)
        found = await post(world, world.gateway_url, b"x")
        assert found.headers["retry-after"] == "1"


async def test_answers_wait_for_the_beat(tmp_path: Path) -> None:
    async with oblivious_world(tmp_path, beat=Beat(0.15)) as world:
        await world.another().request("GET", "/", {})
        loop = asyncio.get_running_loop()
        began = loop.time()
        await world.another().request("GET", "/", {})
        assert loop.time() - began >= 0.15


async def test_a_client_whose_clock_is_wrong_asks_once_more_with_the_right_time(
    world: World,
) -> None:
    late = ObliviousClient(
        world.relay_url,
        DIRECTORY,
        PinnedKeys(GatewayKeys([world.key]).encode(NOW)),
        world.poster,
        wall_clock=lambda: NOW - 86_400,
    )
    assert (await lookup(late)).status == 200
    assert (world.gateway.refused[Fault.NOT_FRESH], len(world.origin.asked)) == (1, 1)


async def test_keys_are_fetched_once_and_again_when_they_are_doubted(world: World) -> None:
    fetched: list[str] = []
    moment = [0.0]
    configurations = [GatewayKey.generate(9), world.key]

    class Keys:
        async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
            fetched.append(url)
            body = GatewayKeys([configurations[min(len(fetched), 2) - 1]]).encode(NOW)
            return Fetched(200, {"content-type": "application/ohttp-keys; x=y"}, body)

    keys = FetchedKeys("https://dp.example/k", Keys(), monotonic=lambda: moment[0])
    client = ObliviousClient(world.relay_url, DIRECTORY, keys, world.poster, wall_clock=world.clock)
    for _ in range(2):  # doubted at once, asked again after a minute at the earliest
        with pytest.raises(FetchFailed, match="422"):
            await lookup(client)
    assert len(fetched) == 1
    moment[0] = 61.0
    assert (await lookup(client)).status == 200
    moment[0] = 3_000.0
    await asyncio.gather(*(lookup(client) for _ in range(3)))
    assert len(fetched) == 2
    moment[0] = 3_700.0
    await lookup(client)
    assert len(fetched) == 3


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<p>hello"),
        (404, "application/ohttp-keys", b""),
        (200, "application/ohttp-keys", b""),
        (200, "application/ohttp-keys", b"\0\1x"),
    ],
)
async def test_keys_that_are_none_are_an_error(status: int, kind: str, body: bytes) -> None:
    class Keys:
        async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
            return Fetched(status, {"content-type": kind}, body)

    with pytest.raises((FetchFailed, PrivacyError)):
        await FetchedKeys("https://dp.example/k", Keys()).current()
    with pytest.raises(PrivacyError):
        PinnedKeys(body)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/plain", b"hello"),
        (200, RESPONSE_MEDIA_TYPE, b""),
        (200, RESPONSE_MEDIA_TYPE, bytes(5_000)),
        (200, RESPONSE_MEDIA_TYPE, bytes(70_000)),
        (302, RESPONSE_MEDIA_TYPE, b""),
        (500, "application/problem+json", b"{}"),
    ],
)
async def test_a_hostile_relay_gives_the_client_the_declared_errors(
    world: World, status: int, kind: str, body: bytes
) -> None:
    class Hostile:
        async def post(self, url: str, sent: bytes, headers: object) -> Fetched:
            return Fetched(status, {"content-type": kind}, body)

    pinned = PinnedKeys(GatewayKeys([world.key]).encode(NOW))
    client = ObliviousClient(world.relay_url, DIRECTORY, pinned, Hostile())
    with pytest.raises((FetchFailed, PrivacyError)):
        await lookup(client)


@pytest.mark.parametrize(
    ("status", "kind", "size", "passed_on"),
    [
        (200, RESPONSE_MEDIA_TYPE, 100, 200),
        (200, "text/html", 100, 502),
        (200, RESPONSE_MEDIA_TYPE, 65_000, 502),
        (302, RESPONSE_MEDIA_TYPE, 100, 502),
        (422, "application/problem+json", 9_000, 422),
        (422, "text/html", 100, 502),
        (500, "application/problem+json", 100, 502),
        (503, "text/html", 0, 503),
    ],
)
async def test_the_relay_passes_on_encapsulated_responses_and_problems_only(
    status: int, kind: str, size: int, passed_on: int
) -> None:
    class Gateway:
        async def post(self, url: str, body: bytes, headers: object) -> Fetched:
            fields = {"content-type": kind, "location": "https://evil.example/", "etag": "canary"}
            return Fetched(status, fields, bytes(size))

    application = web.Application(middlewares=[problems])
    OhttpRelay({"dp": "https://dp.example/gw"}, Gateway()).add_to(application)
    async with TestClient(TestServer(application)) as client:
        response = await client.post("/relay/dp", data=b"sealed", headers=TYPED)
        assert response.status == passed_on
        assert len(await response.read()) <= 4_096
        assert not {"Location", "ETag"} & set(response.headers)


async def test_a_gateway_that_is_away_is_an_error_of_the_relay(tmp_path: Path) -> None:
    async with oblivious_world(tmp_path, gateway_url="https://dp.example:9/gw") as world:
        assert (await post(world, world.relay_url, b"x")).status == 502
        with pytest.raises(FetchFailed, match="502"):
            await lookup(world.client)


async def test_keys_that_cannot_be_renewed_are_kept_and_tried_again_after_a_minute() -> None:
    good = GatewayKeys([GatewayKey.generate(1)]).encode(NOW)
    answers: list[Fetched | FetchFailed] = [
        Fetched(200, {"content-type": "application/ohttp-keys"}, good),
        FetchFailed("dp.example", FailureReason.TIMEOUT, "away"),
        Fetched(200, {"content-type": "application/ohttp-keys"}, b"cut"),
        Fetched(200, {"content-type": "application/ohttp-keys"}, good),
    ]
    moment = [0.0]

    class Keys:
        async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
            answer = answers.pop(0)
            if isinstance(answer, FetchFailed):
                raise answer
            return answer

    keys = FetchedKeys("https://dp.example/k", Keys(), monotonic=lambda: moment[0])
    first = await keys.current()
    for now, left in ((3_600.0, 2), (3_630.0, 2), (3_660.0, 1), (3_700.0, 1)):
        moment[0] = now
        assert await keys.current() is first
        assert len(answers) == left
    moment[0] = 3_720.0
    assert await keys.current() is not first


async def test_kept_connections_end_between_requests_and_never_within_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http.connection_age.ConnectionAges.__init__.__defaults__", (0.2,))
    short = ListenerLimits(lifetime=0.6)
    async with oblivious_world(tmp_path, listener=short) as world:
        loop = asyncio.get_running_loop()
        client, began = world.another(), loop.time()
        while loop.time() - began < 1.5:
            assert (await lookup(client)).status == 200
            await asyncio.sleep(0.01)


def test_it_works_on_the_loop_that_gateways_run_on(tmp_path: Path) -> None:
    async def run() -> int:
        async with oblivious_world(tmp_path) as world:
            return (await lookup(world.client)).status

    assert uvloop.run(run()) == 200
