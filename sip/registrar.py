"""The registrar (RFC 3261 section 10.3): what a REGISTER does to the bindings of its address.

Who sends it was authenticated before, and may change this address of record (steps 3 and 4).
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sip.bindings import Binding, BindingStore
from sip.fields import NameAddr, format_date, parse_option_tags, parse_seconds
from sip.headers import MalformedHeader
from sip.message import Request, Response, response_to
from sip.uri import MalformedUri, SipUri, parse_uri, uris_equal

_ATTEMPTS = 5
_MAX_TEXT = 256
_MAX_URI = 1_024
_Q = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class RegistrarSettings:
    """Limits of the registrar; times are in seconds.

    A contact that asks for less than `min_expires` gets 423, one that asks for more than
    `max_expires` is given that; `default_expires` is for one that does not ask. An address of
    record has at most `max_contacts`.
    """

    min_expires: int = 60
    max_expires: int = 3_600
    default_expires: int = 3_600
    max_contacts: int = 10


class _Refused(Exception):
    """The whole request fails, and no binding changes."""

    def __init__(self, status: int, phrase: str | None, *headers: tuple[str, str]) -> None:
        super().__init__(phrase)
        self.status = status
        self.phrase = phrase
        self.headers = headers


async def register(
    request: Request,
    aor: str,
    store: BindingStore,
    settings: RegistrarSettings,
    *,
    now: float,
    flow_token: str = "",
) -> Response:
    """Carry out a REGISTER for an address of record; gives the response (RFC 3261 10.3).

    200 lists all bindings; a request without Contact only asks for them. `now` is in epoch
    seconds. Answers 400, 403 (too many contacts), 420, 423, or 500 (out of order) where nothing
    was changed; raises only what the store raises.
    """
    tag = secrets.token_hex(8)
    try:
        _check_require(request)
        for _ in range(_ATTEMPTS):
            before = await store.get(aor)
            live = tuple(binding for binding in before if binding.expires_at > now)
            after = _changed(request, aor, live, settings, now, flow_token)
            if after == live or await store.replace(aor, after, expected=before):
                return _accepted(request, after, now, tag)
        raise _Refused(500, "Registrations Overtake Each Other")
    except MalformedHeader as problem:
        return response_to(request, 400, f"Bad Request - {problem}", to_tag=tag)
    except _Refused as refused:
        headers = refused.headers
        return response_to(request, refused.status, refused.phrase, to_tag=tag, headers=headers)


def _check_require(request: Request) -> None:
    """Step 2: extensions a registrar must know; none are."""
    tags = parse_option_tags("Require", request.headers.all("Require"))
    if tags:
        raise _Refused(420, None, ("Unsupported", ", ".join(tags)))


def _changed(
    request: Request,
    aor: str,
    live: tuple[Binding, ...],
    settings: RegistrarSettings,
    now: float,
    flow_token: str,
) -> tuple[Binding, ...]:
    """Steps 6 and 7: the bindings as they are after the request; raises _Refused."""
    if request.contact_is_star:
        return _all_removed(request, live)
    bindings = list(live)
    for contact in request.contacts:
        binding = _asked(request, aor, contact, settings, now, flow_token)
        old = _find(bindings, binding)
        if old is not None:
            _check_order(request, bindings[old])
            del bindings[old]
        if binding.expires_at > now:
            bindings.insert(len(bindings) if old is None else old, binding)
    if len(bindings) > max(settings.max_contacts, len(live)):
        raise _Refused(403, "Too Many Contacts")
    return tuple(bindings)


def _all_removed(request: Request, live: tuple[Binding, ...]) -> tuple[Binding, ...]:
    """Step 6: Contact: * removes every binding, with Expires: 0 and nothing else."""
    if request.expires != 0:
        raise _Refused(400, "Bad Request - Contact: * needs Expires: 0")
    for binding in live:
        _check_order(request, binding)
    return ()


def _check_order(request: Request, old: Binding) -> None:
    """Step 7: a client's requests count in the order of their CSeq."""
    if old.call_id == request.call_id and old.cseq >= request.cseq.number:
        raise _Refused(500, "CSeq Out Of Order")


