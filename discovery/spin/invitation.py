"""The invitation: a PASSporT with `"ppt":"spin"` that asks a number's agent for URIs.

Header alg, ppt, typ, x5u; claims cb, dest, exp, iat, jti, orig, svc, tok, and where the sender
says so omsp (its provider's domain) and tag (what it is about).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from discovery.model import Service
from discovery.service_uri import is_domain
from discovery.spin.claims import (
    dest_claim,
    identifier_claim,
    orig_claim,
    services_claim,
    text_claim,
    time_claim,
)
from discovery.spin.compact import (
    MAX_TOKEN,
    MAX_X5C_TOKEN,
    UnverifiedPassport,
    read_passport,
)
from discovery.spin.label import is_label
from discovery.spin.reason import Refusal, Refused

PPT: Final = "spin"

# Sixteen octets of chance for the token, twelve for the jti: 22 and 16 base64url characters.
TOKEN_LENGTH: Final = 22
JTI_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Freshness:
    """For how long an invitation may be used, in seconds.

    skew: how far `iat` may lie from now for voice and video, and in the future for all;
    max_call_lifetime: exp - iat where somebody waits; max_im_lifetime: where only im is asked.
    """

    skew: int = 60
    max_call_lifetime: int = 120
    max_im_lifetime: int = 72 * 3600


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the originating side asks; `orig` and `dest` are digits, times in epoch seconds.

    provider: the sender's own provider (`omsp`), for whoever wants to be found in one app only;
    tag: 1 to 32 letters, digits, dots, dashes, underscores.
    """

    orig: str
    dest: str
    services: tuple[Service, ...]
    callback: str = field(repr=False)
    token: str = field(repr=False)
    jti: str
    issued_at: int
    expires_at: int
    provider: str | None = None
    tag: str | None = None

    def claims(self) -> dict[str, object]:
        """Return the PASSporT payload; the signer writes it canonically (RFC 8225 9)."""
        return {
            "cb": self.callback,
            "dest": {"tn": [self.dest]},
            "exp": self.expires_at,
            "iat": self.issued_at,
            "jti": self.jti,
            "orig": {"tn": self.orig},
            "svc": [str(service) for service in self.services],
            "tok": self.token,
            **({"omsp": self.provider} if self.provider is not None else {}),
            **({"tag": self.tag} if self.tag is not None else {}),
        }


def parse_invitation(token: str, *, x5c: bool = False) -> tuple[UnverifiedPassport, Invitation]:
    """Read an invitation's claims; nothing is verified yet. Raises Refused.

    x5c: whether it may bring its certificates along, as there is room for in an MMS.
    """
    passport = read_passport(token, PPT, max_length=MAX_X5C_TOKEN if x5c else MAX_TOKEN, x5c=x5c)
    claims = passport.claims
    invitation = Invitation(
        orig=orig_claim(claims),
        dest=dest_claim(claims),
        services=services_claim(claims),
        callback=text_claim(claims, "cb", max_length=512),
        token=identifier_claim(claims, "tok", min_length=TOKEN_LENGTH),
        jti=identifier_claim(claims, "jti", min_length=JTI_LENGTH),
        issued_at=time_claim(claims, "iat"),
        expires_at=time_claim(claims, "exp"),
        provider=_provider(claims) if "omsp" in claims else None,
        tag=_tag(claims) if "tag" in claims else None,
    )
    return passport, invitation


def _provider(claims: Mapping[str, object]) -> str:
    value = claims["omsp"]
    if not is_domain(value):
        raise Refused(Refusal.MALFORMED, "omsp is not a domain in lower case")
    return str(value)


def _tag(claims: Mapping[str, object]) -> str:
    if not is_label(claims["tag"]):
        raise Refused(Refusal.MALFORMED, "tag is not a label")
    return str(claims["tag"])


def check_freshness(invitation: Invitation, limits: Freshness, now: float) -> None:
    """Check `iat` and `exp` against the clock. Raises Refused with NOT_FRESH or EXPIRED."""
    someone_waits = any(service is not Service.IM for service in invitation.services)
    longest = limits.max_call_lifetime if someone_waits else limits.max_im_lifetime
    lifetime = invitation.expires_at - invitation.issued_at
    if not 0 < lifetime <= longest:
        raise Refused(Refusal.NOT_FRESH, f"valid for {lifetime} s, at most {longest} s are taken")
    age = now - invitation.issued_at
    if age < -limits.skew:
        raise Refused(Refusal.NOT_FRESH, "issued in the future")
    if now >= invitation.expires_at:
        raise Refused(Refusal.EXPIRED, "")
    if someone_waits and age > limits.skew:
        raise Refused(Refusal.NOT_FRESH, f"issued {age:.0f} s ago, at most {limits.skew} s")
