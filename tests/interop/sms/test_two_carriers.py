"""An SMSC and an HTTP provider together: who sends, who steps in, and never both."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.http.problem import problems
from gateway.http.sms_webhook import SmsWebhook, signature
from gateway.sms.carriers import CarrierName, ChosenCarrier, Route
from gateway.sms.failure import SmsFailed, SmsFailure
from gateway.sms.message import OutgoingMessage
from gateway.sms.provider import HttpSmsSender, ProviderSettings
from gateway.sms.receipt_form import ReceiptForm
from gateway.sms.template import RequestTemplate
from gateway.sms.transceiver import SmsTransceiver
from tests.interop.sms.test_transceiver import RTHROTTLED, Smsc, message, settings
from tests.support.spin_passports import NOW

pytestmark = pytest.mark.real
KEY = b"a-key-of-the-webhook"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
BOTH: tuple[CarrierName, ...] = ("smpp", "http")


@dataclass
class World:
    """Both carriers; `answer` is what the provider does."""

    smsc: Smsc
    smpp: SmsTransceiver
    http: HttpSmsSender
    asked: list[dict[str, str]]
    now: list[float]
    delivered: list[tuple[str, bool]] = field(default_factory=list)

    def carrier(self, *order: CarrierName, routes: tuple[Route, ...] = ()) -> ChosenCarrier:
        return ChosenCarrier({"smpp": self.smpp, "http": self.http}, order or BOTH, routes)


@asynccontextmanager
async def world(
    answer: Answer | None = None, *, bound: bool = True, answer_id: str = "", own_id: bool = False
) -> AsyncIterator[World]:
    smsc = Smsc()
    running = asyncio.create_task(smsc.run())
    await asyncio.sleep(0.05)
    smpp = SmsTransceiver(settings(smsc.port), lambda _: None)
    asked: list[dict[str, str]] = []
    now = [0.0]

    async def take(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        if answer is not None:
            return await answer(request)
        return web.json_response({"messages": [{"id": f"m{len(asked)}"}]}, status=202)

    application = web.Application()
    application.router.add_post("/send", take)
    async with TestServer(application) as server:
        body = {"to": "+{to}", "text": "{text}", **({"ref": "{id}"} if own_id else {})}
        template = RequestTemplate("POST", str(server.make_url("/send")), {}, json_body=dict(body))
        told: list[tuple[str, bool]] = []
        http = HttpSmsSender(
            ProviderSettings(template, timeout=0.3, answer_id=answer_id),
            None,
            on_delivery=lambda label, delivered: told.append((label, delivered)),
            clock=lambda: now[0],
        )
        if bound:
            smpp.start()
            await smpp.wait_bound()
        try:
            yield World(smsc, smpp, http, asked, now, told)
        finally:
            await smpp.stop()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await asyncio.sleep(0.05)


async def test_the_first_carrier_sends_and_the_second_is_not_asked() -> None:
    async with world() as around:
        chosen = around.carrier()
        await chosen.send(message())
        assert (len(around.smsc.submitted), around.asked) == (3, [])
        await around.carrier("http", "smpp").send(message())
        assert (len(around.smsc.submitted), len(around.asked)) == (3, 1)
        assert chosen.chosen == {"smpp": 1}


async def test_a_prefix_may_go_another_way_and_the_longest_decides() -> None:
    async with world() as around:
        routes = (Route("1", ("http",)), Route("1212", ("smpp",)))
        chosen = around.carrier(routes=routes)
        await chosen.send(message())
        assert (len(around.smsc.submitted), around.asked) == (3, [])
        await chosen.send(OutgoingMessage("14155550100", "13035550100", message().parts))
        assert len(around.asked) == 1


async def test_the_provider_steps_in_at_once_while_the_smsc_is_not_bound() -> None:
    async with world(bound=False) as around:
        started = asyncio.get_running_loop().time()
        chosen = around.carrier()
        await chosen.send(message())
        assert asyncio.get_running_loop().time() - started < 0.5
        assert (len(around.asked), chosen.passed_on) == (1, 1)


async def test_the_provider_steps_in_where_the_smsc_throttles_the_first_part() -> None:
    async with world() as around:
        around.smsc.decide = lambda _: RTHROTTLED
        await around.carrier().send(message())
        assert (len(around.smsc.submitted), len(around.asked)) == (1, 1)


async def test_an_invitation_half_taken_is_not_sent_again_by_another_carrier() -> None:
    async with world() as around:
        around.smsc.decide = lambda count: RTHROTTLED if count else 0
        with pytest.raises(SmsFailed) as caught:
            await around.carrier().send(message())
        assert caught.value.failure is SmsFailure.THROTTLED
        assert not caught.value.definite
        assert around.asked == []


async def test_an_smsc_that_never_said_whether_it_took_it_is_the_last_one_asked() -> None:
    async with world() as around:

        async def silent(*_: object, **__: object) -> int:
            await asyncio.Event().wait()
            return 0

        around.smpp._submit = silent  # type: ignore[method-assign]
        with pytest.raises(SmsFailed) as caught:
            await around.carrier().send(message())
        assert caught.value.failure is SmsFailure.TIMEOUT
        assert not caught.value.definite
        assert around.asked == []


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(1)
    return web.Response()


async def html(_: web.Request) -> web.Response:
    return web.Response(text="<html>Please log in</html>", content_type="text/html")


def status(code: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("answer", "failure", "steps_in"),
    [
        (status(400), SmsFailure.REJECTED, True),
        (status(302, Location="/elsewhere"), SmsFailure.REJECTED, True),
        (status(429), SmsFailure.THROTTLED, True),
        (status(503), SmsFailure.THROTTLED, True),
        (status(500), SmsFailure.REJECTED, False),
        (status(502), SmsFailure.REJECTED, False),
        (slow, SmsFailure.TIMEOUT, False),
        (html, SmsFailure.REJECTED, False),
    ],
)
async def test_the_smsc_steps_in_only_where_the_provider_certainly_took_nothing(
    answer: Answer, failure: SmsFailure, steps_in: bool
) -> None:
    async with world(answer, answer_id="messages.0.id") as around:
        chosen = around.carrier("http", "smpp")
        if steps_in:
            await chosen.send(message())
            assert len(around.smsc.submitted) == 3
        else:
            with pytest.raises(SmsFailed) as caught:
                await chosen.send(message())
            assert caught.value.failure is failure
            assert around.smsc.submitted == []
        assert len(around.asked) == 1


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [("20", 20), ("", 1), ("Fri, 31 Dec 2027 23:59:59 GMT", 1), ("999999", 300), ("-5", 1)],
)
async def test_a_provider_that_asks_us_to_wait_is_left_alone_so_long(
    retry_after: str, pause: float
) -> None:
    async with world(status(429, **{"Retry-After": retry_after})) as around:
        with pytest.raises(SmsFailed):
            await around.http.send(message())
        around.now[0] = pause - 0.1
        assert not around.http.ready
        with pytest.raises(SmsFailed) as caught:
            await around.http.send(message())
        assert caught.value.definite
        assert len(around.asked) == 1
        around.now[0] = pause
        with pytest.raises(SmsFailed):
            await around.http.send(message())
        assert len(around.asked) == 2


# --- receipts --------------------------------------------------------------------------------


def labelled() -> OutgoingMessage:
    return OutgoingMessage("14155550100", "12125550123", message().parts, "text:12125550123")


@asynccontextmanager
async def hook(around: World, form: ReceiptForm | None = None) -> AsyncIterator[Poster]:
    webhook = SmsWebhook(
        KEY, lambda _: None, lambda: NOW, receipts=form, on_receipt=around.http.receipt
    )
    application = web.Application(middlewares=[problems], client_max_size=8192)
    webhook.add_to(application.router)
    async with TestClient(TestServer(application)) as client:
        yield Poster(client)


class Poster:
    """The provider, posting receipts."""

    def __init__(self, client: TestClient[web.Request, web.Application]) -> None:
        self.client = client

    async def post(self, document: object, *, key: bytes = KEY, at: float = NOW) -> tuple[int, str]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Spingate-Timestamp": str(int(at)),
            "X-Spingate-Signature": signature(key, int(at), body),
        }
        response = await self.client.post("/sms/receipts", data=body, headers=headers)
        return response.status, await response.text()


@pytest.mark.parametrize("own_id", [True, False])
async def test_a_receipt_tells_whether_a_message_arrived_once(own_id: bool) -> None:
    async with world(answer_id="messages.0.id", own_id=own_id) as around, hook(around) as provider:
        await around.http.send(labelled())
        name = around.asked[0]["ref"] if own_id else "m1"
        assert await provider.post({"id": name, "status": "queued"}) == (200, '{"known": true}')
        assert around.delivered == []
        assert await provider.post({"id": name, "status": "Failed"}) == (200, '{"known": true}')
        assert around.delivered == [("text:12125550123", False)]
        # It says something else afterwards: its first final word counts.
        assert await provider.post({"id": name, "status": "delivered"}) == (
            200,
            '{"known": false}',
        )
        assert around.delivered == [("text:12125550123", False)]


async def test_a_receipt_of_what_we_never_sent_is_worth_nothing() -> None:
    async with world(own_id=True) as around, hook(around) as provider:
        assert await provider.post({"id": "made-up", "status": "delivered"}) == (
            200,
            '{"known": false}',
        )
        assert around.delivered == []


async def test_a_receipt_has_the_form_its_provider_gives_it() -> None:
    form = ReceiptForm(
        "results.0.message.id", "results.0.state", frozenset({"dlvrd"}), frozenset({"undeliv"})
    )
    async with world(answer_id="messages.0.id") as around, hook(around, form) as provider:
        await around.http.send(labelled())
        document = {"results": [{"message": {"id": "m1"}, "state": "DLVRD"}]}
        assert (await provider.post(document))[0] == 200
        assert around.delivered == [("text:12125550123", True)]


@pytest.mark.parametrize(
    ("document", "changes", "expected"),
    [
        ({"id": "m1"}, {}, 422),
        ({"id": ["m1"], "status": "delivered"}, {}, 422),
        ({"id": "m" * 200, "status": "delivered"}, {}, 422),
        (b"<html>", {}, 400),
        (b'{"id": "m1", "status": "' + b"x" * 9000 + b'"}', {}, 413),
        ({"id": "m1", "status": "failed"}, {"key": b"another-key-entirely"}, 401),
        ({"id": "m1", "status": "failed"}, {"at": NOW - 301}, 401),
    ],
)
async def test_a_receipt_that_is_none_or_not_signed_teaches_nothing(
    document: object, changes: dict[str, object], expected: int
) -> None:
    async with world(answer_id="messages.0.id") as around, hook(around) as provider:
        await around.http.send(labelled())
        assert (await provider.post(document, **changes))[0] == expected  # type: ignore[arg-type]
        assert around.delivered == []


async def test_the_same_receipt_counts_once() -> None:
    async with world(answer_id="messages.0.id") as around, hook(around) as provider:
        await around.http.send(labelled())
        document = {"id": "m1", "status": "queued"}
        assert [(await provider.post(document))[0] for _ in range(2)] == [200, 409]
