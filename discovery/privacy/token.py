"""Messages of Privacy Pass, token type 2, Blind RSA 2048 (RFC 9577 2, RFC 9578 6)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from discovery.privacy.octets import Octets
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token_key import KEY_ID_OCTETS

BLIND_RSA: Final = 0x0002
NONCE_OCTETS: Final = 32
AUTHENTICATOR_OCTETS: Final = 256  # Nk
TOKEN_OCTETS: Final = 2 + NONCE_OCTETS + 32 + KEY_ID_OCTETS + AUTHENTICATOR_OCTETS
REQUEST_OCTETS: Final = 2 + 1 + AUTHENTICATOR_OCTETS
MAX_CHALLENGE: Final = 2_048

REQUEST_MEDIA_TYPE: Final = "application/private-token-request"
RESPONSE_MEDIA_TYPE: Final = "application/private-token-response"
ISSUER_DIRECTORY_MEDIA_TYPE: Final = "application/private-token-issuer-directory"
ISSUER_DIRECTORY_PATH: Final = "/.well-known/private-token-issuer-directory"

_CONTEXT_OCTETS: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class TokenChallenge:
    """What a token is good for: whose, in which context, at which origins.

    redemption_context: 32 octets or none. origins: names as in the authority of a URI; none means
    everywhere. Raises PrivacyError(MALFORMED) from the constructor.
    """

    issuer_name: str
    redemption_context: bytes = b""
    origins: tuple[str, ...] = ()
    token_type: int = BLIND_RSA

    def __post_init__(self) -> None:
        if not all(_NAME.fullmatch(name) for name in (self.issuer_name, *self.origins)):
            raise PrivacyError(Fault.MALFORMED, "name of issuer or origin")
        if len(self.redemption_context) not in (0, _CONTEXT_OCTETS):
            raise PrivacyError(Fault.MALFORMED, "redemption context")
        if not 0 < self.token_type < 1 << 16 or len(",".join(self.origins)) > MAX_CHALLENGE:
            raise PrivacyError(Fault.MALFORMED, "token type or origins")

    def encode(self) -> bytes:
        """Return the structure of RFC 9577 section 2.1.1."""
        issuer, origins = self.issuer_name.encode(), ",".join(self.origins).encode()
        return b"".join(
            (
                self.token_type.to_bytes(2, "big"),
                len(issuer).to_bytes(2, "big"),
                issuer,
                bytes((len(self.redemption_context),)),
                self.redemption_context,
                len(origins).to_bytes(2, "big"),
                origins,
            )
        )

    def digest(self) -> bytes:
        """Return what a token carries of it."""
        return hashlib.sha256(self.encode()).digest()

    def is_for(self, origin: str) -> bool:
        """Tell whether a token may be redeemed at this origin."""
        return not self.origins or origin.lower() in (one.lower() for one in self.origins)


def parse_token_challenge(data: bytes) -> TokenChallenge:
    """Read a challenge of any token type. Raises PrivacyError: OVERSIZED, TRUNCATED, MALFORMED."""
    if len(data) > MAX_CHALLENGE:
        raise PrivacyError(Fault.OVERSIZED, f"challenge of more than {MAX_CHALLENGE} octets")
    octets = Octets(data)
    token_type = octets.integer(2)
    issuer, context, origins = octets.vector(2), octets.vector(1), octets.vector(2)
    octets.end()
    try:
        names = origins.decode("ascii").split(",") if origins else []
        return TokenChallenge(issuer.decode("ascii"), context, tuple(names), token_type)
    except UnicodeDecodeError:
        raise PrivacyError(Fault.MALFORMED, "not ASCII") from None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a client asks an issuer to sign, which tells it nothing of the token."""

    truncated_key_id: int
    blinded: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return `application/private-token-request` (RFC 9578 section 6.1)."""
        return BLIND_RSA.to_bytes(2, "big") + bytes((self.truncated_key_id,)) + self.blinded


def parse_token_request(data: bytes) -> TokenRequest:
    """Read a request. Raises PrivacyError: MALFORMED, or NOT_ACCEPTED for another token type."""
    if data[:2] != BLIND_RSA.to_bytes(2, "big"):
        raise PrivacyError(Fault.NOT_ACCEPTED, "token type")
    if len(data) != REQUEST_OCTETS:
        raise PrivacyError(Fault.MALFORMED, f"a request has {REQUEST_OCTETS} octets")
    return TokenRequest(data[2], data[3:])


@dataclass(frozen=True, slots=True)
class TokenInput:
    """The part of a token that is signed (RFC 9577 section 2.2.1)."""

    nonce: bytes
    challenge_digest: bytes
    key_id: bytes

    def encode(self) -> bytes:
        start = BLIND_RSA.to_bytes(2, "big")
        return start + self.nonce + self.challenge_digest + self.key_id


@dataclass(frozen=True, slots=True)
class Token:
    """A token; whoever has it may use it, so it is never shown."""

    signed: TokenInput = field(repr=False)
    authenticator: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the structure of RFC 9577 section 2.2."""
        return self.signed.encode() + self.authenticator


def parse_token(data: bytes) -> Token:
    """Read a token. Raises PrivacyError: MALFORMED, or NOT_ACCEPTED for another token type."""
    if data[:2] != BLIND_RSA.to_bytes(2, "big"):
        raise PrivacyError(Fault.NOT_ACCEPTED, "token type")
    if len(data) != TOKEN_OCTETS:
        raise PrivacyError(Fault.MALFORMED, f"a token has {TOKEN_OCTETS} octets")
    octets = Octets(data[2:])
    signed = TokenInput(octets.take(NONCE_OCTETS), octets.take(32), octets.take(KEY_ID_OCTETS))
    return Token(signed, octets.rest())
