"""What call control is wired to: every collaborator by name, put together once by making.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.caller_data import CallerDataPolicy
from gateway.caller_display import CallerDisplay
from gateway.calls.delivery import Delivery
from gateway.calls.forwarding import Forwarder
from gateway.calls.messages_in_flight import MessagesInFlight
from gateway.calls.route_token import RouteSeal
from gateway.calls.state import CallTable
from gateway.config.base import NumberSet
from gateway.config.root import Config
from gateway.identity import IdentityServices
from gateway.listeners import Listeners
from gateway.locations import Locations
from gateway.metrics import Metrics
from gateway.oob.service import OutOfBandService
from gateway.policy.attestation import AttestationPolicy
from gateway.policy.callers import CallerPolicy
from gateway.policy.logins import Logins
from gateway.policy.peers import PeerPolicy
from gateway.policy.verstat import Dialects
from gateway.resolution import Resolver
from media.session import MediaEngine


@dataclass(frozen=True, slots=True)
class Wiring:
    """The collaborators of call control; `clock` gives epoch seconds."""

    config: Config
    listeners: Listeners
    forwarder: Forwarder
    calls: CallTable
    callers: CallerPolicy
    peers: PeerPolicy
    attestation: AttestationPolicy
    dialects: Dialects
    numbers: NumberSet
    logins: Logins
    locations: Locations
    delivery: Delivery
    resolver: Resolver
    identity: IdentityServices
    media: MediaEngine
    seal: RouteSeal
    metrics: Metrics
    loop_key: bytes
    clock: Callable[[], float]
    out_of_band: OutOfBandService | None = None
    caller_data: CallerDataPolicy | None = None
    caller_display: CallerDisplay | None = None
    messages: MessagesInFlight = field(default_factory=MessagesInFlight)
