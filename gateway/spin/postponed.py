"""Invitations that were answered with `later`: kept until their user has chosen, or they expire."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Final

from discovery.model import Service
from discovery.spin.agent import Accepted, Agent
from gateway.spin.keeping import Keeper, Kept, Kind

_PER_NUMBER: Final = 16


class Postponed:
    """Invitations to answer once more, by number; for `im` only, where nobody waits at a phone.

    keeper: where they outlive the process; its StoreUnavailable goes on to the caller.
    max_numbers: numbers that have some, the one quiet longest leaving first; of each the latest 16.
    """

    def __init__(self, keeper: Keeper, *, max_numbers: int = 1000) -> None:
        self._keeper = keeper
        self._max_numbers = max_numbers
        self._held: OrderedDict[str, OrderedDict[str, Accepted]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(held) for held in self._held.values())

    def __contains__(self, accepted: Accepted) -> bool:
        return _name(accepted) in self._held.get(accepted.candidate.invitation.dest, ())

    async def add(self, accepted: Accepted, now: float) -> None:
        """Keep an invitation, if it is one that can wait."""
        invitation = accepted.candidate.invitation
        if invitation.services != (Service.IM,) or now >= invitation.expires_at:
            return
        pushed_out = self._hold(accepted)
        await self._keeper.put(Kind.POSTPONED, _entry(accepted))
        for name in pushed_out:
            await self._keeper.remove(Kind.POSTPONED, name)

    def waiting(self, number: str | None, now: float) -> list[Accepted]:
        """Return what waits for a number, or for all, and has not expired (epoch seconds)."""
        numbers = list(self._held) if number is None else [number]
        held = [each for one in numbers for each in self._held.get(one, {}).values()]
        return [each for each in held if each.candidate.invitation.expires_at > now]

    async def remove(self, accepted: Accepted) -> None:
        """Forget one that is answered, or will never be."""
        held = self._held.get(accepted.candidate.invitation.dest, OrderedDict())
        if held.pop(_name(accepted), None) is None:
            return
        if not held:
            del self._held[accepted.candidate.invitation.dest]
        await self._keeper.remove(Kind.POSTPONED, _name(accepted))

    async def restore(self, agent: Agent, now: float) -> None:
        """Take up what an earlier process kept."""
        for entry in reversed(await self._keeper.all(Kind.POSTPONED, now)):
            accepted = _read(entry, agent, now)
            if accepted is not None:
                self._hold(accepted)

    def forget_old(self, now: float) -> None:
        """Make room: what has expired needs no answer."""
        for number, held in list(self._held.items()):
            for name, accepted in list(held.items()):
                if accepted.candidate.invitation.expires_at <= now:
                    del held[name]
            if not held:
                del self._held[number]

    def _hold(self, accepted: Accepted) -> list[str]:
        """Hold in memory; return the names of those that had to leave."""
        pushed_out: list[str] = []
        number = accepted.candidate.invitation.dest
        held = self._held.setdefault(number, OrderedDict())
        held[_name(accepted)] = accepted
        self._held.move_to_end(number)
        while len(held) > _PER_NUMBER:
            pushed_out.append(held.popitem(last=False)[0])
        while len(self._held) > self._max_numbers:
            pushed_out += self._held.popitem(last=False)[1]
        return pushed_out


def _name(accepted: Accepted) -> str:
    return accepted.candidate.passport.digest()


def _entry(accepted: Accepted) -> Kept:
    document = {
        "token": accepted.candidate.passport.token,
        "known": accepted.sender_known,
        "provider": accepted.provider,
    }
    until = accepted.candidate.invitation.expires_at
    return Kept(_name(accepted), until, json.dumps(document, separators=(",", ":")))


def _read(entry: Kept, agent: Agent, now: float) -> Accepted | None:
    """Read what _entry wrote; None for what is past, or was altered by somebody else."""
    try:
        document = json.loads(entry.value)
        token, known, provider = (document[name] for name in ("token", "known", "provider"))
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(token, str) or not isinstance(provider, str | None):
        return None
    return agent.recall(token, sender_known=known is True, provider=provider, now=now)
