"""A call placement service in a process of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

from gateway.config.load import cannot_bind
from gateway.config.root import CallPlacementConfig
from gateway.http.credentials import CertificateSource
from gateway.http.guard import GuardPolicy
from gateway.http.listener import HttpListener
from gateway.keys import check_pair, sti_anchors
from gateway.oob.making import call_placement_listener, make_call_placement
from gateway.services import dns_resolver, fetch_client
from stir.certificates.chain import PathBuilder
from stir.certificates.credential_cache import CredentialCache


@asynccontextmanager
async def call_placement_service(config: CallPlacementConfig) -> AsyncIterator[HttpListener]:
    """Serve until the context ends; raises ConfigError for a wrong file or a taken port."""
    settings, fetch = config.call_placement, config.fetch
    check_pair(settings.certificate, settings.key, "call_placement")
    anchors = sti_anchors(settings.trust_anchors, "call_placement")
    policy = GuardPolicy(
        allow_networks=tuple(ip_network(network) for network in fetch.allow_networks),
        deny_networks=(ip_network(settings.address),),
        ports=frozenset(fetch.ports),
    )
    resolver = dns_resolver(config.dns)
    builder = PathBuilder(anchors)
    certificates = CertificateSource(
        fetch_client(fetch, policy, resolver),
        CredentialCache(fetch.cache_entries),
        time.time,
        trusts=lambda credential: builder.find(credential).problem is None,
    )
    server = make_call_placement(settings, anchors, certificates, fetch.ports, time.time)
    assert server is not None
    listener = call_placement_listener(settings, server)
    try:
        await listener.start()
    except OSError as error:
        await resolver.close()
        raise cannot_bind("call_placement.port", error) from None
    try:
        yield listener
    finally:
        await listener.stop()
        await certificates.close()
        await resolver.close()
