"""What a Call-Info header field says of the caller, as far as STIR has to know it (RFC 9796)."""

from __future__ import annotations

from typing import Final, NamedTuple

CARD: Final = "jcard"
ICON: Final = "icon"


class CallInfo(NamedTuple):
    """One Call-Info value: its URI, the `purpose` in lower case, and the reason for the call."""

    uri: str
    purpose: str | None = None
    call_reason: str | None = None
