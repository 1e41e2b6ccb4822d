"""What an owner or a number provider signs beside records: removal, and release to a new key.

Removal is a tombstone, {"v":1,"op":"remove","aud":<URL>,"csi":..,"seq":8,"iat":..}, good at one
directory: another that it was shown to cannot use it elsewhere. Release lets another key
take over an identifier without the hold, {"v":1,"op":"release","csi":..,"to":<thumbprint>,..}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from discovery.directory import claims as read
from discovery.directory.holder import Holder, check_owner, check_valid
from discovery.directory.identifier import Identifier, parse_identifier
from discovery.directory.jws import Kind, Signed, Signer, sign
from discovery.directory.jws import read as read_token
from discovery.directory.reason import Refusal, Refused

MAX_STATEMENT: Final = 1024
# Statements are acted on once and at once: an old one that somebody kept is worth nothing.
FRESH: Final = 300
THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
Author = Literal["owner", "provider"]


@dataclass(frozen=True, slots=True)
class Removal:
    """An identifier is to be in the directory `audience` (its URL) no more; `seq` is above that of
    the record."""

    audience: str
    csi: Identifier
    seq: int
    issued_at: int

    def claims(self) -> dict[str, object]:
        """Return the payload."""
        return {
            "v": 1,
            "op": "remove",
            "aud": self.audience,
            "csi": str(self.csi),
            "seq": self.seq,
            "iat": self.issued_at,
        }


@dataclass(frozen=True, slots=True)
class Release:
    """The key with thumbprint `to` (RFC 7638) may take the identifier over at once."""

    csi: Identifier
    to: str
    issued_at: int

    def claims(self) -> dict[str, object]:
        """Return the payload."""
        return {
            "v": 1,
            "op": "release",
            "csi": str(self.csi),
            "to": self.to,
            "iat": self.issued_at,
        }


def sign_removal(removal: Removal, signer: Signer) -> str:
    """Return the tombstone's token."""
    return sign(Kind.REMOVAL, removal.claims(), signer)


def sign_release(release: Release, signer: Signer) -> str:
    """Return the release's token."""
    return sign(Kind.RELEASE, release.claims(), signer)


def parse_removal(token: object) -> tuple[Signed, Removal]:
    """Read a tombstone. Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, IDENTIFIER."""
    signed = read_token(token, Kind.REMOVAL, max_length=MAX_STATEMENT)
    claims = signed.claims
    read.version(claims)
    read.exactly(claims, {"v", "op", "aud", "csi", "seq", "iat"})
    if claims["op"] != "remove":
        raise Refused(Refusal.WRONG_TYPE, "op is not remove")
    return signed, Removal(
        audience=read.text(claims, "aud", max_length=512),
        csi=parse_identifier(claims["csi"]),
        seq=read.number(claims, "seq"),
        issued_at=read.moment(claims, "iat"),
    )


def parse_release(token: object) -> tuple[Signed, Release]:
    """Read a release. Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, IDENTIFIER."""
    signed = read_token(token, Kind.RELEASE, max_length=MAX_STATEMENT)
    claims = signed.claims
    read.version(claims)
    read.exactly(claims, {"v", "op", "csi", "to", "iat"})
    if claims["op"] != "release":
        raise Refused(Refusal.WRONG_TYPE, "op is not release")
    to = read.text(claims, "to", max_length=43)
    if THUMBPRINT.fullmatch(to) is None:
        raise Refused(Refusal.MALFORMED, "to is not a key's thumbprint")
    return signed, Release(parse_identifier(claims["csi"]), to, read.moment(claims, "iat"))


def check_author(
    signed: Signed, csi: Identifier, issued_at: int, holder: Holder, now: float
) -> Author:
    """Prove a statement and tell who made it: the owner, or the provider of the identifier.

    Raises Refused: NOT_FRESH (not within 5 minutes of `now`), BAD_SIGNATURE, CERTIFICATE_EXPIRED,
    OTHER_IDENTIFIER.
    """
    if abs(now - issued_at) > FRESH:
        raise Refused(Refusal.NOT_FRESH, f"statement not made within {FRESH} s")
    signed.prove(holder)
    if holder.provides(csi):
        check_valid(holder, now)
        return "provider"
    check_owner(holder, csi, now)
    return "owner"
