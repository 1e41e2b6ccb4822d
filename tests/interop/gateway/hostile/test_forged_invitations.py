"""Invitations that beta's agent must not answer: counted, logged by reason, nothing sent."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.dns import Record
from stir.certificates.issuing import make_intermediate, make_root
from stir.certificates.tn_auth_list import One
from tests.support.spin_stranger import MALLORY, invitation, send_invitation, send_text
from tests.support.stir_peer import Signer, signer_with
from tests.support.troubled_scene import (
    TroubledScene,
    WebServer,
    eventually,
    http,
    log_lines,
    logged,
    metric,
    metrics_text,
)

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

HOST = "hook.alpha.example"
# A number gets ten invitations a minute at most: each test has one of its own.
_numbers = (f"+121255501{number:02d}" for number in itertools.count(1))


@pytest.fixture
def number() -> str:
    return next(_numbers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hook(scene: TroubledScene) -> AsyncIterator[WebServer]:
    """Where Mallory wants answers; takes them all."""
    async with scene.web_server(HOST, 33) as server:
        server.pages["/s/abcdefgh"] = http(204, b"")
        yield server


@pytest.fixture(scope="module")
def mallory(scene: TroubledScene) -> Signer:
    """A genuine certificate for Mallory's number and callback."""
    return own_certificate(scene)


def own_certificate(scene: TroubledScene, **options: Any) -> Signer:
    return signer_with(scene, entries=(One(MALLORY.lstrip("+")),), dns_names=(HOST,), **options)


async def ignored(
    scene: TroubledScene, hook: WebServer, reason: str, number: str, token: str
) -> None:
    """Send an invitation; it has to be counted and logged by reason, and nothing else happens."""
    connections, before = hook.connections, await ignored_count(scene, reason)
    lines = len(log_lines(scene.beta))
    send_invitation(scene, number, token)

    def seen() -> dict[str, Any] | None:
        new = log_lines(scene.beta)[lines:]
        return next((line for line in new if line["event"] == "invitation ignored"), None)

    line = await eventually(seen, f"{reason}: nothing was logged")
    assert line["reason"] == reason
    assert number not in str(line)
    assert MALLORY not in str(line)
    assert await ignored_count(scene, reason) == before + 1
    assert hook.connections == connections


async def ignored_count(scene: TroubledScene, reason: str) -> float:
    return await metric(scene.beta, "spingate_spin_total", kind="invitation", outcome=reason)


