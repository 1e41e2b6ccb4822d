"""The oblivious way of a lookup: what comes back, and one error for whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.ohttp_keys import GatewayKey, GatewayKeys
from discovery.privacy.private_token import format_challenge
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.token import Token, TokenChallenge, TokenInput
from discovery.privacy.token_key import TokenKey
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.guard import RefusalReason
from gateway.http.ohttp_client import ObliviousClient, PinnedKeys
from gateway.oblivious_way import ObliviousRequests, ObliviousWay

URL = "https://dp.example:8446"


class Client(ObliviousClient):
    """Answers, hangs or raises instead of asking anybody."""

    def __init__(self, does: BinaryResponse | Exception | None) -> None:
        self.does = does
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> BinaryResponse:
        self.asked.append((method, path, headers, body))
        if self.does is None:
            await asyncio.Event().wait()
            raise AssertionError
        if isinstance(self.does, Exception):
            raise self.does
        return self.does


class Tokens:
    """Gives out tokens of one key, then of another; hears what was refused."""

    def __init__(self, *, another: bool = False) -> None:
        self.another = another
        self.heard: list[Collection[bytes]] = []

    async def take(self) -> Token:
        return Token(TokenInput(bytes(32), bytes(32), bytes(32)), bytes(256))

    def refused(self, token: Token, accepted: Collection[bytes]) -> bool:
        self.heard.append(accepted)
        return self.another


async def test_a_lookup_carries_one_token_and_brings_any_status() -> None:
    answer = BinaryResponse(401, (("www-authenticate", "PrivateToken"),), b"no")
    client = Client(answer)
    fetched = await ObliviousWay(client, Tokens()).lookup(URL, b"{}", timeout=1.0)
    assert (fetched.status, fetched.body) == (401, b"no")
    ((method, path, headers, body),) = client.asked
    assert (method, path, body) == ("POST", "/dp/v1/lookup", b"{}")
    assert headers["authorization"].startswith("PrivateToken token=")


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (None, FailureReason.TIMEOUT),
        (PrivacyError(Fault.UNDECRYPTABLE), FailureReason.PROTOCOL),
        (FetchRefused("relay", next(iter(RefusalReason)), "refused"), FailureReason.CONNECT),
        (FetchFailed("relay.example", FailureReason.TLS, "no TLS"), FailureReason.TLS),
    ],
)
async def test_whatever_goes_wrong_is_a_failed_fetch(
    does: Exception | None, reason: FailureReason
) -> None:
    with pytest.raises(FetchFailed) as failed:
        await ObliviousWay(Client(does), Tokens()).lookup(URL, b"{}", timeout=0.02)
    assert failed.value.reason is reason


async def test_a_token_of_an_ended_key_is_followed_by_one_other_and_no_more() -> None:
    key = TokenKey(RsaPrivateKey.generate().public)
    asks = f"Bearer, {format_challenge(TokenChallenge('tokens.example'), key)}"
    client = Client(BinaryResponse(401, (("www-authenticate", asks),), b""))
    tokens, other = Tokens(another=True), Tokens()
    way = ObliviousWay(client, tokens)
    assert (await way.lookup(URL, b"{}", timeout=1.0)).status == 401
    assert len(client.asked) == 2
    assert tokens.heard == [{key.key_id}, {key.key_id}]
    await ObliviousWay(client, other).lookup(URL, b"{}", timeout=1.0)
    assert len(client.asked) == 3
    assert way.outcomes == {"refused": 1}


@pytest.mark.parametrize("asks", ["", "Bearer", "PrivateToken", "PrivateToken x=,,", "\x00" * 9])
async def test_a_challenge_that_is_none_names_no_key(asks: str) -> None:
    client = Client(BinaryResponse(401, (("www-authenticate", asks),), b""))
    tokens = Tokens()
    await ObliviousWay(client, tokens).lookup(URL, b"{}", timeout=1.0)
    assert tokens.heard == [frozenset()]


async def test_what_is_published_is_read_by_its_path() -> None:
    client = Client(BinaryResponse(200, (("content-type", "text/plain"),), b"tile"))
    requests = ObliviousRequests(client)
    fetched = await requests.request("GET", f"{URL}/log/checkpoint", timeout=1.0)
    assert (fetched.status, fetched.body) == (200, b"tile")
    ((method, path, headers, body),) = client.asked
    assert (method, path, headers, body) == ("GET", "/log/checkpoint", {}, b"")
    client.does = PrivacyError(Fault.UNDECRYPTABLE)
    with pytest.raises(FetchFailed):
        await requests.request("GET", f"{URL}/log/checkpoint", timeout=1.0)


class Relay:
    """A Poster that answers as it was told."""

    def __init__(self, answer: Fetched) -> None:
        self.answer = answer

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        return self.answer


@settings(max_examples=200, deadline=None)
@given(
    status=st.integers(100, 599),
    kind=st.sampled_from(["message/ohttp-res", "application/problem+json", "text/html", ""]),
    body=st.one_of(st.binary(max_size=300), st.sampled_from([bytes(32), bytes(61_500)])),
)
def test_whatever_a_relay_answers_is_a_failed_fetch(status: int, kind: str, body: bytes) -> None:
    keys = PinnedKeys(GatewayKeys([GatewayKey(1, bytes(range(32)))]).encode(0.0))
    relay = Relay(Fetched(status, {"content-type": kind}, body))
    client = ObliviousClient("https://relay.example/relay/dp", "dp.example", keys, relay)
    way = ObliviousWay(client, Tokens())
    with pytest.raises(FetchFailed):
        asyncio.run(way.lookup(URL, b"{}", timeout=1.0))
    assert way.outcomes.total() == 1
