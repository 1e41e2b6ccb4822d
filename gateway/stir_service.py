"""All of STIR in one gateway: the two services of calls, the certificates they fetch, and the
repository where others fetch ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from gateway.clock_watch import ClockWatch
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.admin import StateReader
from gateway.http.cache_admin import cache_routes
from gateway.http.credential_folder import CredentialFolder
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import AddressSource, GuardedClient
from gateway.http.listener import HttpListener
from gateway.http.preloading import Preloading
from gateway.http.repository import CertificateRepository
from gateway.http.signing_api import SigningApiServer
from gateway.identity import IdentityServices
from gateway.keys import Keys
from gateway.metrics import Metrics
from gateway.oob.making import call_placement_listener, make_call_placement, make_out_of_band
from gateway.renewal.own_certificate import OwnCertificate
from gateway.revocation_making import make_records, make_revocation
from gateway.services import make_guard_policy, server_context
from gateway.signing.making import make_remote, make_signing_api, signing_api_listener
from gateway.signing.remote_identity import RemoteIdentityServices
from gateway.trust_list import make_trust_anchors
from stir.authentication import AuthenticationService
from stir.certificates.certificate import Credential
from stir.certificates.chain import PathBuilder
from stir.certificates.credential_cache import CredentialCache
from stir.certificates.revocation import RevocationRecords
from stir.certificates.transparency import Transparency
from stir.extensions.div_signing import MAX_DIVERSIONS
from stir.replay import ReplayCache
from stir.verification import VerificationPolicy, VerificationService


class StirService:
    """Constructed and wired by the gateway, then started and stopped with it.

    `identity` signs and verifies calls, `certificates` gives the credential behind a URL, which
    `credentials` keeps. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        client: GuardedClient,
        wall_clock: Callable[[], float],
        resolver: AddressSource,
    ) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self.credentials = CredentialCache(
            config.fetch.cache_entries, stale_if_error=config.fetch.stale_if_error_seconds
        )
        self.anchors = make_trust_anchors(config, keys, resolver, wall_clock)
        self._records = make_records(config.stir.revocation, keys.policy_administrators)
        builder, verification = PathBuilder(()), make_verification(config, keys, self._records)
        self.anchors.follow(builder.replace_anchors)
        if verification is not None:
            self.anchors.follow(verification.replace_anchors)
        self._preloading = Preloading(
            self.credentials,
            CredentialFolder(config.provider.state_directory / "certificates"),
            builder,
            make_guard_policy(config),
            wall_clock,
        )
        self.clock_watch = ClockWatch(self._preloading.trusted, steady=time.monotonic)
        self.certificates = CertificateSource(
            client,
            self.credentials,
            wall_clock,
            clock_watch=self.clock_watch,
            on_stored=self._preloading.saved,
            trusts=_trusts(builder, PathBuilder(keys.call_placement_anchors)),
        )
        self.anchors.follow(lambda _anchors: self.certificates.anchors_changed())
        settings = config.stir.verification
        self.revocation = make_revocation(config, self._records, verification, resolver, wall_clock)
        self.remote = make_remote(config.stir.remote, keys, resolver)
        self.identity = self._make_identity(
            keys.authentication,
            verification,
            self.certificates,
            wall_clock,
            revocation=self.revocation,
            accept_asserted=settings is not None and settings.accept_asserted_identity,
            max_diversions=MAX_DIVERSIONS if settings is None else settings.max_diversions,
        )
        self.own_certificate = OwnCertificate(
            config, keys.authentication, self.anchors, resolver, wall_clock
        )
        self.out_of_band = make_out_of_band(config, keys, self.identity, resolver, wall_clock)
        self.api = self._make_api(keys, wall_clock)
        self.call_placement = make_call_placement(
            config.stir.call_placement,
            keys.call_placement_anchors,
            self.certificates,
            config.fetch.ports,
            wall_clock,
            records=self._records,
            revocation=self.revocation,
        )
        placement = config.stir.call_placement
        if placement is not None and self.call_placement and not placement.trust_anchors:
            self.anchors.follow(self.call_placement.replace_anchors)

    def _make_identity(
        self,
        authentication: AuthenticationService | None,
        verification: VerificationService | None,
        certificates: CertificateSource,
        wall_clock: Callable[[], float],
        **more: Any,
    ) -> IdentityServices:
        """The services here, or with somebody else's in their place."""
        services = (authentication, verification, certificates, wall_clock)
        settings = self._config.stir.remote
        if self.remote is None or settings is None:
            return IdentityServices(*services, **more)
        return RemoteIdentityServices(
            *services,
            remote=self.remote,
            signs=settings.sign,
            verifies=settings.verify,
            unsigned=settings.unsigned,
            dialect=settings.dialect,
            **more,
        )

    def _make_api(self, keys: Keys, wall_clock: Callable[[], float]) -> SigningApiServer | None:
        config = self._config
        if config.stir.api is None:
            return None
        # It asks the same records; what it is the first to need is fetched in the background.
        verification = make_verification(
            config, keys, self._records, replay=config.stir.api.refuse_replay
        )
        if verification is not None:
            self.anchors.follow(verification.replace_anchors)
        return make_signing_api(
            config.stir.api, keys, verification, self.certificates, wall_clock, self.revocation
        )

    async def start(self) -> None:
        """Listen; raises ConfigError where a port is not to be had."""
        self._stack.push_async_callback(self.certificates.close)
        await self.anchors.start()
        self._preloading.restore(self._config.fetch.cache_entries)
        for work in (self.certificates.keep_fresh(), self.anchors.keep()):
            task = asyncio.get_running_loop().create_task(work)
            self._stack.push_async_callback(_ended, task)
        if self.revocation is not None:
            await self.revocation.start()
            self._stack.push_async_callback(self.revocation.stop)
        if self.remote is not None:
            self._stack.push_async_callback(self.remote.close)
            settings = self._config.stir.remote
            if settings is not None and settings.heartbeat_seconds:
                beating = self.remote.keep(settings.heartbeat_seconds)
                task = asyncio.get_running_loop().create_task(beating)
                self._stack.push_async_callback(_ended, task)
        if self.out_of_band is not None:
            self._stack.push_async_callback(self.out_of_band.close)
        for key, listener in self._listeners():
            try:
                await listener.start()
            except OSError as error:
                raise ConfigError(f"{key}.port", str(error)) from None
            self._stack.push_async_callback(listener.stop)
        self._stack.push_async_callback(self.own_certificate.stop)
        self.own_certificate.start()

    async def stop(self) -> None:
        """Close the listeners and give up every fetch under way."""
        await self._stack.aclose()

    def readers(self) -> dict[str, StateReader]:
        """Return what the operator can list."""
        revocation = self.revocation
        return {
            "certificates": self._preloading.listing,
            "revocation": revocation.listing if revocation is not None else list,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return what the operator can do, for the admin interface."""
        return cache_routes(self._preloading, self.certificates)

    def health(self) -> str:
        """Return "ok", or what is wrong in a word or two."""
        if self.anchors.stale:
            return "trust list stale"
        return "clock wrong" if self.clock_watch.wrong else "ok"

    def gauges(self, metrics: Metrics) -> None:
        """Add what can be counted."""
        source, watch = self.certificates, self.clock_watch
        metrics.gauge("certificates", "Certificate URLs cached", lambda: len(self.credentials))
        metrics.counts(
            "certificate_fetches",
            "Certificates fetched, by outcome; stale: an expired copy served on",
            ("outcome",),
            lambda: {
                ("all",): source.fetches,
                ("failed",): source.failures,
                ("stale",): source.served_stale,
            },
        )
        metrics.gauge(
            "clock_ahead_seconds",
            "Our clock against certificate servers'; 0 where too few are known",
            lambda: watch.offset or 0.0,
        )
        metrics.gauge("clock_wrong", "Whether most of them disagree with it", lambda: watch.wrong)
        self.own_certificate.gauges(metrics)
        self.anchors.gauges(metrics)
        self._out_of_band_gauges(metrics)
        self._revocation_gauges(metrics)

    def _out_of_band_gauges(self, metrics: Metrics) -> None:
        client, placement = self.out_of_band, self.call_placement
        if client is not None:
            metrics.counts(
                "out_of_band",
                "PASSporTs published to and retrieved from call placement services, by outcome",
                ("action", "outcome"),
                lambda: client.outcomes,
            )
        if self.remote is not None:
            remote = self.remote
            metrics.counts(
                "remote_sti",
                "Requests to the remote STI-AS/VS, by resource and outcome",
                ("resource", "outcome"),
                lambda: remote.outcomes,
            )
            metrics.gauge(
                "remote_sti_open", "Its instances that are left alone", remote.open_breakers
            )
        if self.api is not None:
            api = self.api
            metrics.counts(
                "signing_api_requests",
                "Requests to our STI-AS/VS interface, by client, resource and outcome",
                ("client", "resource", "outcome"),
                lambda: api.requests,
            )
        if placement is not None:
            metrics.gauge(
                "call_placement_entries", "Entries held by our CPS", lambda: len(placement.store)
            )
            metrics.counts(
                "call_placement_refused",
                "Requests to our CPS that were refused, by reason",
                ("reason",),
                lambda: {(reason,): count for reason, count in placement.refused.items()},
            )

    def _revocation_gauges(self, metrics: Metrics) -> None:
        service = self.revocation
        if service is None:
            return
        text = "Certificate paths checked for revocation, by result; stale: by an expired list"
        metrics.counts("revocation", text, ("result",), service.counts)
        metrics.counts(
            "revocation_fetches",
            "Revocation lists and OCSP answers fetched, by source and outcome",
            ("source", "outcome"),
            lambda: service.fetches,
        )
        metrics.gauge("revocation_sources", "Revocation sources known", service.known)
        metrics.gauge("revocation_sources_expired", "Sources with nothing current", service.expired)

    def _listeners(self) -> list[tuple[str, HttpListener]]:
        """The HTTP servers, each with the configuration key it is made from."""
        listeners = []
        repository = self._config.stir.repository
        if repository is not None:
            application = CertificateRepository(repository.directory).application()
            tls = server_context(repository.certificate, repository.key)
            listener = HttpListener(application, repository.address, repository.port, tls=tls)
            listeners.append(("stir.repository", listener))
        api = self._config.stir.api
        if api is not None and self.api is not None:
            listeners.append(("stir.api", signing_api_listener(api, self.api)))
        placement = self._config.stir.call_placement
        if placement is not None and self.call_placement is not None:
            listener = call_placement_listener(placement, self.call_placement)
            listeners.append(("stir.call_placement", listener))
        return listeners


def _trusts(*builders: PathBuilder) -> Callable[[Credential], bool]:
    return lambda credential: any(each.find(credential).problem is None for each in builders)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def make_verification(
    config: Config,
    keys: Keys,
    revocation: RevocationRecords | None = None,
    *,
    replay: bool = True,
) -> VerificationService | None:
    """Return a verification service, or None where none is configured.

    Without `replay` a PASSporT may be verified again, as a switch does that asks twice.
    """
    settings = config.stir.verification
    if settings is None:
        return None
    codes = frozenset(settings.accept_service_provider_codes)
    policy = VerificationPolicy(
        freshness=settings.freshness_seconds,
        accept_service_provider_codes=None if "*" in codes else codes,
        require_media_keys=settings.require_media_keys,
        max_diversions=settings.max_diversions,
        diverted_freshness=settings.diverted_freshness_seconds,
        require_message_digest=settings.require_message_digest,
        priority_authorities=_priority_authorities(config),
        p256_issuers=settings.require_p256_issuers,
        extra_ports=frozenset(config.fetch.ports),
    )
    cache = ReplayCache(settings.replay_entries) if replay else None
    logs, require = keys.transparency_logs, config.stir.transparency.require
    return VerificationService(
        policy,
        keys.sti_trust_anchors,
        cache,
        revocation=revocation,
        transparency=Transparency(logs, require=require) if logs else None,
    )


def _priority_authorities(config: Config) -> dict[str, frozenset[str]]:
    """Who may sign which namespace of Resource-Priority; nobody where nothing is configured."""
    granted: dict[str, frozenset[str]] = {}
    for authority in config.stir.priority.authority:
        names = frozenset((*authority.service_provider_codes, *authority.certificates))
        for namespace in authority.namespaces:
            granted[namespace] = granted.get(namespace, frozenset()) | names
    return granted
