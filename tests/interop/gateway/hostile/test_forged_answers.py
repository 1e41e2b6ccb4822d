"""Answers at alpha's callback that nobody should believe: a problem by name, and nothing cached."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config.files import read_secret
from gateway.demo.scene import ALICE
from stir.certificates.issuing import make_intermediate, make_root
from stir.certificates.tn_auth_list import One
from tests.support.spin_stranger import Invited, answer, invited, post, uri
from tests.support.stir_peer import Signer, signer_with
from tests.support.troubled_scene import TroubledScene, log_lines, metric

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SETTINGS = {"discovery": {"negative_seconds": 0.0}, "spin": {"answer_timeout_seconds": 1.5}}
Make = Callable[[TroubledScene, Invited], str]
_numbers = (f"+131055501{number:02d}" for number in itertools.count(1))


async def discover(scene: TroubledScene, number: str) -> dict[str, Any]:
    """Let alpha look a number up, as an operator does."""
    admin = scene.alpha.config.admin
    assert admin is not None
    token = read_secret(admin.token, admin.token_file, "admin.token")
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(
            f"http://{admin.address}:{admin.port}/v1/discover",
            json={"number": number, "service": "voice", "from": ALICE},
        ) as response,
    ):
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


def owner(scene: TroubledScene, number: str) -> Signer:
    """Whoever really has the number."""
    return signer_with(scene, entries=(One(number.lstrip("+")),))


async def asked(scene: TroubledScene) -> tuple[asyncio.Task[dict[str, Any]], Invited]:
    """Let alpha invite a number of its own for each test; return the look-up and the invitation."""
    number = next(_numbers)
    task = asyncio.create_task(discover(scene, number))
    return task, await invited(scene, number)


async def finds_nothing(scene: TroubledScene, task: asyncio.Task[dict[str, Any]]) -> None:
    found = await task
    assert found["uris"] == []


async def test_an_answer_signed_for_the_number_is_taken_and_the_same_body_again_is_fine(
    scene: TroubledScene,
) -> None:
    task, to = await asked(scene)
    body = answer(owner(scene, to.number), to, ALICE)
    assert await post(scene, to.callback, body, to.bearer) == (204, "")
    assert await post(scene, to.callback, body, to.bearer) == (204, "")
    other = answer(owner(scene, to.number), to, ALICE)
    assert await post(scene, to.callback, other, to.bearer) == (409, "replay")
    found = await task
    assert [each["uri"] for each in found["uris"]] == [f"sip:{to.number}@gamma.example;user=phone"]
    assert await metric(scene.alpha, "spingate_spin_total", kind="answer", outcome="taken") == 1


async def test_a_stranger_without_the_token_is_told_nothing(scene: TroubledScene) -> None:
    task, to = await asked(scene)
    body = answer(owner(scene, to.number), to, ALICE)
    wrong = "A" * len(to.bearer)
    for url, bearers in (
        (to.callback, ()),
        (to.callback, (wrong,)),
        (to.callback, (to.bearer, to.bearer)),
        (f"{to.callback}?token={to.bearer}", ()),
        (f"{to.callback[:-4]}AAAA", (to.bearer,)),
        (f"{to.callback[:-4]}AAAA", (wrong,)),
    ):
        assert await post(scene, url, body, *bearers) == (401, "badToken")
    await finds_nothing(scene, task)


def _forger(scene: TroubledScene, to: Invited) -> str:
    genuine = owner(scene, to.number)
    return answer(Signer(ec.generate_private_key(ec.SECP256R1()), genuine.x5u), to, ALICE)


def _nobody(scene: TroubledScene, to: Invited) -> str:
    now = time.time()
    issuer = make_intermediate(make_root("Nobody's Root", now), "Nobody", now)
    signer = signer_with(scene, issuer=issuer, entries=(One(to.number.lstrip("+")),))
    return answer(signer, to, ALICE)


def _somebody_else(scene: TroubledScene, to: Invited) -> str:
    return answer(owner(scene, "+13105550199"), to, ALICE)


def _changed(**changes: Any) -> Make:
    def make(scene: TroubledScene, to: Invited) -> str:
        return answer(owner(scene, to.number), to, ALICE, **changes)

    return make


def _relative(iat: int, exp: int) -> Make:
    def make(scene: TroubledScene, to: Invited) -> str:
        now = int(time.time())
        return answer(owner(scene, to.number), to, ALICE, iat=now + iat, exp=now + exp)

    return make


def _uri(**changes: Any) -> Make:
    def make(scene: TroubledScene, to: Invited) -> str:
        uris = [uri(to.number.lstrip("+"), **changes)]
        return answer(owner(scene, to.number), to, ALICE, uris=uris)

    return make


@pytest.mark.parametrize(
    ("status", "problem", "make"),
    [
        pytest.param(403, "untrustedSigner", _forger, id="a forged signature"),
        pytest.param(403, "untrustedSigner", _nobody, id="an authority nobody trusts"),
        pytest.param(403, "untrustedSigner", _somebody_else, id="another number's key"),
        pytest.param(
            403, "numberMismatch", _changed(orig={"tn": "13105550199"}), id="another number"
        ),
        pytest.param(
            403, "numberMismatch", _changed(dest={"tn": ["14155550199"]}), id="another caller"
        ),
        pytest.param(403, "numberMismatch", _changed(inv="A" * 43), id="another invitation"),
        pytest.param(410, "expired", _relative(-100, -1), id="over"),
        pytest.param(410, "expired", _relative(-100, 60), id="old"),
        pytest.param(410, "expired", _relative(100, 160), id="of the future"),
        pytest.param(410, "expired", _relative(0, 86_400), id="good for a day"),
        pytest.param(422, "badUri", _uri(msp="delta.example"), id="another provider's URI"),
        pytest.param(422, "badUri", _uri(uri="javascript:alert(1)"), id="a URI of another kind"),
        pytest.param(422, "badUri", _uri(svc="im"), id="a service nobody asked for"),
        pytest.param(400, "badRequest", lambda scene, to: "not a token", id="no token"),
        pytest.param(400, "badRequest", _changed(st="perhaps"), id="an unknown status"),
        pytest.param(413, "tooLarge", lambda scene, to: "A" * 9000, id="too large"),
    ],
)
async def test_an_answer_that_proves_nothing_is_refused_by_name_and_not_kept(
    scene: TroubledScene, status: int, problem: str, make: Make
) -> None:
    task, to = await asked(scene)
    lines = len(log_lines(scene.alpha))
    assert await post(scene, to.callback, make(scene, to), to.bearer) == (status, problem)
    logged = [line for line in log_lines(scene.alpha)[lines:] if line["event"] == "answer refused"]
    assert len(logged) == 1
    assert logged[0]["reason"]
    assert to.bearer not in str(logged)
    # What was refused used nothing up: whoever has the number may still answer.
    body = answer(owner(scene, to.number), to, ALICE)
    assert await post(scene, to.callback, body, to.bearer) == (204, "")
    found = await task
    assert [each["msp"] for each in found["uris"]] == ["gamma.example"]


async def test_nothing_is_cached_of_refused_answers(scene: TroubledScene) -> None:
    task, to = await asked(scene)
    assert (await post(scene, to.callback, _forger(scene, to), to.bearer))[0] == 403
    assert (await post(scene, to.callback, _nobody(scene, to), to.bearer))[0] == 403
    await finds_nothing(scene, task)
    sent = len(scene.smsc.history)
    again = asyncio.create_task(discover(scene, to.number))
    await finds_nothing(scene, again)
    assert len(scene.smsc.history) > sent, "the second look-up had to ask again"


async def test_who_saw_the_token_gets_a_few_tries_only(scene: TroubledScene) -> None:
    task, to = await asked(scene)
    answers = [await post(scene, to.callback, f"try {n}", to.bearer) for n in range(8)]
    assert answers[0] == (400, "badRequest")
    assert answers[-1] == (429, "rateLimited")
    await finds_nothing(scene, task)


async def test_only_a_signed_token_is_taken_as_a_body(scene: TroubledScene) -> None:
    task, to = await asked(scene)
    body = answer(owner(scene, to.number), to, ALICE)
    told = await post(scene, to.callback, body, to.bearer, media_type="application/json")
    assert told == (415, "badRequest")
    await finds_nothing(scene, task)


async def test_an_answer_that_comes_late_serves_the_next_call(scene: TroubledScene) -> None:
    task, to = await asked(scene)
    await finds_nothing(scene, task)
    body = answer(owner(scene, to.number), to, ALICE)
    assert await post(scene, to.callback, body, to.bearer) == (204, "")
    sent = len(scene.smsc.history)
    found = await discover(scene, to.number)
    assert [each["source"] for each in found["asked"]] == ["cache"]
    assert len(scene.smsc.history) == sent


async def test_refused_answers_are_counted_by_reason(scene: TroubledScene) -> None:
    for reason in ("bad_token", "forged", "untrusted_signer", "replayed", "bad_uri"):
        assert await metric(scene.alpha, "spingate_spin_total", kind="answer", outcome=reason) > 0
