"""Digest authentication of own users, and what becomes of those who guess."""

from __future__ import annotations

import contextlib

import pytest

from gateway.policy.logins import Logins
from gateway.refusal import CallRefused
from sip.digest import DigestAuthenticator, StoredCredential, authorize
from sip.failure_throttle import FailureThrottle
from sip.message import Request
from tests.support.sip_messages import request

SOURCE, ELSEWHERE = "198.51.100.7", "198.51.100.8"
REALM = "alpha.example"


async def lookup(username: str, realm: str) -> StoredCredential | None:
    return StoredCredential.of_password(username, realm, "right") if username == "alice" else None


@pytest.fixture
def logins() -> Logins:
    digest = DigestAuthenticator(REALM, lookup, nonce_key=bytes(16))
    return Logins(digest, FailureThrottle(allowed=3, window=60, block=60))


async def refusal(
    logins: Logins, asked: Request, *, source: str = SOURCE, now: float = 0.0, proxy: bool = True
) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        await logins.username(asked, source, now, proxy=proxy)
    return caught.value


async def with_password(logins: Logins, password: str, username: str = "alice") -> Request:
    challenges = [value for _, value in (await refusal(logins, request(), source="::1")).headers]
    value = authorize(
        challenges, username=username, password=password, method="INVITE", uri=request().request_uri
    )
    return request(extra=(("Proxy-Authorization", value or ""),))


@pytest.mark.parametrize(("proxy", "status"), [(True, 407), (False, 401)])
async def test_without_credentials_there_are_challenges(
    logins: Logins, proxy: bool, status: int
) -> None:
    refused = await refusal(logins, request(), proxy=proxy)
    assert refused.status == status
    assert len(refused.headers) == 2


async def test_the_right_password_names_the_user(logins: Logins) -> None:
    asked = await with_password(logins, "right")
    assert await logins.username(asked, SOURCE, 0.0, proxy=True) == "alice"


@pytest.mark.parametrize("username", ["alice", "nobody"])
async def test_a_wrong_password_and_an_unknown_user_look_the_same(
    logins: Logins, username: str
) -> None:
    refused = await refusal(logins, await with_password(logins, "wrong", username))
    assert refused.status == 407
    assert refused.text == ""


async def test_a_source_that_guesses_is_blocked_even_when_it_guesses_right(logins: Logins) -> None:
    for _ in range(3):
        assert (await refusal(logins, await with_password(logins, "wrong"))).status == 407
    right = await with_password(logins, "right")
    refused = await refusal(logins, right, now=10.5)
    assert refused.status == 503
    assert refused.headers == (("Retry-After", "50"),)
    assert await logins.username(right, ELSEWHERE, 10.5, proxy=True) == "alice"


async def test_the_block_ends(logins: Logins) -> None:
    for _ in range(3):
        await refusal(logins, await with_password(logins, "wrong"))
    assert await logins.username(await with_password(logins, "right"), SOURCE, 60, proxy=True)


async def test_one_known_password_forgives_no_guesses_at_others(logins: Logins) -> None:
    refused = []
    for _ in range(4):
        refused.append((await refusal(logins, await with_password(logins, "wrong"))).status)
        if refused[-1] == 407:
            right = await with_password(logins, "right")
            with contextlib.suppress(CallRefused):
                await logins.username(right, SOURCE, 0.0, proxy=True)
    assert refused == [407, 407, 407, 503]


async def test_requests_without_credentials_are_no_guesses(logins: Logins) -> None:
    for _ in range(10):
        assert (await refusal(logins, request())).status == 407


async def test_contradicting_credentials_are_400(logins: Logins) -> None:
    asked = await with_password(logins, "right")
    elsewhere = asked.with_uri("sip:+12125550199@beta.example")
    assert (await refusal(logins, elsewhere)).status == 400
