"""The way to a directory that it cannot tie to whoever asks: a relay, and a token each time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.private_token import format_authorization, parse_challenges
from discovery.privacy.reason import PrivacyError
from discovery.privacy.token import Token
from discovery.privacy.token_key import parse_token_key
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.ohttp_client import ObliviousClient

_LOOKUP: Final = "/dp/v1/lookup"


class TokenSource(Protocol):
    """Whoever has tokens that the directory takes."""

    async def take(self) -> Token:
        """Give a token out, once. Raises FetchFailed, PrivacyError."""
        ...

    def refused(self, token: Token, accepted: Collection[bytes]) -> bool:
        """Hear that a token was not taken, and the identifiers of keys whose tokens are.

        Return whether to try another one.
        """
        ...


@dataclass(frozen=True, slots=True)
class ObliviousRequests:
    """A `gateway.http.service_client.Requester` for what a directory publishes to everybody."""

    client: ObliviousClient

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        """Make one request within `timeout` seconds; any status is an answer.

        Raises FetchFailed.
        """
        _, _, host, path = url.split("/", 3)
        async with failing(host, timeout):
            answer = await self.client.request(method, f"/{path}", headers or {}, body or b"")
        return Fetched(answer.status, dict(answer.headers), answer.content)


@dataclass(frozen=True, slots=True)
class ObliviousWay:
    """A `gateway.directory_client.Way` to the one directory that `client` is for (RFC 9458).

    `outcomes` counts lookups: answered, refused inside, or the reason they failed for.
    """

    client: ObliviousClient
    tokens: TokenSource = field(repr=False)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def lookup(self, url: str, body: bytes, *, timeout: float) -> Fetched:
        """Send a lookup within `timeout` seconds. Raises FetchFailed."""
        host = url.split("/", 3)[2]
        try:
            async with failing(host, timeout):
                answer, again = await self._once(body)
                if again:
                    answer, _ = await self._once(body)
        except FetchFailed as failed:
            self.outcomes[str(failed.reason)] += 1
            raise
        self.outcomes["answered" if answer.status == 200 else "refused"] += 1
        return Fetched(answer.status, dict(answer.headers), answer.content)

    async def _once(self, body: bytes) -> tuple[BinaryResponse, bool]:
        """Ask with one token; tell whether the same should be asked with another."""
        token = await self.tokens.take()
        headers = {
            "content-type": "application/json",
            "authorization": format_authorization(token),
        }
        answer = await self.client.request("POST", _LOOKUP, headers, body)
        if answer.status != 401:
            return answer, False
        asks = answer.header("www-authenticate") or ""
        return answer, self.tokens.refused(token, accepted_keys(asks))


@asynccontextmanager
async def failing(host: str, timeout: float) -> AsyncIterator[None]:
    """Make a FetchFailed of whatever goes wrong within so many seconds."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise FetchFailed(host, FailureReason.TIMEOUT, f"nothing within {timeout:g} s") from None
    except FetchRefused as refused:
        raise FetchFailed(refused.culprit, FailureReason.CONNECT, refused.detail) from None
    except PrivacyError as error:
        raise FetchFailed(host, FailureReason.PROTOCOL, str(error)) from None


def accepted_keys(asks: str) -> frozenset[bytes]:
    """Return the identifiers of the keys whose tokens a WWW-Authenticate value says are taken."""
    try:
        challenges = parse_challenges(asks)
        keys = [each.token_key for each in challenges if each.token_key is not None]
        return frozenset(parse_token_key(key).key_id for key in keys)
    except PrivacyError:
        return frozenset()
