"""How large a message and its parts may be before the gateway refuses to work on them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """Bounds on one message; exceeding the first gets 513, `request_uri` 414, the others 400.

    `message` is octets in all: under the 65,507 of a UDP datagram with room for the Via and
    Record-Route a proxy adds. `header_fields` counts fields, `vias` Via values (Max-Forwards
    starts at 70, so an honest request has fewer). `request_uri` is characters, and `word`
    characters of a tag, branch or Call-ID, which become keys of tables.
    """

    message: int = 64_000
    header_fields: int = 256
    vias: int = 70
    request_uri: int = 4_096
    word: int = 1_024


DEFAULT_LIMITS = MessageLimits()
