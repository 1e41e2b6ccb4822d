"""The PASSporTs of one or more calls as they lie at a call placement service."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

from stir.passport import MalformedPassport, Passport, parse_passport

MAX_TOKENS: Final = 8
MAX_TOKEN: Final = 8_192
MAX_TOTAL: Final = 32_768
MAX_CANDIDATES: Final = 8


class MalformedTokens(ValueError):
    """The value is not a list of PASSporTs; the message says what is wrong."""


def read_tokens(value: object) -> tuple[str, ...]:
    """Read 1 to 8 PASSporTs in full form, 32,768 characters in all; raises MalformedTokens."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_TOKENS:
        raise MalformedTokens(f"not a list of 1 to {MAX_TOKENS} PASSporTs")
    tokens = []
    for item in value:
        if not isinstance(item, str) or len(item) > MAX_TOKEN:
            raise MalformedTokens(f"an item is no text of at most {MAX_TOKEN} characters")
        try:
            passport = parse_passport(item)
        except MalformedPassport as error:
            raise MalformedTokens(f"an item is no PASSporT: {error.problem}") from None
        if passport.x5u is None:
            raise MalformedTokens("a PASSporT does not say where its certificate is (x5u)")
        tokens.append(item)
    if sum(map(len, tokens)) > MAX_TOTAL:
        raise MalformedTokens(f"longer than {MAX_TOTAL} characters in all")
    return tuple(dict.fromkeys(tokens))


def digest_of(items: tuple[str, ...]) -> str:
    """Return the value of the ``passports`` claim: the digest of the list as canonical JSON.

    RFC 8785 writes a list of ASCII strings without quotes or escapes inside just as `json` does.
    """
    text = json.dumps(list(items), separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def identity_of(token: str, passport: Passport) -> str:
    """Return the Identity header field value a PASSporT would have come in (RFC 8224 section 4)."""
    ppt = "" if passport.ppt is None else f";ppt={passport.ppt}"
    return f"{token};info=<{passport.x5u}>;alg=ES256{ppt}"


def candidates(tokens: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Sort what was retrieved into at most 8 candidates for one call, as Identity values each.

    Several calls between two numbers may be under way, and what a stranger stored lies beside what
    belongs to the call: each PASSporT is tried by itself, together with all diversions (RFC 8946),
    the youngest first. What cannot be read is left out.
    """
    originals: list[tuple[int, str]] = []
    diversions: list[str] = []
    for token in dict.fromkeys(tokens):
        try:
            passport = parse_passport(token)
        except MalformedPassport:
            continue
        if passport.x5u is None:
            continue
        value = identity_of(token, passport)
        if passport.ppt in ("div", "div-o"):
            diversions.append(value)
        else:
            originals.append((passport.iat or 0, value))
    originals.sort(key=lambda each: -each[0])
    beside = tuple(diversions[: MAX_TOKENS - 1])
    return tuple((value, *beside) for _, value in originals[:MAX_CANDIDATES])
