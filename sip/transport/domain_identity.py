"""Which SIP domains a certificate speaks for (RFC 5922 section 7).

Pure functions over what `ssl` gives for a certificate whose chain was verified.
"""

import ipaddress
from collections.abc import Mapping


def domain_identities(certificate: Mapping[str, object] | None) -> tuple[str, ...]:
    """Give the SIP domain identities of a certificate, lower case (RFC 5922 7.1).

    URIs of scheme sip without user part count; DNS names only where there is no such URI; the
    subject's common name never does. IP addresses are identities for peers named by address.
    """
    uris: list[str] = []
    names: list[str] = []
    addresses: list[str] = []
    for kind, value in _alternative_names(certificate):
        if kind == "URI":
            domain = _sip_domain(value)
            if domain:
                uris.append(domain)
        elif kind == "DNS":
            names.append(_canonical(value))
        elif kind == "IP Address":
            addresses.append(_canonical(value.strip()))
    return tuple(dict.fromkeys((uris or names) + addresses))


def proves(identities: tuple[str, ...], domain: str) -> bool:
    """Tell whether one of the identities is the domain (RFC 5922 7.2).

    Names match whole and case-insensitively: a wildcard or a parent domain proves nothing.
    """
    return "*" not in domain and _canonical(domain) in identities


def _alternative_names(certificate: Mapping[str, object] | None) -> list[tuple[str, str]]:
    names = (certificate or {}).get("subjectAltName", ())
    if not isinstance(names, tuple):
        return []
    return [
        (entry[0], entry[1]) for entry in names if len(entry) == 2 and isinstance(entry[1], str)
    ]


def _sip_domain(uri: str) -> str | None:
    """The domain of sip:example.org; None for other schemes and URIs with a user part."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "sip" or "@" in rest:
        return None
    return _canonical(rest.partition(";")[0].partition("?")[0].partition(":")[0]) or None


def _canonical(name: str) -> str:
    text = name.strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
