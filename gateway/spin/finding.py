"""How the agent's applications find numbers: as calls do, by text message only, or without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from discovery.model import Resolution, Service
from discovery.sources import About, Describable
from gateway.http.agent_calls import Mode, ModeUnavailable
from gateway.resolution import Resolver, TimedSource

_MISSING = {
    "auto": "no source is configured",
    "sms": "no invitations are sent here",
    "directory": "no directory is configured",
}


class ResolverFinder:
    """A Finder over resolvers by mode; `use` gives it one, later than the agent is made."""

    def __init__(self) -> None:
        self._resolvers: dict[Mode, Resolver] = {}
        self._sources: dict[Mode, tuple[TimedSource, ...]] = {}

    def use(self, mode: Mode, resolver: Resolver, sources: Sequence[TimedSource]) -> None:
        """Ask this resolver, which is of these sources, for a mode from now on."""
        self._resolvers[mode] = resolver
        self._sources[mode] = tuple(sources)

    def check(self, mode: Mode) -> None:
        if mode not in self._resolvers:
            raise ModeUnavailable(_MISSING[mode])

    async def find(
        self,
        number: str,
        service: Service,
        *,
        caller: str,
        mode: Mode,
        timeout: float,
        about: About,
    ) -> Resolution:
        self.check(mode)
        resolver = self._resolvers[mode]
        if not about:
            return await resolver.resolve(number, service, caller=caller, budget=timeout)
        # Without cache, and apart from questions of others: the answer is to this one alone.
        sources = [_described(timed, about) for timed in self._sources[mode]]
        described = resolver.apart(sources)
        try:
            return await described.resolve(number, service, caller=caller, budget=timeout)
        finally:
            await described.close()

    async def close(self) -> None:
        """Give up the questions of the resolvers that are ours alone."""
        for mode, resolver in self._resolvers.items():
            if mode != "auto":
                await resolver.close()


def _described(timed: TimedSource, about: About) -> TimedSource:
    if not isinstance(timed.source, Describable):
        return timed
    return replace(timed, source=timed.source.describing(about))