async def test_a_genuine_invitation_is_answered_at_its_callback_with_its_token(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    token = invitation(mallory, number, hook.url("/s/abcdefgh"), tok="A" * 22)
    send_invitation(scene, number, token)
    await eventually(lambda: hook.asked("/s/abcdefgh") or None, "no answer was posted")
    assert b"authorization: bearer " + b"a" * 22 in hook.requests[-1].lower()
    await logged(scene.beta, "invitation answered")
    assert await ignored_count(scene, "answered") >= 1
    assert await metric(scene.beta, "spingate_spin_total", kind="post", outcome="delivered") >= 1


async def test_a_forged_signature_is_ignored(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    forger = Signer(ec.generate_private_key(ec.SECP256R1()), mallory.x5u)
    await ignored(
        scene, hook, "forged", number, invitation(forger, number, hook.url("/s/abcdefgh"))
    )


async def test_a_certificate_of_an_authority_nobody_trusts_is_ignored(
    scene: TroubledScene, hook: WebServer, number: str
) -> None:
    now = time.time()
    nobody = make_intermediate(make_root("Nobody's Root", now), "Nobody", now)
    token = invitation(own_certificate(scene, issuer=nobody), number, hook.url("/s/abcdefgh"))
    await ignored(scene, hook, "untrusted_signer", number, token)


async def test_a_certificate_for_another_number_is_ignored(
    scene: TroubledScene, hook: WebServer, number: str
) -> None:
    other = signer_with(scene, entries=(One("14155550151"),), dns_names=(HOST,))
    token = invitation(other, number, hook.url("/s/abcdefgh"))
    await ignored(scene, hook, "untrusted_signer", number, token)


async def test_an_expired_certificate_is_ignored(
    scene: TroubledScene, hook: WebServer, number: str
) -> None:
    now = time.time()
    old = own_certificate(scene, not_before=now - 7200, not_after=now - 60)
    token = invitation(old, number, hook.url("/s/abcdefgh"))
    await ignored(scene, hook, "untrusted_signer", number, token)


async def test_a_certificate_that_is_not_to_be_had_is_the_repositorys_fault(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    lost = Signer(mallory.key, "https://certs.sti-ca.example:8443/certs/lost.pem")
    token = invitation(lost, number, hook.url("/s/abcdefgh"))
    await ignored(scene, hook, "credential_unavailable", number, token)
    await logged(scene.beta, "credential unavailable", culprit="certs.sti-ca.example:8443")


async def test_an_invitation_for_somebody_else_is_ignored(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    token = invitation(mallory, "+12125550199", hook.url("/s/abcdefgh"))
    await ignored(scene, hook, "wrong_number", number, token)


async def test_a_replayed_invitation_is_ignored_with_any_signature_that_holds(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    token = invitation(mallory, number, hook.url("/s/abcdefgh"))
    posted = hook.asked("/s/abcdefgh")
    send_invitation(scene, number, token)
    await eventually(lambda: hook.asked("/s/abcdefgh") > posted or None, "no answer was posted")
    await ignored(scene, hook, "replayed", number, token)
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    again = f"{signed}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}"
    await ignored(scene, hook, "replayed", number, again)


@pytest.mark.parametrize(
    ("reason", "issued", "expires"),
    [("expired", -120, -1), ("not_fresh", -90, 30), ("not_fresh", 90, 200), ("not_fresh", 0, 600)],
    ids=["over", "old", "of the future", "good for too long"],
)
async def test_an_invitation_of_another_time_is_ignored(
    scene: TroubledScene,
    hook: WebServer,
    mallory: Signer,
    number: str,
    reason: str,
    issued: int,
    expires: int,
) -> None:
    now = int(time.time())
    callback = hook.url("/s/abcdefgh")
    token = invitation(mallory, number, callback, iat=now + issued, exp=now + expires)
    await ignored(scene, hook, reason, number, token)


@pytest.mark.parametrize(
    "callback",
    [
        f"http://{HOST}:8443/s/abcdefgh",
        f"https://{HOST}:22/s/abcdefgh",
        f"https://user@{HOST}:8443/s/abcdefgh",
        f"https://{HOST}:8443/s/abcdefgh?to=me",
        "https://127.0.0.1:8443/s/abcdefgh",
        "https://0x7f000001:8443/s/abcdefgh",
        "https://[::1]:8443/s/abcdefgh",
        "https://spin.alpha.example:8443/s/abcdefgh",
    ],
)
async def test_a_callback_that_is_not_the_signers_own_is_ignored(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str, callback: str
) -> None:
    await ignored(scene, hook, "callback_refused", number, invitation(mallory, number, callback))


async def test_an_own_name_that_leads_inside_gets_no_connection(
    scene: TroubledScene, hook: WebServer, number: str
) -> None:
    scene.dns.zones.add(Record("inside.alpha.example", "A", "127.0.0.1"))
    signer = signer_with(
        scene, entries=(One(MALLORY.lstrip("+")),), dns_names=("inside.alpha.example",)
    )
    connections = hook.connections
    url = "https://inside.alpha.example:8443/s/abcdefgh"
    send_invitation(scene, number, invitation(signer, number, url))
    line = await logged(scene.beta, "answer not delivered")
    assert "inside.alpha.example: refused (address)" in line["detail"]
    assert hook.connections == connections
    assert await metric(scene.beta, "spingate_spin_total", kind="post", outcome="undelivered") == 1


async def test_what_is_too_large_or_no_token_is_ignored(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    callback = hook.url("/s/abcdefgh")
    nonsense = "A" * 60
    await ignored(scene, hook, "malformed", number, nonsense)
    token = invitation(mallory, number, callback, svc=["voice"] * 50)
    await ignored(scene, hook, "malformed", number, token)
    padded = invitation(mallory, number, callback, tok="A" * 500)
    await ignored(scene, hook, "malformed", number, padded)


async def test_more_parts_than_any_invitation_has_are_not_even_put_together(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    connections = hook.connections
    token = invitation(mallory, number, hook.url("/s/abcdefgh"), padding="A" * 4000)
    send_invitation(scene, number, token)
    await logged(scene.beta, "invitation ignored", reason="incomplete")
    assert await ignored_count(scene, "incomplete") > 0
    assert hook.connections == connections


async def test_a_flood_of_one_sender_is_cut_off(
    scene: TroubledScene, hook: WebServer, mallory: Signer, number: str
) -> None:
    callback = hook.url("/s/abcdefgh")
    before = await ignored_count(scene, "rate_limited")
    for _ in range(15):
        send_invitation(scene, number, invitation(mallory, number, callback, exp=1))

    async def refused() -> float:
        return await ignored_count(scene, "rate_limited") - before

    until = time.monotonic() + 5
    while await refused() < 5:
        assert time.monotonic() < until, "the flood was not cut off"


async def test_an_ordinary_text_reaches_the_person_untouched(
    scene: TroubledScene, number: str
) -> None:
    text = "Dinner at eight? The word spin:1: means nothing. " * 5
    send_text(scene, number, text)

    def read() -> str | None:
        return next((each.text for each in scene.smsc.inbox(number)), None)

    assert await eventually(read, "the person never got it") == text


async def test_labels_of_the_counters_are_a_closed_list(scene: TroubledScene) -> None:
    text = await metrics_text(scene.beta)
    assert MALLORY.lstrip("+") not in text
    assert "alpha.example" not in text
