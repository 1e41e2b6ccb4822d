"""One time limit for all DNS questions of one search, however many it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from sip.dns import DnsClient, DnsUnavailable, Naptr, Srv

_OURSELVES: Final = "our own limit of time"
_T = TypeVar("_T")


class DnsBudget:
    """A `sip.dns.DnsClient` for one search (RFC 3263) that may take `seconds` altogether.

    Its clock starts when it is made. NAPTR gets half of the time at most: where something on the
    way swallows it, SRV may still be answered. A question that is given up here goes on in the
    resolver, so that its answer is there for the next search.
    """

    def __init__(self, dns: DnsClient, seconds: float) -> None:
        self._dns = dns
        self._half = seconds / 2
        self._seconds = seconds
        self._began = asyncio.get_running_loop().time()

    async def naptr(self, name: str) -> tuple[Naptr, ...]:
        """Ask for NAPTR records; raises DnsUnavailable."""
        return await self._within(self._half, name, self._dns.naptr(name))

    async def srv(self, name: str) -> tuple[Srv, ...]:
        """Ask for SRV records; raises DnsUnavailable."""
        return await self._within(self._seconds, name, self._dns.srv(name))

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Ask for addresses; raises DnsUnavailable."""
        return await self._within(self._seconds, name, self._dns.addresses(name))

    async def _within(self, until: float, name: str, question: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout_at(self._began + until):
                return await question
        except TimeoutError:
            detail = f"no answer within {until:g} s for the whole search"
            raise DnsUnavailable(name, _OURSELVES, detail) from None
