"""What SIP asks of DNS: the records of RFC 3263 and the port through which they are had.

Only values and a Protocol live here; the resolver itself is the gateway's.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Naptr:
    """One NAPTR record (RFC 3403 4.1); names are lower-case without the closing dot."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """One SRV record (RFC 2782); a target of "" is the root: the service is not offered."""

    priority: int
    weight: int
    port: int
    target: str


class DnsUnavailable(Exception):
    """DNS did not answer: not the same as a name that does not exist.

    `name` is what was asked, `culprit` who did not answer (a server, or ourselves when a limit of
    ours was reached) and `detail` how (timeout, SERVFAIL, ...).
    """

    def __init__(self, name: str, culprit: str, detail: str) -> None:
        super().__init__(f"dns: {name}: {culprit}: {detail}")
        self.name = name
        self.culprit = culprit
        self.detail = detail


class DnsClient(Protocol):
    """A DNS resolver; an empty tuple says that the name or the record does not exist.

    Every method raises DnsUnavailable where the question could not be answered.
    """

    async def naptr(self, name: str) -> tuple[Naptr, ...]: ...

    async def srv(self, name: str) -> tuple[Srv, ...]: ...

    async def addresses(self, name: str) -> tuple[str, ...]: ...
