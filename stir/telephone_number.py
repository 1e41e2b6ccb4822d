"""Canonical telephone numbers and URIs, as PASSporT claims carry them (RFC 8224 section 8.3).

The written rule, the only one by which `orig` and `dest` are compared: separators (space and
``-.()``) and one leading ``+`` are dropped, what is left must be 1 to 32 of ``0-9*#`` with at
least one digit, in ASCII. Dialling prefixes such as ``00`` are local policy and are not rewritten,
so ``0049...`` and ``49...`` are different numbers here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_SEPARATORS: Final = str.maketrans("", "", " -.()")
_NUMBER: Final = re.compile(r"[*#]*[0-9][0-9*#]*")
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+")
# How nearly every call names its numbers: short work for it.
_PLAIN_URI: Final = re.compile(r"sips?:\+?([0-9]{1,32})@[A-Za-z0-9.-]+(?:;user=phone)?")
MAX_DIGITS: Final = 32
MAX_TEXT: Final = 1024


def canonicalise(text: str) -> str | None:
    """Return the canonical digits of a written telephone number, or None where it is none.

    `text` is at most 64 characters; the result has 1 to 32 of ``0-9*#`` (RFC 8224 section 8.3).
    """
    return _canonical(text) if len(text) <= 2 * MAX_DIGITS else None


# A call asks for the same few numbers several times.
@lru_cache(maxsize=4_096)
def _canonical(text: str) -> str | None:
    number = text.removeprefix("+")
    if number.isascii() and number.isdigit():
        return number if len(number) <= MAX_DIGITS else None
    number = text.translate(_SEPARATORS).removeprefix("+")
    if len(number) > MAX_DIGITS or _NUMBER.fullmatch(number) is None:
        return None
    return number


def number_in_uri(uri: str) -> str | None:
    """Return the canonical number a tel:, sip: or sips: URI names, or None (RFC 8224 section 8.1).

    A SIP URI names a number when its user part is one by the written rule, with or without
    ``user=phone``; a local ``tel:`` number is completed by a global ``phone-context``.
    """
    if len(uri) > MAX_TEXT:
        return None
    plain = _PLAIN_URI.fullmatch(uri)
    if plain is not None:
        return plain[1]
    scheme, colon, rest = _bare(uri).partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in ("tel", "sip", "sips"):
        return None
    if scheme == "tel":
        return _subscriber(rest.partition("?")[0])
    userinfo, at, _ = rest.rpartition("@")
    if not at:
        return None
    user = userinfo.partition(":")[0]
    return _subscriber(unquote(user) if "%" in user else user)


def canonical_uri(uri: str) -> str | None:
    """Return ``sip:user@host`` of a SIP URI without port, parameters and headers, or None.

    RFC 8224 section 8.5: scheme and host in lower case, the user part untouched. ``tel:`` URIs
    give ``tel:`` and the canonical number.
    """
    if len(uri) > MAX_TEXT:
        return None
    scheme, colon, rest = _bare(uri).partition(":")
    scheme = scheme.lower()
    if scheme == "tel":
        number = number_in_uri(uri)
        return None if number is None else f"tel:{number}"
    if not colon or scheme not in ("sip", "sips"):
        return None
    userinfo, _, hostport = rest.partition("?")[0].rpartition("@")
    host = _HOST.match(hostport.partition(";")[0])
    if host is None:
        return None
    user = userinfo.partition(":")[0]
    return f"{scheme}:{user}@{host[0].lower()}" if user else f"{scheme}:{host[0].lower()}"


def number_of(text: str) -> str | None:
    """Return the canonical number of either a URI or a bare number, or None."""
    plain = _PLAIN_URI.fullmatch(text) if len(text) <= MAX_TEXT else None
    if plain is not None:
        return plain[1]
    scheme = text.lstrip("< ").partition(":")[0].lower()
    if scheme in ("tel", "sip", "sips"):
        return number_in_uri(text)
    return canonicalise(text)


def _bare(uri: str) -> str:
    return uri[1:-1] if uri.startswith("<") and uri.endswith(">") else uri


def _subscriber(text: str) -> str | None:
    """Read a telephone-subscriber: the number and its parameters (RFC 3966 section 3)."""
    written, *parameters = text.split(";")
    number = canonicalise(written)
    if number is None or not parameters or written.lstrip().startswith("+"):
        return number
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.lower() == "phone-context" and value.startswith("+"):
            context = canonicalise(value)
            joined = None if context is None else context + number
            return joined if joined is not None and len(joined) <= MAX_DIGITS else None
    return number
