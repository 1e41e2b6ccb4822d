"""What a listener is told: where to bind, what to advertise, its certificate and its limits."""

from dataclasses import dataclass

from sip.flow import Address, Transport


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Certificates of a TLS listener; all are paths of PEM files.

    `certificate_file` and `key_file` serve both as server certificate and as the client
    certificate of outgoing connections. `trust_anchor_file` is what servers we connect to are
    checked against (None: the system's). `client_trust_anchor_file`, when given, asks clients for
    a certificate and checks one that is offered against it; `verify_client` refuses clients that
    offer none.
    """

    certificate_file: str
    key_file: str
    trust_anchor_file: str | None = None
    client_trust_anchor_file: str | None = None
    verify_client: bool = False


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One listening address; times are in seconds, sizes in bytes.

    `sent_by` is what Via and Record-Route advertise; a port of 0 there, or in `bind`, stands for
    the port that was bound. Inbound connections are refused beyond `max_connections` in all and
    `max_connections_per_source` from one address; a message that began has to be whole within
    `header_timeout`; a connection without traffic is closed after `idle_timeout`; one whose peer
    does not read is closed when `max_write_buffer` bytes wait for it. `connect_timeout` is for TCP
    and for the TLS handshake, each.
    """

    name: str
    transport: Transport
    bind: Address
    sent_by: Address
    tls: TlsSettings | None = None
    max_connections: int = 2_000
    max_connections_per_source: int = 50
    header_timeout: float = 5.0
    idle_timeout: float = 120.0
    connect_timeout: float = 3.0
    max_message: int = 64_000
    max_write_buffer: int = 524_288
    reuse_port: bool = False
