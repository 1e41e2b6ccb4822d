"""Where an invitation may ask to have its answer sent: syntax and ownership, before any packet."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from discovery.spin.reason import Refusal, Refused

MAX_CALLBACK: Final = 512
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# No userinfo, query, fragment, backslash or percent: nothing two parsers could read differently.
_CALLBACK: Final = re.compile(
    rf"https://(?P<host>(?:{_LABEL}\.)+[A-Za-z][A-Za-z0-9-]{{0,61}}[A-Za-z0-9])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~-]{1,128})+)"
)
_HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class CallbackPolicy:
    """Which callbacks are acceptable.

    ports: besides none given, which means 443; trusted_hosts: agents whose host need not be a
    name of the signer's certificate (the signed agent list of discovery 2.1).
    """

    ports: frozenset[int] = frozenset({_HTTPS_PORT})
    trusted_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallbackUrl:
    """A callback URL that is well-formed: its text, host in lower case, and port."""

    text: str
    host: str
    port: int


def parse_callback(text: str, policy: CallbackPolicy) -> CallbackUrl:
    """Check a callback by syntax: https, a DNS name, an allowed port, a plain path.

    Raises Refused(CALLBACK_REFUSED).
    """
    parts = _CALLBACK.fullmatch(text) if len(text) <= MAX_CALLBACK else None
    if parts is None:
        raise Refused(Refusal.CALLBACK_REFUSED, "not a plain https URL with a DNS name")
    port = int(parts["port"] or _HTTPS_PORT)
    if port not in policy.ports:
        raise Refused(Refusal.CALLBACK_REFUSED, f"port {port} is not allowed")
    if any(segment in (".", "..") for segment in parts["path"].split("/")):
        raise Refused(Refusal.CALLBACK_REFUSED, "path has dot segments")
    return CallbackUrl(text, parts["host"].lower(), port)


def check_callback_owner(
    url: CallbackUrl, certificate_names: Collection[str], policy: CallbackPolicy
) -> None:
    """Check that whoever signed the invitation may speak for the callback's host.

    The host is a dNSName of the signer's certificate or a trusted agent's; otherwise every SMS
    sender could make us send requests to anybody. Raises Refused(CALLBACK_REFUSED).
    """
    names = {name.lower() for name in certificate_names}
    if url.host not in names and url.host not in policy.trusted_hosts:
        raise Refused(Refusal.CALLBACK_REFUSED, "host is not a name of the signer's certificate")
