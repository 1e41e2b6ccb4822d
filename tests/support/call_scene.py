"""Call control in memory: real policy, identity and proxy core over fakes for all that does I/O.

The provider is alpha.example with users alice (digest, SDES) and carol (plain RTP), a trunk and a
configured route; beta.example is the peer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_network
from typing import Any, cast

from discovery.model import (
    Assurance,
    FoundUri,
    Outcome,
    Resolution,
    Service,
    SourceOutcome,
)
from gateway.binding_store import BindingsUnavailable, SqlBindingStore
from gateway.caller_data import CallerDataPolicy
from gateway.caller_display import CallerDisplay
from gateway.calls.control import CallControl
from gateway.calls.delivery import Delivery
from gateway.calls.ending import Ending
from gateway.calls.forwarding import Forwarder
from gateway.calls.next_hops import NextHops
from gateway.calls.record import CallRecord, CallRecordFile
from gateway.calls.registration import Registration
from gateway.calls.route_token import RouteSeal, Side
from gateway.calls.state import CallTable
from gateway.calls.wiring import Wiring
from gateway.config.base import NumberSet
from gateway.config.root import Config
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import Fetched, GuardedClient
from gateway.http.guard import GuardPolicy
from gateway.identity import IdentityServices
from gateway.listeners import Listeners
from gateway.locations import Locations
from gateway.metrics import Metrics
from gateway.policy.callers import CallerPolicy
from gateway.policy.logins import Logins
from gateway.resolution import Resolver
from gateway.services import (
    make_attestation_policy,
    make_dialects,
    make_peer_policy,
    make_timers,
)
from media.session import MediaEngine
from sip.bindings import Binding
from sip.digest import DigestAuthenticator, StoredCredential, authorize
from sip.dns import Naptr, Srv
from sip.endpoint import Endpoint, ServerTransaction
from sip.failure_throttle import FailureThrottle
from sip.flow import Address, Flow
from sip.headers import Headers
from sip.message import Request, Response
from sip.transaction.key import server_key
from sip.transport.transport_set import TransportSet
from stir.authentication import AuthenticationService
from stir.certificates.certificate import Credential, load_credential
from stir.certificates.issuing import issue_sti_certificate
from stir.certificates.tn_auth_list import Range, TnAuthList
from tests.support.fake_endpoint import FakeEndpoint, Sent
from tests.support.fake_media import SDP_TYPE, FakeMediaEngine, sdp
from tests.support.stir_authority import NOW, URL, StirWorld
from tests.support.virtual_loop import VirtualLoop

ALICE, CAROL, DAVE, BOB = "+14155550100", "+14155550101", "+14155550102", "+12125550123"
TRUNK_NUMBER, ROUTED = "+14155550110", "+14155550120"
PASSWORD = "alice's password"
ACCESS, PEERS = Address("192.0.2.10", 5060), Address("192.0.2.11", 5061)
FROM_ALICE = Flow("udp", ACCESS, Address("198.51.100.7", 5060), "access")
FROM_CAROL = Flow("tcp", ACCESS, Address("198.51.100.8", 40_000), "access-tcp", flow_id=8)
FROM_TRUNK = Flow("udp", ACCESS, Address("192.0.2.33", 5060), "access")
FROM_BETA = Flow(
    "tls", PEERS, Address("203.0.113.5", 40_001), "peers", flow_id=5, peer_names=("beta.example",)
)
BETA_SERVER = Address("203.0.113.5", 5061)
# The documentation's networks stand for public ones.
_PUBLIC = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
CALLER_CONTACT = "sip:caller@198.51.100.7:5060"

_BASE: Mapping[str, Any] = {
    "provider": {
        "domain": "alpha.example",
        "numbers": ["+14155550100-+14155550199"],
        "state_directory": "state",
    },
    "listen": [
        {"name": "access", "role": "access", "transport": "udp", "address": "192.0.2.10",
         "port": 5060},
        {"name": "access-tcp", "role": "access", "transport": "tcp", "address": "192.0.2.10",
         "port": 5060},
        {"name": "peers", "role": "peers", "transport": "tls", "address": "192.0.2.11",
         "port": 5061, "advertise": "gw1.alpha.example", "certificate": "a.pem", "key": "a.key"},
    ],
    "user": [
        {"username": "alice", "password": PASSWORD, "numbers": [ALICE], "max_calls": 2},
        {"username": "carol", "password": PASSWORD, "numbers": [CAROL], "media": "rtp"},
        {"username": "dave", "password": PASSWORD, "numbers": [DAVE], "media": "pass"},
    ],
    "trunk": [
        {"name": "pbx", "sources": ["192.0.2.32/28"], "numbers": [TRUNK_NUMBER],
         "allow_prefixes": ["+1212", "+1415"]},
    ],
    "route": [
        {"numbers": [ROUTED], "uri": "sip:{number}@192.0.2.40:5060;transport=udp"},
    ],
    "stir": {"verification": {"trust_anchors": ["root.pem"]}},
}  # fmt: skip


def make_config(**sections: Any) -> Config:
    """The scene's configuration with sections replaced."""
    return Config.model_validate({**_BASE, **sections})


