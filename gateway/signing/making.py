"""The HTTP interface of ATIS-1000082 made from the configuration."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable

from gateway.config.base import NumberSet
from gateway.config.signing_api import Remote, SigningApi
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import AddressSource, client_context
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.service_client import ServiceClient
from gateway.http.signing_api import Client, SigningApiServer
from gateway.http.signing_client import Instance, RemoteSti
from gateway.keys import Keys
from gateway.revocation import RevocationService
from gateway.services import server_context
from gateway.signing.breaker import BreakerLimits
from stir.oob.rate import Rate
from stir.verification import VerificationService

# A switch keeps its connections; each is cut after an hour all the same.
_MAX_REQUESTS = 256
_LIMITS = ListenerLimits(max_connections=1_000, max_per_source=500, lifetime=3_600.0)


def make_signing_api(
    settings: SigningApi,
    keys: Keys,
    verification: VerificationService | None,
    certificates: CertificateSource,
    wall_clock: Callable[[], float],
    revocation: RevocationService | None = None,
) -> SigningApiServer:
    """Return the interface for other switches."""
    clients = tuple(
        Client(
            name=client.name,
            token_digest=hashlib.sha256(token.encode()).digest() if token is not None else None,
            domain=client.domain,
            numbers=NumberSet(client.numbers),
            max_attest=client.max_attest,
            verify=client.verify,
            dialect=client.dialect,
            rate=Rate(client.requests_per_second, client.requests_burst),
        )
        for client, token in zip(settings.client, keys.api_tokens, strict=True)
    )
    return SigningApiServer(
        clients, keys.authentication, verification, certificates, wall_clock, revocation=revocation
    )


def signing_api_listener(settings: SigningApi, server: SigningApiServer) -> HttpListener:
    """Return the listener, with TLS and client certificates where they are configured."""
    tls = None
    if settings.certificate is not None and settings.key is not None:
        tls = server_context(settings.certificate, settings.key)
        if settings.client_trust_anchors is not None:
            tls.load_verify_locations(settings.client_trust_anchors)
            tls.verify_mode = ssl.CERT_OPTIONAL
    return HttpListener(
        server.application(), settings.address, settings.port, tls=tls, limits=_LIMITS
    )


def make_remote(settings: Remote | None, keys: Keys, resolver: AddressSource) -> RemoteSti | None:
    """Return the client of somebody else's STI-AS/VS, or None where there is none."""
    if settings is None:
        return None
    context = client_context(settings.trust_anchors)
    if settings.certificate is not None and settings.key is not None:
        context.load_cert_chain(settings.certificate, settings.key)
    return RemoteSti(
        tuple(Instance(each.signing, each.verification) for each in settings.instance),
        ServiceClient(resolver, context, total=_MAX_REQUESTS),
        time.monotonic,
        timeout=settings.timeout_seconds,
        limits=BreakerLimits(settings.failures, settings.slow_seconds, settings.retry_seconds),
        token=keys.remote_token,
        heartbeat=settings.heartbeat,
    )
