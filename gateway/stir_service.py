"""All of STIR in one gateway: the two services of calls, the certificates they fetch, and the
repository where others fetch ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import web

from gateway.config.load import cannot_bind
from gateway.config.root import Config
from gateway.ending import end_task
from gateway.http.admin import StateReader
from gateway.http.cache_admin import cache_routes
from gateway.http.call_placement import CallPlacementServer
from gateway.http.fetch import AddressSource, GuardedClient
from gateway.http.listener import HttpListener
from gateway.http.repository import CertificateRepository
from gateway.http.signing_api import SigningApiServer
from gateway.identity import IdentityServices
from gateway.keys import Keys
from gateway.metrics import Metrics
from gateway.oob.making import call_placement_listener, make_call_placement, make_out_of_band
from gateway.renewal.own_certificate import OwnCertificate
from gateway.revocation_making import make_records, make_revocation
from gateway.services import server_context
from gateway.signing.making import make_remote, make_signing_api, signing_api_listener
from gateway.signing.remote_identity import RemoteIdentityServices
from gateway.stir_certificates import make_certificates
from gateway.trust_list import make_trust_anchors
from gateway.verification_making import make_verification
from stir.authentication import AuthenticationService
from stir.extensions.div_signing import MAX_DIVERSIONS
from stir.verification import VerificationService


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
        self.anchors = make_trust_anchors(config, keys, resolver, wall_clock)
        self._records = make_records(config.stir.revocation, keys.policy_administrators)
        made = make_certificates(config, keys, client, wall_clock)
        self.credentials, self._preloading = made.cache, made.preloading
        self.clock_watch, self.certificates = made.clock_watch, made.source
        verification = make_verification(config, keys, self._records)
        # The certificates last: what they forget is fetched again by what knows the anchors.
        self.anchors.follow(made.builder.replace_anchors)
        if verification is not None:
            self.anchors.follow(verification.replace_anchors)
        self.anchors.follow(lambda _anchors: self.certificates.anchors_changed())
        self.revocation = make_revocation(config, self._records, verification, resolver, wall_clock)
        self.remote = make_remote(config.stir.remote, keys, resolver)
        self.identity = self._make_identity(keys.authentication, verification, wall_clock)
        self.own_certificate = OwnCertificate(
            config, keys.authentication, self.anchors, resolver, wall_clock
        )
        self.out_of_band = make_out_of_band(config, keys, self.identity, resolver, wall_clock)
        self.api = self._make_api(keys, wall_clock)
        self.call_placement = self._make_call_placement(keys, wall_clock)

    def _make_identity(
        self,
        authentication: AuthenticationService | None,
        verification: VerificationService | None,
        wall_clock: Callable[[], float],
    ) -> IdentityServices:
        """The services here, or with somebody else's in their place."""
        verifying, settings = self._config.stir.verification, self._config.stir.remote
        services = (authentication, verification, self.certificates, wall_clock)
        accept_asserted = verifying is not None and verifying.accept_asserted_identity
        max_diversions = MAX_DIVERSIONS if verifying is None else verifying.max_diversions
        if self.remote is None or settings is None:
            return IdentityServices(
                *services,
                revocation=self.revocation,
                accept_asserted=accept_asserted,
                max_diversions=max_diversions,
            )
        return RemoteIdentityServices(
            *services,
            remote=self.remote,
            signs=settings.sign,
            verifies=settings.verify,
            unsigned=settings.unsigned,
            dialect=settings.dialect,
            revocation=self.revocation,
            accept_asserted=accept_asserted,
            max_diversions=max_diversions,
        )

    def _make_call_placement(
        self, keys: Keys, wall_clock: Callable[[], float]
    ) -> CallPlacementServer | None:
        settings = self._config.stir.call_placement
        placement = make_call_placement(
            settings,
            keys.call_placement_anchors,
            self.certificates,
            self._config.fetch.ports,
            wall_clock,
            records=self._records,
            revocation=self.revocation,
        )
        if settings is not None and placement and not settings.trust_anchors:
            self.anchors.follow(placement.replace_anchors)
        return placement

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
            self._stack.push_async_callback(end_task, task)
        if self.revocation is not None:
            await self.revocation.start()
            self._stack.push_async_callback(self.revocation.stop)
        if self.remote is not None:
            self._stack.push_async_callback(self.remote.close)
            settings = self._config.stir.remote
            if settings is not None and settings.heartbeat_seconds:
                beating = self.remote.keep(settings.heartbeat_seconds)
                task = asyncio.get_running_loop().create_task(beating)
                self._stack.push_async_callback(end_task, task)
        if self.out_of_band is not None:
            self._stack.push_async_callback(self.out_of_band.close)
        for key, listener in self._listeners():
            try:
                await listener.start()
            except OSError as error:
                raise cannot_bind(f"{key}.port", error) from None
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
        self._signing_api_gauges(metrics)
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

    def _signing_api_gauges(self, metrics: Metrics) -> None:
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