@cache
def stir_world() -> StirWorld:
    """Keys and a certificate for the numbers of both providers, made once for all tests."""
    world = StirWorld()
    numbers = TnAuthList((Range("14155550100", 100), Range("12125550100", 100)))
    issued = issue_sti_certificate(world.issuer, numbers, NOW)
    assert issued.key_pem is not None
    world.signer = AuthenticationService(issued.key_pem, issued.chain_pem, URL)
    world.credential = load_credential(issued.chain_pem)
    return world


class FakeDns:
    """Names and addresses of beta.example; `gate` is waited for."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.known = {"beta.example": (BETA_SERVER.host,), "gw2.beta.example": ("203.0.113.6",)}

    async def naptr(self, name: str) -> tuple[Naptr, ...]:
        return ()

    async def srv(self, name: str) -> tuple[Srv, ...]:
        return ()

    async def addresses(self, name: str) -> tuple[str, ...]:
        if self.gate is not None:
            await self.gate.wait()
        return self.known.get(name, ())


class FakeResolver:
    """Finds the URIs it was given for a number; `gate` is waited for."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.found: dict[str, tuple[str, ...]] = {BOB: (f"sip:{BOB}@beta.example;user=phone",)}
        self.asked: list[tuple[str, str]] = []
        self.forgotten: list[str] = []

    async def resolve(self, number: str, service: Service, *, caller: str) -> Resolution:
        self.asked.append((number, caller))
        if self.gate is not None:
            await self.gate.wait()
        uris = self.found.get(number, ())
        outcome = Outcome.FOUND if uris else Outcome.NO_ANSWER
        return Resolution(
            number.lstrip("+"),
            service,
            tuple(
                FoundUri(service, uri, "beta.example", rank, Assurance.SIGNED, NOW + 600)
                for rank, uri in enumerate(uris)
            ),
            (SourceOutcome("spin", outcome, "", 0.25),),
        )

    def forget_number(self, number: str, *, caller: str = "") -> None:
        self.forgotten.append(number)


class MemoryBindings:
    """A store of bindings in a dictionary; `broken` makes it fail like a database."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[Binding, ...]] = {}
        self.broken = False

    async def get(self, aor: str) -> tuple[Binding, ...]:
        if self.broken:
            raise BindingsUnavailable("disk I/O error")
        return self.held.get(aor, ())

    async def replace(
        self, aor: str, bindings: tuple[Binding, ...], *, expected: tuple[Binding, ...]
    ) -> bool:
        if await self.get(aor) != expected:
            return False
        self.held[aor] = bindings
        return True


class FakeTransports:
    """Flows by token, open until a test closes them."""

    def __init__(self) -> None:
        self.open: dict[str, Flow] = {}

    def flow_token(self, flow: Flow) -> str:
        token = f"{flow.transport}|{flow.remote}"
        self.open[token] = flow
        return token

    def flow_of(self, token: str) -> Flow | None:
        return self.open.get(token)


class FakeWeb:
    """Pages by their URL; every other one is not there."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def get(self, url: str) -> Fetched:
        self.asked.append(url)
        body = self.pages.get(url)
        return Fetched(404 if body is None else 200, {}, body or b"")


