"""How a verdict is told to a device: the verstat parameter and its dialects, read and written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.config.attestation import Verstat
from sip.fields import NameAddr
from sip.headers import Headers
from sip.uri import SipUri

PASSED: Final = "TN-Validation-Passed"
_BUILT_IN: Final = (Verstat(name="3gpp"), Verstat(name="none", header="neither"))
# What others put verdicts into; from whoever sends it to us it is an assertion, and removed.
_KNOWN_FIELDS: Final = (
    "Attestation-Info",
    "X-Attestation-Info",
    "P-Attestation-Info",
    "P-Attestation-Indicator",
    "Origination-Id",
    "X-Origination-Id",
    "P-Origination-Id",
    "Verstat",
    "X-Verstat",
    "P-Verstat",
)
# A parameter, its name perhaps written with escapes, its value perhaps quoted.
_PARAMETER: Final = re.compile(
    r";\s*"
    + "".join(rf"(?:{letter}|%{ord(letter):x}|%{ord(letter) - 32:x})" for letter in "verstat")
    + r"(?=[\s;=@:?>,]|\Z)(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;@:?>,]*))?",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    r";verstat=(TN-Validation-Passed|TN-Validation-Failed|No-TN-Validation)(?:-([ABC]))?"
    r"(?=[\s;@:?>,]|\Z)",
    re.IGNORECASE,
)
_SPELLINGS: Final = {
    name.lower(): name for name in (PASSED, "TN-Validation-Failed", "No-TN-Validation")
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a device is told: the verstat value, and what a valid PASSporT attests."""

    verstat: str
    attest: str | None = None
    origid: str | None = None

    def value(self, dialect: Verstat) -> str:
        """The parameter's value, with the attestation level where the dialect shows it."""
        shown = {"none": "", "lower": "BC", "all": "ABC"}[dialect.levels]
        if self.verstat == PASSED and self.attest is not None and self.attest in shown:
            return f"{self.verstat}-{self.attest}"
        return self.verstat


class Dialects:
    """The configured dialects by name; `default` is for whom none is named.

    `fields` are all header fields that carry a verdict in any of them.
    """

    def __init__(self, configured: Sequence[Verstat], default: str) -> None:
        self._by_name = {dialect.name: dialect for dialect in (*_BUILT_IN, *configured)}
        self._default = self._by_name[default]
        named = [
            name
            for dialect in configured
            for name in (*dialect.attestation_headers, *dialect.origid_headers)
        ]
        self.fields = tuple(dict.fromkeys((*_KNOWN_FIELDS, *named)))

    def named(self, name: str | None) -> Verstat:
        """Return a dialect; the configuration was checked to have it."""
        return self._default if name is None else self._by_name[name]


def strip_verstat(headers: Headers) -> Headers:
    """Take every verstat parameter off From and To: of user part, URI and field alike."""
    for name in ("From", "To"):
        value = shorter = headers.get(name) or ""
        while _PARAMETER.search(shorter):
            shorter = _PARAMETER.sub("", shorter)
        if shorter != value:
            headers = headers.replace(name, shorter)
    return headers


def stated(headers: Headers) -> Mark | None:
    """Return the verdict a peer states in P-Asserted-Identity or From, None without one."""
    for name in ("P-Asserted-Identity", "From"):
        for value in headers.all(name):
            found = _VALUE.search(value)
            if found is not None:
                verstat = _SPELLINGS[found[1].lower()]
                level = found[2].upper() if found[2] and verstat == PASSED else None
                return Mark(verstat, level)
    return None


def marked(address: NameAddr, mark: Mark, dialect: Verstat) -> NameAddr:
    """Return an address with the verstat parameter where the dialect wants it."""
    value, uri = mark.value(dialect), address.uri
    if dialect.place == "header":
        return replace(address, params=address.params.setting("verstat", value))
    if not isinstance(uri, SipUri):
        return address
    if dialect.place == "user" and uri.user:
        return replace(address, uri=replace(uri, user=f"{uri.user};verstat={value}"))
    return replace(address, uri=replace(uri, params=uri.params.setting("verstat", value)))


def with_fields(headers: Headers, mark: Mark, dialect: Verstat) -> Headers:
    """Add the header fields that carry level and origid, where something was verified."""
    if mark.verstat != PASSED:
        return headers
    for name in dialect.attestation_headers if mark.attest else ():
        headers = headers.append(name, mark.attest or "")
    for name in dialect.origid_headers if mark.origid else ():
        headers = headers.append(name, mark.origid or "")
    return headers
