"""Somebody else's STI-AS/VS over real HTTPS: asked in order, left alone when down, checked."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.http.credentials import CertificateSource
from gateway.http.fetch import client_context
from gateway.http.listener import HttpListener
from gateway.http.service_client import ServiceClient
from gateway.http.signing_api import SigningApiServer
from gateway.http.signing_client import Instance, RemoteSti, RemoteUnavailable
from gateway.identity import verdict_record
from gateway.policy.verdicts import decide
from gateway.refusal import CallRefused
from gateway.signing.breaker import BreakerLimits
from gateway.signing.messages import SigningOrder, VerificationOrder
from gateway.signing.remote_identity import RemoteIdentityServices
from stir.certificates.issuing import make_root
from stir.reason import Reason
from stir.rich_call_data import rich_call_data
from stir.verification import VerificationPolicy, VerificationService
from tests.support.call_placement_scene import DEST, ORIG, KnownCertificates, Loopback, Provider
from tests.support.https import TestAuthority
from tests.support.signing_api_scene import CLIENT, ORIGID, TOKEN
from tests.unit.gateway.test_out_of_band import invite

pytestmark = pytest.mark.real
NAME = "sti.example"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def order(**changes: Any) -> SigningOrder:
    values: dict[str, Any] = {"orig": ORIG, "dest": (DEST,), "attest": "B", "origid": ORIGID}
    return SigningOrder(**(values | {"iat": int(time.time())} | changes))


def says(document: Any, status: int = 200) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=json.dumps(document).encode())

    return answer


class Scene:
    """Instances that answer as told, and the client that asks them."""

    def __init__(self, folder: Path) -> None:
        self.authority = TestAuthority(folder)
        self.root = make_root("Test STI Root", time.time())
        self.provider = Provider(ORIG, self.root)
        self.listeners: list[HttpListener] = []
        self.asked: list[str] = []
        self.now = 0.0
        self.https = ServiceClient(Loopback(), client_context(self.authority.trust_file))

    async def instance(self, answer: Answer) -> str:
        """An instance that answers everything like this; returns its URL."""
        number = str(len(self.listeners))

        async def noted(request: web.Request) -> web.StreamResponse:
            self.asked.append(number)
            return await answer(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", noted)
        return await self.serve(application)

    async def own(self) -> str:
        """An instance that is our own interface."""
        certificates = KnownCertificates()
        certificates.add(self.provider)
        verification = VerificationService(VerificationPolicy(), self.root.certificates, None)
        server = SigningApiServer(
            (CLIENT,),
            self.provider.signer,
            verification,
            cast(CertificateSource, certificates),
            time.time,
        )
        return await self.serve(server.application())

    async def serve(self, application: web.Application) -> str:
        tls = self.authority.server_context(NAME)
        listener = HttpListener(application, "127.0.0.1", 0, tls=tls)
        await listener.start()
        self.listeners.append(listener)
        return f"https://{NAME}:{listener.port}/stir/v1"

    def remote(self, *urls: str, **options: Any) -> RemoteSti:
        instances = tuple(Instance(f"{url}/signing", f"{url}/verification") for url in urls)
        limits = BreakerLimits(failures=2, slow=5.0, retry=15.0)
        return RemoteSti(
            instances,
            self.https,
            lambda: self.now,
            timeout=2.0,
            **{"limits": limits, "token": TOKEN, **options},
        )

    def services(self, *urls: str, unsigned: Any = "send") -> RemoteIdentityServices:
        return RemoteIdentityServices(
            None,
            None,
            cast(CertificateSource, KnownCertificates()),
            time.time,
            remote=self.remote(*urls),
            signs=True,
            verifies=True,
            unsigned=unsigned,
        )

    async def close(self) -> None:
        await self.https.close()
        for listener in self.listeners:
            await listener.stop()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with _scene(tmp_path) as running:
        yield running


@asynccontextmanager
async def _scene(folder: Path) -> AsyncIterator[Scene]:
    running = Scene(folder)
    try:
        yield running
    finally:
        await running.close()


async def sign(services: RemoteIdentityServices) -> Any:
    return await services.signed(
        invite(), orig=f"+{ORIG}", dest=f"+{DEST}", attest="B", origid=ORIGID
    )


async def test_our_own_interface_signs_and_verifies_for_another_gateway(scene: Scene) -> None:
    services = scene.services(await scene.own())
    request, passport = await sign(services)
    assert passport is not None
    assert passport["payload"]["orig"] == {"tn": ORIG}
    assert "Date" in request.headers
    verdict = await services.verify(request)
    assert (verdict.outcome, verdict.verstat) == ("valid", "TN-Validation-Passed")
    assert (verdict.attest, verdict.origid) == ("B", ORIGID)


async def test_what_the_service_refuses_is_refused_with_its_reason(scene: Scene) -> None:
    services = scene.services(await scene.own())
    token = scene.provider.passport(dest="12125550199")
    verdict = await services.verify(
        invite(f"{token};info=<{scene.provider.signer.x5u}>;alg=ES256;ppt=shaken")
    )
    assert (verdict.outcome, verdict.reason) == ("invalid", Reason.REMOTE_INVALID)
    assert decide(verdict, "require").status == 438


async def test_a_call_without_identity_is_not_asked_about(scene: Scene) -> None:
    services = scene.services(await scene.instance(says({})))
    verdict = await services.verify(invite())
    assert (verdict.outcome, verdict.reason) == ("absent", Reason.IDENTITY_MISSING)
    assert scene.asked == []


async def test_the_next_instance_is_asked_where_one_fails(scene: Scene) -> None:
    broken = await scene.instance(says({}, 500))
    remote = scene.remote("https://dead.example:9", broken, await scene.own())
    assert await remote.sign(order())
    assert scene.asked == ["0"]


async def test_an_instance_that_keeps_failing_is_left_alone_then_tried(scene: Scene) -> None:
    remote = scene.remote(await scene.instance(says({}, 503)), await scene.own())
    for _ in range(5):
        await remote.sign(order())
    assert len(scene.asked) == 2
    assert remote.open_breakers() == 1
    scene.now = 15.0
    for _ in range(3):
        await remote.sign(order())
    assert len(scene.asked) == 3


async def test_a_request_that_is_declined_says_nothing_against_the_instance(scene: Scene) -> None:
    remote = scene.remote(await scene.own(), await scene.instance(says({}, 500)))
    for _ in range(5):
        with pytest.raises(RemoteUnavailable, match="400"):
            await remote.sign(order(iat=1))
    assert remote.open_breakers() == 0
    assert scene.asked == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"signingResponse": 5},
        {"signingResponse": {"identity": 5}},
        {"signingResponse": {"identity": "rubbish"}},
        {"signingResponse": {"identity": "a.b.c;info=<https://x.example/c.pem>"}},
    ],
)
async def test_nonsense_is_no_signature(scene: Scene, document: Any) -> None:
    with pytest.raises(RemoteUnavailable):
        await scene.remote(await scene.instance(says(document))).sign(order())


@pytest.mark.parametrize(
    "changes",
    [
        {"orig_tn": "14155550199"},
        {"dest_tns": ("12125550199",)},
        {"attest": "A"},
    ],
)
async def test_a_signature_for_another_call_is_no_signature(
    scene: Scene, changes: dict[str, Any]
) -> None:
    token = scene.provider.passport(**{"attest": "B", **changes})
    identity = f"{token};info=<{scene.provider.signer.x5u}>;alg=ES256;ppt=shaken"
    remote = scene.remote(await scene.instance(says({"signingResponse": {"identity": identity}})))
    with pytest.raises(RemoteUnavailable, match="another call"):
        await remote.sign(order())


@pytest.mark.parametrize(
    ("content", "outcome", "status"),
    [
        ({"verstat": "TN-Validation-Passed"}, "valid", None),
        ({"verstatValue": "TN-Validation-Passed-A"}, "valid", None),
        ({"verstat": "TN-Validation-Failed"}, "invalid", 438),
        ({"verstat": "TN-Validation-Failed", "reasoncode": 437}, "invalid", 437),
        ({"verstat": "TN-Validation-Failed", "reasoncode": "403"}, "invalid", 403),
        (
            {
                "verstatValue": "TN-Validation-Failed",
                "verifyResults": [{"verifyResult": {"reasonCode": 436}}],
            },
            "invalid",
            436,
        ),
        ({"verstat": "No-TN-Validation"}, "unavailable", 436),
        ({"verstat": "Certainly"}, "unavailable", 436),
        ({}, "unavailable", 436),
    ],
)
async def test_what_the_service_says_is_the_verdict(
    scene: Scene, content: Any, outcome: str, status: int | None
) -> None:
    services = scene.services(await scene.instance(says({"verificationResponse": content})))
    token = scene.provider.passport()
    verdict = await services.verify(
        invite(f"{token};info=<{scene.provider.signer.x5u}>;alg=ES256;ppt=shaken")
    )
    assert (verdict.outcome, verdict.sip_status) == (outcome, status)
    assert verdict.best is not None
    assert verdict.best.passport is not None


async def test_nothing_of_a_forged_passport_is_shown_beside_the_one_that_is_valid(
    scene: Scene,
) -> None:
    """The service says that the call is verified, not which of its PASSporTs is."""
    passed = {"verificationResponse": {"verstat": "TN-Validation-Passed"}}
    services = scene.services(await scene.instance(says(passed)))
    x5u = scene.provider.signer.x5u
    forged = Provider("13035550155", make_root("Nobody's", time.time())).passport(
        claims={"rcd": {"nam": "Your Bank"}}
    )
    values = [f"{t};info=<{x5u}>;alg=ES256" for t in (forged, scene.provider.passport(attest="C"))]
    for shown in (values, values[::-1], values[:1]):
        verdict = await services.verify(invite(*shown))
        assert (verdict.outcome, verdict.attest) == ("valid", None)
        assert verdict_record(verdict)["orig"] is None
        assert rich_call_data(verdict) is None
    verdict = await services.verify(invite(values[1]))
    assert (verdict.attest, verdict_record(verdict)["orig"]) == ("C", f"+{ORIG}")


async def test_where_nobody_answers_nothing_is_validated_and_nothing_wrong_said(
    scene: Scene,
) -> None:
    services = scene.services("https://dead.example:9")
    verdict = await services.verify(invite("rubbish"))
    assert (verdict.outcome, verdict.reason) == ("unavailable", Reason.REMOTE_UNAVAILABLE)
    assert decide(verdict, "mark").verstat == "No-TN-Validation"
    request, passport = await sign(services)
    assert ("Identity" in request.headers, passport) == (False, None)
    with pytest.raises(CallRefused) as refused:
        await sign(scene.services("https://dead.example:9", unsigned="refuse"))
    assert refused.value.status == 503


async def test_a_slow_instance_is_left_alone(scene: Scene) -> None:
    async def slow(_request: web.Request) -> web.StreamResponse:
        scene.now += 1.0
        return web.Response(body=b'{"verificationResponse":{"verstat":"No-TN-Validation"}}')

    limits = BreakerLimits(failures=2, slow=0.5, retry=100.0)
    remote = scene.remote(await scene.instance(slow), limits=limits)
    asked = VerificationOrder(ORIG, (DEST,), ("x",), 0)
    for _ in range(2):
        await remote.verify(asked)
    with pytest.raises(RemoteUnavailable, match="circuit breaker"):
        await remote.verify(asked)


@pytest.mark.parametrize("heartbeat", ["options", "verification"])
async def test_a_heart_beat_closes_the_breaker_of_what_works_again(
    scene: Scene, heartbeat: str
) -> None:
    works = [False]

    async def sick(_request: web.Request) -> web.StreamResponse:
        body = b'{"verificationResponse":{"verstat":"No-TN-Validation"}}'
        return web.Response(status=200 if works[0] else 500, body=body)

    remote = scene.remote(await scene.instance(sick), heartbeat=heartbeat)
    for _ in range(2):
        await remote.beat()
    assert remote.open_breakers() == 2
    works[0] = True
    await remote.beat()
    assert remote.open_breakers() == 0


async def test_the_token_and_the_names_of_3gpp_are_sent(scene: Scene) -> None:
    seen: list[Any] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers["Authorization"], await request.json()))
        return web.Response(body=b'{"verificationResponse":{"verstat":"No-TN-Validation"}}')

    remote = scene.remote(await scene.instance(note))
    await remote.verify(VerificationOrder(ORIG, (DEST,), ("x", "y"), 7, "3gpp"))
    ((authorization, body),) = seen
    assert authorization == f"Bearer {TOKEN}"
    assert body["verificationRequest"] == {
        "from": {"tn": ORIG},
        "to": {"tn": [DEST]},
        "time": 7,
        "identityHeaders": ["x", "y"],
    }
