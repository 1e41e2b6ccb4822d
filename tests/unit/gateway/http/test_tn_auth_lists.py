"""A certificate's TNAuthList by reference is fetched with it, kept with it, and refetched."""

from __future__ import annotations

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
from stir.certificates.certificate import Credential
from stir.certificates.credential_cache import CredentialCache
from stir.certificates.issuing import issue_sti_certificate, make_root
from stir.certificates.tn_auth_list import One, TnAuthList, build_tn_auth_list
from stir.reason import Reason

URL = "https://certificates.example/certs/alpha.pem"
LIST_URL = "https://certificates.example/lists/alpha.der"
NUMBER = One("14155550100")
PEM = issue_sti_certificate(
    make_root("root", time.time()), None, time.time(), tn_auth_list_url=LIST_URL
).chain_pem
DER = build_tn_auth_list([NUMBER])


def served(body: bytes, *, max_age: int | None = None, status: int = 200) -> Fetched:
    headers = {"etag": '"one"'}
    if max_age is not None:
        headers["cache-control"] = f"max-age={max_age}"
    return Fetched(status, headers, body)


class Scene:
    """A source whose client answers by URL."""

    def __init__(self, pem: Fetched, der: Fetched | Exception, *, trusted: bool = True) -> None:
        self.now = time.time()
        self.answers: dict[str, Fetched | Exception] = {URL: pem, LIST_URL: der}
        self.asked: list[tuple[str, str | None]] = []
        self.cache = CredentialCache(stale_if_error=3_600)
        self.trusted = trusted
        self.source = CertificateSource(
            cast(GuardedClient, self), self.cache, lambda: self.now, trusts=lambda _: self.trusted
        )

    async def get(
        self, url: str, *, accept: str = "*/*", if_none_match: str | None = None
    ) -> Fetched:
        self.asked.append((url, if_none_match))
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def credential(self) -> Credential:
        found = await self.source.get(URL)
        assert isinstance(found, Credential)
        return found

    def lifetime(self) -> float:
        entry = self.cache.entry(URL)
        assert entry is not None
        return entry.expires - self.now


async def test_the_list_comes_with_the_certificate_once() -> None:
    scene = Scene(served(PEM), served(DER))
    for _ in range(3):
        credential = await scene.credential()
        assert credential.tn_auth_list == TnAuthList((NUMBER,))
        assert credential.authority_problem is None
    assert [url for url, _ in scene.asked] == [URL, LIST_URL]


@pytest.mark.parametrize(
    ("of_certificate", "of_list", "kept"),
    [(3_600, 7_200, 3_600), (7_200, 3_600, 3_600), (None, 3_600, 300), (3_600, None, 300)],
)
async def test_what_ends_sooner_ends_both(
    of_certificate: int | None, of_list: int | None, kept: float
) -> None:
    scene = Scene(served(PEM, max_age=of_certificate), served(DER, max_age=of_list))
    await scene.credential()
    assert scene.lifetime() == pytest.approx(kept)


async def test_both_are_fetched_again_and_not_asked_whether_they_changed() -> None:
    scene = Scene(served(PEM), served(DER))
    await scene.credential()
    scene.answers[LIST_URL] = served(build_tn_auth_list([One("14155550199")]))
    scene.now += 301
    credential = await scene.credential()
    assert credential.tn_auth_list == TnAuthList((One("14155550199"),))
    assert scene.asked[2:] == [(URL, None), (LIST_URL, None)]


FAILURES: list[Fetched | Exception] = [
    FetchFailed("certificates.example", FailureReason.TIMEOUT, "nothing within 2 s"),
    FetchRefused("certificates.example", RefusalReason.ADDRESS, "a private address"),
    served(b"", status=404),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_list_that_is_away_is_asked_for_again_soon(failure: Fetched | Exception) -> None:
    scene = Scene(served(PEM, max_age=86_400), failure)
    credential = await scene.credential()
    problem = credential.authority_problem
    assert problem is not None
    assert problem.reason is Reason.AUTHORITY_UNAVAILABLE
    assert scene.lifetime() == pytest.approx(30)
    scene.answers[LIST_URL] = served(DER)
    scene.now += 31
    assert (await scene.credential()).authority_problem is None


async def test_the_last_list_serves_on_while_its_server_is_out_of_order() -> None:
    scene = Scene(served(PEM), served(DER))
    await scene.credential()
    scene.answers[LIST_URL] = FAILURES[0]
    scene.now += 301
    credential = await scene.credential()
    assert credential.tn_auth_list == TnAuthList((NUMBER,))
    assert scene.source.served_stale == 1
    scene.now += 4_000
    assert (await scene.credential()).authority_problem is not None


async def test_nothing_is_fetched_because_a_certificate_of_nobodys_says_so() -> None:
    scene = Scene(served(PEM), served(DER), trusted=False)
    credential = await scene.credential()
    assert credential.authority_problem is not None
    assert credential.authority_problem.reason is Reason.AUTHORITY_UNAVAILABLE
    assert [url for url, _ in scene.asked] == [URL]
    scene.trusted = True  # the list of STI-CAs has one more
    scene.source.anchors_changed()
    assert (await scene.credential()).authority_problem is None
