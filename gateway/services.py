"""The gateway's services made from its configuration, each in one function."""

from __future__ import annotations

import ssl
from ipaddress import ip_network
from pathlib import Path

from gateway.calls.next_hops import NextHops
from gateway.config.base import split_endpoint
from gateway.config.discovery import Dns
from gateway.config.root import Config
from gateway.config.stir import Fetch
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.http.fetch import FetchLimits, GuardedClient
from gateway.http.guard import GuardPolicy
from gateway.listeners import Listeners
from gateway.policy.attestation import AttestationPolicy
from gateway.policy.peers import PeerPolicy
from gateway.policy.verstat import Dialects
from media.session import MediaEngine, MediaSettings
from sip.endpoint import EndpointSettings
from sip.flow import Address
from sip.timers import Timers
from sip.transport.settings import ListenerSettings, TlsSettings


def make_resolver(config: Config) -> DnsResolver:
    """Return the DNS resolver."""
    return dns_resolver(config.dns)


def dns_resolver(settings: Dns) -> DnsResolver:
    """Return a DNS resolver of one section."""
    servers = tuple(split_endpoint(server) for server in settings.nameservers)
    return DnsResolver(
        DnsSettings(
            nameservers=servers or system_nameservers(),
            timeout=settings.timeout_seconds,
            cache_entries=settings.cache_entries,
            max_ttl=settings.max_ttl_seconds,
        )
    )


def make_fetch_client(config: Config, resolver: DnsResolver) -> GuardedClient:
    """Return the guarded HTTPS client for URLs that peers name."""
    return fetch_client(config.fetch, make_guard_policy(config), resolver)


def fetch_client(settings: Fetch, policy: GuardPolicy, resolver: DnsResolver) -> GuardedClient:
    """Return a guarded HTTPS client of one section."""
    return GuardedClient(
        resolver,
        policy=policy,
        limits=FetchLimits(
            timeout=settings.timeout_seconds,
            max_body=settings.max_body_bytes,
            per_host=settings.max_per_host,
            total=settings.max_total,
        ),
        trust_file=settings.trust_anchors,
    )


def make_guard_policy(config: Config) -> GuardPolicy:
    """Return which URLs and addresses of peers are fetched from."""
    settings = config.fetch
    return GuardPolicy(
        allow_networks=tuple(ip_network(network) for network in settings.allow_networks),
        deny_networks=tuple(ip_network(address) for address in sorted(_own(config))),
        ports=frozenset(settings.ports),
    )


def _own(config: Config) -> set[str]:
    """The addresses where we listen ourselves, but for the certificate repository's."""
    spin = config.spin
    own = {listener.address for listener in config.listen}
    own |= {section.address for section in (spin, spin and spin.agent, config.admin) if section}
    repository = config.stir.repository
    return own - {repository.address} if repository else own


def make_next_hops(config: Config, resolver: DnsResolver, listeners: Listeners) -> NextHops:
    """Return what locates next hops; strangers choose those of peers listeners."""
    allowed = tuple(ip_network(network) for network in config.sip.allow_networks)
    return NextHops(
        resolver,
        listeners,
        GuardPolicy(allow_networks=allowed),
        dns_seconds=config.dns.timeout_seconds,
    )


def make_peer_policy(config: Config) -> PeerPolicy:
    """Return the policy for calls from peers."""
    verification = config.stir.verification
    default = verification.policy if verification else "require"
    refuse_anonymous = verification is not None and verification.anonymous_callers == "refuse"
    return PeerPolicy(
        config.peer,
        default,
        config.sip.max_calls_per_stranger,
        refuse_anonymous=refuse_anonymous,
    )


def make_dialects(config: Config) -> Dialects:
    """Return the dialects devices are told verdicts in."""
    verification = config.stir.verification
    return Dialects(config.verstat, verification.verstat if verification else "3gpp")


def make_attestation_policy(config: Config, key: bytes) -> AttestationPolicy:
    """Return what own calls are attested; `key` derives origination identifiers."""
    settings = config.stir.authentication
    stable = settings is not None and settings.origid == "caller"
    return AttestationPolicy(config.attestation, key if stable else None)


def make_media_engine(config: Config) -> MediaEngine:
    """Return the embedded media engine."""
    settings = config.media
    return MediaEngine(
        MediaSettings(
            networks={"access": settings.access_address, "peers": settings.peers_address},
            advertised={
                "access": settings.access_advertise or settings.access_address,
                "peers": settings.peers_advertise or settings.peers_address,
            },
            port_min=settings.port_min,
            port_max=settings.port_max,
            max_sessions=settings.max_sessions,
            allow_networks=settings.allow_networks,
            ice_timeout=settings.setup_timeout_seconds,
            dtls_timeout=settings.setup_timeout_seconds,
            no_media_timeout=settings.silence_timeout_seconds,
        )
    )


def make_timers(config: Config) -> Timers:
    """Return the SIP timers."""
    return Timers(t1=config.sip.t1_seconds, timer_c=config.sip.invite_timeout_seconds)


def endpoint_settings(config: Config) -> EndpointSettings:
    """Return the limits of the SIP endpoint."""
    return EndpointSettings(max_transactions=config.sip.max_transactions)


def listener_settings(config: Config) -> list[ListenerSettings]:
    """Return the settings of every SIP listener."""
    sip = config.sip
    anchors = None if sip.trust_anchors is None else str(sip.trust_anchors)
    made = []
    for listener in config.listen:
        tls = None
        if listener.certificate is not None and listener.key is not None:
            clients = listener.client_trust_anchors
            tls = TlsSettings(
                certificate_file=str(listener.certificate),
                key_file=str(listener.key),
                trust_anchor_file=anchors,
                client_trust_anchor_file=None if clients is None else str(clients),
            )
        made.append(
            ListenerSettings(
                name=listener.name,
                transport=listener.transport,
                bind=Address(listener.address, listener.port),
                sent_by=Address(listener.advertise or listener.address, listener.port),
                tls=tls,
                max_connections=sip.max_connections,
                max_connections_per_source=sip.max_connections_per_source,
                header_timeout=sip.header_timeout_seconds,
                idle_timeout=sip.idle_timeout_seconds,
                connect_timeout=sip.connect_timeout_seconds,
                max_message=sip.max_message_bytes,
            )
        )
    return made


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS context of an HTTPS server; the pair was checked before."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
