"""Bindings of an address of record to contacts, and the store that keeps them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address of record (RFC 3261 section 10).

    `expires_at` is in epoch seconds; `q` from 0 to 1. `flow_token` names the flow the REGISTER
    came by (Endpoint.transports.flow_token), `instance` and `reg_id` the device and its
    registration (RFC 5626 4.1); empty strings and 0 where the client gave none.
    """

    aor: str
    contact_uri: str
    call_id: str
    cseq: int
    expires_at: float
    q: float = 1.0
    flow_token: str = ""
    user_agent: str = ""
    instance: str = ""
    reg_id: int = 0


class BindingStore(Protocol):
    """Keeps bindings by address of record; what its methods raise passes through the registrar."""

    async def get(self, aor: str) -> tuple[Binding, ...]:
        """Give the bindings of an address of record, expired ones perhaps among them."""

    async def replace(
        self, aor: str, bindings: tuple[Binding, ...], *, expected: tuple[Binding, ...]
    ) -> bool:
        """Put `bindings` in the place of `expected`, at once and whole.

        Does nothing and gives False where what is stored is no longer `expected`: another
        REGISTER was quicker. No binding at all removes the address of record.
        """
