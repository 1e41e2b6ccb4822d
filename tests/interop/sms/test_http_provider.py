"""A provider of short messages over HTTP: sending to it, and its signed messages to us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from discovery.model import Service
from discovery.spin.binary import to_binary_parts
from discovery.spin.carriage import to_parts, to_text
from discovery.spin.handlers import StoreUnavailable
from gateway.http.problem import problems
from gateway.http.sms_webhook import SmsWebhook, signature
from gateway.sms.message import IncomingSms, OutgoingMessage, received_part
from gateway.sms.provider import HttpSmsSender, ProviderSettings
from gateway.sms.template import RequestTemplate
from gateway.sms.transceiver import SmsFailed, SmsFailure
from gateway.spin.keeping import Keeper, Kept, KeptInMemory, Kind
from tests.support.spin_passports import ALICE, BOB, NOW, KeySigner, invitation_claims

pytestmark = pytest.mark.real
TEXT = to_text(KeySigner(ALICE).sign("spin", invitation_claims()), ALICE, Service.VOICE)
MESSAGE = OutgoingMessage(ALICE, BOB, to_parts(TEXT, 3))
JSON = {"from": "+{from}", "to": "+{to}", "text": "{text}", "udh": "{udh}", "data": "{data}"}


@asynccontextmanager
async def provider(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    json_body: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[HttpSmsSender]:
    application = web.Application()
    application.router.add_post("/send", answer)
    async with TestServer(application) as server:
        template = RequestTemplate(
            "POST",
            str(server.make_url("/send")),
            {"Authorization": "Bearer {secret}"},
            json_body=json_body or JSON,
        )
        yield HttpSmsSender(ProviderSettings(template, "s3cret", **settings), None)


async def test_text_goes_whole_and_data_in_parts_with_our_secret() -> None:
    taken: list[tuple[str | None, dict[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        taken.append((request.headers.get("Authorization"), await request.json()))
        return web.Response(status=202)

    async with provider(answer) as sender:
        await sender.send(MESSAGE)
        parts = to_binary_parts("x" * 200, 3)
        await sender.send(OutgoingMessage(ALICE, BOB, parts))
    text, *data = taken
    assert text == (
        "Bearer s3cret",
        {"from": f"+{ALICE}", "to": f"+{BOB}", "text": TEXT, "udh": "", "data": ""},
    )
    assert [bytes.fromhex(each["data"]) for _, each in data] == [b"x" * 128, b"x" * 72]
    assert all(
        bytes.fromhex(each["udh"] + each["data"]) == part.octets
        for (_, each), part in zip(data, parts, strict=True)
    )
    assert sender.counters.sent == 3


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, SmsFailure.REJECTED),
        (302, SmsFailure.REJECTED),
        (500, SmsFailure.REJECTED),
        (429, SmsFailure.THROTTLED),
        (503, SmsFailure.THROTTLED),
    ],
)
async def test_a_provider_that_refuses_is_named_without_the_secret(
    status: int, failure: SmsFailure
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with provider(answer) as sender:
        with pytest.raises(SmsFailed) as caught:
            await sender.send(MESSAGE)
    assert caught.value.failure is failure
    assert caught.value.culprit.startswith("SMS provider 127.0.0.1")
    assert "s3cret" not in str(caught.value)


async def test_a_provider_that_hangs_or_is_gone_costs_its_time_only() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    async with provider(hang, timeout=0.1) as sender:
        with pytest.raises(SmsFailed) as caught:
            await sender.send(MESSAGE)
        assert caught.value.failure is SmsFailure.TIMEOUT
    with pytest.raises(SmsFailed) as caught:
        await sender.send(MESSAGE)
    assert caught.value.failure is SmsFailure.LINK_LOST


async def test_data_needs_a_place_in_the_template_and_messages_are_bounded() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with provider(answer, {"text": "{text}"}, max_under_way=0) as sender:
        with pytest.raises(SmsFailed) as caught:
            await sender.send(MESSAGE)
        assert caught.value.failure is SmsFailure.BUSY
    async with provider(answer, {"text": "{text}"}) as sender:
        with pytest.raises(SmsFailed) as caught:
            await sender.send(OutgoingMessage(ALICE, BOB, to_binary_parts("x", 3)))
        assert caught.value.failure is SmsFailure.REJECTED


# --- incoming --------------------------------------------------------------------------------

KEY = b"a-key-of-the-webhook"
Client = TestClient[web.Request, web.Application]


def body(text: str = TEXT, **changes: object) -> bytes:
    return json.dumps({"from": f"+{ALICE}", "to": f"+{BOB}", "text": text, **changes}).encode()


def signed(content: bytes, *, at: float = NOW, key: bytes = KEY) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-Spingate-Timestamp": str(int(at)),
        "X-Spingate-Signature": signature(key, int(at), content),
    }


@asynccontextmanager
async def webhook(
    keeper: Keeper | None = None,
) -> AsyncIterator[tuple[Client, list[IncomingSms]]]:
    taken: list[IncomingSms] = []
    hook = SmsWebhook(KEY, taken.append, lambda: NOW, keeper=keeper)
    application = web.Application(middlewares=[problems], client_max_size=8192)
    hook.add_to(application.router)
    async with TestClient(TestServer(application)) as client:
        yield client, taken


async def test_a_signed_invitation_is_taken_once_and_an_ordinary_message_given_back() -> None:
    async with webhook() as (client, taken):
        response = await client.post("/sms", data=body(), headers=signed(body()))
        assert await response.json() == {"invitation": True}
        (sms,) = taken
        assert (sms.source, sms.destination) == (ALICE, BOB)
        assert received_part(sms).text == TEXT
        again = await client.post("/sms", data=body(), headers=signed(body()))
        assert again.status == 409
        letter = body("Grüße 😀")
        response = await client.post("/sms", data=letter, headers=signed(letter))
        assert await response.json() == {"invitation": False}
        assert len(taken) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {**signed(body()), "X-Spingate-Signature": "v1=" + "0" * 64},
        {**signed(body()), "X-Spingate-Signature": signed(body())["X-Spingate-Signature"].upper()},
        {**signed(body()), "X-Spingate-Timestamp": str(int(NOW) + 1)},
        {**signed(body()), "X-Spingate-Timestamp": ""},
        signed(body(), key=b"another-key-of-somebody"),
        signed(body("another")),
        signed(body(), at=NOW - 301),
        signed(body(), at=NOW + 301),
        {"Content-Type": "application/json"},
    ],
)
async def test_what_is_not_signed_now_by_the_key_is_refused(headers: dict[str, str]) -> None:
    async with webhook() as (client, taken):
        assert (await client.post("/sms", data=body(), headers=headers)).status == 401
        assert taken == []


class BusyStore(KeptInMemory):
    """Cannot be written to while it is `busy`."""

    busy = True

    async def add(self, kind: Kind, entry: Kept) -> bool:
        if self.busy:
            raise StoreUnavailable("database sqlite: OperationalError")
        return await super().add(kind, entry)


async def test_a_message_that_could_not_be_kept_may_be_brought_again() -> None:
    store = BusyStore()
    async with webhook(store) as (client, taken):
        refused = await client.post("/sms", data=body(), headers=signed(body()))
        assert (refused.status, taken) == (503, [])
        store.busy = False
        again = await client.post("/sms", data=body(), headers=signed(body()))
        assert (again.status, len(taken)) == (200, 1)
        assert (await client.post("/sms", data=body(), headers=signed(body()))).status == 409


async def test_guessing_signatures_is_slowed_down() -> None:
    async with webhook() as (client, _):
        headers = signed(body(), key=b"x" * 20)
        statuses = [
            (await client.post("/sms", data=body(), headers=headers)).status for _ in range(21)
        ]
        assert statuses == [401] * 20 + [429]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 422),
        (body(to="Bob"), 422),
        (body(to=7), 422),
        (body(**{"from": ""}), 422),
        (body(extra=1), 422),
        (b"x" * 9000, 413),
        (b'{"from":"\\ud800","to":"+12125550123","text":"\\udfff spin:1:"}', 200),
    ],
)
async def test_a_message_out_of_shape_is_refused(content: bytes, status: int) -> None:
    async with webhook() as (client, taken):
        response = await client.post("/sms", data=content, headers=signed(content))
        assert response.status == status
        assert taken == []


async def test_a_body_in_another_form_is_refused() -> None:
    async with webhook() as (client, _):
        for changes in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
            headers = {**signed(body()), **changes}
            assert (await client.post("/sms", data=body(), headers=headers)).status == 415


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        SmsWebhook(b"short", lambda _: None, lambda: NOW)
