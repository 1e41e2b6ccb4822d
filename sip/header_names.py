"""Header field names: the registered ones in their long form, and the compact forms of some."""

import re

from sip.grammar import is_token

_LONG_NAMES = (
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Resource-Priority",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Answer-Mode",
    "Authentication-Info",
    "Authorization",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "Date",
    "Diversion",
    "Error-Info",
    "Event",
    "Expires",
    "Feature-Caps",
    "Flow-Timer",
    "From",
    "Geolocation",
    "Geolocation-Error",
    "Geolocation-Routing",
    "History-Info",
    "Identity",
    "Identity-Info",
    "In-Reply-To",
    "Info-Package",
    "Join",
    "Max-Breadth",
    "Max-Forwards",
    "MIME-Version",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Asserted-Identity",
    "P-Asserted-Service",
    "P-Associated-URI",
    "P-Called-Party-ID",
    "P-Charging-Vector",
    "P-Preferred-Identity",
    "P-Visited-Network-ID",
    "Path",
    "Permission-Missing",
    "Policy-Contact",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "Reason",
    "Record-Route",
    "Recv-Info",
    "Refer-Sub",
    "Refer-To",
    "Referred-By",
    "Reject-Contact",
    "Remote-Party-ID",
    "Replaces",
    "Reply-To",
    "Request-Disposition",
    "Require",
    "Resource-Priority",
    "Retry-After",
    "Route",
    "RSeq",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Server",
    "Service-Route",
    "Session-Expires",
    "Session-ID",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Subscription-State",
    "Supported",
    "Target-Dialog",
    "Timestamp",
    "To",
    "Unsupported",
    "User-Agent",
    "User-to-User",
    "Via",
    "Warning",
    "WWW-Authenticate",
)

# RFC 3261 section 7.3.3 and the compact forms registered since.
COMPACT_FORMS = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}

# Lower-case name, long or compact, to (name on the wire, key). Never grows.
_KNOWN: dict[str, tuple[str, str]] = {
    **{name.lower(): (name, name.lower()) for name in _LONG_NAMES},
    **{compact: (name, name.lower()) for compact, name in COMPACT_FORMS.items()},
}
# The same by the spellings seen on nearly every wire, so that parsing seldom has to fold case.
SPELLED: dict[str, tuple[str, str]] = {
    **_KNOWN,
    **{name: (name, name.lower()) for name in _LONG_NAMES},
    **{name.upper(): known for name, known in _KNOWN.items()},
}


# "%" is a token character, but a name with an escape is written only to be another name to an
# element that decodes it.
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


class MalformedHeader(ValueError):
    """A header field that a peer sent cannot be decoded: its `name` and `why`."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


def header_name(name: str) -> tuple[str, str]:
    """Return the name to write and the key to compare by; raises MalformedHeader."""
    known = SPELLED.get(name) or _KNOWN.get(name.lower())
    if known is not None:
        return known
    if not is_token(name) or _ESCAPE.search(name):
        raise MalformedHeader(
            repr(name[:40]), "header field name is not a token, or holds an escape"
        )
    return name, name.lower()


def header_key(name: str) -> str:
    """Return the lower-case long form that names are compared by."""
    return KEYS[name]


class _Keys(dict[str, str]):
    """Keys by the usual spellings: one lookup without a call; others are worked out, not kept."""

    def __missing__(self, name: str) -> str:
        lowered = name.lower()
        known = _KNOWN.get(lowered)
        return lowered if known is None else known[1]


KEYS = _Keys({name: known[1] for name, known in SPELLED.items()})
