"""Certificates by URL: fetched once, failures remembered, our own limits not held against it."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import pytest

from gateway.http.credentials import CertificateSource
from gateway.http.fetch import (
    FailureReason,
    Fetched,
    FetchFailed,
    FetchRefused,
    GuardedClient,
)
from gateway.http.guard import RefusalReason
from stir.certificates.certificate import Credential, CredentialUnavailable
from stir.certificates.credential_cache import CredentialCache
from stir.certificates.issuing import issue_sti_certificate, make_root
from stir.certificates.tn_auth_list import One, TnAuthList
from stir.reason import Reason
from tests.support.spin_passports import ALICE

URL = "https://certificates.example/certs/alpha.pem"
ISSUED = issue_sti_certificate(
    make_root("root", time.time()), TnAuthList((One(ALICE),)), time.time()
)
PEM = ISSUED.chain_pem


class FakeClient:
    """Gives the same answer every time, after the event where there is one."""

    def __init__(self, answer: Fetched | Exception, *, after: asyncio.Event | None = None) -> None:
        self.answer = answer
        self.after = after
        self.asked: list[str] = []

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        self.asked.append(url)
        if self.after is not None:
            await self.after.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Scene:
    def __init__(self, answer: Fetched | Exception, *, after: asyncio.Event | None = None) -> None:
        self.now = time.time()
        self.client = FakeClient(answer, after=after)
        self.source = CertificateSource(
            cast(GuardedClient, self.client), CredentialCache(), lambda: self.now
        )

    async def failure(self) -> CredentialUnavailable:
        found = await self.source.get(URL)
        assert isinstance(found, CredentialUnavailable)
        return found


def served(body: bytes = PEM, status: int = 200, cache_control: str | None = None) -> Fetched:
    headers = {} if cache_control is None else {"cache-control": cache_control}
    return Fetched(status, headers, body)


async def test_five_hundred_calls_on_a_cold_url_fetch_once() -> None:
    gate = asyncio.Event()
    scene = Scene(served(), after=gate)
    calls = [asyncio.create_task(scene.source.get(URL)) for _ in range(500)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    gate.set()
    found = await asyncio.gather(*calls[1:])
    assert all(isinstance(credential, Credential) for credential in found)
    assert scene.client.asked == [URL]
    assert await scene.source.get(URL) is found[0]
    assert scene.source.fetches == 1


@pytest.mark.parametrize(
    ("answer", "culprit", "reason"),
    [
        (
            FetchFailed("nameserver 192.0.2.53:53", FailureReason.DNS, "no answer"),
            "nameserver 192.0.2.53:53",
            Reason.CREDENTIAL_UNAVAILABLE,
        ),
        (
            FetchRefused("certificates.example", RefusalReason.ADDRESS, "special-purpose"),
            "certificates.example",
            Reason.CREDENTIAL_UNAVAILABLE,
        ),
        (served(status=404), "certificates.example", Reason.CREDENTIAL_UNAVAILABLE),
        (served(status=301), "certificates.example", Reason.CREDENTIAL_UNAVAILABLE),
        (served(b"<html>"), "certificates.example", Reason.CREDENTIAL_MALFORMED),
    ],
)
async def test_a_failure_names_its_culprit_and_is_remembered_for_a_while(
    answer: Fetched | Exception, culprit: str, reason: Reason
) -> None:
    scene = Scene(answer)
    found = await scene.failure()
    assert (found.culprit, found.reason) == (culprit, reason)
    assert await scene.failure() is found
    assert len(scene.client.asked) == 1
    scene.now += 31
    await scene.failure()
    assert len(scene.client.asked) == 2


async def test_our_own_limit_is_not_held_against_a_url() -> None:
    scene = Scene(FetchFailed("our own limit of requests", FailureReason.BUSY, "many"))
    await scene.failure()
    await scene.failure()
    assert len(scene.client.asked) == 2


@pytest.mark.parametrize(
    ("cache_control", "kept", "gone"),
    [
        ("max-age=1000000000000", 86_399, 86_401),
        ("max-age=0", 299, 301),
        ("max-age=-5", 299, 301),
        ("max-age=900", 899, 901),
    ],
)
async def test_what_the_server_says_about_caching_is_kept_within_reason(
    cache_control: str, kept: float, gone: float
) -> None:
    scene = Scene(served(cache_control=cache_control))
    started = scene.now
    for after, fetches in ((0.0, 1), (kept, 1), (gone, 2)):
        scene.now = started + after
        await scene.source.get(URL)
        assert scene.source.fetches == fetches


async def test_several_urls_are_fetched_once_each() -> None:
    scene = Scene(served())
    found = await scene.source.get_all([URL, URL + "2", URL])
    assert list(found) == [URL, URL + "2"]
    assert scene.source.fetches == 2


async def test_closing_gives_up_what_is_under_way() -> None:
    scene = Scene(served(), after=asyncio.Event())
    call = asyncio.create_task(scene.source.get(URL))
    await asyncio.sleep(0)
    await scene.source.close()
    with pytest.raises(asyncio.CancelledError):
        await call