class FakeCertificates:
    """Every x5u leads to the one credential, or where a test says."""

    def __init__(self, credential: Credential) -> None:
        self.credential: Any = credential
        self.asked: list[str] = []

    def knows(self, url: str) -> bool:
        return False

    async def get_all(self, urls: Iterable[str]) -> dict[str, Any]:
        wanted = tuple(urls)
        self.asked += wanted
        return dict.fromkeys(wanted, self.credential)

    async def changed(self, urls: Iterable[str]) -> bool:
        return False


class MemoryRecords:
    """The call records that were written."""

    def __init__(self) -> None:
        self.written: list[CallRecord] = []

    def write(self, record: CallRecord) -> None:
        self.written.append(record)


@dataclass(frozen=True)
class Incoming:
    """One request that came in, and what was answered."""

    scene: CallScene
    transaction: ServerTransaction

    @property
    def request(self) -> Request:
        return self.transaction.request

    @property
    def responses(self) -> list[Response]:
        return self.scene.endpoint.responses.get(self.transaction.key, [])

    @property
    def statuses(self) -> list[int]:
        return [response.status_code for response in self.responses]

    @property
    def last(self) -> Response:
        return self.responses[-1]

    def cancel(self, *, settle: bool = True) -> None:
        """Let a CANCEL arrive, as the endpoint passes it on."""
        assert not self.transaction.final_sent
        control, request = self.scene.control, self.request
        self.scene.loop.do(lambda: control.on_cancel(self.transaction, request), settle=settle)


