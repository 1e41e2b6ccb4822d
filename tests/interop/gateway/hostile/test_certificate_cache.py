"""The certificate cache of a running gateway: preloaded, restarted, changed, in front of chaos."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import aiohttp
import pytest
import pytest_asyncio

from gateway.demo.provider import Provider
from tests.support.command_line import spingate
from tests.support.stir_peer import (
    Handset,
    Signer,
    alphas_signer,
    caller,
    signer_with,
)
from tests.support.troubled_scene import (
    Answer,
    TroubledScene,
    WebServer,
    eventually,
    http,
    metric,
    record_of,
)

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

HOST = "cache.sti-ca.example"
# Half a minute after a fetch a signature that does not fit makes the gateway ask again.
DOUBT_SECONDS = 31.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repository(scene: TroubledScene) -> AsyncIterator[WebServer]:
    """A certificate repository whose every answer is written by the tests."""
    async with scene.web_server(HOST, 31) as server:
        yield server


def alphas_chain(scene: TroubledScene) -> str:
    return (scene.folder / "certs" / "alpha.pem").read_text()


def published(scene: TroubledScene, signer: Signer) -> bytes:
    return (scene.folder / "certs" / signer.x5u.rpartition("/")[2]).read_bytes()


async def status_of(scene: TroubledScene, signer: Signer) -> int:
    async with caller(scene) as stranger:
        return (await stranger.call(signer.identity())).status_code


async def test_certificates_are_imported_listed_used_after_a_restart_and_cleared(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    config = ("-c", scene.beta.config_file)
    known, stranger = repository.url("/known.pem"), repository.url("/stranger.pem")
    fetched = repository.url("/fetched.pem")
    repository.pages["/fetched.pem"] = http(200, alphas_chain(scene).encode())
    lines = [
        json.dumps({"url": known, "pem": alphas_chain(scene)}),
        json.dumps({"url": stranger, "pem": "no certificate"}),
        fetched,
        repository.url("/missing.pem"),
    ]
    (scene.folder / "preload").write_text("\n".join(lines))
    said = await spingate("cache", "import", scene.folder / "preload", *config, "--json")
    assert said.code == 1, "two of them were refused"
    refused = {each["url"]: each["refused"] for each in said.objects}
    assert (refused[known], refused[fetched]) == (None, None)
    assert "malformed" in refused[stranger]
    assert "404" in refused[repository.url("/missing.pem")]
    signer = Signer(alphas_signer(scene).key, known)
    assert await status_of(scene, signer) == 486
    await scene.beta.stop()
    await scene.beta.start()
    assert await status_of(scene, signer) == 486
    assert await status_of(scene, Signer(signer.key, fetched)) == 486
    assert (repository.asked("/known.pem"), repository.asked("/fetched.pem")) == (0, 1)
    listed = {
        each["url"]: each for each in (await spingate("cache", "list", *config, "--json")).objects
    }
    assert listed[known]["hits"] >= 1
    assert listed[known]["source"] == "preloaded"
    assert listed[known]["expires"] > time.time() + 86_000
    assert HOST in (await spingate("cache", "list", *config)).out
    assert (await spingate("cache", "clear", known, *config, "--json")).only == {"cleared": 1}
    assert (await spingate("cache", "clear", known, *config)).code == 1
    assert await status_of(scene, signer) == 436
    assert repository.asked("/known.pem") == 1
    assert (await spingate("cache", "clear", *config)).code == 0
    assert (await spingate("cache", "list", *config, "--json")).objects == []


async def test_a_certificate_that_was_replaced_behind_its_url_is_found(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    old, new = signer_with(scene), signer_with(scene)
    url = repository.url("/replaced.pem")
    cached = "Cache-Control: max-age=86400"
    repository.pages["/replaced.pem"] = http(200, published(scene, old), cached)
    assert await status_of(scene, Signer(old.key, url)) == 486
    repository.pages["/replaced.pem"] = http(200, published(scene, new), cached)
    assert await status_of(scene, Signer(new.key, url)) == 438, "it was fetched just now"
    await asyncio.sleep(DOUBT_SECONDS)
    assert await status_of(scene, Signer(new.key, url)) == 486
    assert await status_of(scene, Signer(old.key, url)) == 438
    assert repository.asked("/replaced.pem") == 2, "bad signatures make nobody ask again and again"


async def test_a_repository_that_fails_at_random_never_gives_a_wrong_verdict(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    chance, seen = random.Random(7), set()
    good = http(200, alphas_chain(scene).encode())
    key = alphas_signer(scene).key
    for number in range(40):
        failing: tuple[bytes | Answer, ...] = (http(503, b""), http(500, b"x"), good[:200], _hang)
        page = good if chance.random() > 0.3 else chance.choice(failing)
        repository.pages[f"/chaos{number}.pem"] = page
    for start in range(0, 40, 4):
        signers = [Signer(key, repository.url(f"/chaos{n}.pem")) for n in range(start, start + 4)]
        began = time.monotonic()
        answers = await asyncio.gather(*(status_of(scene, signer) for signer in signers))
        assert time.monotonic() - began < 2.5
        for number, status in zip(range(start, start + 4), answers, strict=True):
            well = repository.pages[f"/chaos{number}.pem"] is good
            assert status == (486 if well else 436)
            seen.add(status)
    assert seen == {486, 436}


async def test_what_could_not_be_had_is_unavailable_and_not_the_peers_fault(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    repository.pages["/out.pem"] = http(503, b"")
    async with caller(scene) as stranger:
        signer = Signer(alphas_signer(scene).key, repository.url("/out.pem"))
        await stranger.call(signer.identity(), call_id="out@stranger")
    record = await record_of(scene.beta, "out@stranger")
    assert record["verdict"]["outcome"] == "unavailable"
    assert record["verdict"]["reason"] == "credential_unavailable"


async def test_a_clock_that_is_off_shows_in_health_and_metrics(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    key, chain = alphas_signer(scene).key, alphas_chain(scene).encode()
    late = f"Date: {formatdate(time.time() - 90, usegmt=True)}"
    assert await health(scene.beta) == (200, "ok")
    async with scene.web_server("other.sti-ca.example", 32) as other:
        for server in (repository, other):
            server.pages["/dated.pem"] = http(200, chain, late)
            assert await status_of(scene, Signer(key, server.url("/dated.pem"))) == 486
    assert await health(scene.beta) == (503, "clock wrong")
    assert await metric(scene.beta, "spingate_clock_wrong") == 1
    assert 85 < await metric(scene.beta, "spingate_clock_ahead_seconds") < 95
    text = scene.beta.log_file.read_text("utf-8")
    await eventually(lambda: "our clock is wrong" in text or None, "nothing is logged")


async def health(provider: Provider) -> tuple[int, str]:
    admin = provider.config.admin
    assert admin is not None
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{admin.address}:{admin.port}/healthz") as answer,
    ):
        return answer.status, (await answer.json())["status"]


async def _hang(_server: WebServer, _request: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)
