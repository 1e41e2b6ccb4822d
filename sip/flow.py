"""Where a message came from and where one is to be sent: facts that travel beside messages."""

from dataclasses import dataclass
from typing import Literal

Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port; the host is a name or a numeric address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Flow:
    """The wire-side facts of where a message came from.

    `listener` names the listener it arrived at; `flow_id` identifies one TCP or TLS connection
    (0 on UDP); `peer_names` are the names proven by the peer's certificate (RFC 5922), lower case.
    """

    transport: Transport
    local: Address
    remote: Address
    listener: str
    flow_id: int = 0
    peer_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """Where to send a message.

    `tls_name` is the domain the server's certificate must prove (RFC 5922); `flow`, when given,
    asks for that very connection (RFC 5626); `listener` for a certain listener to send from.
    """

    transport: Transport
    address: Address
    listener: str | None = None
    tls_name: str | None = None
    flow: Flow | None = None
