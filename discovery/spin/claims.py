"""Reading single claims of a PASSporT strictly (RFC 8225 5, RFC 7519 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from discovery.model import Service
from discovery.number import is_number
from discovery.spin.reason import Refusal, Refused

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Year 2262; a time beyond is an attack on arithmetic, not a clock.
_LATEST: Final = 1 << 33


def time_claim(claims: Mapping[str, object], name: str) -> int:
    """Return a NumericDate; raises Refused(MALFORMED) unless it is a whole, plausible one."""
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _LATEST:
        raise Refused(Refusal.MALFORMED, f"{name} is not a time in whole seconds")
    return value


def identifier_claim(claims: Mapping[str, object], name: str, *, min_length: int = 1) -> str:
    """Return a base64url identifier of at most 64 characters; raises Refused(MALFORMED)."""
    value = claims.get(name)
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value) or len(value) < min_length:
        raise Refused(Refusal.MALFORMED, f"{name} is not a base64url identifier")
    return value


def text_claim(claims: Mapping[str, object], name: str, *, max_length: int) -> str:
    """Return printable ASCII text of bounded length; raises Refused(MALFORMED)."""
    value = claims.get(name)
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= max_length
        or not (value.isascii() and value.isprintable())
    ):
        raise Refused(Refusal.MALFORMED, f"{name} is not printable text of bounded length")
    return value


def orig_claim(claims: Mapping[str, object]) -> str:
    """Return the one number of `orig`, digits only (RFC 8225 5.2.1); raises Refused."""
    value = claims.get("orig")
    if isinstance(value, dict) and set(value) == {"tn"} and is_number(value["tn"]):
        return str(value["tn"])
    raise Refused(Refusal.MALFORMED, "orig is not one telephone number")


def dest_claim(claims: Mapping[str, object]) -> str:
    """Return the one number of `dest`; SPIN has exactly one (RFC 8225 5.2.1); raises Refused."""
    value = claims.get("dest")
    if isinstance(value, dict) and set(value) == {"tn"}:
        numbers = value["tn"]
        if isinstance(numbers, list) and len(numbers) == 1 and is_number(numbers[0]):
            return str(numbers[0])
    raise Refused(Refusal.MALFORMED, "dest is not one telephone number")


def service_of(value: object) -> Service:
    """Return the service named; raises Refused with SERVICE_UNKNOWN or MALFORMED."""
    if not isinstance(value, str):
        raise Refused(Refusal.MALFORMED, "a service is not text")
    try:
        return Service(value)
    except ValueError:
        raise Refused(Refusal.SERVICE_UNKNOWN, "not voice, video or im") from None


def services_claim(claims: Mapping[str, object]) -> tuple[Service, ...]:
    """Return the services of `svc`, unique and in order; raises Refused."""
    value = claims.get("svc")
    if not isinstance(value, list) or not 0 < len(value) <= len(Service):
        raise Refused(Refusal.MALFORMED, "svc is not a list of services")
    services = tuple(service_of(item) for item in value)
    if len(set(services)) != len(services):
        raise Refused(Refusal.MALFORMED, "svc names a service twice")
    return services
