"""Buying tokens ahead: how many, when, of which key, and what a hostile issuer can do about it."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Mapping
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.privacy.token import (
    ISSUER_DIRECTORY_MEDIA_TYPE,
    ISSUER_DIRECTORY_PATH,
    RESPONSE_MEDIA_TYPE,
    TokenChallenge,
)
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.token_source import BoughtTokens, BuyingSettings, read_key_id
from tests.support.virtual_loop import VirtualLoop

NOW = 1_795_000_000.0
ISSUER = "https://tokens.example:8449"
ORIGIN = "dp.example"
CHALLENGE = TokenChallenge("tokens.example", b"", (ORIGIN,))


@cache
def issuer_key(number: int = 0) -> IssuerKey:
    del number
    return IssuerKey.generate(not_before=0.0, issue_until=1e12, accept_until=1e12)


class Issuer:
    """A Requester that is an issuer, or answers as it was told; every request is noted."""

    def __init__(self, *keys: IssuerKey, per_day: int = 10_000) -> None:
        self.issuer = TokenIssuer(keys or [issuer_key()], DailyQuota(per_day))
        self.request_uri = "/token-request"
        self.says: list[Fetched | FetchFailed] = []
        self.directory_says: Fetched | None = None
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.now = NOW

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        self.asked.append((method, url, headers or {}))
        if url == ISSUER + ISSUER_DIRECTORY_PATH:
            encoded = self.issuer.directory(self.request_uri, self.now).encode()
            said = Fetched(200, {"content-type": ISSUER_DIRECTORY_MEDIA_TYPE}, encoded)
            return self.directory_says or said
        if self.says:
            answer = self.says.pop(0)
            if isinstance(answer, FetchFailed):
                raise answer
            return answer
        signed = self.issuer.issue(body or b"", "alpha", self.now)
        return Fetched(200, {"content-type": RESPONSE_MEDIA_TYPE}, signed)

    def clock(self) -> float:
        return self.now

    @property
    def requests(self) -> int:
        """Requests for tokens."""
        return sum(method == "POST" for method, *_ in self.asked)


def tokens(issuer: Issuer, *keys: IssuerKey, **changes: object) -> BoughtTokens:
    pinned = frozenset(key.public.key_id for key in keys or (issuer_key(),))
    values: dict[str, object] = {"ready": 4, "batch": 2, "credential": "Bearer secret", **changes}
    made = BuyingSettings(ISSUER, "tokens.example", ORIGIN, pinned, **values)  # type: ignore[arg-type]
    return BoughtTokens(made, issuer, issuer.clock, rand=random.Random(1))


def failed(status: int, **headers: str) -> Fetched:
    return Fetched(status, {"content-type": "application/problem+json", **headers}, b"{}")


async def test_tokens_are_bought_up_to_what_is_kept_and_a_directory_takes_them() -> None:
    issuer = Issuer()
    bought = tokens(issuer)
    pause = await bought.round()
    assert (len(bought), bought.bought, issuer.requests) == (4, 4, 4)
    assert 30.0 <= pause <= 90.0
    verifier = TokenVerifier([AcceptedKey(issuer_key().public, CHALLENGE)], ORIGIN)
    for _ in range(4):
        verifier.redeem(await bought.take(), NOW)
    with pytest.raises(FetchFailed) as none_left:
        await bought.take()
    assert none_left.value.reason is FailureReason.BUSY
    assert all(
        sent["Authorization"] == "Bearer secret" for how, _, sent in issuer.asked if how == "POST"
    )


async def test_only_whole_batches_are_bought() -> None:
    issuer = Issuer()
    bought = tokens(issuer)
    await bought.round()
    await bought.take()
    await bought.round()
    assert issuer.requests == 4
    await bought.take()
    await bought.round()
    assert issuer.requests == 6


def test_times_of_buying_are_the_same_whatever_is_looked_up() -> None:
    async def when(lookups: list[float]) -> list[float]:
        loop = asyncio.get_running_loop()
        issuer, times = Issuer(), []
        bought = tokens(issuer, interval=60.0)
        original = bought.round

        async def noted() -> float:
            times.append(loop.time())
            return await original()

        bought.round = noted  # type: ignore[method-assign]
        running = asyncio.ensure_future(bought.run())
        for moment in lookups:
            loop.call_later(moment, lambda: asyncio.ensure_future(_taken(bought)))
        await asyncio.sleep(600)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return times

    seen = []
    for lookups in ([], [61.0, 62.0, 63.0, 64.0, 65.0, 300.0]):
        loop = VirtualLoop()
        task = loop.create_task(when(lookups))
        for _ in range(700):
            loop.advance(1.0)
        seen.append(task.result())
        loop.close()
    assert seen[0] == seen[1]
    assert len(seen[0]) > 5


async def _taken(bought: BoughtTokens) -> None:
    try:
        await bought.take()
    except FetchFailed:
        return


async def test_an_issuer_that_is_down_is_asked_less_and_less_and_tokens_in_hand_stay() -> None:
    issuer = Issuer()
    bought = tokens(issuer)
    await bought.round()
    await bought.take()
    await bought.take()
    pauses = []
    for _ in range(12):
        issuer.says = [FetchFailed("tokens.example", FailureReason.CONNECT, "refused")] * 2
        pauses.append(await bought.round())
    assert len(bought) == 2
    assert bought.failed["connect"] == 12
    assert pauses[0] < 10
    assert 450 <= pauses[-1] <= 1_350
    issuer.says = []
    assert await bought.round() <= 90
    assert len(bought) == 4


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("120", 120, 144),
        ("", 60, 72),
        ("1", 30, 36),
        ("99999999", 3_600, 4_320),
        ("-5", 60, 72),
        ("٣", 60, 72),
    ],
)
async def test_a_used_up_quota_is_waited_out(retry_after: str, least: int, most: int) -> None:
    issuer = Issuer()
    bought = tokens(issuer)
    issuer.says = [failed(429, **{"retry-after": retry_after})] * 4
    assert least <= await bought.round() <= most
    assert bought.failed["quota"] == 1


async def test_a_key_that_is_not_pinned_is_never_used() -> None:
    marked = issuer_key(1)
    issuer = Issuer(marked)
    bought = tokens(issuer, issuer_key())
    await bought.round()
    assert (len(bought), issuer.requests, bought.failed["key_unknown"]) == (0, 0, 1)


async def test_a_key_before_its_time_is_not_used_and_a_clock_behind_is_a_failure() -> None:
    issuer = Issuer(IssuerKey(issuer_key().private, not_before=NOW + 3_600))
    bought = tokens(issuer)
    await bought.round()
    assert (issuer.requests, bought.failed["key_unknown"]) == (0, 1)
    issuer.now = NOW + 3_601
    await bought.round()
    assert len(bought) == 4


async def test_tokens_of_an_ended_key_are_dropped_and_the_next_key_is_bought() -> None:
    old, new = issuer_key(), issuer_key(1)
    issuer = Issuer(old)
    bought = tokens(issuer, old, new)
    await bought.round()
    issuer.issuer.replace_keys([new])
    issuer.now += 3_601
    await bought.round()
    assert len(bought) == 4
    assert {(await bought.take()).signed.key_id for _ in range(4)} == {new.public.key_id}


async def test_old_tokens_are_dropped_whether_a_clock_jumps_or_time_passes() -> None:
    issuer = Issuer()
    bought = tokens(issuer, lifetime=100.0)
    await bought.round()
    issuer.now += 101
    with pytest.raises(FetchFailed):
        await bought.take()
    await bought.round()
    assert len(bought) == 4
    issuer.now -= 1_000_000
    await bought.round()
    assert len(bought) == 4


async def test_what_the_directory_does_not_take_is_dropped_and_nothing_is_bought_for_it() -> None:
    old, new = issuer_key(), issuer_key(1)
    issuer = Issuer(old)
    bought = tokens(issuer, old, new)
    await bought.round()
    requests = issuer.requests
    token = await bought.take()
    assert bought.refused(token, frozenset()) is False
    assert bought.refused(token, {old.public.key_id}) is False  # spent, perhaps
    assert len(bought) == 3
    assert bought.refused(token, {new.public.key_id}) is False
    assert (len(bought), issuer.requests) == (0, requests)


@pytest.mark.parametrize(
    "request_uri",
    [
        "https://evil.example/token-request",
        "//evil.example/token-request",
        "http://tokens.example:8449/token-request",
        "https://tokens.example/token-request",
        "https://user@tokens.example:8449/token-request",
        "https://tokens.example:8449/x#y",
        "https://[::1",
        "https://tokens.example:99999/",
    ],
)
async def test_the_credential_goes_to_the_issuer_and_nowhere_else(request_uri: str) -> None:
    issuer = Issuer()
    issuer.request_uri = request_uri
    bought = tokens(issuer)
    await bought.round()
    assert (issuer.requests, bought.failed["malformed"]) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        failed(401),
        failed(422),
        failed(500),
        failed(503),
        Fetched(200, {}, b""),
        Fetched(200, {"content-type": "text/html"}, b"<html>"),
        Fetched(200, {"content-type": RESPONSE_MEDIA_TYPE}, b""),
        Fetched(200, {"content-type": RESPONSE_MEDIA_TYPE}, b"\xff" * 256),
        Fetched(200, {"content-type": RESPONSE_MEDIA_TYPE}, bytes(10_000)),
    ],
    ids=lambda answer: f"{answer.status} {len(answer.body)}",
)
async def test_no_answer_of_an_issuer_is_worse_than_no_token(answer: Fetched) -> None:
    issuer = Issuer()
    bought = tokens(issuer)
    issuer.says = [answer] * 4
    assert await bought.round() > 0
    assert len(bought) == 0
    assert sum(bought.failed.values()) == 1


_KINDS = st.sampled_from(["", ISSUER_DIRECTORY_MEDIA_TYPE, RESPONSE_MEDIA_TYPE, "text/plain"])
_SPKI = base64.urlsafe_b64encode(issuer_key().public.spki)
_BODIES = st.one_of(
    st.binary(max_size=400),
    st.sampled_from([b"{}", b"[]", b'{"issuer-request-uri":1,"token-keys":[]}', b"[" * 5_000]),
    st.binary(max_size=40).map(
        lambda noise: (
            b'{"issuer-request-uri":"/'
            + noise
            + b'","token-keys":[{"token-type":2,"token-key":"'
            + _SPKI
            + b'"}]}'
        )
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    directory=st.tuples(st.integers(100, 599), _KINDS, _BODIES),
    answers=st.lists(st.tuples(st.integers(100, 599), _KINDS, _BODIES), min_size=4, max_size=4),
    good_directory=st.booleans(),
)
def test_whatever_an_issuer_says_a_round_ends_with_a_pause(
    directory: tuple[int, str, bytes],
    answers: list[tuple[int, str, bytes]],
    good_directory: bool,
) -> None:
    issuer = Issuer()
    if not good_directory:
        status, kind, body = directory
        issuer.directory_says = Fetched(status, {"content-type": kind}, body)
    issuer.says = [Fetched(status, {"content-type": kind}, body) for status, kind, body in answers]
    bought = tokens(issuer)
    assert 0 < asyncio.run(bought.round()) <= 4_320
    assert len(bought) == 0


def test_a_key_identifier_is_43_characters_of_base64url() -> None:
    key_id = issuer_key().public.key_id
    assert read_key_id(base64.urlsafe_b64encode(key_id).decode().rstrip("=")) == key_id


async def test_nothing_secret_shows() -> None:
    issuer = Issuer()
    bought = tokens(issuer)
    await bought.round()
    assert "secret" not in repr(bought._settings)
    assert repr(await bought.take()) == "Token()"
