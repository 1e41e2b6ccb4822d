"""The header fields that say who calls: what own users may say, what devices are told.

Nobody's word counts but ours: what is asserted leaves with what was authenticated, and arrives at a
device with what was verified.
"""

from __future__ import annotations

from typing import Final

from gateway.config.attestation import Verstat
from gateway.policy.verstat import Dialects, Mark, marked, strip_verstat, with_fields
from sip.digest_fields import MalformedDigest, parse_digest
from sip.fields import NameAddr, parse_name_addrs
from sip.grammar import Parameters
from sip.headers import Headers
from sip.message import Request
from sip.uri import SipUri, Uri, telephone_number
from stir.telephone_number import canonicalise

# The last one was never standardised, but PBXs believe it.
_ASSERTED: Final = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
_CREDENTIALS: Final = ("Proxy-Authorization", "Authorization")
_MAX_CREDENTIALS: Final = 8
_PHONE: Final = Parameters({"user": "phone"})
_ANONYMOUS: Final = frozenset({"anonymous", "restricted", "unavailable"})


def called_number(uri: Uri) -> str | None:
    """Return the E.164 number a URI calls, or None."""
    number = telephone_number(uri)
    if number is not None:
        return number if number.startswith("+") else None
    user = uri.user if isinstance(uri, SipUri) else None
    digits = canonicalise(user) if user and user.startswith("+") else None
    return f"+{digits}" if digits else None


def own_headers(headers: Headers, number: str, domain: str, dialects: Dialects) -> Headers:
    """Return the header fields of an own user's request as they leave.

    Who calls is asserted by us (RFC 3325 section 5); what else only we may say is taken out, and
    so are credentials for our realm. Those for another one are for whoever challenged the user
    (RFC 3261 section 22.3).
    """
    kept = strip_verstat(headers.without(*_ASSERTED, *_CREDENTIALS, *dialects.fields, "Identity"))
    for value in headers.all("Proxy-Authorization")[:_MAX_CREDENTIALS]:
        if _is_for_another_realm(value, domain):
            kept = kept.append("Proxy-Authorization", value)
    return kept.append("P-Asserted-Identity", f"<sip:{number}@{domain};user=phone>")


def _is_for_another_realm(value: str, realm: str) -> bool:
    try:
        fields = parse_digest(value)
    except MalformedDigest:
        return False
    return fields is not None and fields.realm != realm


def marked_headers(
    request: Request,
    mark: Mark | None,
    orig: str | None,
    dialects: Dialects,
    dialect: Verstat,
) -> Headers:
    """Return the header fields an own device sees: nobody's verdict but ours, in its dialect.

    Usually the mark stands in P-Asserted-Identity, in the user part, as 3GPP TS 24.229 section
    7.2A.20 has it. What an untrusted peer asserted is removed (RFC 3325 section 5). `orig` is the
    number that was verified; where none was, the From number is what the mark speaks of.

    Between providers the number of a caller who asked for privacy travels all the same, in the
    PASSporT; the device of the called user gets neither it nor the PASSporT (RFC 3323, RFC 3325
    section 7, RFC 8224 section 11).
    """
    kept = strip_verstat(request.headers.without(*_ASSERTED, *dialects.fields))
    private = wants_privacy(request.headers)
    if private or not dialect.pass_identity:
        kept = kept.without("Identity")
    if mark is None:
        return kept
    if dialect.header in ("From", "both"):
        shown = parse_name_addrs("From", kept.all("From"))
        kept = kept.replace("From", str(marked(shown[0], mark, dialect)))
    if private:
        return kept
    asserted = _asserted(request, orig)
    if asserted is not None and dialect.header in ("P-Asserted-Identity", "both"):
        kept = kept.append("P-Asserted-Identity", str(marked(asserted, mark, dialect)))
    return with_fields(kept, mark, dialect)


def _asserted(request: Request, orig: str | None) -> NameAddr | None:
    uri = request.from_.uri
    number = orig or called_number(uri)
    if number is None:
        return None
    host = uri.host if isinstance(uri, SipUri) else "anonymous.invalid"
    return NameAddr(None, SipUri("sip", number, None, host, params=_PHONE))


def dialog_headers(headers: Headers, dialects: Dialects) -> Headers:
    """Return the header fields of a request within a dialog as they go on.

    Credentials for us stay here: the ACK to an INVITE repeats them (RFC 3261 section 13.2.2.4).
    Nobody verifies who sends such a request, so that it asserts nothing.
    """
    return strip_verstat(headers.without(*_ASSERTED, *_CREDENTIALS, *dialects.fields))


def wants_privacy(headers: Headers) -> bool:
    """Whether the caller's identity is not to be shown (RFC 3323 section 4.2, RFC 3325 9.3)."""
    asked = {priv.strip().lower() for value in headers.all("Privacy") for priv in value.split(";")}
    return bool(asked & {"id", "user"}) and "none" not in asked


def is_anonymous(request: Request) -> bool:
    """Whether the called user would not see who calls (RFC 3323 section 4.1, RFC 5079)."""
    if wants_privacy(request.headers):
        return True
    uri = request.from_.uri
    if not isinstance(uri, SipUri):
        return False
    return uri.host.lower() == "anonymous.invalid" or (uri.user or "").lower() in _ANONYMOUS
