"""Engines of SPIN whose state outlives the process: nonces, references, invitations, carriages.

Each decides in memory and writes what it decided before its answer counts. Its methods raise
StoreUnavailable.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from discovery.model import Service
from discovery.spin.networks import Carriage, Learnt, Networks
from discovery.spin.nonces import Nonces
from discovery.spin.pending import PendingInvitations, Standing, Waiting
from discovery.spin.reference import References
from gateway.spin.keeping import Keeper, Kept, Kind

# What was learnt of a carriage fades: networks change.
_LEARNT_SECONDS: Final = 86_400.0


class KeptNonces:
    """Nonces for proofs, each redeemed once, whatever process issued it."""

    def __init__(self, random: Callable[[int], bytes], keeper: Keeper) -> None:
        self._nonces = Nonces(random)
        self._keeper = keeper

    @property
    def lifetime(self) -> float:
        return self._nonces.lifetime

    async def issue(self, owner: str, now: float) -> str:
        """Return a fresh nonce for an owner (epoch seconds)."""
        nonce = self._nonces.issue(owner, now)
        await self._keeper.put(Kind.NONCE, Kept(nonce, now + self.lifetime, owner))
        return nonce

    async def redeem(self, nonce: str, owner: str, now: float) -> bool:
        """Use a nonce; tell whether the owner got it, had not used it yet, and is in time."""
        if not self._nonces.redeem(nonce, owner, now):
            return False
        return await self._keeper.remove(Kind.NONCE, nonce)

    async def restore(self, now: float) -> None:
        """Take up what an earlier process issued, the oldest first."""
        for entry in reversed(await self._keeper.all(Kind.NONCE, now)):
            self._nonces.restore(entry.name, entry.value, entry.until)


class KeptReferences:
    """Invitations that are fetched from us by reference."""

    def __init__(self, references: References, keeper: Keeper) -> None:
        self._references = references
        self._keeper = keeper

    async def add(self, token: str, until: float, now: float) -> str:
        """Keep a token until the given time; return its id. Raises Refused(OVERLOADED)."""
        reference_id = self._references.add(token, until, now)
        await self._put(reference_id)
        return reference_id

    async def fetch(self, reference_id: str, now: float) -> str | None:
        """Return the token of an id, None for an unknown, expired or worn-out one."""
        token = self._references.fetch(reference_id, now)
        if token is not None:
            await self._put(reference_id)
        return token

    async def restore(self, now: float) -> None:
        """Take up what an earlier process handed out."""
        for entry in await self._keeper.all(Kind.REFERENCE, now):
            fetches, _, token = entry.value.partition(" ")
            self._references.restore(entry.name, token, entry.until, int(fetches))

    async def _put(self, reference_id: str) -> None:
        token, until, fetches = self._references.standing(reference_id)
        await self._keeper.put(Kind.REFERENCE, Kept(reference_id, until, f"{fetches} {token}"))


class KeptInvitations:
    """Invitations sent that wait for long: those for messages. The others end with us."""

    def __init__(self, pending: PendingInvitations, keeper: Keeper) -> None:
        self._pending = pending
        self._keeper = keeper

    async def write(self, invitation_id: str) -> None:
        """Keep how an invitation stands now, if it is one that outlives us."""
        standing = self._pending.lasting(invitation_id)
        if standing is not None:
            await self._keeper.put(Kind.WAITING, _kept_standing(standing))

    async def forget(self, invitation_id: str) -> None:
        """Forget one that was never sent."""
        await self._keeper.remove(Kind.WAITING, invitation_id)

    async def restore(self, now: float) -> None:
        """Take up what an earlier process sent, the longest to live first."""
        for entry in await self._keeper.all(Kind.WAITING, now):
            standing = _read_standing(entry)
            if standing is not None:
                self._pending.restore(standing, now)


class KeptNetworks:
    """What was learnt of carriages; written now and then, for it is only experience."""

    def __init__(self, networks: Networks, keeper: Keeper) -> None:
        self._networks = networks
        self._keeper = keeper

    async def write(self, now: float) -> None:
        """Keep what was learnt since the last time."""
        for learnt in self._networks.take_changes():
            name = f"{learnt.prefix}:{learnt.carriage}"
            if not learnt.failures:
                await self._keeper.remove(Kind.CARRIAGE, name)
                continue
            until = max(learnt.avoided_until, now + _LEARNT_SECONDS)
            value = f"{learnt.failures} {learnt.avoided_until}"
            await self._keeper.put(Kind.CARRIAGE, Kept(name, until, value))

    async def restore(self, now: float) -> None:
        """Take up what an earlier process learnt."""
        for entry in await self._keeper.all(Kind.CARRIAGE, now):
            prefix, _, carriage = entry.name.partition(":")
            failures, _, until = entry.value.partition(" ")
            if carriage in set(Carriage):
                learnt = Learnt(prefix, Carriage(carriage), int(failures), float(until))
                self._networks.restore(learnt)


def _kept_standing(standing: Standing) -> Kept:
    waiting = standing.waiting
    document = {
        "token": waiting.token,
        "jti": waiting.jti,
        "number": waiting.number,
        "caller": waiting.caller,
        "svc": [str(service) for service in waiting.services],
        "iat": waiting.issued_at,
        "described": waiting.described,
        "digest": standing.digest,
        "settled": standing.settled_by,
        "postponed": standing.postponed_by,
    }
    text = json.dumps(document, separators=(",", ":"))
    return Kept(waiting.invitation_id, waiting.expires_at, text)


def _read_standing(entry: Kept) -> Standing | None:
    """Read what _kept_standing wrote; None for what a later release will have written."""
    try:
        document = json.loads(entry.value)
        waiting = Waiting(
            entry.name,
            str(document["token"]),
            str(document["jti"]),
            str(document["number"]),
            str(document["caller"]),
            tuple(Service(service) for service in document["svc"]),
            float(document["iat"]),
            entry.until,
            document["described"] is True,
        )
        settled, postponed = document["settled"], document["postponed"]
        return Standing(waiting, str(document["digest"]), settled, postponed)
    except (ValueError, KeyError, TypeError):
        return None
