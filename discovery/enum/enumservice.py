"""The services field of an ENUM record (RFC 6116 section 3.4.3) and what it means here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from discovery.model import Service

_NAME: Final = r"[A-Za-z0-9-]{1,32}"
_FIELD: Final = re.compile(rf"[Ee]2[Uu](?P<specs>(?:\+{_NAME}(?::{_NAME})*)+)")
# RFC 2916, which RFC 6116 replaced, wrote it the other way round.
_FORMER_FIELD: Final = re.compile(r"[Ss][Ii][Pp]\+[Ee]2[Uu]")

# RFC 3764 (sip) says nothing about media: a SIP URI may take any of them. im is RFC 5028's;
# voice and video with subtype sip are in use between providers.
ENUMSERVICES: Final[Mapping[Service, frozenset[str]]] = MappingProxyType(
    {
        Service.VOICE: frozenset({"sip", "voice:sip", "pstn:sip"}),
        Service.VIDEO: frozenset({"sip", "video:sip"}),
        Service.IM: frozenset({"sip", "im", "im:sip", "im:mimi"}),
    }
)


def enumservices(field: str) -> tuple[str, ...]:
    """Return the enumservices of a services field, in lower case: `("sip", "voice:sip")`.

    Empty for a field that is not ENUM's.
    """
    if _FORMER_FIELD.fullmatch(field):
        return ("sip",)
    parts = _FIELD.fullmatch(field)
    return tuple(parts["specs"].lower()[1:].split("+")) if parts is not None else ()


def serves(field: str, service: Service) -> bool:
    """Tell whether a services field offers a way to reach somebody for `service`."""
    return not ENUMSERVICES[service].isdisjoint(enumservices(field))
