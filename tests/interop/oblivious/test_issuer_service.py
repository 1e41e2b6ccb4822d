"""The issuer of tokens over real HTTPS: who gets tokens, how many, and what everybody else gets."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discovery.privacy.issuer_directory import parse_issuer_directory
from discovery.privacy.token import (
    ISSUER_DIRECTORY_MEDIA_TYPE,
    ISSUER_DIRECTORY_PATH,
    REQUEST_MEDIA_TYPE,
    RESPONSE_MEDIA_TYPE,
    TokenChallenge,
)
from discovery.privacy.token_client import ask_token
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier
from gateway.config.oblivious_services import IssuerClient
from gateway.http.service_client import ServiceClient
from gateway.token_issuer.service import TokenIssuerService
from tests.support.oblivious_services import (
    CLIENT_TOKEN,
    ISSUER,
    Loopback,
    https,
    issuer_config,
    running_issuer,
    tls_root,
    write_tls,
)

pytestmark = pytest.mark.real
NOW = 1_795_000_000.0
CHALLENGE = TokenChallenge(ISSUER, b"", ("dp.example",))
KNOWN = {"Authorization": f"Bearer {CLIENT_TOKEN}"}


def url_of(service: TokenIssuerService) -> str:
    return f"https://127.0.0.1:{service.listener.port}"


async def key_of(ask: Callable[..., Any], url: str, now: float = NOW) -> Any:
    said = await ask("GET", url + ISSUER_DIRECTORY_PATH)
    assert (said.status, said.kind) == (200, ISSUER_DIRECTORY_MEDIA_TYPE)
    directory = parse_issuer_directory(said.body)
    assert directory.request_uri == "/token-request"
    return directory.key(now)


async def post(ask: Callable[..., Any], url: str, body: bytes, **headers: str) -> Any:
    sent = {"Content-Type": REQUEST_MEDIA_TYPE, **headers}
    return await ask("POST", f"{url}/token-request", data=body, headers=sent)


async def test_a_known_client_gets_tokens_that_a_directory_takes_once(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path))
    async with running_issuer(config, lambda: NOW) as service, https(tmp_path) as ask:
        url = url_of(service)
        key = await key_of(ask, url)
        pending = [ask_token(key, CHALLENGE) for _ in range(5)]
        answers = await asyncio.gather(
            *(post(ask, url, each.request.encode(), **KNOWN) for each in pending)
        )
        assert {(each.status, each.kind) for each in answers} == {(200, RESPONSE_MEDIA_TYPE)}
        assert answers[0].headers["Cache-Control"] == "no-store"
        verifier = TokenVerifier([AcceptedKey(key, CHALLENGE)], "dp.example")
        for one, answer in zip(pending, answers, strict=True):
            verifier.redeem(one.finish(answer.body), NOW)
        assert service.api.outcomes["alpha", "issued"] == 5


async def test_nobody_else_gets_any_and_guessing_is_limited(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path))
    async with running_issuer(config, lambda: NOW) as service, https(tmp_path) as ask:
        url = url_of(service)
        body = ask_token(await key_of(ask, url), CHALLENGE).request.encode()
        assert (await post(ask, url, body)).status == 401
        wrong = {"Authorization": "Bearer token-of-somebody-else"}
        statuses = [(await post(ask, url, body, **wrong)).status for _ in range(25)]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert (await post(ask, url, body, **KNOWN)).status == 200  # who is known, still is


async def test_what_is_no_request_is_told_so_and_costs_no_quota(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path), client={"tokens_per_day": 1})
    async with running_issuer(config, lambda: NOW) as service, https(tmp_path) as ask:
        url = url_of(service)
        good = ask_token(await key_of(ask, url), CHALLENGE).request.encode()
        other_key = bytes([good[2] ^ 1])
        for body, status in (
            (b"", 422),
            (good[:-1], 422),
            (b"\x00\x01" + good[2:], 422),
            (good[:2] + other_key + good[3:], 422),
            (good[:3] + b"\xff" * 256, 422),
            (good + bytes(100), 413),
        ):
            assert (await post(ask, url, body, **KNOWN)).status == status
        text = {"Content-Type": "text/plain"}
        answer = await ask("POST", f"{url}/token-request", data=good, headers=KNOWN | text)
        assert answer.status == 415
        assert (await post(ask, url, good, **KNOWN)).status == 200
        used_up = await post(ask, url, good, **KNOWN)
        assert used_up.status == 429
        assert int(used_up.headers["Retry-After"]) >= 86_400 - NOW % 86_400


async def test_a_restart_forgets_no_quota_and_keeps_the_key(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path), client={"tokens_per_day": 2})
    async with https(tmp_path) as ask:
        keys = []
        for statuses in ([200, 200, 429], [429]):
            async with running_issuer(config, lambda: NOW) as service:
                url = url_of(service)
                key = await key_of(ask, url)
                keys.append(key.key_id)
                for status in statuses:
                    body = ask_token(key, CHALLENGE).request.encode()
                    assert (await post(ask, url, body, **KNOWN)).status == status
        assert keys[0] == keys[1]
        async with running_issuer(config, lambda: NOW + 86_400) as service:
            url = url_of(service)
            body = ask_token(await key_of(ask, url), CHALLENGE).request.encode()
            assert (await post(ask, url, body, **KNOWN)).status == 200
    for path in (tmp_path / "issuer" / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_next_key_is_announced_and_takes_over(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path), overlap_days=1)
    now = [NOW]
    async with running_issuer(config, lambda: now[0]) as service, https(tmp_path) as ask:
        url = url_of(service)
        first = await key_of(ask, url)
        made = service.keys.make(NOW + 600, NOW)
        service.reload()
        assert await key_of(ask, url) == first
        now[0] = NOW + 601
        second = await key_of(ask, url, now[0])
        assert second == made.public
        for key in (first, second):  # both sign while they overlap
            body = ask_token(key, CHALLENGE).request.encode()
            assert (await post(ask, url, body, **KNOWN)).status == 200
        now[0] = NOW + 600 + 86_400
        service.reload()
        body = ask_token(first, CHALLENGE).request.encode()
        assert (await post(ask, url, body, **KNOWN)).status == 422
        assert len(list((tmp_path / "issuer" / "keys").iterdir())) == 1


async def test_the_service_answers_others_while_it_signs(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path), client={"tokens_burst": 1_000})
    async with running_issuer(config, lambda: NOW) as service, https(tmp_path) as ask:
        url = url_of(service)
        key = await key_of(ask, url)
        bodies = [ask_token(key, CHALLENGE).request.encode() for _ in range(30)]
        signing = asyncio.gather(*(post(ask, url, body, **KNOWN) for body in bodies))
        await asyncio.sleep(0.02)
        await key_of(ask, url)
        assert not signing.done()  # 30 tokens take 0.2 s, and the keys did not wait for them
        assert {each.status for each in await signing} == {200}


async def test_a_signing_process_that_dies_is_started_again(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path))
    async with running_issuer(config, lambda: NOW) as service, https(tmp_path) as ask:
        url = url_of(service)
        key = await key_of(ask, url)
        (process,) = service._signers._all
        assert process._process is not None
        process._process.kill()
        await process._process.wait()
        body = ask_token(key, CHALLENGE).request.encode()
        assert (await post(ask, url, body, **KNOWN)).status == 200


async def test_a_client_is_known_by_its_certificate_as_well(tmp_path: Path) -> None:
    root = tls_root(tmp_path)
    anchors = tmp_path / "tls-root.pem"
    config = issuer_config(tmp_path, root, client_trust_anchors=anchors)
    by_name = IssuerClient(name="beta", domain="gateway.beta.example")
    config = config.model_copy(update={"client": (*config.client, by_name)})
    for name, status in (("gateway.beta.example", 200), ("gateway.gamma.example", 401)):
        async with running_issuer(config, lambda: NOW) as service:
            url = url_of(service)
            context = ssl.create_default_context(cafile=str(anchors))
            pair = write_tls(tmp_path, root, name)
            context.load_cert_chain(pair["certificate"], pair["key"])
            client = ServiceClient(Loopback(), context)
            async with https(tmp_path) as ask:
                body = ask_token(await key_of(ask, url), CHALLENGE).request.encode()
            sent = {"Content-Type": REQUEST_MEDIA_TYPE}
            answer = await client.request(
                "POST", f"{url}/token-request", timeout=5.0, headers=sent, body=body
            )
            assert answer.status == status
            await client.close()
        assert service.api.outcomes["beta", "issued"] == (status == 200)