class CallScene:
    """Call control with everything around it in memory, on a clock that stands still."""

    def __init__(self, *, signs: bool = True, verifies: bool = True, **sections: Any) -> None:
        self.loop = VirtualLoop()
        self.config = make_config(**sections)
        self.endpoint = FakeEndpoint(self.loop)
        self.media = FakeMediaEngine(self.loop)
        self.dns = FakeDns()
        self.resolver = FakeResolver()
        self.bindings = MemoryBindings()
        self.transports = FakeTransports()
        self.world = stir_world()
        self.certificates = FakeCertificates(self.world.credential)
        self.web = FakeWeb()
        self.records = MemoryRecords()
        self.metrics = Metrics()
        self.calls = CallTable(self.config.sip.max_calls, self.config.sip.max_call_seconds)
        self.listeners = Listeners(self.config.provider, self.config.listen)
        self.seal = RouteSeal(bytes(16))
        self.control = self._control(signs, verifies)
        self._branches = itertools.count(1)

    def now(self) -> float:
        """The wall clock, in epoch seconds."""
        return NOW + self.loop.time()

    def _control(self, signs: bool, verifies: bool) -> CallControl:
        config, loop_key = self.config, bytes(16)
        public = GuardPolicy(allow_networks=tuple(map(ip_network, _PUBLIC)))
        next_hops = NextHops(self.dns, self.listeners, public)
        forwarder = Forwarder(next_hops, make_timers(config), loop_key)
        forwarder.attach(cast(Endpoint, self.endpoint))
        records = cast(CallRecordFile, self.records)
        callers = CallerPolicy(config.user, config.trunk)
        locations = Locations(
            cast(SqlBindingStore, self.bindings),
            config.registrar,
            lambda: cast(TransportSet, self.transports),
            self.now,
        )
        logins = Logins(self._digest(), FailureThrottle(allowed=3))
        identity = IdentityServices(
            self.world.signer if signs else None,
            self.world.service() if verifies else None,
            cast(CertificateSource, self.certificates),
            self.now,
        )
        wiring = Wiring(
            config=config,
            listeners=self.listeners,
            forwarder=forwarder,
            calls=self.calls,
            callers=callers,
            peers=make_peer_policy(config),
            attestation=make_attestation_policy(config, b"origination" * 3),
            dialects=make_dialects(config),
            numbers=NumberSet(config.provider.numbers),
            logins=logins,
            locations=locations,
            delivery=Delivery(locations, callers, self.listeners, config.route),
            resolver=cast(Resolver, self.resolver),
            identity=identity,
            media=cast(MediaEngine, self.media),
            seal=self.seal,
            metrics=self.metrics,
            loop_key=loop_key,
            clock=self.now,
            caller_data=CallerDataPolicy(config),
            caller_display=CallerDisplay(
                config.stir.caller_display, cast(GuardedClient, self.web), self.now
            ),
        )
        self.ending = Ending(
            self.calls, self.listeners, forwarder, next_hops, self.metrics, records, self.now
        )
        registration = Registration(logins, callers, self.listeners, locations)
        return CallControl(wiring, self.ending, registration)

    def _digest(self) -> DigestAuthenticator:
        realm = self.config.provider.domain
        users = {user.username for user in self.config.user}

        async def lookup(username: str, asked: str) -> StoredCredential | None:
            if username not in users or asked != realm:
                return None
            return StoredCredential.of_password(username, realm, PASSWORD)

        return DigestAuthenticator(realm, lookup, nonce_key=bytes(16))

    # --- time --------------------------------------------------------------------------------

    def settle(self) -> None:
        self.loop.settle()

    def advance(self, seconds: float) -> None:
        self.loop.advance(seconds)

    # --- what comes in -----------------------------------------------------------------------

    def receive(
        self, request: Request, flow: Flow, *, settle: bool = True, cancelled: bool = False
    ) -> Incoming:
        """Let a request arrive, at once `cancelled` perhaps; its top Via gets its own branch."""
        via = (
            f"SIP/2.0/{flow.transport.upper()} {flow.remote};branch=z9hG4bKin{next(self._branches)}"
        )
        request = request.with_headers(request.headers.prepend("Via", via))
        key = server_key(request, flow)
        transaction = ServerTransaction(self.endpoint, key, request, flow)

        def arrive() -> None:
            self.control.on_request(transaction, request, flow)
            if cancelled:
                self.control.on_cancel(transaction, request)

        self.loop.do(arrive, settle=settle)
        return Incoming(self, transaction)

    def acknowledge(self, request: Request, flow: Flow) -> None:
        """Let the ACK to a 2xx arrive."""
        self.loop.do(lambda: self.control.on_ack(request, flow))

    def authorised(self, request: Request, flow: Flow, username: str = "alice") -> Request:
        """The request with credentials for a challenge that it provokes first."""
        challenged = self.receive(request, flow)
        name, given = (
            ("WWW-Authenticate", "Authorization")
            if request.method == "REGISTER"
            else ("Proxy-Authenticate", "Proxy-Authorization")
        )
        value = authorize(
            challenged.last.headers.all(name),
            username=username,
            password=PASSWORD,
            method=request.method,
            uri=request.request_uri,
        )
        assert value is not None
        return request.with_headers(request.headers.append(given, value))

    def dial(self, request: Request | None = None, *, settle: bool = True) -> Incoming:
        """Let alice call, with her credentials."""
        request = self.authorised(request or invite(), FROM_ALICE)
        return self.receive(request, FROM_ALICE, settle=settle)

    def called(self, request: Request | None = None, *, settle: bool = True) -> Incoming:
        """Let beta.example call."""
        if request is None:
            request = self.signed(from_beta())
        return self.receive(request, FROM_BETA, settle=settle)

    def signed(self, request: Request, *, orig: str = BOB, dest: str = ALICE) -> Request:
        """The request as beta.example signs it: with a certificate for any number."""
        value = self.world.identity(orig_tn=orig.lstrip("+"), dest_tns=(dest.lstrip("+"),))
        return request.with_headers(request.headers.append("Identity", value))

    def register(self, number: str, flow: Flow, user: str = "device", q: float = 1.0) -> None:
        """Put a contact into the registrar's store."""
        contact = f"sip:{user}@{flow.remote}"
        token = self.transports.flow_token(flow)
        binding = Binding(number, contact, "reg-1", 1, NOW + 3_600, q, token)
        self.bindings.held[number] = (*self.bindings.held.get(number, ()), binding)

    # --- what went out -----------------------------------------------------------------------

    def sent(self, method: str) -> list[Sent]:
        """The requests of a method that left, in order."""
        return [each for each in self.endpoint.sent if each.request.method == method]

    @property
    def only(self) -> Sent:
        """The one INVITE that left."""
        (sent,) = self.sent("INVITE")
        return sent

    def talking(self, incoming: Incoming | None = None) -> Incoming:
        """A call that was answered with SDP."""
        incoming = incoming or self.dial()
        self.only.answer(200, body=sdp("callee"))
        assert incoming.statuses[-1] == 200, incoming.statuses
        return incoming


