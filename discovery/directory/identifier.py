"""Cross-service identifiers: `tel:+14155550123` and `mailto:bob@example.com`, canonical or refused.

Two texts name the same identifier only where they are equal, so that a record, a certificate and a
log entry can be compared as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from discovery.directory.reason import Refusal, Refused
from discovery.number import masked
from discovery.service_uri import is_domain

MAX_IDENTIFIER: Final = 7 + 254
_TEL: Final = re.compile(r"tel:\+(?P<digits>[1-9][0-9]{2,14})")
# The characters of a dot-atom (RFC 5322 3.2.3) that a mailto URI carries without escapes
# (RFC 6068 section 2), in lower case: nearly every provider takes both cases for one mailbox.
_ATOM: Final = r"[a-z0-9!$*+_~'-]+"
_LOCAL: Final = re.compile(rf"(?={_ATOM}(?:\.{_ATOM})*\Z).{{1,64}}")


class Scheme(StrEnum):
    """What kind of identifier it is."""

    TEL = "tel"
    MAILTO = "mailto"


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier; `value` is E.164 digits without plus, or a mail address."""

    scheme: Scheme
    value: str

    def __str__(self) -> str:
        plus = "+" if self.scheme is Scheme.TEL else ""
        return f"{self.scheme}:{plus}{self.value}"

    @property
    def mail_domain(self) -> str:
        """The domain of a mail address, empty for a number."""
        return self.value.partition("@")[2]

    @property
    def shown(self) -> str:
        """The identifier as a log may show it."""
        if self.scheme is Scheme.TEL:
            return masked(self.value)
        return f"{self.value[:1]}***@{self.mail_domain}"


def parse_identifier(text: object) -> Identifier:
    """Read the canonical text of an identifier; raises Refused(IDENTIFIER) for any other text."""
    if isinstance(text, str) and len(text) <= MAX_IDENTIFIER and text.isascii():
        number = _TEL.fullmatch(text)
        if number is not None:
            return Identifier(Scheme.TEL, number["digits"])
        scheme, _, address = text.partition(":")
        local, at, domain = address.partition("@")
        if scheme == "mailto" and at and _LOCAL.fullmatch(local) and is_domain(domain):
            return Identifier(Scheme.MAILTO, address)
    raise Refused(Refusal.IDENTIFIER, "not a canonical tel: or mailto: identifier")


def identifier_of(text: str) -> Identifier:
    """Read what a person writes: `+14155550123`, `Bob@Example.com`, or the canonical text.

    Raises Refused(IDENTIFIER). Separators within numbers are not guessed at.
    """
    if text.startswith(("tel:", "mailto:")):
        return parse_identifier(text)
    if "@" in text:
        # Lower case makes a K of the Kelvin sign (U+212A): nobody reads another's address so.
        return parse_identifier(f"mailto:{text.lower() if text.isascii() else text}")
    return parse_identifier(f"tel:+{text.removeprefix('+')}")
