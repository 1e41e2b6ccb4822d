"""What a key holder asks of the certification authority: an order, signed with that very key.

{"v":1,"op":"challenge"|"certify"|"renew"|"object","aud":<URL>,"csi":..,"iat":..,"jwk":{..}}, with
"id" and "answer" to certify. The key stands in the claims: here the signature proves nothing but
that whoever asks has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from discovery.directory import claims as read
from discovery.directory.identifier import Identifier, parse_identifier
from discovery.directory.jws import Key, Kind, Signer, decode, encode, sign
from discovery.directory.jws import read as read_token
from discovery.directory.reason import Refusal, Refused

MAX_ORDER: Final = 2_048
FRESH: Final = 120
_COORDINATE: Final = 32


class Operation(StrEnum):
    """What is asked."""

    CHALLENGE = "challenge"
    CERTIFY = "certify"
    RENEW = "renew"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class PublicPoint:
    """A P-256 public key by its coordinates, 32 octets each."""

    x: bytes
    y: bytes

    def jwk(self) -> dict[str, object]:
        """Return the JWK (RFC 7518 section 6.2.1)."""
        return {"crv": "P-256", "kty": "EC", "x": encode(self.x), "y": encode(self.y)}


class Keys(Protocol):
    """Makes a verifying key of a point."""

    def key(self, point: PublicPoint) -> Key:
        """Return the key; raises Refused(MALFORMED) for a point that is not on the curve."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """An order; `answer` is the key authorization of challenge `challenge_id`, both empty but to
    certify."""

    operation: Operation
    audience: str
    csi: Identifier
    issued_at: int
    point: PublicPoint
    challenge_id: str = ""
    answer: str = ""

    def claims(self) -> dict[str, object]:
        """Return the payload."""
        claims: dict[str, object] = {
            "v": 1,
            "op": str(self.operation),
            "aud": self.audience,
            "csi": str(self.csi),
            "iat": self.issued_at,
            "jwk": self.point.jwk(),
        }
        if self.operation is Operation.CERTIFY:
            claims |= {"id": self.challenge_id, "answer": self.answer}
        return claims


def sign_order(order: Order, signer: Signer) -> str:
    """Return the order's token."""
    return sign(Kind.ORDER, order.claims(), signer)


def read_order(token: object, keys: Keys, *, audience: str, now: float) -> tuple[Order, Key]:
    """Read and prove an order for this authority.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, NOT_CANONICAL, IDENTIFIER, BAD_SIGNATURE,
    WRONG_AUDIENCE, NOT_FRESH.
    """
    signed = read_token(token, Kind.ORDER, max_length=MAX_ORDER)
    claims = signed.claims
    read.version(claims)
    try:
        operation = Operation(read.text(claims, "op", max_length=16))
    except ValueError:
        raise Refused(Refusal.WRONG_TYPE, "op is unknown") from None
    members = {"v", "op", "aud", "csi", "iat", "jwk"}
    certifies = operation is Operation.CERTIFY
    read.exactly(claims, members | {"id", "answer"} if certifies else members)
    point = _point(claims["jwk"])
    key = keys.key(point)
    signed.prove(key)
    order = Order(
        operation=operation,
        audience=read.text(claims, "aud", max_length=512),
        csi=parse_identifier(claims["csi"]),
        issued_at=read.moment(claims, "iat"),
        point=point,
        challenge_id=read.text(claims, "id", max_length=43) if certifies else "",
        answer=read.text(claims, "answer", max_length=43) if certifies else "",
    )
    if order.audience != audience:
        raise Refused(Refusal.WRONG_AUDIENCE, "order is for another authority")
    if abs(now - order.issued_at) > FRESH:
        raise Refused(Refusal.NOT_FRESH, f"order not made within {FRESH} s")
    return order, key


def _point(value: object) -> PublicPoint:
    if not isinstance(value, dict) or set(value) != {"crv", "kty", "x", "y"}:
        raise Refused(Refusal.MALFORMED, "jwk is not a public P-256 key")
    if (value["crv"], value["kty"]) != ("P-256", "EC"):
        raise Refused(Refusal.MALFORMED, "jwk is not a public P-256 key")
    x = decode(read.text(value, "x", max_length=43))
    y = decode(read.text(value, "y", max_length=43))
    if (len(x), len(y)) != (_COORDINATE, _COORDINATE):
        raise Refused(Refusal.MALFORMED, "jwk has coordinates of another length")
    return PublicPoint(x, y)
