"""Copies of gateways' key configurations, fetched on a relay's own time and given to everybody.

A gateway that is asked by the relay alone cannot give each client a key of its own, and clients
that compare the copy with what the directory itself publishes see a relay that put in its own
(RFC 9458 section 7).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Final

import structlog

from discovery.privacy.ohttp_keys import MEDIA_TYPE as KEYS_MEDIA_TYPE
from discovery.privacy.ohttp_keys import parse_key_configurations
from discovery.privacy.reason import PrivacyError
from gateway.http.fetch import FetchFailed
from gateway.http.service_client import ServiceClient

__all__ = ["KEYS_MEDIA_TYPE", "KeyCopies"]

_log = structlog.get_logger("ohttp_relay")
_TIMEOUT: Final = 10.0
_RETRY_SECONDS: Final = 30.0


class KeyCopies:
    """One copy a gateway. urls: of the gateways by name; period: seconds between two fetches."""

    def __init__(self, urls: Mapping[str, str], client: ServiceClient, period: float) -> None:
        self._urls = dict(urls)
        self._client = client
        self._period = period
        self._copies: dict[str, bytes] = {}
        self._fetched_at: dict[str, float] = {}

    def get(self, name: str) -> bytes | None:
        """Return the copy of a gateway's `application/ohttp-keys`; None where there is none yet."""
        return self._copies.get(name)

    def ages(self) -> dict[tuple[str, ...], float]:
        """Return how old each copy is in seconds, infinite where there is none."""
        now = time.monotonic()
        never = float("-inf")
        return {(name,): now - self._fetched_at.get(name, never) for name in self._urls}

    async def fetch(self, name: str) -> bool:
        """Fetch one anew; where that fails the copy there is stays, and False is returned."""
        host = self._urls[name].split("/", 3)[2]
        try:
            fetched = await self._client.request(
                "GET", self._urls[name], timeout=_TIMEOUT, headers={"Accept": KEYS_MEDIA_TYPE}
            )
            kind = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
            if fetched.status != 200 or kind != KEYS_MEDIA_TYPE:
                _log.warning("no key configurations", culprit=host, status=fetched.status)
                return False
            parse_key_configurations(fetched.body)
        except (FetchFailed, PrivacyError) as error:
            _log.warning("no key configurations", culprit=host, error=str(error))
            return False
        self._copies[name] = fetched.body
        self._fetched_at[name] = time.monotonic()
        return True

    async def follow(self) -> None:
        """Fetch all, for ever: each period, a failed one sooner."""
        await asyncio.gather(*map(self._follow_one, self._urls))

    async def _follow_one(self, name: str) -> None:
        while True:
            pause = self._period if await self.fetch(name) else min(_RETRY_SECONDS, self._period)
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311
