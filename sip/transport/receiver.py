"""What a transport reports, and how sending can fail."""

from typing import Literal, Protocol

from sip.flow import Flow
from sip.message import Request, Response
from sip.parser import MalformedMessage


class Receiver(Protocol):
    """Whoever the transports deliver to; no method may raise."""

    def received(self, message: Request | Response, flow: Flow) -> None:
        """A message arrived whole."""

    def malformed(self, error: MalformedMessage, flow: Flow) -> None:
        """Something arrived that is not a SIP message."""

    def dropped(self, reason: str, flow: Flow) -> None:
        """A connection was refused or cut, or something on it was not taken.

        What stands before the colon in `reason` is from a closed list, fit for counting; what
        follows says whose fault it was.
        """

    def closed(self, flow: Flow, reason: str) -> None:
        """A connection that had been made is gone; `reason` says who ended it."""


class SendFailed(Exception):
    """A message could not be handed to the network.

    `cause` is "transport" (nobody there, no connection, no listener) or "tls" (the peer is not
    who it should be, or refused us); `detail` names the address and whose fault it is.
    """

    def __init__(self, cause: Literal["transport", "tls"], detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
