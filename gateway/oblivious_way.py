"""The way of a lookup that no directory can tie to whoever asks: a relay, and a token each time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from discovery.privacy.private_token import format_authorization
from discovery.privacy.reason import PrivacyError
from discovery.privacy.token import Token
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.ohttp_client import ObliviousClient

_LOOKUP: Final = "/dp/v1/lookup"


class TokenSource(Protocol):
    """Whoever has tokens that the directory takes."""

    async def take(self) -> Token:
        """Give a token out, once. Raises FetchFailed, PrivacyError."""
        ...


@dataclass(frozen=True, slots=True)
class ObliviousWay:
    """A `gateway.directory_client.Way` to the one directory that `client` is for (RFC 9458)."""

    client: ObliviousClient
    tokens: TokenSource = field(repr=False)

    async def lookup(self, url: str, body: bytes, *, timeout: float) -> Fetched:
        """Send a lookup within `timeout` seconds. Raises FetchFailed."""
        host = url.split("/", 3)[2]
        try:
            async with asyncio.timeout(timeout):
                headers = {
                    "content-type": "application/json",
                    "authorization": format_authorization(await self.tokens.take()),
                }
                answer = await self.client.request("POST", _LOOKUP, headers, body)
        except TimeoutError:
            detail = f"nothing within {timeout:g} s"
            raise FetchFailed(host, FailureReason.TIMEOUT, detail) from None
        except FetchRefused as refused:
            raise FetchFailed(refused.culprit, FailureReason.CONNECT, refused.detail) from None
        except PrivacyError as error:
            raise FetchFailed(host, FailureReason.PROTOCOL, str(error)) from None
        return Fetched(answer.status, dict(answer.headers), answer.content)
