"""Carriage T: an invitation as text that a person can read when no agent absorbs it.

`<fallback text> spin:1:<token>`, GSM 7 bit, as concatenated short messages.
"""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from discovery.model import Service
from discovery.spin.segments import TextPart, split_text

MARK: Final = "spin:1:"
_REFERENCE_MARK: Final = "spin:1r:"
DEFAULT_LOCALE: Final = "en"
# Ten parts hold 1,530 septets: an invitation with the longest callback and x5u fits.
MAX_PARTS: Final = 10

# Fixed templates only: whatever a sender could put here would be spam with our name on it.
_FALLBACKS: Final[dict[str, tuple[str, dict[Service, str]]]] = {
    "en": (
        "{number} wants to {act} you over the Internet. If you see this, call back normally.",
        {Service.VOICE: "voice-call", Service.VIDEO: "video-call", Service.IM: "message"},
    ),
    "de": (
        "{number} möchte Sie über das Internet {act}. "
        "Wenn Sie dies sehen, rufen Sie bitte normal zurück.",
        {
            Service.VOICE: "anrufen",
            Service.VIDEO: "per Video anrufen",
            Service.IM: "anschreiben",
        },
    ),
    "fr": (
        "{number} veut vous {act} par Internet. Si vous voyez ce texte, rappelez normalement.",
        {Service.VOICE: "appeler", Service.VIDEO: "appeler en vidéo", Service.IM: "écrire"},
    ),
    "es": (
        "{number} quiere {act} por Internet. Si ve este texto, devuelva la llamada normalmente.",
        {
            Service.VOICE: "llamarle",
            Service.VIDEO: "hacerle una videollamada",
            Service.IM: "escribirle",
        },
    ),
}
# For carriages that have room for one short message only.
_SHORT: Final = {
    "en": "{number} wants to {act} you over the Internet. Or call back.",
    "de": "{number} möchte Sie über das Internet {act}. Oder rufen Sie zurück.",
    "fr": "{number} veut vous {act} par Internet. Ou rappelez.",
    "es": "{number} quiere {act} por Internet. O devuelva la llamada.",
}
LOCALES: Final = frozenset(_FALLBACKS)

# What follows the mark has the letters of a token and is long enough to be meant as one. A person
# who writes about "spin:1:" keeps their message.
_TOKEN: Final = re.compile(r"(?P<token>[A-Za-z0-9_.-]{40,})\s*")
_LOOSE_END: Final = re.compile(r"[A-Za-z0-9_.-]{100,}")


def fallback_text(orig: str, service: Service, locale: str = DEFAULT_LOCALE) -> str:
    """Return what a person sees: who wants to reach them and what to do. `orig` is digits.

    A locale that is not known gets English.
    """
    sentence, acts = _FALLBACKS.get(locale, _FALLBACKS[DEFAULT_LOCALE])
    return sentence.format(number=_for_people(orig), act=acts[service])


def short_fallback_text(orig: str, service: Service, locale: str = DEFAULT_LOCALE) -> str:
    """Return the same in fewer words."""
    known = locale if locale in LOCALES else DEFAULT_LOCALE
    _, acts = _FALLBACKS[known]
    return _SHORT[known].format(number=_for_people(orig), act=acts[service])


def to_text(token: str, orig: str, service: Service, locale: str = DEFAULT_LOCALE) -> str:
    """Return the whole text of an invitation."""
    return f"{fallback_text(orig, service, locale)} {MARK}{token}"


def to_parts(text: str, reference: int) -> tuple[TextPart, ...]:
    """Return an invitation's text as short messages; raises ValueError above MAX_PARTS parts."""
    return split_text(text, reference, max_parts=MAX_PARTS)


def invitation_token(text: str) -> str | None:
    """Return the token carried by a text, None for an ordinary message. Nothing is verified."""
    mark = text.rfind(MARK)
    if mark < 0 or (mark > 0 and not text[mark - 1].isspace()):
        return None
    found = _TOKEN.fullmatch(text, mark + len(MARK))
    return found["token"] if found else None


def looks_torn(text: str) -> bool:
    """Tell whether parts of a message that never became whole belong to an invitation.

    Such parts are noise to a person; those of an ordinary message are not.
    """
    return MARK in text or _REFERENCE_MARK in text or _LOOSE_END.fullmatch(text) is not None


def _for_people(number: str) -> str:
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return f"+{number}"
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