def invite(
    to: str = BOB,
    *,
    caller: str = ALICE,
    body: bytes | None = None,
    call_id: str = "call-1@device",
    extra: Sequence[tuple[str, str]] = (),
) -> Request:
    """An INVITE of an own user's device; without `body` it offers SDP, b"" makes a late offer."""
    body = sdp("caller") if body is None else body
    fields = [
        ("Max-Forwards", "70"),
        ("From", f"<sip:{caller}@alpha.example>;tag=caller"),
        ("To", f"<sip:{to}@alpha.example>"),
        ("Call-ID", call_id),
        ("CSeq", "5 INVITE"),
        ("Contact", f"<{CALLER_CONTACT}>"),
        *extra,
    ]
    if body:
        fields.append(SDP_TYPE)
    return Request("INVITE", f"sip:{to}@alpha.example;user=phone", Headers.of(*fields), body)


def from_beta(to: str = ALICE, **changes: Any) -> Request:
    """An INVITE of the peer's gateway, unsigned."""
    request = invite(to, caller=BOB, call_id="call-1@beta", **changes)
    headers = request.headers.prepend("Record-Route", "<sip:gw2.beta.example:5061;lr>")
    return request.with_headers(headers)


def within(
    method: str,
    incoming: Incoming,
    by: Side,
    *,
    cseq: int = 6,
    body: bytes = b"",
    extra: Sequence[tuple[str, str]] = (),
    answer: Response | None = None,
) -> Request:
    """A request within the dialog of an answered call, as its caller or callee sends it."""
    final = answer or incoming.last
    routes = [str(route) for route in final.record_routes]
    caller, callee = incoming.request.headers.get("From") or "", final.headers.get("To") or ""
    if by == "caller":
        sender, receiver, target = caller, callee, str(final.contacts[0].uri)
        # The proxies before us have taken their own values off already.
        routes = routes[: len(routes) - len(incoming.request.record_routes)][::-1]
    else:
        sender, receiver, target = callee, caller, CALLER_CONTACT
    fields = [("Route", route) for route in routes]
    fields += [
        ("Max-Forwards", "70"),
        ("From", sender),
        ("To", receiver),
        ("Call-ID", incoming.request.call_id),
        ("CSeq", f"{cseq} {method}"),
        *extra,
    ]
    if body:
        fields.append(SDP_TYPE)
    return Request(method, target, Headers.of(*fields), body)


def with_flow(flow: Flow, **changes: Any) -> Flow:
    """A flow with one thing changed."""
    return replace(flow, **changes)