def _asked(
    request: Request,
    aor: str,
    contact: NameAddr,
    settings: RegistrarSettings,
    now: float,
    flow_token: str,
) -> Binding:
    """The binding one contact asks for; expired at once where it is to be removed."""
    uri = contact.uri
    if not isinstance(uri, SipUri):
        raise _Refused(400, "Bad Request - Contact: neither sip nor sips")
    text = str(uri)
    if len(text) > _MAX_URI:
        raise _Refused(400, "Bad Request - Contact: too long")
    return Binding(
        aor=aor,
        contact_uri=text,
        call_id=request.call_id,
        cseq=request.cseq.number,
        expires_at=now + _seconds(request, contact, settings),
        q=_preference(contact),
        flow_token=flow_token,
        user_agent=(request.headers.get("User-Agent") or "")[:_MAX_TEXT],
        instance=(contact.params.text("+sip.instance") or "")[:_MAX_TEXT],
        reg_id=_number(contact.params.text("reg-id")),
    )


def _seconds(request: Request, contact: NameAddr, settings: RegistrarSettings) -> int:
    """Step 6: how long the contact lasts; raises _Refused (423) where that is too short."""
    asked = _expires(contact, request, settings)
    if 0 < asked < settings.min_expires:
        raise _Refused(423, None, ("Min-Expires", str(settings.min_expires)))
    return min(asked, settings.max_expires)


def _expires(contact: NameAddr, request: Request, settings: RegistrarSettings) -> int:
    for text in (contact.params.text("expires"), request.headers.get("Expires")):
        if text is not None:
            try:
                return parse_seconds("Expires", text)
            except MalformedHeader:
                # RFC 3261 20.10, 20.19: what cannot be read means 3600.
                return 3_600
    return settings.default_expires


def _preference(contact: NameAddr) -> float:
    text = contact.params.text("q")
    return float(text) if text is not None and _Q.fullmatch(text) else 1.0


def _number(text: str | None) -> int:
    return int(text) if text is not None and _DIGITS.fullmatch(text) else 0


def _find(bindings: Sequence[Binding], asked: Binding) -> int | None:
    """The binding a contact is about: the same device's registration, else the same URI."""
    for index, binding in enumerate(bindings):
        if asked.instance and asked.reg_id:
            # RFC 5626 6: the device is known by instance and reg-id, wherever it moved to.
            if (binding.instance, binding.reg_id) == (asked.instance, asked.reg_id):
                return index
        elif _same_contact(binding.contact_uri, asked.contact_uri):
            return index
    return None


def _same_contact(one: str, other: str) -> bool:
    try:
        return uris_equal(parse_uri(one), parse_uri(other))
    except MalformedUri:
        return False


def _accepted(request: Request, bindings: tuple[Binding, ...], now: float, tag: str) -> Response:
    """Step 8: 200 with every binding and what is left of its time."""
    headers = [("Contact", _contact_value(binding, now)) for binding in bindings]
    headers.append(("Date", format_date(now)))
    return response_to(request, 200, to_tag=tag, headers=headers)


def _contact_value(binding: Binding, now: float) -> str:
    value = f"<{binding.contact_uri}>;expires={max(0, round(binding.expires_at - now))}"
    if binding.q != 1.0:
        value += f";q={binding.q:g}"
    if binding.instance:
        instance = binding.instance.replace("\\", "\\\\").replace('"', '\\"')
        value += f';+sip.instance="{instance}"'
    if binding.reg_id:
        value += f";reg-id={binding.reg_id}"
    return value


def current(bindings: Sequence[Binding], now: float) -> tuple[Binding, ...]:
    """Give the bindings that have not expired, the preferred first (RFC 3261 16.5)."""
    live = [binding for binding in bindings if binding.expires_at > now]
    return tuple(sorted(live, key=lambda binding: -binding.q))
