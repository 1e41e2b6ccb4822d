"""The HTTP authentication scheme PrivateToken (RFC 9577 section 2): challenges and credentials."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from discovery.privacy.issuer_directory import decode_base64url
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token import Token, TokenChallenge, parse_token, parse_token_challenge
from discovery.privacy.token_key import TokenKey

SCHEME: Final = "PrivateToken"
MAX_HEADER: Final = 16_384
_MAX_CHALLENGES: Final = 16
_MAX_PARAMETERS: Final = 16

# RFC 9110 sections 11.3 and 11.4: a list of schemes, each with token68 or parameters.
_SPACE: Final = re.compile(r"[ \t]*")
_WORD: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_EQUALS: Final = re.compile(r"[ \t]*=[ \t]*")
# Possessive, so that a text without its end is tried once.
_QUOTED: Final = re.compile(r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]++|\\[\t\x20-\x7e])*+)"')
# A token, or base64url whose padding the sender forgot to quote.
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+=*")


@dataclass(frozen=True, slots=True)
class PrivateTokenChallenge:
    """One challenge of a WWW-Authenticate field; token_key as it came, max_age in seconds."""

    challenge: TokenChallenge
    token_key: bytes | None = None
    max_age: int | None = None


def format_challenge(
    challenge: TokenChallenge, key: TokenKey | None = None, max_age: int | None = None
) -> str:
    """Return one challenge for WWW-Authenticate."""
    parameters = [f'challenge="{_base64url(challenge.encode())}"']
    if key is not None:
        parameters.append(f'token-key="{_base64url(key.spki)}"')
    if max_age is not None:
        parameters.append(f'max-age="{max_age}"')
    return f"{SCHEME} {', '.join(parameters)}"


def parse_challenges(header: str) -> tuple[PrivateTokenChallenge, ...]:
    """Return the PrivateToken challenges of a WWW-Authenticate field, others left out.

    So are those of this scheme that are not well formed, as the RFC wants of clients. Raises
    PrivacyError: OVERSIZED, or MALFORMED for a field that cannot be taken apart.
    """
    found: list[PrivateTokenChallenge] = []
    for scheme, parameters in _parse(header):
        if scheme.lower() != SCHEME.lower() or "challenge" not in parameters:
            continue
        try:
            challenge = parse_token_challenge(decode_base64url(parameters["challenge"]))
            key = parameters.get("token-key")
            age = parameters.get("max-age", "")
            found.append(
                PrivateTokenChallenge(
                    challenge,
                    decode_base64url(key) if key is not None else None,
                    int(age) if re.fullmatch(r"[0-9]{1,9}", age) else None,
                )
            )
        except PrivacyError:
            continue
    return tuple(found)


def format_authorization(token: Token) -> str:
    """Return credentials for Authorization."""
    return f'{SCHEME} token="{_base64url(token.encode())}"'


def parse_authorization(header: str) -> Token:
    """Read the token of an Authorization field.

    Raises PrivacyError: NOT_ACCEPTED for another scheme or token type, MALFORMED, OVERSIZED.
    """
    credentials = _parse(header)
    if len(credentials) != 1 or credentials[0][0].lower() != SCHEME.lower():
        raise PrivacyError(Fault.NOT_ACCEPTED, "not a private token")
    token = credentials[0][1].get("token")
    if token is None:
        raise PrivacyError(Fault.MALFORMED, "no token parameter")
    return parse_token(decode_base64url(token))


def _parse(header: str) -> list[tuple[str, dict[str, str]]]:
    """Take a field apart: schemes with their parameters, names in lower case."""
    if len(header) > MAX_HEADER:
        raise PrivacyError(Fault.OVERSIZED, f"more than {MAX_HEADER} characters")
    found: list[tuple[str, dict[str, str]]] = []
    at = _past_commas(header, 0)
    while at < len(header):
        name, at = _need(_WORD, header, at)
        equals = _EQUALS.match(header, at)
        if equals is not None and found:
            value, at = _value(header, equals.end())
            parameters = found[-1][1]
            if name.lower() in parameters or len(parameters) >= _MAX_PARAMETERS:
                raise PrivacyError(Fault.MALFORMED, "parameter is given twice, or too many")
            parameters[name.lower()] = value
        else:
            if len(found) >= _MAX_CHALLENGES:
                raise PrivacyError(Fault.OVERSIZED, f"more than {_MAX_CHALLENGES} challenges")
            found.append((name, {}))
            at = _after_scheme(header, at)
            continue
        at = _past_commas(header, at, needed=True)
    return found


def _after_scheme(header: str, at: int) -> int:
    """Return where the parameters of a scheme begin, or what follows one without."""
    after = _skip(header, at)
    if after == len(header) or header[after] == ",":
        return _past_commas(header, after)
    if after == at:
        raise PrivacyError(Fault.MALFORMED, "no space after the scheme")
    token68 = _TOKEN68.match(header, after)
    return _past_commas(header, token68.end()) if token68 is not None else after


def _value(header: str, at: int) -> tuple[str, int]:
    if at < len(header) and header[at] == '"':
        found = _QUOTED.match(header, at)
        if found is None:
            raise PrivacyError(Fault.MALFORMED, "quoted string")
        return re.sub(r"\\(.)", r"\1", found[1]), found.end()
    return _need(_UNQUOTED, header, at)


def _need(pattern: re.Pattern[str], header: str, at: int) -> tuple[str, int]:
    found = pattern.match(header, at)
    if found is None:
        raise PrivacyError(Fault.MALFORMED, "authentication field")
    return found[0], found.end()


def _skip(header: str, at: int) -> int:
    found = _SPACE.match(header, at)
    return found.end() if found is not None else at


def _past_commas(header: str, at: int, *, needed: bool = False) -> int:
    start = at = _skip(header, at)
    while at < len(header) and header[at] == ",":
        at = _skip(header, at + 1)
    if needed and at == start and at < len(header):
        raise PrivacyError(Fault.MALFORMED, "no comma between parameters")
    return at


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
