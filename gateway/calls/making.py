"""What handles calls, made from the configuration and from what it works with."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.binding_store import SqlBindingStore
from gateway.caller_data import CallerDataPolicy
from gateway.caller_display import CallerDisplay
from gateway.calls.control import CallControl
from gateway.calls.delivery import Delivery
from gateway.calls.ending import Ending
from gateway.calls.forwarding import Forwarder
from gateway.calls.next_hops import NextHops
from gateway.calls.record import CallRecordFile
from gateway.calls.registration import Registration
from gateway.calls.route_token import RouteSeal
from gateway.calls.state import CallTable
from gateway.calls.wiring import Wiring
from gateway.config.base import NumberSet
from gateway.config.root import Config
from gateway.dns import DnsResolver
from gateway.keys import Keys, derived_key
from gateway.listeners import Listeners
from gateway.locations import Locations
from gateway.metrics import Metrics, SipObserver
from gateway.policy.callers import CallerPolicy
from gateway.policy.logins import Logins
from gateway.resolution import Resolver
from gateway.services import (
    endpoint_settings,
    listener_settings,
    make_attestation_policy,
    make_dialects,
    make_fetch_client,
    make_peer_policy,
    make_timers,
)
from gateway.stir_service import StirService
from gateway.trace import MessageTrace
from media.session import MediaEngine
from sip.digest import CredentialLookup, DigestAuthenticator, StoredCredential
from sip.endpoint import Endpoint
from sip.failure_throttle import FailureThrottle


@dataclass(frozen=True, slots=True)
class CallResources:
    """What calls are handled with: made before, and closed by the gateway after the last call."""

    dns: DnsResolver
    next_hops: NextHops
    listeners: Listeners
    bindings: SqlBindingStore
    media: MediaEngine
    table: CallTable
    stir: StirService
    numbers: Resolver
    metrics: Metrics
    trace: MessageTrace
    records: CallRecordFile


@dataclass(frozen=True, slots=True)
class CallHandling:
    """What handles calls: `endpoint` speaks SIP, `control` decides, `ending` ends them."""

    endpoint: Endpoint
    control: CallControl
    ending: Ending


def make_call_handling(config: Config, keys: Keys, given: CallResources) -> CallHandling:
    """Wire everything together; nothing listens yet. Raises ConfigError."""
    loop_key = derived_key(config.provider.state_directory, "loop detection", 16)
    forwarder = Forwarder(given.next_hops, make_timers(config), loop_key)
    # Its answer is not asked for before the endpoint, which is made last, is there.
    locations = Locations(given.bindings, config.registrar, lambda: endpoint.transports, time.time)
    wiring = _make_wiring(config, keys, given, forwarder, locations, loop_key)
    ending = Ending(
        given.table,
        given.listeners,
        forwarder,
        given.next_hops,
        given.metrics,
        given.records,
        time.time,
    )
    registration = Registration(wiring.logins, wiring.callers, given.listeners, locations)
    control = CallControl(wiring, ending, registration)
    endpoint = Endpoint(
        endpoint_settings(config),
        listener_settings(config),
        control,
        timers=forwarder.timers,
        observer=SipObserver(given.metrics, given.trace),
    )
    forwarder.attach(endpoint)
    return CallHandling(endpoint, control, ending)


def _make_wiring(
    config: Config,
    keys: Keys,
    given: CallResources,
    forwarder: Forwarder,
    locations: Locations,
    loop_key: bytes,
) -> Wiring:
    state = config.provider.state_directory
    callers = CallerPolicy(config.user, config.trunk)
    return Wiring(
        config=config,
        listeners=given.listeners,
        forwarder=forwarder,
        calls=given.table,
        callers=callers,
        peers=make_peer_policy(config),
        attestation=make_attestation_policy(config, derived_key(state, "origination")),
        dialects=make_dialects(config),
        numbers=NumberSet(config.provider.numbers),
        logins=_make_logins(config, keys),
        locations=locations,
        delivery=Delivery(locations, callers, given.listeners, config.route),
        resolver=given.numbers,
        identity=given.stir.identity,
        media=given.media,
        seal=RouteSeal(derived_key(state, "route tokens", 16)),
        metrics=given.metrics,
        loop_key=loop_key,
        clock=time.time,
        out_of_band=given.stir.out_of_band,
        caller_data=CallerDataPolicy(config),
        caller_display=_make_caller_display(config, given.dns),
    )


def _make_caller_display(config: Config, dns: DnsResolver) -> CallerDisplay:
    # of its own: pictures must not take the places that certificates wait for
    client = make_fetch_client(config, dns)
    return CallerDisplay(config.stir.caller_display, client, time.time)


def _make_logins(config: Config, keys: Keys) -> Logins:
    digest = DigestAuthenticator(
        config.provider.domain,
        _lookup(config, keys),
        nonce_key=derived_key(config.provider.state_directory, "digest nonces"),
        algorithms=config.registrar.digest_algorithms,
    )
    return Logins(digest, FailureThrottle())


def _lookup(config: Config, keys: Keys) -> CredentialLookup:
    """Passwords of own users as digest needs them; computed once."""
    realm = config.provider.domain
    stored = {
        username: StoredCredential.of_password(username, realm, password)
        for username, password in keys.passwords.items()
    }

    async def find(username: str, asked_realm: str) -> StoredCredential | None:
        return stored.get(username) if asked_realm == realm else None

    return find
