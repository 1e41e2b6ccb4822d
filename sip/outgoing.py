"""The sending half of an endpoint: flows for hops, our Via, and who waits for which response.

It carries out what `ClientTransaction` decides, on the transports and the transaction layer of
the endpoint, and keeps the tables that lead from a transaction of the layer back to its user.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sip.client_transaction import ClientEvent, ClientTransaction
from sip.flow import Flow, Hop
from sip.hop_health import HopHealth
from sip.message import Request, Response
from sip.transaction.actions import Action, TransportFailed
from sip.transaction.derived import cancel_for
from sip.transaction.key import ClientKey, client_key
from sip.transaction.layer import TransactionLayer
from sip.transport.receiver import SendFailed
from sip.transport.transport_set import TransportSet
from sip.transport.via import push_via

_LONGEST_RETRY_AFTER = 60


class Driver(Protocol):
    """What the endpoint does for its sending half."""

    def now(self) -> float:
        """Give the time in seconds."""

    def run(self, actions: Iterable[Action]) -> None:
        """Carry out actions of the transaction layer."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call after the present event was handled, errors caught."""

    def later(self, delay: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call in `delay` seconds, errors caught; the returned function stops that."""

    def guarded(self, call: Callable[[], None]) -> None:
        """Call now, errors caught."""

    def fail(self, key: ClientKey, detail: str) -> None:
        """Tell the layer that a client transaction cannot go on, and why."""


@dataclass(slots=True)
class _Sent:
    """A client transaction of the layer: an attempt of a request, or a CANCEL (no user).

    `request` is kept for a CANCEL, until the final response.
    """

    user: ClientTransaction | None
    request: Request | None
    flow: Flow
    answered: bool = False
    fault: str | None = None


class Outgoing:
    """Carrier of client transactions; `udp_limit` and `failover_after` as in EndpointSettings."""

    def __init__(
        self,
        transports: TransportSet,
        layer: TransactionLayer,
        driver: Driver,
        *,
        udp_limit: int | None,
        failover_after: float,
    ) -> None:
        self._transports = transports
        self._layer = layer
        self._driver = driver
        self._udp_limit = udp_limit
        self._failover_after = failover_after
        self._health = HopHealth()
        self._sent: dict[ClientKey, _Sent] = {}
        self._keys_by_flow: dict[int, set[ClientKey]] = {}

    # For ClientTransaction (Carrier).

    def plan(self, request: Request, hops: Sequence[Hop]) -> list[Hop]:
        """Give the hops to try: TCP before UDP for what is long, bad ones last."""
        planned: list[Hop] = []
        for hop in hops:
            if hop.transport == "udp":
                planned += self._over_tcp(request, hop)
            planned.append(hop)
        return list(self._health.ordered(planned, self._driver.now()))

    def _over_tcp(self, request: Request, hop: Hop) -> tuple[Hop, ...]:
        """The same place over TCP, for what is too long for a datagram (RFC 3261 18.1.1)."""
        if self._udp_limit is None or hop.flow is not None:
            return ()
        length = len(request.body) + sum(len(n) + len(v) + 4 for n, v in request.headers)
        listener = self._transports.sibling(hop, "tcp") if length > self._udp_limit else None
        if listener is None:
            return ()
        stream = replace(hop, transport="tcp", listener=listener)
        return () if self._health.is_bad(stream, self._driver.now()) else (stream,)

    def patience(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call when a hop was silent too long."""
        return self._driver.later(self._failover_after, call)

    def reached(self, hop: Hop, response: Response) -> None:
        """A hop answered; with 503 and Retry-After it asks for a pause (RFC 3261 21.5.4)."""
        self._health.recovered(hop)
        if response.status_code == 503:
            text = (response.headers.get("Retry-After") or "").partition(";")[0].strip()
            if text.isascii() and text.isdigit() and len(text) < 10:
                pause = min(int(text), _LONGEST_RETRY_AFTER)
                self._health.failed(hop, self._driver.now(), seconds=pause)

    def unreached(self, hop: Hop) -> None:
        """A hop could not be reached, or stayed silent."""
        self._health.failed(hop, self._driver.now())

    def give_up(self, key: ClientKey, detail: str) -> None:
        """End a transaction of the layer that had no response."""
        self._driver.fail(key, detail)

    def ready_flow(self, hop: Hop) -> Flow | None:
        """Give a flow to a hop where one is open; raises SendFailed."""
        return self._transports.ready_flow(hop)

    def connect(self, hop: Hop, then: Callable[[Flow | SendFailed], None]) -> Callable[[], None]:
        """Open a flow, then call `then`; calling what is returned gives up waiting."""

        return self._transports.open(hop, lambda result: self._driver.guarded(lambda: then(result)))

    def with_via(self, request: Request, flow: Flow, suffix: str) -> Request:
        """Push our Via for a flow."""
        sent_by = self._transports.sent_by(flow.listener)
        return push_via(request, flow.transport, sent_by, suffix)

    def with_via_for(self, request: Request, hop: Hop, suffix: str) -> Request:
        """Push our Via for a hop that has no flow yet; raises SendFailed for an impossible one."""
        return self.with_via(request, self._transports.flow_to(hop), suffix)

    def begin(self, attempt: ClientTransaction | None, request: Request, flow: Flow) -> None:
        """Begin a transaction of the layer on an open flow; a CANCEL has no attempt."""
        key = client_key(request)
        self._sent[key] = _Sent(attempt, request, flow)
        if attempt is not None:
            attempt.key = key
        if flow.flow_id:
            self._keys_by_flow.setdefault(flow.flow_id, set()).add(key)
        reliable = flow.transport != "udp"
        _, actions = self._layer.request(request, reliable=reliable, now=self._driver.now())
        self._driver.run(actions)
        if len(actions) == 1 and isinstance(actions[0], TransportFailed):
            self.terminated(key)  # it never began: the layer has no room

    def cancel(self, key: ClientKey, headers: Sequence[tuple[str, str]]) -> None:
        """Send CANCEL after the request of `key` (RFC 3261 9.1)."""
        sent = self._sent.get(key)
        if sent is None or sent.request is None:
            return
        request = cancel_for(sent.request)
        for name, value in headers:
            request = request.with_headers(request.headers.append(name, value))
        self.begin(None, request, sent.flow)

    def soon(self, call: Callable[[], None]) -> None:
        """Call after the present event was handled."""
        self._driver.soon(call)

    # For the endpoint.

    def send(
        self,
        request: Request,
        hops: Sequence[Hop],
        on_event: Callable[[ClientEvent], None],
        suffix: str,
    ) -> ClientTransaction:
        """Start sending a request to the first hop that takes it."""
        transaction = ClientTransaction(request, hops, on_event, self, suffix)
        transaction.start()
        return transaction

    def flow_of(self, key: ClientKey) -> Flow | None:
        """Give the flow a client transaction sends on."""
        sent = self._sent.get(key)
        return sent.flow if sent is not None else None

    def response_received(self, key: ClientKey, response: Response) -> None:
        """The layer passes a response to the user of a transaction."""
        sent = self._sent.get(key)
        if sent is not None:
            sent.answered = True
            if response.status_code >= 200:
                sent.request = None
            if sent.user is not None:
                sent.user.response_received(key, response)

    def timed_out(self, key: ClientKey) -> None:
        """The layer gave a transaction up."""
        sent = self._sent.get(key)
        if sent is not None and sent.user is not None:
            sent.user.timed_out(key)

    def note_fault(self, key: ClientKey, detail: str) -> None:
        """Remember why a request could not be sent, for when the layer has drawn its conclusion."""
        sent = self._sent.get(key)
        if sent is not None:
            sent.fault = detail

    def transport_failed(self, key: ClientKey) -> None:
        """The layer learned that a request could not be sent."""
        sent = self._sent.get(key)
        if sent is not None and sent.user is not None:
            sent.user.transport_failed(key, sent.fault)

    def terminated(self, key: ClientKey) -> None:
        """A transaction is gone."""
        sent = self._sent.pop(key, None)
        if sent is not None and sent.flow.flow_id:
            keys = self._keys_by_flow.get(sent.flow.flow_id)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys_by_flow[sent.flow.flow_id]

    def unanswered_on(self, flow: Flow) -> list[ClientKey]:
        """Give the transactions on a connection that had no response at all."""
        keys = self._keys_by_flow.get(flow.flow_id, ())
        return [key for key in keys if not self._sent[key].answered]
