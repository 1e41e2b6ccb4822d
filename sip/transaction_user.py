"""The two sides of an endpoint's border: what it is told, and whom it tells (RFC 3261 17)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from sip.flow import Flow
from sip.message import Request, Response
from sip.transaction.key import ServerKey


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Limits of an endpoint.

    `max_transactions` and `max_lingering` bound the transaction layer, `max_connecting` the
    requests that wait for a connection. A request longer than `udp_limit` bytes goes by TCP where
    the peer takes it (RFC 3261 18.1.1); None never does that. A hop that gives no response for
    `failover_after` seconds makes room for the next, if there is one. `retry_after` is the range,
    in seconds, of what an overloaded endpoint tells its clients.
    """

    max_transactions: int = 50_000
    max_lingering: int = 200_000
    max_connecting: int = 10_000
    udp_limit: int | None = 1_300
    failover_after: float = 5.0
    retry_after: tuple[int, int] = (3, 10)


class TransactionUser(Protocol):
    """Whoever the endpoint serves; what it raises is logged and answered 500."""

    def on_request(self, transaction: "ServerTransaction", request: Request, flow: Flow) -> None:
        """A new request, neither ACK nor CANCEL; the user owes it a final response."""

    def on_cancel(self, transaction: "ServerTransaction", request: Request) -> None:
        """The INVITE of `transaction` is to be cancelled; the CANCEL was answered 200 already."""

    def on_ack(self, request: Request, flow: Flow) -> None:
        """An ACK to a 2xx response, which goes its own way (RFC 3261 13.2.2.4)."""


class Observer(Protocol):
    """Sees every message and everything dropped, for traces and metrics."""

    def message(
        self, direction: Literal["in", "out"], flow: Flow, message: Request | Response
    ) -> None: ...

    def dropped(self, reason: str, flow: Flow) -> None:
        """Something was refused, cut or not delivered.

        The words before the colon are from a closed list (malformed, answered 400, overloaded,
        unmatched, undelivered, unsent, accept, slow, closing, tls, tcp, udp), fit for counting;
        what follows says whose fault it was.
        """


class Responder(Protocol):
    """Where responses go: the endpoint."""

    def respond(self, key: ServerKey, response: Response) -> None: ...


class ServerTransaction:
    """A request that was received, and the way its responses go back.

    `on_timeout`, when set, is called if no ACK comes for a final response to INVITE, or if the
    user never answered; `on_failure` if a response could not be delivered.
    """

    __slots__ = ("_responder", "final_sent", "flow", "key", "on_failure", "on_timeout", "request")

    def __init__(self, responder: Responder, key: ServerKey, request: Request, flow: Flow) -> None:
        self._responder = responder
        self.key = key
        self.request = request
        self.flow = flow
        self.final_sent = False
        self.on_timeout: Callable[[], None] | None = None
        self.on_failure: Callable[[], None] | None = None

    def respond(self, response: Response) -> None:
        """Send a response; does nothing once the transaction is over."""
        if response.status_code >= 200:
            self.final_sent = True
        self._responder.respond(self.key, response)
