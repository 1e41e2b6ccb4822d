"""Keeps the trust anchors up to date: the policy administrator's list, and the operator's files.

Whatever goes wrong, the anchors in force stay in force: a list that does not verify, a server that
is away, a file half written. Only a list that has been stale for longer than policy allows is
dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, overload

import structlog
from cryptography import x509

from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.config.trust_list import TrustList as Settings
from gateway.http.fetch import (
    AddressSource,
    Fetched,
    FetchFailed,
    FetchLimits,
    FetchRefused,
    GuardedClient,
)
from gateway.keys import Keys, sti_anchors
from gateway.metrics import Metrics
from gateway.services import make_guard_policy
from gateway.trust_list_file import NAME, KeptList, load_list, save_list
from stir.certificates.trust_list import (
    MAX_LIST,
    SignedList,
    TrustListRefused,
    open_trust_list,
    read_trust_list,
)

_log = structlog.get_logger("trust_list")
_LOOK_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 300.0
_FETCH_SECONDS: Final = 10.0
Anchors = Sequence[x509.Certificate]


class Fetcher(Protocol):
    """The guarded client, with limits of its own for a list of up to 1 MiB."""

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched: ...


class TrustAnchors(Sequence[x509.Certificate]):
    """The anchors in force, as a sequence that is always current, and who is told of changes.

    `own` are those of `files`, the operator's PEM bundles, which `read_files` reads again, raising
    ConfigError; `settings` and `administrator` are those of the list, None and empty without one.
    wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        own: Anchors,
        files: Sequence[Path],
        read_files: Callable[[], Anchors],
        settings: Settings | None,
        administrator: Anchors,
        state_directory: Path,
        client: Fetcher,
        wall_clock: Callable[[], float],
    ) -> None:
        self._read_files = read_files
        self._settings = settings
        self._administrator = administrator
        self._directory = state_directory
        self._client = client
        self._wall_clock = wall_clock
        self._files = (*files, state_directory / NAME) if settings else tuple(files)
        self._seen = self._stamps()
        self._followers: list[Callable[[Anchors], None]] = []
        self._own: tuple[x509.Certificate, ...] = tuple(own)
        self._kept: KeptList | None = None
        self._next_fetch = 0.0
        self._in_force = self._own
        self.failures = 0

    def __len__(self) -> int:
        return len(self._in_force)

    @overload
    def __getitem__(self, index: int) -> x509.Certificate: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[x509.Certificate]: ...

    def __getitem__(self, index: int | slice) -> x509.Certificate | Sequence[x509.Certificate]:
        return self._in_force[index]

    @property
    def in_force(self) -> tuple[x509.Certificate, ...]:
        """The anchors trusted now: those of the files, then those of the list."""
        return self._in_force

    @property
    def age(self) -> float:
        """Seconds since the list in use was fetched, 0 without one."""
        return max(self._wall_clock() - self._kept.fetched, 0.0) if self._kept else 0.0

    @property
    def stale(self) -> bool:
        """Whether there should be a current list and is none."""
        if self._settings is None:
            return False
        expires = self._kept.trust_list.expires if self._kept else 0.0
        if expires is None:
            return self.age > 2 * self._settings.refresh_seconds + _RETRY_SECONDS
        return expires < self._wall_clock()

    def follow(self, follower: Callable[[Anchors], None]) -> None:
        """Tell somebody of the anchors now, and of each change."""
        self._followers.append(follower)
        follower(self._in_force)

    def gauges(self, metrics: Metrics) -> None:
        """Add what can be counted."""
        metrics.gauge("trust_anchors", "Trust anchors in force", lambda: len(self._in_force))
        if self._settings is None:
            return
        text = "Seconds since the list of STI-CAs was fetched"
        metrics.gauge("trust_list_age_seconds", text, lambda: self.age)
        text = "Whether there is no current list of STI-CAs"
        metrics.gauge("trust_list_stale", text, lambda: self.stale)
        text = "Times the list of STI-CAs was refused or unavailable"
        metrics.gauge("trust_list_failures", text, lambda: self.failures)

    async def start(self) -> None:
        """Take the list kept from an earlier run, or fetch one before the first call."""
        if self._settings is None:
            return
        self._restore()
        if self._kept is None:
            await self.refresh()

    async def keep(self) -> None:
        """Look at files and list for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Read again what changed on disk, and fetch the list when it is time."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            self._reread()
        if self._settings is not None and self._wall_clock() >= self._next_fetch:
            await self.refresh()
        self._apply()

    async def refresh(self) -> None:
        """Fetch the list; on failure the one in force stays, and the next try is in 5 minutes."""
        if self._settings is None or self._settings.url is None:
            return
        now = self._wall_clock()
        self._next_fetch = now + self._settings.refresh_seconds
        try:
            kept = await self._fetched(self._settings.url, now)
        except FetchFailed as error:
            self._failed(f"{error.culprit}: {error.reason}: {error.detail}")
        except FetchRefused as error:
            self._failed(f"{error.culprit}: refused by our guard: {error.detail}")
        except TrustListRefused as error:
            self._failed(str(error))
        else:
            self._take(kept)
            try:
                save_list(self._directory, kept)
            except OSError as error:
                _log.warning("trust list not kept", detail=error.strerror or "cannot be written")
            self._seen = self._stamps()

    async def _fetched(self, url: str, now: float) -> KeptList:
        signed = open_trust_list(await self._get(url))
        chain = await self._chain(signed)
        last = self._kept.trust_list if self._kept else None
        found = read_trust_list(signed, self._administrator, now, chain=chain, last=last)
        return KeptList(found, now, chain)

    async def _chain(self, signed: SignedList) -> bytes | None:
        """The signer's chain where the list names it and the configured key did not sign."""
        url = signed.signer_url
        if url is None or signed.chain is not None:
            return signed.chain
        try:
            return await self._get(url)
        except (FetchFailed, FetchRefused, TrustListRefused):
            return None  # the configured certificate may be the signer's own

    async def _get(self, url: str) -> bytes:
        fetched = await self._client.get(url, accept="application/json, application/jose, */*")
        if fetched.status != 200:
            raise TrustListRefused(f"{url.split('/', 3)[2]}: HTTP status {fetched.status}")
        return fetched.body

    def _failed(self, detail: str) -> None:
        self.failures += 1
        self._next_fetch = self._wall_clock() + _RETRY_SECONDS
        sequence = self._kept.trust_list.sequence if self._kept else None
        _log.warning("trust list refused or unavailable", detail=detail, in_force=sequence)

    def _restore(self) -> None:
        try:
            kept = load_list(self._directory, self._administrator)
        except TrustListRefused as error:
            _log.warning("kept trust list dropped", detail=str(error))
            return
        if kept is None:
            return
        if self._kept and kept.trust_list.sequence < self._kept.trust_list.sequence:
            _log.warning("kept trust list is older than the one in force")
            return
        assert self._settings is not None
        self._next_fetch = kept.fetched + self._settings.refresh_seconds
        self._take(kept)

    def _reread(self) -> None:
        try:
            self._own = tuple(self._read_files())
        except ConfigError as error:
            _log.error("trust anchors not read again", detail=str(error))
        if self._settings is not None:
            self._restore()
        self._apply()

    def _take(self, kept: KeptList) -> None:
        before = self._kept.trust_list.sequence if self._kept else None
        self._kept = kept
        if before != kept.trust_list.sequence:
            found = kept.trust_list
            _log.info("trust list", sequence=found.sequence, anchors=len(found.anchors))
        self._apply()

    def _apply(self) -> None:
        listed: tuple[x509.Certificate, ...] = ()
        kept, settings = self._kept, self._settings
        if kept is not None and settings is not None:
            usable = self._wall_clock() <= kept.usable_until(settings.keep_stale_seconds)
            listed = kept.trust_list.anchors if usable else ()
        anchors = tuple(dict.fromkeys((*self._own, *listed)))
        if anchors == self._in_force:
            return
        if not anchors:
            _log.error("no trust anchors left: every call will fail verification")
        self._in_force = anchors
        for follower in self._followers:
            follower(anchors)

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._files)


def _stamp(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None


def make_trust_anchors(
    config: Config, keys: Keys, resolver: AddressSource, wall_clock: Callable[[], float]
) -> TrustAnchors:
    """Return the trust anchors of the verification service, with a client for the list."""
    verification = config.stir.verification
    files = verification.trust_anchors if verification is not None else ()
    client = GuardedClient(
        resolver,
        policy=make_guard_policy(config),
        limits=FetchLimits(timeout=_FETCH_SECONDS, max_body=MAX_LIST),
        trust_file=config.fetch.trust_anchors,
    )
    return TrustAnchors(
        keys.sti_trust_anchors,
        files,
        lambda: sti_anchors(files, "stir.verification"),
        config.stir.trust_list,
        keys.trust_list_administrator,
        config.provider.state_directory,
        client,
        wall_clock,
    )
