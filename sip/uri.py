"""URIs a SIP message carries: sip:, sips:, tel: and any other absolute URI.

RFC 3261 sections 19.1 and 25, RFC 3966. Components are kept as written, escapes included, because
a proxy must not change what it forwards; comparing is done on normalised copies.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from sip.grammar import (
    NO_PARAMETERS,
    NotGrammatical,
    Parameters,
    decimal,
    is_token,
    normalise_escapes,
)
from sip.header_names import header_key
from sip.host import canonical_host, parse_host, write_host
from sip.tel_uri import TelUri, parse_tel

__all__ = [
    "AbsoluteUri",
    "MalformedUri",
    "SipUri",
    "TelUri",
    "Uri",
    "parse_sip_uri",
    "parse_uri",
    "subscriber_number",
    "telephone_number",
    "uris_equal",
]

_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
_USUAL_SCHEMES = frozenset(("sip", "sips", "tel"))
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+")
_SIP_URI = re.compile(
    rf"""
    (?:((?:[{_UNRESERVED}&=+$,;?/]|%[0-9A-Fa-f]{{2}})++)      # user
       (?::((?:[{_UNRESERVED}&=+$,]|%[0-9A-Fa-f]{{2}})*+))?+@)?
    (\[[0-9A-Fa-f:.]*+\]|[A-Za-z0-9._\-]++)                    # host
    (?::([0-9]{{1,5}}))?+
    (;[^?]*+)?+
    (?:\?(.*+))?+
    """,
    re.VERBOSE,
)
_PARAMCHAR = rf"[{_UNRESERVED}\[\]/:&+$]|%[0-9A-Fa-f]{{2}}"
_PARAMETER = re.compile(rf";((?:{_PARAMCHAR})++)(?:=((?:{_PARAMCHAR})++))?+")
_HNV = rf"[{_UNRESERVED}\[\]/?:+$]|%[0-9A-Fa-f]{{2}}"
_HEADER = re.compile(rf"((?:{_HNV})++)=((?:{_HNV})*+)(?:&|\Z)")
# RFC 2396 uric; "#" besides, since URNs have fragments (RFC 8141), and brackets (RFC 2732).
_OPAQUE = re.compile(rf"(?:[{_UNRESERVED};/?:@&=+$,\[\]#]|%[0-9A-Fa-f]{{2}})++")

# RFC 3261 19.1.4: these never match a URI without them. transport is here because a URI that
# omits a component does not match one that gives the component its default value.
_ALWAYS_COMPARED = ("user", "ttl", "method", "maddr", "transport")
_E164_MOST_DIGITS = 15


class MalformedUri(ValueError):
    """Text that is no URI of its scheme.

    `why` names the part that is wrong and never quotes it: URIs hold passwords and numbers.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class SipUri:
    """A sip: or sips: URI; user, password and header values are as written, escapes included.

    `host` is a name or a numeric address without brackets; `port` None means the default.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: Parameters = NO_PARAMETERS
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        text = f"{self.scheme}:"
        if self.user is not None:
            text += self.user if self.password is None else f"{self.user}:{self.password}"
            text += "@"
        text += write_host(self.host)
        if self.port is not None:
            text += f":{self.port}"
        if self.params:
            text += str(self.params)
        if self.headers:
            text += "?" + "&".join(f"{name}={value}" for name, value in self.headers)
        return text

    def canonical(self) -> str:
        """Return the URI with case, escapes, address notation and order normalised."""
        user = None if self.user is None else normalise_escapes(self.user)
        password = None if self.password is None else normalise_escapes(self.password)
        params = {
            name: None if value is None else normalise_escapes(value).lower()
            for name, value in sorted(self.params.items())
        }
        headers = tuple(sorted((header_key(n), normalise_escapes(v)) for n, v in self.headers))
        host = canonical_host(self.host)
        return str(
            SipUri(self.scheme, user, password, host, self.port, Parameters(params), headers)
        )


@dataclass(frozen=True, slots=True)
class AbsoluteUri:
    """A URI of any other scheme; `opaque` is all that follows the colon."""

    scheme: str
    opaque: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.opaque}"

    def canonical(self) -> str:
        """Return scheme in lower case and escapes normalised; of a URN (RFC 8141) the name only."""
        opaque = normalise_escapes(self.opaque)
        if self.scheme != "urn":
            return f"{self.scheme}:{opaque}"
        namespace, colon, rest = opaque.partition(":")
        name = re.split(r"[?#]", rest, maxsplit=1)[0]
        return f"urn:{namespace.lower()}{colon}{name}"


Uri = SipUri | TelUri | AbsoluteUri


def parse_uri(text: str) -> Uri:
    """Parse an addr-spec without angle brackets or white space; raises MalformedUri."""
    return _parse_known(text) if len(text) <= _LONGEST_KEPT else _parse(text)


def _parse(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if scheme not in _USUAL_SCHEMES:
        if not colon or _SCHEME.fullmatch(scheme) is None:
            raise MalformedUri("no scheme")
        scheme = scheme.lower()
    try:
        if scheme in ("sip", "sips"):
            return _parse_sip(scheme, rest)
        if scheme == "tel":
            return parse_tel(rest)
    except NotGrammatical as problem:
        raise MalformedUri(str(problem)) from None
    if _OPAQUE.fullmatch(rest) is None:
        raise MalformedUri("character that a URI cannot hold")
    return AbsoluteUri(scheme, rest)


# A call shows the same few URIs in each of its messages, and its routes are those of other calls.
# At most 4,096 URIs of 255 characters are kept, some 4 MB; failures are not.
_LONGEST_KEPT = 255
_parse_known = lru_cache(maxsize=4096)(_parse)


def parse_sip_uri(text: str) -> SipUri:
    """Parse a sip: or sips: URI; raises MalformedUri, for other schemes too."""
    uri = parse_uri(text)
    if not isinstance(uri, SipUri):
        raise MalformedUri("neither sip: nor sips:")
    return uri


def _parse_sip(scheme: str, rest: str) -> SipUri:
    found = _SIP_URI.fullmatch(rest)
    if found is None:
        raise NotGrammatical(_what_is_wrong(rest))
    user, password, host_text, port_text, params_text, headers_text = found.groups()
    host = parse_host(host_text)
    if host is None:
        raise NotGrammatical("not a host")
    port = None
    if port_text is not None:
        port = int(port_text)
        if port > 65535:
            raise NotGrammatical("port above 65535")
    params = NO_PARAMETERS if params_text is None else _parse_parameters(params_text)
    headers = () if headers_text is None else _parse_headers(headers_text)
    return SipUri(scheme, user, password, host, port, params, headers)


def _what_is_wrong(rest: str) -> str:
    userinfo, at, hostport = rest.partition("@")
    if at and not userinfo:
        return "empty user"
    if at and re.search(r"%(?![0-9A-Fa-f]{2})", userinfo):
        return "% that begins no escape"
    hostport = hostport if at else rest
    if not hostport or hostport[0] in ";?:":
        return "no host"
    if re.match(r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:", hostport):
        return "IPv6 address without brackets"
    return "malformed user, host or port"


def _parse_parameters(text: str) -> Parameters:
    items: dict[str, str | None] = {}
    at, end = 0, len(text)
    while at < end:
        found = _PARAMETER.match(text, at)
        if found is None:
            raise NotGrammatical("malformed URI parameter")
        name, value = found.groups()
        name = normalise_escapes(name).lower()
        if name in items:
            raise NotGrammatical(f"parameter {name} twice")
        if name in _PARAMETER_RULES:
            _check_parameter(name, value)
        items[name] = value
        at = found.end()
    return Parameters.owning(items)


_PARAMETER_RULES = frozenset(("transport", "user", "method", "ttl", "maddr"))


def _check_parameter(name: str, value: str | None) -> None:
    if value is None:
        valid = False
    elif name == "ttl":
        valid = len(value) <= 3 and decimal(value, at_most=255) is not None
    elif name == "maddr":
        valid = parse_host(value) is not None
    else:
        valid = is_token(value)
    if not valid:
        raise NotGrammatical(f"malformed {name} parameter")


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    headers = []
    at, end = 0, len(text)
    if end == 0 or text[-1] == "&":
        raise NotGrammatical("empty URI header")
    while at < end:
        found = _HEADER.match(text, at)
        if found is None:
            raise NotGrammatical("malformed URI header")
        headers.append((found.group(1), found.group(2)))
        at = found.end()
    return tuple(headers)


def uris_equal(a: Uri, b: Uri) -> bool:
    """Compare two URIs by their scheme's rule: RFC 3261 19.1.4, RFC 3966 section 4, RFC 8141 3.1.

    The relation of RFC 3261 is not transitive, so it cannot be had from canonical forms.
    """
    if isinstance(a, SipUri) and isinstance(b, SipUri):
        return _sip_uris_equal(a, b)
    return type(a) is type(b) and a.canonical() == b.canonical()


def _sip_uris_equal(a: SipUri, b: SipUri) -> bool:
    return (
        a.scheme == b.scheme
        and _same_text(a.user, b.user)
        and _same_text(a.password, b.password)
        and canonical_host(a.host) == canonical_host(b.host)
        and a.port == b.port
        and _parameters_match(a.params, b.params)
        and _header_counts(a) == _header_counts(b)
    )


def _same_text(a: str | None, b: str | None) -> bool:
    if a is None or b is None:
        return a is b
    return normalise_escapes(a) == normalise_escapes(b)


def _parameters_match(a: Parameters, b: Parameters) -> bool:
    if any((name in a) != (name in b) for name in _ALWAYS_COMPARED):
        return False
    return all(_same_value(value, b[name]) for name, value in a.items() if name in b)


def _same_value(a: str | None, b: str | None) -> bool:
    if a is None or b is None:
        return a is b
    return normalise_escapes(a).lower() == normalise_escapes(b).lower()


def _header_counts(uri: SipUri) -> Counter[tuple[str, str]]:
    """Headers as section 20 compares them: all ignore case except Call-ID (20.8) and bodies."""
    counts: Counter[tuple[str, str]] = Counter()
    for name, value in uri.headers:
        key = header_key(normalise_escapes(name))
        text = normalise_escapes(value)
        counts[key, text if key in ("call-id", "body") else text.lower()] += 1
    return counts


def subscriber_number(uri: Uri) -> str | None:
    """Return the digits of the telephone number a URI names, "+" first when it is global, or None.

    A tel: URI, a SIP URI with user=phone, or a SIP URI whose user begins with "+" names one.
    """
    if isinstance(uri, TelUri):
        digits = uri.digits
    elif isinstance(uri, SipUri) and uri.user is not None:
        user = normalise_escapes(uri.user).partition(";")[0].replace("%2B", "+")
        if not user.startswith("+") and (uri.params.text("user") or "").lower() != "phone":
            return None
        digits = TelUri(user).digits
    else:
        return None
    bare = digits.removeprefix("+")
    return digits if bare.isascii() and bare.isdigit() else None


def telephone_number(uri: Uri) -> str | None:
    """Return the E.164 number ("+" and at most 15 digits) a URI names, or None."""
    number = subscriber_number(uri)
    if number is None or not number.startswith("+") or len(number) > _E164_MOST_DIGITS + 1:
        return None
    return number
