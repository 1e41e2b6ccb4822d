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
        self.tags: list[str | None] = []

    async def get(
        self, url: str, *, accept: str = "*/*", if_none_match: str | None = None
    ) -> Fetched:
        self.asked.append(url)
        self.tags.append(if_none_match)
        if self.after is not None:
            await self.after.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Scene:
    def __init__(
        self,
        answer: Fetched | Exception,
        *,
        after: asyncio.Event | None = None,
        stale: float = 0.0,
    ) -> None:
        self.now = time.time()
        self.client = FakeClient(answer, after=after)
        self.cache = CredentialCache(stale_if_error=stale)
        self.source = CertificateSource(
            cast(GuardedClient, self.client), self.cache, lambda: self.now
        )

    async def failure(self) -> CredentialUnavailable:
        found = await self.source.get(URL)
        assert isinstance(found, CredentialUnavailable)
        return found


def served(
    body: bytes = PEM,
    status: int = 200,
    cache_control: str | None = None,
    etag: str | None = None,
) -> Fetched:
    headers = {"cache-control": cache_control, "etag": etag}
    return Fetched(status, {name: value for name, value in headers.items() if value}, body)


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


DEAD = FetchFailed("certificates.example", FailureReason.TIMEOUT, "nothing within 2 s")


@pytest.mark.parametrize("outage", [DEAD, served(status=503), served(status=500)])
async def test_an_expired_copy_serves_on_while_its_server_is_out_of_order(
    outage: Fetched | Exception,
) -> None:
    scene = Scene(served(), stale=600)
    credential = await scene.source.get(URL)
    scene.client.answer = outage
    scene.now += 301
    assert await scene.source.get(URL) is credential
    assert await scene.source.get(URL) is credential
    assert len(scene.client.asked) == 2, "while it serves on, no call waits for its server"
    assert scene.source.served_stale == 1
    scene.now += 600
    assert isinstance(await scene.source.get(URL), CredentialUnavailable)


@pytest.mark.parametrize("answer", [served(status=404), served(status=410), served(b"<html>")])
async def test_a_server_that_says_it_is_gone_is_believed(answer: Fetched) -> None:
    scene = Scene(served(), stale=600)
    await scene.source.get(URL)
    scene.client.answer = answer
    scene.now += 301
    await scene.failure()


async def test_our_own_limit_lets_an_expired_copy_serve_on() -> None:
    scene = Scene(served(), stale=600)
    credential = await scene.source.get(URL)
    scene.client.answer = FetchFailed("our own limit", FailureReason.BUSY, "many")
    scene.now += 301
    assert await scene.source.get(URL) is credential


async def test_a_version_that_is_known_is_not_sent_again() -> None:
    scene = Scene(served(etag='W/"v1"'))
    credential = await scene.source.get(URL)
    scene.client.answer = served(b"", status=304)
    scene.cache.get(URL, scene.now)
    scene.now += 299
    assert scene.cache.due(scene.now, 9) == [URL]
    await once_fresh(scene)
    assert scene.client.tags == [None, 'W/"v1"']
    scene.now += 200
    assert await scene.source.get(URL) is credential
    assert len(scene.client.asked) == 2


@pytest.mark.parametrize("etag", ['"', "v1", '"a b"', '"' + "x" * 300 + '"', '"\x7f"'])
async def test_what_is_no_entity_tag_is_not_sent_back(etag: str) -> None:
    scene = Scene(served(etag=etag))
    await scene.source.get(URL)
    scene.cache.get(URL, scene.now)
    scene.now += 299
    await once_fresh(scene)
    assert scene.client.tags == [None, None]


async def test_a_304_that_was_not_asked_for_is_a_failure() -> None:
    assert "304" in (await Scene(served(b"", status=304)).failure()).detail


async def once_fresh(scene: Scene) -> None:
    """Let one look of the refreshing task happen."""
    keeping = asyncio.create_task(scene.source.keep_fresh())
    for _ in range(5):
        await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_what_calls_use_is_fetched_again_before_it_expires() -> None:
    scene = Scene(served())
    await scene.source.get(URL)
    await scene.source.get(URL)
    scene.now += 200
    await once_fresh(scene)
    assert len(scene.client.asked) == 1
    scene.now += 60
    await once_fresh(scene)
    assert len(scene.client.asked) == 2
    scene.now += 100
    assert isinstance(await scene.source.get(URL), Credential)
    assert len(scene.client.asked) == 2, "no call waited"


@pytest.mark.parametrize("answer", [DEAD, served(status=404), served(b"no certificate")])
async def test_a_refresh_that_fails_takes_nothing_that_is_still_good(
    answer: Fetched | Exception,
) -> None:
    scene = Scene(served())
    credential = await scene.source.get(URL)
    await scene.source.get(URL)
    scene.client.answer = answer
    scene.now += 260
    await once_fresh(scene)
    assert len(scene.client.asked) == 2
    assert await scene.source.get(URL) is credential
    scene.now += 41
    await scene.failure()


async def test_another_certificate_behind_the_url_is_found_when_a_signature_does_not_fit() -> None:
    scene = Scene(served(cache_control="max-age=86400"))
    old = await scene.source.get(URL)
    other = issue_sti_certificate(
        make_root("root", scene.now), TnAuthList((One(ALICE),)), scene.now
    )
    scene.client.answer = served(other.chain_pem)
    assert not await scene.source.changed([URL]), "it was fetched just now"
    scene.now += 60
    assert await scene.source.changed([URL, URL])
    new = await scene.source.get(URL)
    assert isinstance(new, Credential)
    assert new is not old
    scene.now += 100
    assert not await scene.source.changed([URL]), "once in five minutes"
    assert len(scene.client.asked) == 2
    scene.now += 300
    assert not await scene.source.changed([URL]), "asked, and it is the same"
    assert len(scene.client.asked) == 3
    assert await scene.source.get(URL) is new
    assert not await scene.source.changed(["https://unknown.example/"])


async def test_asking_whether_a_url_is_known_is_no_use_of_it() -> None:
    scene = Scene(served())
    await scene.source.get(URL)
    assert scene.source.knows(URL)
    scene.now += 299
    assert scene.cache.due(scene.now, 9) == [], "no call has used it since it was fetched"
    scene.now += 1
    assert not scene.source.knows(URL)
