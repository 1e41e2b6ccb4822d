"""An MMSC over HTTP that works, and ones that do not; deliveries of an MMSC to us."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from discovery.spin.mms import read_content
from gateway.http.mm7 import Mm7Receiver
from gateway.http.problem import problems
from gateway.mms.submission import MmscClient, MmscSettings
from gateway.sms.transceiver import SmsFailed, SmsFailure
from tests.support.spin_passports import ALICE, BOB, NOW
from tests.unit.gateway.mms.test_mm7 import CONTENT, DELIVERY, KIND, TOKEN, delivered

pytestmark = pytest.mark.real
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
GOOD = "<r><StatusCode>1000</StatusCode><MessageID>m1</MessageID></r>"


@asynccontextmanager
async def mmsc(answer: Answer, *, timeout: float = 2.0) -> AsyncIterator[MmscClient]:
    application = web.Application()
    application.router.add_post("/mm7", answer)
    async with TestServer(application) as server:
        settings = MmscSettings(str(server.make_url("/mm7")), "edge", "spin", "u", "p", timeout)
        yield MmscClient(settings, None)


async def submit(client: MmscClient) -> None:
    await client.send(ALICE, BOB, "call back", TOKEN)


async def test_a_submission_is_taken_with_our_credentials() -> None:
    taken: list[tuple[str | None, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        taken.append((request.headers.get("Authorization"), await request.read()))
        return web.Response(text=GOOD, content_type="text/xml")

    async with mmsc(answer) as client:
        await submit(client)
    ((authorization, body),) = taken
    assert authorization == encode_basic_auth("u", "p")
    assert read_content(body.partition(b"Content-ID: <content>\r\n")[2]).token == TOKEN


@pytest.mark.parametrize(
    ("status", "text", "failure"),
    [
        (200, GOOD.replace("1000", "2007"), SmsFailure.REJECTED),
        (500, "<Fault><StatusCode>4000</StatusCode></Fault>", SmsFailure.REJECTED),
        (500, "<html>oops", SmsFailure.REJECTED),
        (200, "", SmsFailure.REJECTED),
        (200, "x" * 100_000, SmsFailure.REJECTED),
        (302, "", SmsFailure.REJECTED),
        (401, "", SmsFailure.REJECTED),
        (503, "", SmsFailure.THROTTLED),
        (429, "", SmsFailure.THROTTLED),
    ],
)
async def test_an_mmsc_that_refuses_or_babbles_is_named(
    status: int, text: str, failure: SmsFailure
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            status=status, text=text, content_type="text/xml", headers={"Location": "/elsewhere"}
        )

    async with mmsc(answer) as client:
        with pytest.raises(SmsFailed) as caught:
            await submit(client)
    assert caught.value.failure is failure
    assert caught.value.culprit == "MMSC edge"
    assert TOKEN not in str(caught.value)


async def test_an_mmsc_that_hangs_costs_its_time_and_no_more() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(text=GOOD)

    async with mmsc(hang, timeout=0.1) as client:
        with pytest.raises(SmsFailed) as caught:
            await submit(client)
    assert caught.value.failure is SmsFailure.TIMEOUT


async def test_an_mmsc_that_hangs_up_or_is_not_there_is_named() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with mmsc(hang_up) as client:
        with pytest.raises(SmsFailed) as caught:
            await submit(client)
    assert caught.value.failure is SmsFailure.LINK_LOST
    with pytest.raises(SmsFailed) as caught:
        await submit(client)  # its server is gone by now
    assert caught.value.failure is SmsFailure.LINK_LOST


async def test_submissions_are_bounded() -> None:
    go = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await go.wait()
        return web.Response(text=GOOD, content_type="text/xml")

    async with mmsc(wait) as client:
        client._settings = MmscSettings(client._settings.url, "edge", "spin", max_under_way=1)
        first = asyncio.create_task(submit(client))
        await asyncio.sleep(0.02)
        with pytest.raises(SmsFailed) as caught:
            await submit(client)
        assert caught.value.failure is SmsFailure.BUSY
        go.set()
        await first


# --- deliveries ------------------------------------------------------------------------------

Client = TestClient[web.Request, web.Application]
PASSWORD = {"Authorization": encode_basic_auth("mmsc", "a-password"), "Content-Type": KIND}


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[Client, list[tuple[str, str, str]]]]:
    taken: list[tuple[str, str, str]] = []
    receiving = Mm7Receiver("mmsc", "a-password", lambda *each: taken.append(each), lambda: NOW)
    application = web.Application(middlewares=[problems], client_max_size=8192)
    receiving.add_to(application.router)
    async with TestClient(TestServer(application)) as client:
        yield client, taken


async def test_an_invitation_is_taken_and_anything_else_is_left_to_the_mmsc() -> None:
    async with receiver() as (client, taken):
        response = await client.post("/mm7", data=delivered(), headers=PASSWORD)
        assert response.status == 200
        assert "<StatusCode>1000</StatusCode>" in await response.text()
        assert taken == [(TOKEN, "14155550100", "12125550123")]
        photo = b"Content-Type: image/jpeg\r\n\r\n" + b"\xff\xd8" * 50_000
        response = await client.post("/mm7", data=delivered(content=photo), headers=PASSWORD)
        assert "<StatusCode>4006</StatusCode>" in await response.text()
        assert len(taken) == 1


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"mmsc:wrong").decode(),
        "Bearer a-password",
    ],
)
async def test_without_the_password_nothing_is_read(authorization: str | None) -> None:
    async with receiver() as (client, taken):
        headers = {"Content-Type": KIND}
        if authorization is not None:
            headers["Authorization"] = authorization
        statuses = [
            (await client.post("/mm7", data=delivered(), headers=headers)).status for _ in range(21)
        ]
        assert statuses == [401] * 20 + [429]
        assert taken == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x", {}, 400),
        (delivered(DELIVERY.replace("DeliverReq", "Other")), {}, 400),
        (delivered(content=CONTENT + b"x" * 400_001), {}, 413),
        (delivered(), {"Content-Encoding": "gzip"}, 415),
    ],
)
async def test_a_delivery_that_cannot_be_read_is_refused(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with receiver() as (client, taken):
        response = await client.post("/mm7", data=body, headers={**PASSWORD, **headers})
        assert response.status == status
        assert taken == []


async def test_a_body_without_length_is_cut_off_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    async with receiver() as (client, _):
        response = await client.post("/mm7", data=endless(), headers=PASSWORD)
        assert response.status == 413
