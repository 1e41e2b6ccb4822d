"""A call from an own user or trunk: to another own user, or to another provider."""

from __future__ import annotations

from urllib.parse import unquote

import structlog

from discovery.model import Service
from gateway.asserted_headers import is_anonymous, own_headers
from gateway.caller_data import SignedBeside
from gateway.calls.connected import check_connected
from gateway.calls.media_control import SdpExchange
from gateway.calls.record import resolution_record
from gateway.calls.redirection import redirection
from gateway.calls.route_token import Side
from gateway.calls.setup import CallSetup
from gateway.calls.state import Direction
from gateway.calls.targets import WEBRTC, MediaTerms, Route
from gateway.numbers import dialled_number
from gateway.policy.attestation import CallDirection
from gateway.policy.callers import Caller
from gateway.refusal import CallRefused, reason_value
from sip.fields import NameAddr, parse_name_addrs
from sip.flow import Hop
from sip.host import write_host
from sip.message import Response
from sip.tel_uri import TelUri
from sip.uri import MalformedUri, SipUri, Uri, parse_uri
from stir.telephone_number import number_of

_log = structlog.get_logger("spingate.calls")


class OutboundSetup(CallSetup):
    """An INVITE on an access listener."""

    direction: Direction = "outbound"
    service: Service = Service.VOICE
    _beside: SignedBeside | None = None

    def _networks(self) -> dict[Side, str]:
        return {"caller": "access", "callee": "access" if self.direction == "local" else "peers"}

    async def prepare(self) -> None:
        """Authenticate, read the number, then deliver it here or find its provider."""
        caller = await self._caller()
        number = self._dialled()
        self.record.caller, self.record.called = caller.number, number
        if not caller.may_call(number):
            raise CallRefused(403, "This trunk may not call that prefix")
        trunk = self.wiring.callers.trunk(self.flow)
        redirects = trunk is not None and trunk.mode == "redirect"
        if number in self.wiring.numbers and not redirects:
            self.direction = self.record.direction = "local"
        if not redirects:
            self.admit(caller.name, caller.max_calls, 403)
        self.request = self.request.with_headers(
            own_headers(
                self.request.headers,
                caller.number,
                self.wiring.config.provider.domain,
                self.wiring.dialects,
            )
        )
        if self.wiring.caller_data is not None:
            headers, self._beside = self.wiring.caller_data.applied(self.request, caller)
            self.request = self.request.with_headers(headers)
        if trunk is not None and redirects:
            await self._sign(caller, number, "outbound")
            domain = self.wiring.config.provider.domain
            raise redirection(self.request, trunk, number, domain)
        if self.direction == "local":
            await self._stay(caller, number)
        else:
            await self._leave(caller, number)

    def _refuse_anonymous(self, number: str) -> None:
        owner = self.wiring.callers.owner(number)
        if owner is not None and owner.refuse_anonymous and is_anonymous(self.received):
            raise CallRefused(433)

    async def _stay(self, caller: Caller, number: str) -> None:
        self._refuse_anonymous(number)
        found = await self.wiring.delivery.find(number, self.received.request_uri)
        exchange = await self._bridge(caller, found.media)
        await self._sign(caller, number, "local")
        self.go(found.routes, exchange)

    async def _sign(self, caller: Caller, number: str, direction: CallDirection) -> None:
        attested = self.wiring.attestation.attested(caller, direction)
        if attested is not None:
            self.request, self.record.passport = await self.wiring.identity.signed(
                self.request,
                orig=caller.number,
                dest=number,
                attest=attested.attest,
                origid=attested.origid,
                beside=self._beside,
            )

    async def _leave(self, caller: Caller, number: str) -> None:
        routes = await self._resolve(caller, number)
        exchange = await self._bridge(caller, WEBRTC)
        await self._sign(caller, number, "outbound")
        await self._publish(caller, number, routes)
        self.go(routes, exchange)

    async def _publish(self, caller: Caller, number: str, routes: list[Route]) -> None:
        """Put the PASSporT where the called side finds it before the call gets there."""
        if self.wiring.out_of_band is not None:
            hosts = (write_host(route.uri.host) for route in routes)
            await self.wiring.out_of_band.publish(
                self.request,
                orig=caller.number,
                dest=number,
                loses_identity=any(map(self.wiring.peers.loses_identity, hosts)),
            )

    async def _bridge(self, caller: Caller, callee: MediaTerms) -> SdpExchange | None:
        own = MediaTerms(caller.media, caller.behind_nat, self.flow.remote.host)
        exchange = await self.bridge(own, callee)
        if self.call is not None:
            self.call.exchange = exchange
        return exchange

    def sent_to(self, hop: Hop, response: Response) -> None:
        """Beside what is noted of every call: who says, and proves, to have answered."""
        first = not self._taken
        super().sent_to(hop, response)
        if first and self._taken and self.direction != "local" and "Identity" in response.headers:
            checking = check_connected(self.wiring, self.record, response)
            self.wiring.forwarder.spawn(checking)

    # --- who calls ---------------------------------------------------------------------------

    async def _caller(self) -> Caller:
        policy, flow = self.wiring.callers, self.flow
        trunk = policy.trunk(flow)
        shown = self._shown(is_trunk=trunk is not None)
        username = "" if trunk is not None else await self._authenticate()
        callers = [
            policy.caller_from_trunk(trunk, number, flow)
            if trunk is not None
            else policy.caller_from_user(username, number, flow)
            for number in shown or (None,)
        ]
        # All of them: devices display From, whatever P-Preferred-Identity says.
        found = [caller for caller in callers if caller is not None]
        if not found and not shown:
            raise CallRefused(433, "The call shows no number, and the trunk has no default_number")
        if len(found) < len(callers):
            raise CallRefused(403, "The From number is not one of the caller's own numbers")
        return found[0]

    async def _authenticate(self) -> str:
        source, now = self.flow.remote.host, self.wiring.clock()
        return await self.wiring.logins.username(self.received, source, now, proxy=True)

    def _shown(self, *, is_trunk: bool) -> tuple[str, ...]:
        """The numbers the caller shows, in E.164: P-Preferred-Identity, then From.

        Where they show none, a PBX on a trunk may assert one.
        """
        shown = self._numbers((*self._addresses("P-Preferred-Identity"), self.received.from_))
        if not shown and is_trunk:
            shown = self._numbers(self._addresses("P-Asserted-Identity"))
        return shown

    def _addresses(self, name: str) -> tuple[NameAddr, ...]:
        return tuple(parse_name_addrs(name, self.received.headers.all(name))[:1])

    def _numbers(self, addresses: tuple[NameAddr, ...]) -> tuple[str, ...]:
        """What looks like a number but cannot be read as one stays as it is: it is nobody's."""
        numbers = []
        for address in addresses:
            text = str(address.uri)
            written = number_of(text)
            if written is not None:
                dialled = f"+{written}" if _is_global(address.uri) else written
                region = self.wiring.config.provider.region
                numbers.append(dialled_number(dialled, region) or written)
            elif _looks_like_number(address.uri):
                numbers.append(text)
        return tuple(numbers)

    # --- whom --------------------------------------------------------------------------------

    def _dialled(self) -> str:
        uri = parse_uri(self.request.request_uri)
        if isinstance(uri, SipUri):
            user = uri.user or ""
        elif isinstance(uri, TelUri):
            user = uri.digits
        else:
            raise CallRefused(416)
        number = dialled_number(user, self.wiring.config.provider.region)
        if number is None:
            raise CallRefused(404, "The Request-URI holds no telephone number")
        return number

    async def _resolve(self, caller: Caller, number: str) -> list[Route]:
        resolution = await self.wiring.resolver.resolve(number, self.service, caller=caller.number)
        self.record.discovery = resolution_record(resolution)
        for source in resolution.asked:
            self.wiring.metrics.discoveries.labels(source.name, str(source.outcome)).inc()
        listener = self.wiring.listeners.for_sending("peers", "tls")
        if not resolution.found:
            _log.info(
                "number not found", call_id=self.received.call_id, asked=resolution.asked_text()
            )
            reason = reason_value(404, f"number not found: {resolution.asked_text()}")
            raise CallRefused(404, headers=(("Reason", reason),))
        if listener is None:
            raise CallRefused(500, "No peers listener speaks tls")
        routes = []
        for rank, found in enumerate(resolution.uris):
            try:
                uri = parse_uri(found.uri)
            except MalformedUri as malformed:
                # Not the caller's fault: whoever answers for the number said so.
                _log.warning("uri not used", culprit=found.msp, detail=str(malformed))
                continue
            if isinstance(uri, SipUri):
                routes.append(Route(uri, listener, frozenset({"tls"}), q=1.0 - rank / 100))
        if not routes:
            raise CallRefused(404, "The number was found, but at no SIP URI")
        return routes


def _is_global(uri: Uri) -> bool:
    """Whether a number is written with its country code."""
    if isinstance(uri, TelUri):
        return uri.is_global
    return isinstance(uri, SipUri) and unquote(uri.user or "").lstrip().startswith("+")


def _looks_like_number(uri: Uri) -> bool:
    """Whether people would take a user part for a number: it has digits, and no letters."""
    user = unquote(uri.user or "") if isinstance(uri, SipUri) else ""
    return any(map(str.isdecimal, user)) and not any(map(str.isalpha, user))
