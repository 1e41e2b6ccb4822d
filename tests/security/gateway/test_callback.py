"""Answers at the callback: the token opens the door, the signature decides, once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from discovery.model import Service
from discovery.spin.answer import Answer
from discovery.spin.compact import token_digest
from discovery.spin.limits import RateLimit
from discovery.spin.passports import PassportVerifier, Rejected, VerifiedPassport
from discovery.spin.pending import MAX_ATTEMPTS, PendingInvitations, Waiting
from discovery.spin.reason import Refusal
from gateway.http.callback import CallbackServer
from tests.support.spin_passports import (
    ALICE,
    BOB,
    NOW,
    KeySigner,
    KeyVerifier,
    answer_claims,
)

pytestmark = pytest.mark.real
INVITATION = "the.signed.invitation"
BETA = KeySigner(BOB)


@dataclass
class Scene:
    """A callback server with one invitation waiting."""

    client: TestClient[web.Request, web.Application]
    server: CallbackServer
    pending: PendingInvitations
    waiting: Waiting
    verifier: KeyVerifier
    answers: list[Answer] = field(default_factory=list)
    now: float = NOW

    async def post(
        self,
        body: str | bytes,
        *,
        token: str | None = None,
        path: str | None = None,
        content_type: str = "application/jose",
        headers: dict[str, str] | None = None,
    ) -> ClientResponse:
        bearer = self.waiting.token if token is None else token
        return await self.client.post(
            path or f"/s/{self.waiting.invitation_id}",
            data=body,
            headers={
                "Authorization": f"Bearer {bearer}",
                "Content-Type": content_type,
                **(headers or {}),
            },
        )

    async def problem(self, body: str | bytes, **arguments: str) -> tuple[int, str]:
        response = await self.post(body, **arguments)  # type: ignore[arg-type]
        document = await response.json(content_type="application/problem+json")
        assert document["status"] == response.status
        assert self.waiting.token not in str(document)
        return response.status, document["type"].removeprefix("urn:spin:error:")


def answer(**changes: object) -> str:
    return BETA.sign("spin-ans", answer_claims(token_digest(INVITATION), **changes))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async for made in make_scene(KeyVerifier(BETA)):
        yield made


async def make_scene(
    verifier: KeyVerifier, per_source: RateLimit | None = None
) -> AsyncIterator[Scene]:
    counter = itertools.count(1)
    pending = PendingInvitations(lambda count: next(counter).to_bytes(count, "big"))
    waiting = pending.open(BOB, ALICE, (Service.VOICE,), lifetime=60, now=NOW)
    pending.bind(waiting.invitation_id, INVITATION)
    answers: list[Answer] = []
    clock = [NOW]
    server = CallbackServer(
        pending,
        verifier,
        lambda _, taken: answers.append(taken),
        lambda: held.now,
        per_source=per_source,
    )
    async with TestClient(TestServer(server.application())) as client:
        held = Scene(client, server, pending, waiting, verifier, answers, clock[0])
        yield held


async def test_a_signed_answer_is_taken_once_and_repeated_without_harm(scene: Scene) -> None:
    body = answer()
    assert [(await scene.post(body)).status for _ in range(3)] == [204, 204, 204]
    assert [taken.uris[0].uri for taken in scene.answers] == [f"sip:+{BOB}@beta.example;user=phone"]
    assert scene.verifier.asked == 1


async def test_what_is_taken_says_until_when_its_certificate_vouches_for_it() -> None:
    class EndsSoon(KeyVerifier):
        async def verify(
            self, token: str, *, ppt: str, orig: str, now: float
        ) -> VerifiedPassport | Rejected:
            return VerifiedPassport((), NOW + 60)

    async for scene in make_scene(EndsSoon(BETA)):
        assert (await scene.post(answer())).status == 204
        assert [taken.vouched_until for taken in scene.answers] == [NOW + 60]


async def test_the_token_is_used_up_by_the_first_answer(scene: Scene) -> None:
    assert (await scene.post(answer())).status == 204
    assert await scene.problem(answer()) == (409, "replay")
    assert len(scene.answers) == 1


@pytest.mark.parametrize("token", ["", "wrong", "0" * 22])
async def test_a_wrong_token_is_refused_before_anything_is_read(scene: Scene, token: str) -> None:
    assert await scene.problem(answer(), token=token) == (401, "badToken")
    assert scene.verifier.asked == 0


async def test_an_unknown_invitation_looks_like_a_wrong_token(scene: Scene) -> None:
    assert await scene.problem(answer(), path="/s/unknown") == (401, "badToken")
    assert await scene.problem(answer(), path="/s/" + "x" * 2000) == (401, "badToken")


async def test_two_authorizations_are_none(scene: Scene) -> None:
    response = await scene.client.post(
        f"/s/{scene.waiting.invitation_id}",
        data=answer(),
        headers=[("Authorization", f"Bearer {scene.waiting.token}")] * 2,
    )
    assert response.status == 401


async def test_the_token_alone_never_suffices(scene: Scene) -> None:
    forged = KeySigner(BOB)
    forged.x5u = BETA.x5u
    body = forged.sign("spin-ans", answer_claims(token_digest(INVITATION)))
    assert await scene.problem(body) == (403, "untrustedSigner")
    plain = '{"uris":[{"svc":"voice","uri":"sip:evil@evil.example"}]}'
    assert await scene.problem(plain) == (400, "badRequest")
    assert scene.answers == []
    assert (await scene.post(answer())).status == 204


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"inv": "A" * 43}, (403, "numberMismatch")),
        ({"orig": {"tn": "12125550124"}}, (403, "numberMismatch")),
        ({"dest": {"tn": ["14155550199"]}}, (403, "numberMismatch")),
        ({"iat": int(NOW) - 200, "exp": int(NOW)}, (410, "expired")),
        ({"iat": int(NOW) - 90}, (410, "expired")),
        ({"st": "maybe"}, (400, "badRequest")),
        (
            {"uris": [{"msp": "b.example", "svc": "voice", "uri": "sip:x@c.example"}]},
            (422, "badUri"),
        ),
        (
            {"uris": [{"msp": "b.example", "svc": "im", "uri": "sip:x@b.example"}]},
            (422, "badUri"),
        ),
        (
            {"uris": [{"msp": "b.example", "svc": "voice", "uri": "tel:+12125550123"}]},
            (422, "badUri"),
        ),
    ],
)
async def test_an_answer_that_does_not_fit_gets_its_code(
    scene: Scene, changes: dict[str, object], expected: tuple[int, str]
) -> None:
    assert await scene.problem(answer(**changes)) == expected
    assert scene.answers == []
    assert scene.verifier.asked == 0


async def test_a_credential_that_cannot_be_had_is_not_the_same_as_a_bad_one(
    scene: Scene,
) -> None:
    scene.verifier.signers.clear()
    response = await scene.post(answer())
    assert response.status == 503
    assert response.headers["Retry-After"] == "1"


async def test_a_late_answer_is_gone(scene: Scene) -> None:
    scene.now = NOW + 60
    assert await scene.problem(answer()) == (410, "expired")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/jwt"])
async def test_only_jose_is_read(scene: Scene, content_type: str) -> None:
    assert await scene.problem(answer(), content_type=content_type) == (415, "badRequest")


async def test_a_compressed_answer_is_refused_unread(scene: Scene) -> None:
    response = await scene.post(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert response.status == 415


async def test_a_large_body_is_cut(scene: Scene) -> None:
    assert await scene.problem("a" * 8193) == (413, "tooLarge")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"a" * 1000

    response = await scene.client.post(
        f"/s/{scene.waiting.invitation_id}",
        data=chunks(),
        headers={
            "Authorization": f"Bearer {scene.waiting.token}",
            "Content-Type": "application/jose",
        },
    )
    assert response.status == 413


async def test_refused_answers_come_to_an_end(scene: Scene) -> None:
    statuses = [(await scene.post(f"a.b.{i}")).status for i in range(MAX_ATTEMPTS + 2)]
    assert statuses == [400] * MAX_ATTEMPTS + [429] * 2


async def test_one_source_cannot_ask_without_end() -> None:
    async for scene in make_scene(KeyVerifier(BETA), RateLimit(3, 60)):
        statuses = [(await scene.post("x", token="wrong")).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]


async def test_answers_at_the_same_moment_give_one() -> None:
    class SlowVerifier(KeyVerifier):
        async def verify(
            self, token: str, *, ppt: str, orig: str, now: float
        ) -> VerifiedPassport | Rejected:
            await asyncio.sleep(0.1)
            return await super().verify(token, ppt=ppt, orig=orig, now=now)

    async for scene in make_scene(SlowVerifier(BETA)):
        bodies = [answer() for _ in range(5)]
        responses = await asyncio.gather(*(scene.post(body) for body in bodies))
        assert sorted(response.status for response in responses) == [204, 429, 429, 429, 429]
        assert len(scene.answers) == 1


async def test_a_verifier_that_fails_answers_500_and_leaves_the_door_open() -> None:
    class BrokenVerifier(KeyVerifier):
        async def verify(
            self, token: str, *, ppt: str, orig: str, now: float
        ) -> VerifiedPassport | Rejected:
            raise RuntimeError("broken")

    verifier: PassportVerifier = BrokenVerifier(BETA)
    assert isinstance(verifier, KeyVerifier)
    async for scene in make_scene(verifier):
        response = await scene.post(answer())
        assert response.status == 500
        assert "broken" not in await response.text()
        assert (await scene.post(answer())).status == 500


async def test_other_methods_and_paths_are_not_there(scene: Scene) -> None:
    assert (await scene.client.get(f"/s/{scene.waiting.invitation_id}")).status == 405
    assert (await scene.client.post("/")).status == 404
    refused = scene.server.refused
    assert (await scene.post("x", token="wrong")).status == 401
    assert refused[Refusal.BAD_TOKEN] == 1


async def test_later_for_messages_leaves_the_door_open_for_one_more_answer() -> None:
    async for scene in make_scene(KeyVerifier(BETA)):
        waiting = scene.pending.open(BOB, ALICE, (Service.IM,), lifetime=72 * 3600, now=NOW)
        scene.pending.bind(waiting.invitation_id, INVITATION)
        scene.waiting = waiting
        put_off = answer(st="later", uris=[])
        assert (await scene.post(put_off)).status == 204
        assert (await scene.post(put_off)).status == 204
        assert await scene.problem(answer(st="later", uris=[], jti="a" * 16)) == (409, "replay")
        chat = {"msp": "b.example", "svc": "im", "uri": "mimi://b.example/u/b"}
        assert (await scene.post(answer(uris=[chat]))).status == 204
        assert await scene.problem(answer(uris=[chat], jti="b" * 16)) == (409, "replay")
        assert [str(taken.status) for taken in scene.answers] == ["later", "ok"]


async def test_later_for_a_call_is_the_last_word(scene: Scene) -> None:
    assert (await scene.post(answer(st="later", uris=[]))).status == 204
    assert await scene.problem(answer()) == (409, "replay")
