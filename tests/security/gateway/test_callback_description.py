"""F2 for all that strangers reach at an agent: whatever is sent, what is described comes back."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.model import Service
from discovery.spin.limits import RateLimit
from discovery.spin.pending import PendingInvitations, Waiting
from discovery.spin.reference import References
from gateway.http.callback import CallbackServer
from gateway.http.callback_openapi import description
from gateway.http.listener import HttpListener
from gateway.http.mm7 import Mm7Receiver
from gateway.http.references import ReferenceServer
from gateway.http.sms_webhook import SmsWebhook, signature
from gateway.spin.keeping import KeptInMemory
from gateway.spin.kept_engines import KeptReferences
from tests.security.gateway.test_callback import BETA, INVITATION, answer
from tests.support.openapi_contract import EXAMPLES, Contract, Mode, Reply, Request, Send, over
from tests.support.spin_passports import ALICE, BOB, NOW, KeyVerifier
from tests.unit.gateway.mms.test_mm7 import delivered

pytestmark = pytest.mark.real
KEY = b"sixteen octets or more"
MANY = RateLimit(1 << 30, 1.0)
DESCRIPTION = description(["/s/{id}", "/r/{id}", "/sms", "/mm7", "/openapi.json"])
BASIC = "Basic " + base64.b64encode(b"mmsc:secret").decode()


class Doors:
    """A running callback server with everything behind it, and one invitation that waits."""

    def __init__(self) -> None:
        self.pending = PendingInvitations(bytes)
        self.references = KeptReferences(References(bytes), KeptInMemory())
        self.waiting: Waiting = self.pending.open(
            BOB, ALICE, (Service.VOICE,), lifetime=60, now=NOW
        )
        self.pending.bind(self.waiting.invitation_id, INVITATION)
        self.server = CallbackServer(
            self.pending, KeyVerifier(BETA), lambda *_: None, lambda: NOW, per_source=MANY
        )
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[aiohttp.ClientSession]:
        application = self.server.application(
            ReferenceServer(self.references, lambda: NOW, per_source=MANY),
            SmsWebhook(KEY, lambda _: None, lambda: NOW),
            Mm7Receiver("mmsc", "secret", lambda *_: None, lambda: NOW),
        )
        listener = HttpListener(application, "127.0.0.1", 0, tls=None)
        await listener.start()
        self.url = f"http://127.0.0.1:{listener.port}"
        async with aiohttp.ClientSession() as session:
            yield session
        await listener.stop()

    def sending(self, session: aiohttp.ClientSession) -> Send:
        """Send with what opens each door, so that what lies behind it is reached."""
        plain = over(session, self.url, f"Bearer {self.waiting.token}")
        as_mmsc = over(session, self.url, BASIC)

        async def send(request: Request) -> Reply:
            if request.path.startswith("/sms") and len(request.body or b"") % 8:
                headers = {**request.headers, "X-Spingate-Timestamp": f"{NOW:.0f}"}
                signed = signature(KEY, int(NOW), request.body or b"")
                request = replace(request, headers={**headers, "X-Spingate-Signature": signed})
            if request.path.startswith("/s/") and len(request.body or b"") % 2:
                request = replace(request, path=f"/s/{self.waiting.invitation_id}")
            return await (as_mmsc if request.path.startswith("/mm7") else plain)(request)

        return send


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(DESCRIPTION).cases()))
async def test_every_operation_keeps_to_its_description(method: str, path: str, mode: Mode) -> None:
    doors = Doors()
    async with doors.open() as session:
        await Contract(DESCRIPTION).hold(method, path, mode, doors.sending(session))


async def test_an_agent_describes_what_it_serves_and_no_more() -> None:
    doors = Doors()
    bare = HttpListener(doors.server.application(), "127.0.0.1", 0, tls=None)
    await bare.start()
    async with doors.open() as session:
        async with session.get(f"{doors.url}/openapi.json") as reply:
            assert set((await reply.json())["paths"]) == set(
                Contract(DESCRIPTION).description["paths"]
            )
        async with session.get(f"http://127.0.0.1:{bare.port}/openapi.json") as reply:
            assert set((await reply.json())["paths"]) == {"/s/{id}", "/openapi.json"}
        known = await doors.references.add(INVITATION, NOW + 60, NOW)
        async with session.get(f"{doors.url}/r/{known}") as reply:
            assert (reply.status, await reply.text()) == (200, INVITATION)
    await bare.stop()


GENUINE = answer()
BODIES = st.one_of(
    st.binary(max_size=200),
    st.just(GENUINE.encode()),
    st.integers(0, len(GENUINE)).map(lambda end: GENUINE[:end].encode()),
    st.text(alphabet="ab.c-_{}", max_size=300).map(str.encode),
    st.just(b"x" * 9000),
)
MULTIMEDIA = st.tuples(st.just(delivered()), st.integers(0, 4000), st.integers(0, 255)).map(
    lambda drawn: drawn[0][: drawn[1]] + bytes([drawn[2]]) + drawn[0][drawn[1] + 1 :]
)


async def test_almost_genuine_answers_and_deliveries_keep_to_it_too() -> None:
    doors, contract = Doors(), Contract(DESCRIPTION)
    loop = asyncio.get_running_loop()
    async with doors.open() as session:
        send = doors.sending(session)

        async def ask(path: str, place: str, kind: str, body: bytes) -> None:
            request = Request("POST", place, {"Content-Type": kind}, body)
            contract.check("post", path, await send(request))

        place = f"/s/{doors.waiting.invitation_id}"
        kinds = st.sampled_from(["application/jose", "application/json", "text/plain"])
        mm7 = st.sampled_from(
            ["text/xml", 'multipart/related; boundary="bb"', "multipart/related", "image/png"]
        )

        @settings(
            max_examples=2 * EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(BODIES, kinds, MULTIMEDIA, mm7)
        def fuzz(body: bytes, kind: str, multimedia: bytes, form: str) -> None:
            for each in (
                ask("/s/{id}", place, kind, body),
                ask("/mm7", "/mm7", form, multimedia),
            ):
                asyncio.run_coroutine_threadsafe(each, loop).result(20)

        await asyncio.to_thread(fuzz)
    assert {200, 400, 415} <= set(contract.seen)
