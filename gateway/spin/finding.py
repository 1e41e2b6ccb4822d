"""How the agent's applications find numbers: as calls do, by text message only, or without any."""

from __future__ import annotations

from discovery.model import Resolution, Service
from gateway.http.agent_calls import Mode, ModeUnavailable
from gateway.resolution import Resolver

_MISSING = {
    "auto": "no source is configured",
    "sms": "no invitations are sent here",
    "directory": "no directory is configured",
}


class ResolverFinder:
    """A Finder over resolvers by mode; `use` gives it one, later than the agent is made."""

    def __init__(self) -> None:
        self._resolvers: dict[Mode, Resolver] = {}

    def use(self, mode: Mode, resolver: Resolver) -> None:
        """Ask this resolver for a mode from now on."""
        self._resolvers[mode] = resolver

    def check(self, mode: Mode) -> None:
        if mode not in self._resolvers:
            raise ModeUnavailable(_MISSING[mode])

    async def find(
        self, number: str, service: Service, *, caller: str, mode: Mode, timeout: float
    ) -> Resolution:
        self.check(mode)
        return await self._resolvers[mode].resolve(number, service, caller=caller, budget=timeout)

    async def close(self) -> None:
        """Give up the questions of the resolvers that are ours alone."""
        for mode, resolver in self._resolvers.items():
            if mode != "auto":
                await resolver.close()
