"""SRTP keys carried in SDP: a=crypto (RFC 4568, RFC 7714 section 14)."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Sequence

from media.srtp import PROFILES, SrtpKey, SrtpProfile


class UnusableCrypto(ValueError):
    """A crypto attribute of the peer that cannot or must not be used; `reason` says why.

    The reason never holds the key.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_key(profile: SrtpProfile, rand: Callable[[int], bytes] = secrets.token_bytes) -> SrtpKey:
    """Makes a fresh random key; one a leg and direction, never shared (RFC 4568 section 7)."""
    return SrtpKey(profile, rand(profile.key_length), rand(profile.salt_length))


def key_params(key: SrtpKey) -> str:
    """Writes a key as the `inline:` key parameter. The text is a secret."""
    return "inline:" + base64.b64encode(key.key + key.salt).decode("ascii")


def parse_key(suite: str, params: str, session_params: Sequence[str] = ()) -> SrtpKey:
    """Reads the key of one a=crypto line; raises `UnusableCrypto` (RFC 4568 section 9.2).

    Refused: suites we do not have, several keys or a master key identifier (libsrtp as bound
    here has one key a session), a key of wrong length, and every session parameter that takes
    protection away or changes what is protected (KDR, UNENCRYPTED_*, UNAUTHENTICATED_SRTP, FEC).
    """
    profile = PROFILES.get(suite.upper())
    if profile is None:
        raise UnusableCrypto("unknown suite")
    for param in session_params:
        # WSH is only a hint for the replay window (section 6.3.7); the rest is mandatory.
        if not param.upper().startswith("WSH="):
            raise UnusableCrypto("session parameter")
    method, _, rest = params.partition(":")
    if method.lower() != "inline" or ";" in rest:
        raise UnusableCrypto("key method" if method.lower() != "inline" else "several keys")
    material, *fields = rest.split("|")
    if any(":" in text for text in fields):
        raise UnusableCrypto("master key identifier")
    try:
        raw = base64.b64decode(material, validate=True)
    except (binascii.Error, ValueError):
        raise UnusableCrypto("base64") from None
    if len(raw) != profile.key_length + profile.salt_length:
        raise UnusableCrypto("key length")
    return SrtpKey(profile, raw[: profile.key_length], raw[profile.key_length :])
