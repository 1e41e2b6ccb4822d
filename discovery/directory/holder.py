"""Who holds an identifier, as this room needs it: a key, and what its certificate grants."""

from __future__ import annotations

from typing import Protocol

from discovery.directory.identifier import Identifier
from discovery.directory.jws import Key
from discovery.directory.reason import Refusal, Refused


class Holder(Key, Protocol):
    """The leaf of a certificate chain that leads to a trusted root; times in epoch seconds."""

    @property
    def not_before(self) -> float: ...

    @property
    def not_after(self) -> float: ...

    def owns(self, csi: Identifier) -> bool:
        """Tell whether it was issued for just this identifier, by a trusted identifier CA."""
        ...

    def provides(self, csi: Identifier) -> bool:
        """Tell whether its holder assigns the identifier: a range or provider code that covers
        the number, or the mail domain; by a root trusted for providers."""
        ...


def check_owner(holder: Holder, csi: Identifier, now: float) -> None:
    """Raise Refused unless the certificate is for just this identifier and valid at `now`.

    CERTIFICATE_EXPIRED, OTHER_IDENTIFIER.
    """
    check_valid(holder, now)
    if not holder.owns(csi):
        raise Refused(Refusal.OTHER_IDENTIFIER, "not the certificate of this identifier")


def check_valid(holder: Holder, now: float) -> None:
    """Raise Refused(CERTIFICATE_EXPIRED) unless the certificate is valid at `now`."""
    if not holder.not_before <= now <= holder.not_after:
        raise Refused(Refusal.CERTIFICATE_EXPIRED, "certificate is not valid now")
