"""A virtual clock and a bad network: loses, delays, reorders and duplicates real SIP bytes."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from random import Random

from sip.flow import Address, Flow
from sip.message import Request, Response
from sip.parser import parse_datagram
from sip.timers import Timers
from sip.transaction.actions import (
    AckReceived,
    Action,
    CancelReceived,
    RequestReceived,
    ResponseReceived,
    Terminated,
    TimedOut,
    Transmit,
)
from sip.transaction.key import ClientKey, ServerKey, TransactionKey
from sip.transaction.layer import TransactionLayer
from sip.validate import assess


class World:
    """All nodes, the datagrams under way and the only clock there is."""

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        duplication: float = 0.0,
        delay: tuple[float, float] = (0.01, 0.02),
    ) -> None:
        self.now = 0.0
        self.rand = Random(seed)
        self.loss = loss
        self.duplication = duplication
        self.delay = delay
        self.nodes: dict[str, Node] = {}
        self.sent = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._events, (self.now + seconds, self._count, call))

    def send(self, source: str, to: str, data: bytes) -> None:
        self.sent += 1
        copies = 2 if self.rand.random() < self.duplication else 1
        for _ in range(copies):
            if self.rand.random() >= self.loss:
                self.after(self.rand.uniform(*self.delay), lambda: self._arrive(source, to, data))

    def _arrive(self, source: str, to: str, data: bytes) -> None:
        if to in self.nodes:
            self.nodes[to].receive(data, source)

    def run(self, until: float = inf) -> None:
        """Jump from event to event until nothing is left, or until a time."""
        steps = 0
        while (when := self._next()) <= until and when != inf:
            assert when >= self.now
            self.now = when
            if self._events and self._events[0][0] == when:
                heappop(self._events)[2]()
            else:
                for node in list(self.nodes.values()):
                    node.wake()
            steps += 1
            assert steps < 200_000, "the simulation does not come to rest"

    def _next(self) -> float:
        times = [node.next_deadline() for node in self.nodes.values()]
        if self._events:
            times.append(self._events[0][0])
        return min(times, default=inf)


class Node:
    """An element with a transaction layer; subclasses are its transaction user."""

    def __init__(self, world: World, host: str) -> None:
        self.world = world
        self.host = host
        self.timers = Timers()
        self.layer = TransactionLayer(self.timers)
        self.flows: dict[ServerKey, Flow] = {}
        self.hops: dict[ClientKey, str] = {}
        self.requests: list[Request] = []
        self.timed_out: list[tuple[TransactionKey, float]] = []
        self._branches = 0
        world.nodes[host] = self

    def receive(self, data: bytes, source: str) -> None:
        message = parse_datagram(data)
        assert assess(message, "udp").outcome == "forward"
        flow = Flow("udp", Address(self.host, 5060), Address(source, 5060), "sim")
        self.carry_out(self.layer.receive(message, flow, self.world.now))

    def next_deadline(self) -> float:
        deadline = self.layer.next_deadline()
        return inf if deadline is None else deadline

    def wake(self) -> None:
        self.carry_out(self.layer.expire(self.world.now))

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Transmit(ServerKey() as key, message):
                    host = self.flows[key].remote.host
                    self.world.send(self.host, host, message.to_bytes())
                case Transmit(ClientKey() as client, message):
                    self.world.send(self.host, self.hops[client], message.to_bytes())
                case RequestReceived(key, request, flow):
                    self.flows[key] = flow
                    self.requests.append(request)
                    self.on_request(key, request)
                case CancelReceived(key, invite_key, request, flow):
                    self.flows[key] = flow
                    self.on_cancel(key, invite_key, request)
                case AckReceived(request, _):
                    self.on_ack(request)
                case ResponseReceived(client, response):
                    self.on_response(client, response)
                case TimedOut(timed_out):
                    self.timed_out.append((timed_out, self.world.now))
                    self.on_timeout(timed_out)
                case Terminated(ServerKey() as key):
                    del self.flows[key]
                case Terminated(ClientKey() as client):
                    del self.hops[client]

    def respond(self, key: ServerKey, response: Response) -> None:
        self.carry_out(self.layer.respond(key, response, self.world.now))

    def with_via(self, request: Request, suffix: str = "") -> Request:
        self._branches += 1
        branch = f"z9hG4bK{self.host}-{self._branches}{suffix}"
        via = f"SIP/2.0/UDP {self.host};branch={branch}"
        return request.with_headers(request.headers.prepend("Via", via))

    def send(self, request: Request, to: str) -> ClientKey:
        """Begin a client transaction; the top Via is on."""
        key, actions = self.layer.request(request, reliable=False, now=self.world.now)
        self.hops[key] = to
        self.carry_out(actions)
        return key

    def send_stateless(self, request: Request, to: str) -> None:
        self.world.send(self.host, to, self.with_via(request).to_bytes())

    def on_request(self, key: ServerKey, request: Request) -> None: ...
    def on_cancel(self, key: ServerKey, invite_key: ServerKey | None, request: Request) -> None: ...
    def on_ack(self, request: Request) -> None: ...
    def on_response(self, key: ClientKey, response: Response) -> None: ...
    def on_timeout(self, key: TransactionKey) -> None: ...
