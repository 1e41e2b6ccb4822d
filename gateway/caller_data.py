"""Rich call data of own callers: what is signed of them, and shown beside it (RFC 9795, 9796)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.asserted_headers import is_anonymous
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.rich_call_data import Priority, RichCallData
from gateway.config.root import Config
from gateway.policy.callers import Caller
from sip.fields import NameAddr, parse_name_addrs
from sip.grammar import quote
from sip.headers import Headers, MalformedHeader
from sip.message import Request
from stir.authentication import rph_claims
from stir.extensions.rph import CALLBACK, is_resource_priority
from stir.rich_call_data import rcd_claims

_LARGEST_ICON: Final = 65_536
_RICH: Final = frozenset({"icon", "jcard", "card"})
_PARAMETERS: Final = ("call-reason", "verified", "integrity")
_MAX_PRIORITIES: Final = 32


@dataclass(frozen=True, slots=True)
class SignedBeside:
    """What is signed beside the number: claims for shaken, and PASSporTs of their own by type."""

    within_shaken: Mapping[str, object] | None = None
    passports: tuple[tuple[str, Mapping[str, object]], ...] = ()


@dataclass(frozen=True, slots=True)
class _Prepared:
    entry: RichCallData
    claims: Mapping[str, object]
    call_info: str | None


class CallerDataPolicy:
    """Knows what is signed of which own caller; the files are read once."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError for an icon that cannot be read, and for callers there are not."""
        self._priority = config.stir.priority
        users = {user.username for user in config.user}
        trunks = {trunk.name for trunk in config.trunk}
        checked: list[tuple[str, RichCallData | Priority]] = [("priority", self._priority)]
        for index, entry in enumerate(config.stir.rich_call_data):
            checked.append((f"rich_call_data[{index}]", entry))
        for key, found in checked:
            _check_names(f"stir.{key}.users", found.users, users)
            _check_names(f"stir.{key}.trunks", found.trunks, trunks)
        self._entries = [
            _prepared(entry, f"stir.rich_call_data[{index}].icon_file")
            for index, entry in enumerate(config.stir.rich_call_data)
        ]

    def applied(self, request: Request, caller: Caller) -> tuple[Headers, SignedBeside]:
        """Return a caller's header fields as they leave, and what to sign beside the number.

        Priority that the caller may not ask for is removed. A caller who asks for privacy is not
        named (RFC 3323).
        """
        headers, passports = self._priorities(request.headers, caller)
        prepared = None if is_anonymous(request) else self._of(caller)
        if prepared is None:
            return headers, SignedBeside(None, passports)
        address = NameAddr(prepared.entry.name, request.from_.uri, request.from_.params)
        headers = with_call_info(headers.replace("From", str(address)), prepared.call_info)
        if prepared.entry.passport == "shaken":
            return headers, SignedBeside(prepared.claims, passports)
        return headers, SignedBeside(None, (("rcd", prepared.claims), *passports))

    def _of(self, caller: Caller) -> _Prepared | None:
        for prepared in self._entries:
            if _is_for(prepared.entry, caller):
                return prepared
        return None

    def _priorities(
        self, headers: Headers, caller: Caller
    ) -> tuple[Headers, tuple[tuple[str, Mapping[str, object]], ...]]:
        if "Resource-Priority" not in headers and "Priority" not in headers:
            return headers, ()
        if not _is_for(self._priority, caller):
            return without_priorities(headers, frozenset(), psap_callback=False), ()
        values = priorities(headers)
        if not values:
            return headers, ()
        callback = (headers.get("Priority") or "").strip().lower() == CALLBACK
        assertion = "EScallback" if callback else "auth"
        return headers, (("rph", rph_claims(values, assertion=assertion, psap_callback=callback)),)


def priorities(headers: Headers) -> tuple[str, ...]:
    """Return the Resource-Priority values of a request, at most 32, without what is none."""
    values = (
        text.strip() for value in headers.all("Resource-Priority") for text in value.split(",")
    )
    return tuple(text for text in values if is_resource_priority(text))[:_MAX_PRIORITIES]


def without_priorities(headers: Headers, kept: frozenset[str], *, psap_callback: bool) -> Headers:
    """Take out every Resource-Priority value but those kept, and Priority psap-callback.

    `kept` is in lower case. Other Priority values ask the network for nothing and stay.
    """
    if "Resource-Priority" in headers:
        values = [text for text in priorities(headers) if text.lower() in kept]
        headers = headers.without("Resource-Priority")
        if values:
            headers = headers.append("Resource-Priority", ", ".join(values))
    asked = (headers.get("Priority") or "").strip().lower()
    return headers.without("Priority") if asked == CALLBACK and not psap_callback else headers


def with_call_info(headers: Headers, value: str | None) -> Headers:
    """Replace what Call-Info says of the caller; what has another purpose stays (RFC 9796)."""
    others = plain_call_info(headers)
    headers = headers.without("Call-Info")
    for other in others:
        headers = headers.append("Call-Info", other)
    return headers if value is None else headers.append("Call-Info", value)


def plain_call_info(headers: Headers) -> list[str]:
    """The Call-Info values that hold no rich call data; none where they cannot be read."""
    try:
        found = parse_name_addrs("Call-Info", headers.all("Call-Info"))
    except MalformedHeader:
        return []
    return [
        str(info)
        for info in found
        if (info.params.text("purpose") or "").lower() not in _RICH
        and not any(name in info.params for name in _PARAMETERS)
    ]


def call_info_value(
    parts: list[tuple[str, str, str | None]], reason: str | None, *, verified: bool
) -> str | None:
    """Build the one Call-Info value of rich call data (RFC 9796): None where there is nothing.

    `parts` are URI, purpose and digest; the reason stands for itself with an empty ``data:``.
    """
    if not parts and reason is None:
        return None
    written = []
    for uri, purpose, digest in parts or [("data:", "jcard", None)]:
        text = f"<{uri}>;purpose={purpose}"
        written.append(text if digest is None else f'{text};integrity="{digest}"')
    if reason is not None:
        written[-1] += f";call-reason={quote(reason)}"
    if verified:
        written = [f'{text};verified="true"' for text in written]
    return ", ".join(written)


def _prepared(entry: RichCallData, key: str) -> _Prepared:
    contents: dict[str, bytes] = {}
    if entry.icon_file is not None:
        octets = read_file(entry.icon_file, key)
        if not 0 < len(octets) <= _LARGEST_ICON:
            raise ConfigError(key, f"an icon has 1 to {_LARGEST_ICON} octets")
        contents["/icn"] = octets
    claims = rcd_claims(
        entry.name, icon=entry.icon_url, call_reason=entry.call_reason, contents=contents
    )
    parts: list[tuple[str, str, str | None]] = []
    if entry.icon_url is not None:
        parts.append((entry.icon_url, "icon", None))
    return _Prepared(entry, claims, call_info_value(parts, entry.call_reason, verified=False))


def _is_for(entry: RichCallData | Priority, caller: Caller) -> bool:
    return caller.name in (entry.users if caller.kind == "user" else entry.trunks)


def _check_names(key: str, names: tuple[str, ...], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(key, f"'{name}' is not configured")
