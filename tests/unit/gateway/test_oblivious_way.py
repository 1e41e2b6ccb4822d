"""The oblivious way of a lookup: what comes back, and one error for whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest

from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token import Token, TokenInput
from gateway.http.fetch import FailureReason, FetchFailed, FetchRefused
from gateway.http.guard import RefusalReason
from gateway.http.ohttp_client import ObliviousClient
from gateway.oblivious_way import ObliviousWay

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
    async def take(self) -> Token:
        return Token(TokenInput(bytes(32), bytes(32), bytes(32)), bytes(256))

    def refused(self, token: Token, accepted: Collection[bytes]) -> bool:
        return False


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
