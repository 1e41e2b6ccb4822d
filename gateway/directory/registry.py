"""The directory role: records taken in, held, replaced and removed (R1, R4, R9, R10)."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from discovery.directory.answer import MAX_RECORDS
from discovery.directory.client import Chains, read_chain
from discovery.directory.holder import Holder
from discovery.directory.holding import HOLD, Claim, Granted, Held, judge_claim
from discovery.directory.identifier import Identifier
from discovery.directory.jws import Key, Signed, encode
from discovery.directory.reason import Refusal, Refused
from discovery.directory.record import MAX_LIFETIME, Record, parse_record
from discovery.directory.registering import check_registration, check_release, check_removal
from discovery.directory.statements import FRESH, parse_release, parse_removal
from discovery.spin.limits import ReplayMemory
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.log_entering import RecordEntries
from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import IdentifierTransaction, RecordStore, StoredRecord, live

_log = structlog.get_logger("directory")
# Two that live and two that wait: more keys claiming one identifier are turned away.
_MAX_KEYS: Final = 2 * MAX_RECORDS
_MAX_STATEMENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ReleasePresented:
    """A release and the chain of whoever signed it, as they were presented."""

    token: object
    chain: object


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a record: when it counts from (epoch seconds), who else claims it, and what
    the owner watches the log with (None without a log)."""

    live_at: float
    claims: tuple[Claim, ...]
    receipt: Mapping[str, object] | None = None


class Removed(Protocol):
    """Whoever has to know that a provider removed an identifier: the authority beside us."""

    async def __call__(self, csi: Identifier, now: float) -> None: ...


Tell = Callable[[Identifier, Claim], Awaitable[None]]


