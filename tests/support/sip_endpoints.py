"""Endpoints for tests over real sockets: a user that can be told how to answer, and what it saw."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from sip.endpoint import ClientEvent, Endpoint, EndpointSettings, ServerTransaction
from sip.flow import Address, Flow, Hop, Transport
from sip.headers import Headers
from sip.message import Request, Response, response_to
from sip.timers import Timers
from sip.transport.settings import ListenerSettings, TlsSettings

# Ten times as fast as the RFC's, so that time-outs can be waited for.
QUICK = Timers(t1=0.05, t2=0.4, t4=0.5, timer_d=3.2)


@dataclass
class User:
    """Answers requests with `status` (after 180 for INVITE) unless `answer` says otherwise."""

    status: int = 200
    ring_only: bool = False
    silent: bool = False
    answer: Callable[[ServerTransaction, Request], None] | None = None
    requests: list[Request] = field(default_factory=list)
    transactions: list[ServerTransaction] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    cancelled: list[Request] = field(default_factory=list)
    acks: list[Request] = field(default_factory=list)

    def on_request(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        self.requests.append(request)
        self.transactions.append(transaction)
        self.flows.append(flow)
        if self.answer is not None:
            self.answer(transaction, request)
        elif not self.silent:
            if request.method == "INVITE":
                transaction.respond(response_to(request, 180, to_tag="callee"))
            if not self.ring_only:
                transaction.respond(response_to(request, self.status, to_tag="callee"))

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        self.cancelled.append(request)
        transaction.respond(response_to(transaction.request, 487, to_tag="callee"))

    def on_ack(self, request: Request, flow: Flow) -> None:
        self.acks.append(request)


@dataclass
class Watcher:
    """An Observer that keeps what it sees."""

    seen: list[tuple[str, Flow, Request | Response]] = field(default_factory=list)
    dropped_reasons: list[str] = field(default_factory=list)

    def message(
        self, direction: Literal["in", "out"], flow: Flow, message: Request | Response
    ) -> None:
        self.seen.append((direction, flow, message))

    def dropped(self, reason: str, flow: Flow) -> None:
        self.dropped_reasons.append(reason)

    def methods(self, direction: str) -> list[str]:
        return [m.method for d, _, m in self.seen if d == direction and isinstance(m, Request)]


class Events:
    """Collects the events of a client transaction and waits for them."""

    def __init__(self) -> None:
        self.all: list[ClientEvent] = []
        self._arrived = asyncio.Event()

    def __call__(self, event: ClientEvent) -> None:
        self.all.append(event)
        self._arrived.set()

    async def until(self, done: Callable[[ClientEvent], bool], timeout: float = 5.0) -> ClientEvent:
        async with asyncio.timeout(timeout):
            while True:
                for event in self.all:
                    if done(event):
                        return event
                self._arrived.clear()
                await self._arrived.wait()


async def eventually(condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Wait until a condition holds; fails after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - conditions of many kinds have no common event
            await asyncio.sleep(0.005)


def listener(
    transport: Transport,
    host: str = "127.0.0.1",
    *,
    name: str | None = None,
    port: int = 0,
    tls: TlsSettings | None = None,
    **limits: float,
) -> ListenerSettings:
    return ListenerSettings(
        name=name or transport,
        transport=transport,
        bind=Address(host, port),
        sent_by=Address(host, 0),
        tls=tls,
        **limits,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running(
    *listeners: ListenerSettings,
    user: User | None = None,
    observer: Watcher | None = None,
    timers: Timers = QUICK,
    settings: EndpointSettings | None = None,
) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(
        settings or EndpointSettings(), listeners, user or User(), timers=timers, observer=observer
    )
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.stop()


def hop_to(endpoint: Endpoint, name: Transport, tls_name: str | None = None) -> Hop:
    return Hop(name, endpoint.transports.bound(name), tls_name=tls_name)


def request(
    method: str = "INVITE", *, call_id: str = "a-call@test.example", body: bytes = b""
) -> Request:
    return Request(
        method,
        "sip:+12125550123@beta.example",
        Headers.of(
            ("Max-Forwards", "70"),
            ("From", "<sip:+14155550100@alpha.example>;tag=caller"),
            ("To", "<sip:+12125550123@beta.example>"),
            ("Call-ID", call_id),
            ("CSeq", f"1 {method}"),
        ),
        body,
    )
