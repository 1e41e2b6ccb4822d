"""Name constraints of issuers, held against the names of what they issued (RFC 5280 4.2.1.10)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from stir.certificates.certificate import Problem, name_of
from stir.reason import Reason, printable

# A customer with an authority of its own could else have a million names compared.
MAX_COMPARISONS: Final = 4_096


def name_constraint_problem(path: Sequence[x509.Certificate]) -> Problem | None:
    """Return what breaks a name constraint on a path, leaf first, or None.

    DNS, URI, IP, e-mail and directory names are understood; a constraint of another kind fails any
    certificate below, as RFC 5280 asks of constraints that cannot be processed.
    """
    for depth, issuer in enumerate(path):
        for extension in issuer.extensions:
            if isinstance(extension.value, x509.NameConstraints):
                for certificate in path[:depth]:
                    broken = _broken(certificate, extension.value)
                    if broken:
                        return Problem(
                            Reason.CHAIN_NAME_CONSTRAINTS,
                            broken,
                            f"names within the constraints of {name_of(issuer)}",
                        )
    return None


def permits_domains(issuer: x509.Certificate) -> bool:
    """Whether an issuer's name constraints permit DNS names, which says that it may issue some."""
    return any(
        isinstance(base, x509.DNSName)
        for extension in issuer.extensions
        if isinstance(extension.value, x509.NameConstraints)
        for base in extension.value.permitted_subtrees or ()
    )


def _broken(certificate: x509.Certificate, constraints: x509.NameConstraints) -> str | None:
    permitted = list(constraints.permitted_subtrees or ())
    excluded = list(constraints.excluded_subtrees or ())
    names = _names(certificate)
    if len(names) * (len(permitted) + len(excluded)) > MAX_COMPARISONS:
        return "more names and constraints than are compared"
    for base in (*permitted, *excluded):
        if not isinstance(base, _UNDERSTOOD):
            return f"a constraint on {type(base).__name__}, which is not understood"
    for name in names:
        if any(_within(name, base) for base in excluded if type(base) is type(name)):
            return f"{_shown(name)} is excluded"
        same = [base for base in permitted if type(base) is type(name)]
        if same and not any(_within(name, base) for base in same):
            return f"{_shown(name)} is not permitted"
    return None


_UNDERSTOOD = (
    x509.DNSName,
    x509.UniformResourceIdentifier,
    x509.IPAddress,
    x509.RFC822Name,
    x509.DirectoryName,
)


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    if list(certificate.subject):
        names.append(x509.DirectoryName(certificate.subject))
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names.extend(extension.value)
    return names


def _shown(name: x509.GeneralName) -> str:
    return printable(str(name.value), 200)


def _within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    if isinstance(name, x509.DirectoryName) and isinstance(base, x509.DirectoryName):
        wanted = list(base.value.rdns)
        return list(name.value.rdns)[: len(wanted)] == wanted
    if isinstance(name, x509.IPAddress) and isinstance(base, x509.IPAddress):
        network = base.value
        return (
            isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network)
            and isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address)
            and name.value in network
        )
    if isinstance(name, x509.DNSName) and isinstance(base, x509.DNSName):
        return _domain_within(name.value, base.value, inclusive=True)
    if isinstance(name, x509.RFC822Name) and isinstance(base, x509.RFC822Name):
        if "@" in base.value:
            return name.value.lower() == base.value.lower()
        return _domain_within(name.value.rpartition("@")[2], base.value, inclusive=False)
    if isinstance(name, x509.UniformResourceIdentifier) and isinstance(
        base, x509.UniformResourceIdentifier
    ):
        try:
            host = urlsplit(name.value).hostname or ""
        except ValueError:
            return False
        return _domain_within(host, base.value, inclusive=False)
    return False


def _domain_within(name: str, base: str, *, inclusive: bool) -> bool:
    """Whether a domain is within a constraint; `inclusive`: a bare domain holds its subdomains."""
    name, base = name.lower().rstrip("."), base.lower()
    if base == "":
        return True
    if base.startswith("."):
        return name.endswith(base)
    return name == base or (inclusive and name.endswith("." + base))
