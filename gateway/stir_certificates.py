"""The certificates that verify calls: the cache, what fills it, and the clock they tell of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock_watch import ClockWatch
from gateway.config.root import Config
from gateway.http.credential_folder import CredentialFolder
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import GuardedClient
from gateway.http.preloading import Preloading
from gateway.keys import Keys
from gateway.services import make_guard_policy
from stir.certificates.certificate import Credential
from stir.certificates.chain import PathBuilder
from stir.certificates.credential_cache import CredentialCache


@dataclass(frozen=True, slots=True)
class StirCertificates:
    """`source` gives the credential behind a URL and keeps it in `cache`; `preloading` keeps it
    on disk. `clock_watch` compares our clock with theirs. `builder` is told of the trust anchors.
    """

    cache: CredentialCache
    builder: PathBuilder
    preloading: Preloading
    clock_watch: ClockWatch
    source: CertificateSource


def make_certificates(
    config: Config, keys: Keys, client: GuardedClient, wall_clock: Callable[[], float]
) -> StirCertificates:
    """Return them with an empty cache and no trust anchors; wall_clock gives epoch seconds."""
    cache = CredentialCache(
        config.fetch.cache_entries, stale_if_error=config.fetch.stale_if_error_seconds
    )
    builder = PathBuilder(())
    folder = CredentialFolder(config.provider.state_directory / "certificates")
    preloading = Preloading(cache, folder, builder, make_guard_policy(config), wall_clock)
    clock_watch = ClockWatch(preloading.trusted, steady=time.monotonic)
    source = CertificateSource(
        client,
        cache,
        wall_clock,
        clock_watch=clock_watch,
        on_stored=preloading.saved,
        trusts=_trusts(builder, PathBuilder(keys.call_placement_anchors)),
    )
    return StirCertificates(cache, builder, preloading, clock_watch, source)


def _trusts(*builders: PathBuilder) -> Callable[[Credential], bool]:
    return lambda credential: any(each.find(credential).problem is None for each in builders)
