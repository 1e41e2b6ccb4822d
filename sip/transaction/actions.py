"""What the transaction layer asks of its driver and tells its transaction user.

Every call into `TransactionLayer` returns a list of these, to be carried out in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from sip.flow import Flow
from sip.message import Request, Response
from sip.transaction.key import ClientKey, ServerKey, TransactionKey


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send a message: a response to where the request came from, a request to its next hop."""

    key: TransactionKey
    message: Request | Response


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A new server transaction began; the transaction user owes it a response."""

    key: ServerKey
    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class CancelReceived:
    """A CANCEL began a server transaction of its own, to be answered 200, or 481 (RFC 3261 9.2).

    `invite_key` is the INVITE server transaction it asks to cancel, None where there is none.
    """

    key: ServerKey
    invite_key: ServerKey | None
    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class AckReceived:
    """An ACK that belongs to no 300-699 response: the ACK to a 2xx, for the transaction user."""

    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """A response for the transaction user, repeated 2xx responses to an INVITE included."""

    key: ClientKey
    response: Response


@dataclass(frozen=True, slots=True)
class StrayResponse:
    """A response that matches no client transaction: never forwarded (RFC 6026 section 8.9)."""

    response: Response
    flow: Flow


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No response came (timers B, F), no ACK came (timer H), or the user never answered."""

    key: TransactionKey


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """The message could not be sent; for a client transaction as good as a 503 (16.9)."""

    key: TransactionKey


@dataclass(frozen=True, slots=True)
class Terminated:
    """The transaction is gone; whatever is kept under its key can be let go."""

    key: TransactionKey


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The table is full: answer 503 statelessly, with Retry-After."""

    request: Request
    flow: Flow


Action = (
    Transmit
    | RequestReceived
    | CancelReceived
    | AckReceived
    | ResponseReceived
    | StrayResponse
    | TimedOut
    | TransportFailed
    | Terminated
    | Overloaded
)