class Registry:
    """Takes records in and away. `url` is the directory's own.

    `told` is called of each new claim on an identifier that another key holds; `removed` of each
    removal by a provider; `changed` of each identifier whose records may be others now; wall_clock
    gives epoch seconds; `hold` in seconds.
    """

    def __init__(
        self,
        store: RecordStore,
        chains: Chains,
        log: LogSink,
        wall_clock: Callable[[], float],
        *,
        url: str,
        told: Tell | None = None,
        removed: Removed | None = None,
        changed: Callable[[str], None] | None = None,
        hold: float = HOLD,
    ) -> None:
        self._store = store
        self._chains = chains
        self._log = log
        self._entries = RecordEntries(store, log)
        self._wall_clock = wall_clock
        self._url = url
        self._acted_on = ReplayMemory(max_entries=_MAX_STATEMENTS)
        self._told = told
        self._removed = removed
        self._changed = changed
        self._hold = hold
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    async def register(
        self, token: object, chain: object, release: ReleasePresented | None = None
    ) -> Registered:
        """Keep a record, or hold it. Raises Refused or DirectoryUnavailable.

        The record kept already may be sent again, with a newer certificate of its key.
        """
        now = self._wall_clock()
        signed, record = parse_record(token)
        texts = read_chain(chain)
        holder = self._chains.holder(texts, now)
        with self._entries.under_way(signed.digest):
            return await self._register(signed, record, holder, texts, release, now)

    async def enter_missing(self) -> int:
        """Enter in the log what a crash left out; return how many records. Raises
        DirectoryUnavailable."""
        return await self._entries.enter_missing(self._wall_clock())

    async def close(self) -> None:
        """Wait for what is being entered in the log."""
        await self._entries.close()

    async def _register(
        self,
        signed: Signed,
        record: Record,
        holder: Holder,
        texts: tuple[str, ...],
        release: ReleasePresented | None,
        now: float,
    ) -> Registered:
        csi = record.csi
        async with self._store.identifier(str(csi)) as identifier:
            floor = await identifier.floor(holder.thumbprint)
            is_new = check_registration(signed, record, holder, floor, now)
            kept = await identifier.records()
            live_at, fresh = await self._judge(identifier, csi, holder, kept, release, now)
            stored = StoredRecord(
                csi=str(csi),
                thumbprint=holder.thumbprint,
                token=signed.token,
                digest=signed.digest,
                chain=texts,
                drops_others=record.new,
                opted_out=record.opted_out,
                live_at=live_at,
                until=min(float(record.expires_at), holder.not_after),
                log_index=None if is_new else _log_index(kept, signed.digest),
            )
            await identifier.remove(_dropped(kept, stored, now))
            await identifier.put(stored, record.seq, now + MAX_LIFETIME)
            claims = tuple(
                each for each in await identifier.claims() if each.thumbprint != holder.thumbprint
            )
        try:
            if stored.log_index is None:
                await self._entries.enter(stored, is_new=is_new)
            await self._tell(fresh, csi)
        except DirectoryUnavailable:
            if fresh is not None:  # the hold runs from when its holder could know
                async with self._store.identifier(str(csi)) as identifier:
                    await identifier.undo(holder.thumbprint, floor, now + MAX_LIFETIME)
            raise
        self._tell_changed(csi)
        outcome = "held" if live_at > now else "kept" if is_new else "refreshed"
        self.outcomes["register", outcome] += 1
        _log.info("record", identifier=csi.shown, outcome=outcome)
        return Registered(live_at, claims, self._receipt(stored))

    async def remove(self, token: object, chain: object) -> Mapping[str, object] | None:
        """Take an identifier's records away, for their owner or its provider.

        Returns what the owner knows the removal in the log by; None for a provider, and without a
        log. Raises Refused or DirectoryUnavailable.
        """
        now = self._wall_clock()
        signed, removal = parse_removal(token)
        texts = read_chain(chain)
        holder = self._chains.holder(texts, now)
        csi = removal.csi
        async with self._store.identifier(str(csi)) as identifier:
            floor = await identifier.floor(holder.thumbprint)
            author = check_removal(signed, removal, holder, floor, now, directory=self._url)
            if author == "provider" and self._acted_on.seen(signed.digest, now):
                return None  # shown again, by whoever kept it: the heir's record stays
            kept = await identifier.records()
            if author == "owner":
                gone = {holder.thumbprint, *_revived(kept, holder.thumbprint, now)}
                await identifier.remove(gone)
                await identifier.set_floor(holder.thumbprint, removal.seq, now + MAX_LIFETIME)
            else:
                claims = await identifier.claims()
                await identifier.remove(
                    {each.thumbprint for each in kept} | {each.thumbprint for each in claims}
                )
                await identifier.removed_by_provider(now)
        if author == "provider" and self._removed is not None:
            await self._removed(csi, now)
        self._tell_changed(csi)
        await self._log.append("removal", str(csi), signed.digest)
        if author == "provider":  # all of it is done: until here it may be sent again
            self._acted_on.remember(signed.digest, removal.issued_at + FRESH + 1.0, now)
        self.outcomes["remove", author] += 1
        _log.info("removed", identifier=csi.shown, by=author)
        if author == "provider":
            return None
        return self._log.receipt(str(csi), (signed.digest, _certificate_digest(texts)))

    async def object_to_claims(
        self, csi: Identifier, key: Key, certified: Collection[str] = ()
    ) -> frozenset[str]:
        """Drop what other keys claim; only a key that holds the identifier may.

        Returns the keys whose records live: what has begun to live is claimed no more. `certified`
        are keys that hold the identifier by a certificate of the authority beside us.

        Raises Refused(NOT_ALLOWED) or DirectoryUnavailable.
        """
        now = self._wall_clock()
        async with self._store.identifier(str(csi)) as identifier:
            kept = await identifier.records()
            living = frozenset(each.thumbprint for each in live(kept, now))
            if key.thumbprint not in living | set(certified):
                raise Refused(Refusal.NOT_ALLOWED, "the key does not hold the identifier")
            waiting = {each.thumbprint for each in kept if each.live_at > now}
            claimed = {each.thumbprint for each in await identifier.claims()}
            await identifier.remove((waiting | claimed) - living - {key.thumbprint})
        self._tell_changed(csi)
        self.outcomes["object", "done"] += 1
        return living

    def _tell_changed(self, csi: Identifier) -> None:
        if self._changed is not None:
            self._changed(str(csi))

    async def _judge(
        self,
        identifier: IdentifierTransaction,
        csi: Identifier,
        holder: Holder,
        kept: Sequence[StoredRecord],
        release: ReleasePresented | None,
        now: float,
    ) -> tuple[float, Claim | None]:
        """Return from when the record counts, and the claim that is new, if one is."""
        holders = {each.thumbprint for each in live(kept, now)}
        keys = {each.thumbprint for each in kept if each.until > now}
        if len(keys - {holder.thumbprint}) >= _MAX_KEYS:
            raise Refused(Refusal.OVERLOADED, "too many keys claim the identifier")
        given_up = (
            set()
            if release is None
            else self._given_up(csi, holder.thumbprint, holders, release, now)
        )
        own = next(
            (each for each in await identifier.claims() if each.thumbprint == holder.thumbprint),
            None,
        )
        verdict = judge_claim(
            holder.thumbprint,
            holders=holders,
            released=release is not None,
            claim=own,
            now=now,
            hold=self._hold,
        )
        if isinstance(verdict, Held):
            if verdict.fresh:
                await identifier.add_claim(verdict.claim)
            return verdict.claim.effective_at, verdict.claim if verdict.fresh else None
        assert isinstance(verdict, Granted)
        await identifier.drop_claim(holder.thumbprint)
        await identifier.remove(given_up)
        before = next((each for each in kept if each.thumbprint == holder.thumbprint), None)
        if before is not None and before.thumbprint in holders:
            return before.live_at, None
        if len(given_up) < len(holders):
            # In the place of one among several: it drops none that the former key could not.
            return max((r.live_at for r in kept if r.thumbprint in given_up), default=now), None
        return now, None

    def _given_up(
        self, csi: Identifier, to: str, holders: set[str], release: ReleasePresented, now: float
    ) -> set[str]:
        """Return the keys that make room: a releasing owner's own, all if the provider releases."""
        signed, said = parse_release(release.token)
        author = self._chains.holder(read_chain(release.chain), now)
        by = check_release(signed, said, author, csi=csi, to=to, holders=holders, now=now)
        return (holders if by == "provider" else {author.thumbprint}) - {to}

    def _receipt(self, stored: StoredRecord) -> Mapping[str, object] | None:
        """Return what tells the owner's own entries in the log from those of others."""
        own = (stored.digest, _certificate_digest(stored.chain), stored.thumbprint)
        return self._log.receipt(stored.csi, own)

    async def _tell(self, fresh: Claim | None, csi: Identifier) -> None:
        """Enter a claim in the log, and tell the holders of it."""
        if fresh is not None:
            await self._log.append("claim", str(csi), fresh.thumbprint)
            if self._told is not None:
                await self._told(csi, fresh)


def _dropped(kept: Sequence[StoredRecord], stored: StoredRecord, now: float) -> set[str]:
    """Return the keys whose records count no more because a later one says `new`.

    What the key's former record dropped stays dropped, whatever the next one says.
    """
    others = [each for each in kept if each.thumbprint != stored.thumbprint]
    alive = {each.thumbprint for each in others if each.live_at <= now < each.until}
    before = {each.thumbprint for each in live(kept, now)}
    after = {each.thumbprint for each in live([*others, stored], now)}
    return alive - (before & after)


def _revived(kept: Sequence[StoredRecord], removed: str, now: float) -> set[str]:
    """Return the keys whose records would come back with the removal of the one that dropped
    them."""
    before = {each.thumbprint for each in live(kept, now)}
    after = live([each for each in kept if each.thumbprint != removed], now)
    return {each.thumbprint for each in after} - before


def _certificate_digest(chain: Sequence[str]) -> str:
    return encode(hashlib.sha256(b64decode(chain[0])).digest())


def _log_index(kept: Sequence[StoredRecord], digest: str) -> int | None:
    return next((each.log_index for each in kept if each.digest == digest), None)
