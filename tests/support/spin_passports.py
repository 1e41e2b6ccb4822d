"""Real ES256 PASSporTs for SPIN's tests, without the STIR room: a signer and a verifier of keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from discovery.spin.passports import Rejected, VerifiedPassport
from discovery.spin.reason import Refusal

ALICE = "14155550100"
BOB = "12125550123"
NOW = 1_795_000_000.0


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class KeySigner:
    """Signs with one fresh P-256 key; `names` stand for the dNSNames of its certificate."""

    def __init__(self, number: str, *names: str) -> None:
        self.number = number
        self.names = names
        self.x5u = f"https://certificates.example/{number}.pem"
        self.key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, ppt: str, payload: Mapping[str, object], *, x5c: bool = False) -> str:
        named: dict[str, object] = {"x5c": [self.x5u]} if x5c else {"x5u": self.x5u}
        header = {"alg": "ES256", "ppt": ppt, "typ": "passport", **named}
        return self.sign_parts(canonical(header), canonical(dict(payload)))

    def sign_parts(self, header: bytes, payload: bytes) -> str:
        signing_input = f"{base64url(header)}.{base64url(payload)}"
        der = self.key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return f"{signing_input}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class KeyVerifier:
    """Verifies against the signers it knows, by x5u; counts how often it was asked."""

    def __init__(self, *signers: KeySigner) -> None:
        self.signers = {signer.x5u: signer for signer in signers}
        self.asked = 0

    async def verify(
        self, token: str, *, ppt: str, orig: str, now: float
    ) -> VerifiedPassport | Rejected:
        self.asked += 1
        head, payload, signature = token.split(".")
        header = json.loads(base64.urlsafe_b64decode(head + "=="))
        signer = self.signers.get(header["x5u"])
        if signer is None:
            return Rejected(Refusal.CREDENTIAL_UNAVAILABLE, "certificates.example")
        raw = base64.urlsafe_b64decode(signature + "==")
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        try:
            signer.key.public_key().verify(
                der, f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            return Rejected(Refusal.FORGED)
        if signer.number != orig:
            return Rejected(Refusal.UNTRUSTED_SIGNER, "no right to use the number")
        return VerifiedPassport(signer.names)


def invitation_claims(**changes: object) -> dict[str, object]:
    """The claims of an invitation from ALICE to BOB at NOW; a change to None takes one away."""
    claims: dict[str, object] = {
        "cb": "https://spin.alpha.example/s/9vTabcdefghijklmnopq22",
        "dest": {"tn": [BOB]},
        "exp": int(NOW) + 120,
        "iat": int(NOW),
        "jti": "abcdefghijklmnop",
        "orig": {"tn": ALICE},
        "svc": ["voice"],
        "tok": "0123456789abcdefghijkl",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def answer_claims(invitation: str, **changes: object) -> dict[str, object]:
    """The claims of an answer from BOB to ALICE at NOW."""
    claims: dict[str, object] = {
        "dest": {"tn": [ALICE]},
        "exp": int(NOW) + 120,
        "iat": int(NOW),
        "inv": invitation,
        "jti": "ponmlkjihgfedcba",
        "orig": {"tn": BOB},
        "st": "ok",
        "uris": [
            {
                "msp": "beta.example",
                "prio": 10,
                "svc": "voice",
                "uri": f"sip:+{BOB}@beta.example;user=phone",
            }
        ],
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}
