"""URIs under which a service is reached, as strangers and handlers give them: a strict subset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from discovery.number import is_number

MAX_URI: Final = 255
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = rf"(?P<host>(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9])"
_PORT: Final = r"(?::(?P<port>[0-9]{1,5}))?"
_DOMAIN: Final = re.compile(_HOST)
# No header part, no escapes, no quotes: what is left can be put into a Request-URI as it stands.
_SIP: Final = re.compile(
    rf"(?P<scheme>sips?):(?P<user>[A-Za-z0-9+._~*!-]{{1,64}})@{_HOST}{_PORT}"
    r"(?P<parameters>(?:;[A-Za-z0-9_.-]{1,32}(?:=[A-Za-z0-9_.~-]{1,64})?)*)",
)
_WEB: Final = re.compile(
    rf"(?P<scheme>https|mimi)://{_HOST}{_PORT}(?P<path>(?:/[A-Za-z0-9._~+@-]{{0,128}})*)"
)
# What leads elsewhere than the host, and what a Request-URI does not have (RFC 3261 table 1).
_ELSEWHERE: Final = frozenset({"maddr", "ttl", "method"})
_VALUED: Final = frozenset({"transport", "user"})
_NUMBER_PLACES: Final = ("{number}", "{tn}")
# The longest E.164 number, to check what a template can become.
_SPECIMEN: Final = "999999999999999"


class MalformedServiceUri(ValueError):
    """The text is not a service URI; the message says why."""


@dataclass(frozen=True, slots=True)
class ServiceUri:
    """A sip, sips, mimi or https URI by its text, scheme and host (lower case)."""

    text: str
    scheme: str
    host: str


def is_domain(text: object) -> bool:
    """Tell whether text is a DNS name of two labels or more, in lower case."""
    return isinstance(text, str) and len(text) <= 253 and _DOMAIN.fullmatch(text) is not None


def parse_service_uri(text: str) -> ServiceUri:
    """Read a URI of an allowed scheme whose host is a lower-case DNS name, never an address.

    Raises MalformedServiceUri.
    """
    if len(text) > MAX_URI:
        raise MalformedServiceUri(f"longer than {MAX_URI} characters")
    parts = _SIP.fullmatch(text) or _WEB.fullmatch(text)
    if parts is None:
        raise MalformedServiceUri("not a plain sip, sips, mimi or https URI at a DNS name")
    if "parameters" in parts.groupdict():
        _check_parameters(parts["parameters"])
    if parts["port"] is not None and not 0 < int(parts["port"]) < 65536:
        raise MalformedServiceUri("port out of range")
    return ServiceUri(text, parts["scheme"], parts["host"])


def _check_parameters(text: str) -> None:
    """Check the parameters of a SIP URI as whoever routes by it will (RFC 3261 19.1.1).

    Raises MalformedServiceUri.
    """
    names: set[str] = set()
    for parameter in text.lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name in names:
            raise MalformedServiceUri("a parameter is given twice")
        names.add(name)
        if name in _ELSEWHERE:
            raise MalformedServiceUri(f"{name} has no place in where a call goes")
        if name in _VALUED and not value:
            raise MalformedServiceUri(f"{name} without its value")


def expand_template(template: str, number: str) -> ServiceUri:
    """Put a number into a handler's template: `{number}` (or `{tn}`) becomes `+` and digits.

    A sip or sips URI whose user is then a telephone number says so with `user=phone`
    (RFC 3261 19.1.1). Raises MalformedServiceUri.
    """
    if not is_number(number):
        raise MalformedServiceUri("not a canonical number")
    text = template
    for place in _NUMBER_PLACES:
        text = text.replace(place, f"+{number}")
    uri = parse_service_uri(text)
    sip = _SIP.fullmatch(text)
    if sip is not None and sip["user"] == f"+{number}" and ";user=" not in sip["parameters"]:
        return parse_service_uri(text + ";user=phone")
    return uri


def check_template(template: str, msp: str) -> None:
    """Check that a template gives an acceptable URI at the provider's own domain.

    Raises MalformedServiceUri.
    """
    uri = expand_template(template, _SPECIMEN)
    if uri.host != msp:
        raise MalformedServiceUri("host is not the provider's domain (msp)")
