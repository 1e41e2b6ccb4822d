"""The HTTP interface of ATIS-1000082 made from the configuration."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable

from gateway.config.base import NumberSet
from gateway.config.signing_api import SigningApi
from gateway.http.credentials import CertificateSource
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.signing_api import Client, SigningApiServer
from gateway.keys import Keys
from gateway.services import server_context
from stir.oob.rate import Rate
from stir.verification import VerificationService

# A switch keeps its connections; each is cut after an hour all the same.
_LIMITS = ListenerLimits(max_connections=1_000, max_per_source=500, lifetime=3_600.0)


def make_signing_api(
    settings: SigningApi,
    keys: Keys,
    verification: VerificationService | None,
    certificates: CertificateSource,
    wall_clock: Callable[[], float],
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
    return SigningApiServer(clients, keys.authentication, verification, certificates, wall_clock)


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
