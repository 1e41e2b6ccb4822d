"""ICE candidates as they stand in a session description (RFC 8839 section 5.1)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal

CandidateType = Literal["host", "srflx", "prflx", "relay"]

# RFC 8445 section 5.1.2.2
TYPE_PREFERENCE: Final[dict[CandidateType, int]] = {
    "host": 126,
    "prflx": 110,
    "srflx": 100,
    "relay": 0,
}

# RFC 8839 section 5.1: foundation SP component SP transport SP priority SP address SP port SP
# "typ" SP type, then name/value pairs. Senders write an empty foundation's place as "-" or "X".
_CANDIDATE: Final = re.compile(
    r"(?:candidate:)?([^\s]{1,64})[ \t]+([0-9]{1,3})[ \t]+([A-Za-z0-9-]{1,16})[ \t]+([0-9]{1,10})"
    r"[ \t]+([^\s]{1,255})[ \t]+([0-9]{1,5})[ \t]+typ[ \t]+([A-Za-z0-9-]{1,16})((?:[ \t]+\S+)*)"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One transport address at which a component of a stream may be reached.

    `component` 1 is RTP (and all with rtcp-mux), 2 is RTCP; `extensions` are the name and
    value words after the type, related address included, in their order.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str
    extensions: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the address is an IP address (and neither a name nor mDNS `.local`)."""
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        words = (
            self.foundation,
            str(self.component),
            self.transport,
            str(self.priority),
            self.address,
            str(self.port),
            "typ",
            self.type,
            *self.extensions,
        )
        return " ".join(words)


def parse_candidate(value: str) -> Candidate | None:
    """Parse the value of `a=candidate`; None if it is not one (RFC 8839 section 5.1)."""
    match = _CANDIDATE.fullmatch(value)
    if match is None:
        return None
    component, priority, port = int(match[2]), int(match[4]), int(match[6])
    if not 1 <= component <= 256 or priority > 2**32 - 1 or port > 65535:
        return None
    return Candidate(
        match[1],
        component,
        match[3],
        priority,
        match[5],
        port,
        match[7],
        tuple(match[8].split()),
    )


def candidate_priority(kind: CandidateType, component: int, local_preference: int = 65535) -> int:
    """RFC 8445 section 5.1.2.1."""
    return (TYPE_PREFERENCE[kind] << 24) | (local_preference << 8) | (256 - component)


def host_candidate(
    address: str, port: int, *, component: int = 1, local_preference: int = 65535
) -> Candidate:
    """The candidate of a socket of ours at a known address."""
    return Candidate(
        "1" if ":" not in address else "2",
        component,
        "UDP",
        candidate_priority("host", component, local_preference),
        address,
        port,
        "host",
    )
