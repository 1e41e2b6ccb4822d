"""The PASSporTs of the cases: each function makes one call, good or wrong in one way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from gateway.conformance.case import Attempt, Workshop
from stir.passport import encode_part

Build = Callable[[Workshop], Attempt]


def changed(**changes: Any) -> Build:
    """The good PASSporT with claims changed; `iat` is relative to now."""

    def build(shop: Workshop) -> Attempt:
        ready = {**changes, "iat": shop.now + changes["iat"]} if "iat" in changes else changes
        return Attempt((shop.identity(shop.good, **ready),))

    return build


def signed_by(name: str) -> Build:
    """A good PASSporT under a certificate that is not."""
    return lambda shop: Attempt((shop.identity(shop.credentials[name]),))


def headed(**header: Any) -> Build:
    """The good PASSporT with header parameters changed or added."""
    return lambda shop: Attempt((shop.identity(shop.good, header),))


def with_parameters(parameters: str) -> Build:
    """The good PASSporT with other header field parameters."""
    return lambda shop: Attempt((shop.identity(shop.good, None, parameters),))


def forged(shop: Workshop) -> str:
    """An Identity value by somebody who has not the key."""
    return shop.identity(shop.good.with_other_key())


def plain(shop: Workshop) -> Attempt:
    """A PASSporT of the base type."""
    header = {"alg": "ES256", "typ": "passport", "x5u": shop.good.x5u}
    claims = {"dest": {"tn": [shop.dest]}, "iat": shop.now, "orig": {"tn": shop.orig}}
    return Attempt((f"{shop.good.sign(header, claims)};info=<{shop.good.x5u}>;alg=ES256",))


def unknown_beside(shop: Workshop) -> Attempt:
    """A type nobody knows, then the good PASSporT."""
    unknown = shop.identity(shop.good, {"ppt": "unknown"}, ";alg=ES256;ppt=unknown")
    return Attempt((unknown, shop.identity(shop.good)))


def tampered(shop: Workshop) -> Attempt:
    """Attestation C, made an A after signing."""
    header, payload, rest = shop.identity(shop.good, attest="C").split(".", 2)
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    changed = encode_part(claims.replace(b'"attest":"C"', b'"attest":"A"'))
    return Attempt((f"{header}.{changed}.{rest}",))


def unsigned(shop: Workshop) -> Attempt:
    """Algorithm none, and no signature."""
    header, payload, _ = shop.token(shop.good, {"alg": "none"}).split(".")
    return Attempt((f"{header}.{payload}.;info=<{shop.good.x5u}>;alg=none;ppt=shaken",))


def public_key_as_secret(shop: Workshop) -> Attempt:
    """HS256 keyed with what everybody can fetch: the certificate."""
    octets = shop.token(shop.good, {"alg": "HS256"}).rpartition(".")[0]
    secret = shop.credentials.pages.get("good", b"")
    mark = encode_part(hmac.new(secret, octets.encode(), hashlib.sha256).digest())
    return Attempt((f"{octets}.{mark};info=<{shop.good.x5u}>;alg=HS256;ppt=shaken",))


def own_key_inside(shop: Workshop) -> Attempt:
    """Signed with a key that the token brings along."""
    numbers = (forger := shop.good.with_other_key()).key.public_key().public_numbers()
    x, y = (encode_part(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    return Attempt((shop.identity(forger, {"jwk": jwk}),))


def info_differs(shop: Workshop) -> Attempt:
    """The header field names another URL than the token."""
    value = shop.identity(shop.good)
    return Attempt((value.replace("info=<", "info=<" + shop.credentials.url("x") + "#"),))


def at_url(change: Callable[[Workshop], str]) -> Build:
    """The good PASSporT with its certificate said to be elsewhere."""
    return lambda shop: Attempt((shop.identity(shop.good.at(change(shop))),))


def plain_http(shop: Workshop) -> str:
    """The good certificate's URL without TLS."""
    return "http://" + shop.good.x5u.partition("://")[2]


def compact(shop: Workshop) -> Attempt:
    """SHAKEN with header and payload left out."""
    head, _, rest = shop.identity(shop.good).partition(";")
    return Attempt((f"..{head.rpartition('.')[2]};{rest}",))


def div_alone(shop: Workshop) -> Attempt:
    """A diversion, by whom the number that diverts belongs to, without the call it diverts."""
    claims = {"div": {"tn": shop.orig}, "attest": None, "origid": None}
    return Attempt((shop.identity(shop.good, {"ppt": "div"}, ";alg=ES256;ppt=div", **claims),))


def other_media_keys(shop: Workshop) -> Attempt:
    """Fingerprints that are not those of the SDP."""
    keys = [{"alg": "sha-256", "dig": ":".join(["CD"] * 32)}]
    return Attempt((shop.identity(shop.good, mky=keys),), sdp=True)


def iat_twice(shop: Workshop) -> Attempt:
    """A stale iat, and a fresh one after it."""
    header, payload, _ = shop.token(shop.good, iat=1).split(".")
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    two = claims.replace('"iat":1,', f'"iat":1,"iat":{shop.now},').encode()
    signed = shop.good.sign_octets(header, encode_part(two))
    return Attempt((f"{signed};info=<{shop.good.x5u}>;alg=ES256;ppt=shaken",))


def deeply_nested(shop: Workshop) -> Attempt:
    """Octets that exhaust a recursive parser."""
    nested = json.dumps({"a": 1})[:-2] + "[" * 2_000 + "]" * 2_000 + "}"
    header = shop.token(shop.good).partition(".")[0]
    signed = shop.good.sign_octets(header, encode_part(nested.encode()))
    return Attempt((f"{signed};info=<{shop.good.x5u}>;alg=ES256;ppt=shaken",))


def many(shop: Workshop) -> Attempt:
    """Twenty forgeries."""
    return Attempt(tuple(forged(shop) for _ in range(20)))
