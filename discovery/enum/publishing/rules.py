"""The NAPTR rules a number is published with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from discovery.enum.naptr import MAX_URIS, Rule
from discovery.model import Service
from discovery.service_uri import parse_service_uri

_ORDER: Final = 100
# A SIP URI for a call is also what RFC 3764 means by `sip`; the others name their kind.
_SERVICES: Final = {
    (Service.VOICE, "sip"): "E2U+sip",
    (Service.VOICE, "sips"): "E2U+sip",
    (Service.VIDEO, "sip"): "E2U+video:sip",
    (Service.VIDEO, "sips"): "E2U+video:sip",
    (Service.IM, "sip"): "E2U+im:sip",
    (Service.IM, "sips"): "E2U+im:sip",
    (Service.IM, "mimi"): "E2U+im:mimi",
}


def rules_for(uris: Iterable[tuple[Service, str]]) -> tuple[Rule, ...]:
    """Return rules for services and URIs, best first; at most 8, others are left out.

    A URI that ENUM has no service for (https) is left out too. Raises MalformedServiceUri.
    """
    rules: list[Rule] = []
    for service, text in uris:
        uri = parse_service_uri(text)
        services = _SERVICES.get((service, uri.scheme))
        if services is None or len(rules) >= MAX_URIS:
            continue
        # Accepted URIs hold neither of both delimiters at once, and never a back-slash.
        delimiter = "!" if "!" not in text else "#"
        regexp = f"{delimiter}^.*${delimiter}{text}{delimiter}"
        if len(regexp) <= 255:
            rules.append(Rule(_ORDER, 10 * (len(rules) + 1), "u", services, regexp))
    return tuple(rules)
