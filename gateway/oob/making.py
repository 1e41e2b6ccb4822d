"""Out-of-band STIR made from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptography import x509

from gateway.config.oob import CallPlacement
from gateway.config.root import Config
from gateway.config.stir import Verification
from gateway.http.call_placement import CallPlacementServer, CallPlacementSettings
from gateway.http.call_placement_client import CallPlacementClient
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import AddressSource, client_context
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.service_client import ServiceClient
from gateway.identity import IdentityServices
from gateway.keys import Keys
from gateway.oob.service import OutOfBandService
from gateway.revocation import RevocationService
from gateway.services import server_context
from stir.certificates.revocation import RevocationRecords
from stir.oob.rate import Rate
from stir.oob.store import StoreLimits

# Other gateways keep connections for their next call; one is cut after this all the same.
_LISTENER_LIMITS = ListenerLimits(max_connections=2_000, max_per_source=100, lifetime=300.0)


def make_out_of_band(
    config: Config,
    keys: Keys,
    identity: IdentityServices,
    resolver: AddressSource,
    wall_clock: Callable[[], float],
) -> OutOfBandService | None:
    """Return the client side, or None where no call placement service is configured."""
    settings, verification = config.stir.oob, config.stir.verification
    if settings is None or keys.authentication is None:
        return None
    client = CallPlacementClient(
        settings.urls,
        ServiceClient(resolver, client_context(settings.trust_anchors)),
        keys.authentication,
        issuer=settings.issuer,
        budget=settings.budget_seconds,
        wall_clock=wall_clock,
    )
    return OutOfBandService(
        settings,
        keys.out_of_band,
        client,
        keys.authentication,
        identity,
        wall_clock=wall_clock,
        keep=_usable(verification),
        accept_asserted=verification is not None and verification.accept_asserted_identity,
    )


def _usable(verification: Verification | None) -> float:
    """How long after it was signed a PASSporT may verify a call, at most, in seconds.

    Its `iat` may lie ahead of our clock, and that of a forwarded call well behind.
    """
    if verification is None:
        return 0.0
    fresh = verification.freshness_seconds
    return float(fresh + max(fresh, verification.diverted_freshness_seconds or 0))


def make_call_placement(
    settings: CallPlacement | None,
    anchors: Sequence[x509.Certificate],
    certificates: CertificateSource,
    ports: tuple[int, ...],
    wall_clock: Callable[[], float],
    *,
    records: RevocationRecords | None = None,
    revocation: RevocationService | None = None,
) -> CallPlacementServer | None:
    """Return the own call placement service, or None without its section.

    `ports` are those a URL of a certificate may name.
    """
    if settings is None:
        return None
    made = CallPlacementSettings(
        names=frozenset(settings.names),
        plain=settings.plain,
        encrypted=settings.encrypted,
        signing_codes=_codes(settings.accept_service_provider_codes),
        retrieving_codes=_codes(settings.retrieve_service_provider_codes),
        freshness=settings.freshness_seconds,
        extra_ports=frozenset(ports),
        per_certificate=Rate(settings.requests_per_second, settings.requests_burst),
        per_source=Rate(settings.source_per_second, settings.source_burst),
        store=StoreLimits(
            lifetime=settings.lifetime_seconds,
            per_place=settings.max_per_number,
            per_publisher_and_place=settings.max_per_publisher_and_number,
            per_publisher=settings.max_per_publisher,
            total=settings.max_entries,
            octets=settings.max_bytes,
        ),
    )
    return CallPlacementServer(
        made, anchors, certificates, wall_clock, records=records, revocation=revocation
    )


def call_placement_listener(
    settings: CallPlacement, server: CallPlacementServer, port: int | None = None
) -> HttpListener:
    """Return the HTTPS listener of the own service; `port` instead of the configured one."""
    return HttpListener(
        server.application(),
        settings.address,
        settings.port if port is None else port,
        tls=server_context(settings.certificate, settings.key),
        limits=_LISTENER_LIMITS,
    )


def _codes(codes: tuple[str, ...]) -> frozenset[str] | None:
    return None if "*" in codes else frozenset(codes)
