"""Lists of trusted STI-CAs, good and bad, as a policy administrator would sign them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificates.issuing import Authority
from stir.certificates.trust_list import TrustList, open_trust_list, read_trust_list
from tests.support.stir_authority import NOW, make_certificate, raw_token


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


class Administrator:
    """A policy administrator with a root of its own, which certifies its signing key."""

    def __init__(self, root: Authority, name: str = "STI-PA") -> None:
        self.root = root
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.certified()

    def certified(self, **options: Any) -> x509.Certificate:
        """A certificate for the signing key."""
        options = {
            "entries": None,
            "name": "STI-PA list signer",
            "not_after": NOW + 30 * 86_400,
        } | options
        return make_certificate(self.root, key=self.key.public_key(), **options)

    def signed(
        self,
        anchors: Sequence[x509.Certificate],
        *,
        sequence: object = 7,
        expires: object = int(NOW) + 86_400,
        header: dict[str, Any] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        **claims: object,
    ) -> bytes:
        """The compact JWS; a claim given as None is left out."""
        payload = {
            "version": "1.0",
            "sequence": sequence,
            "exp": expires,
            "trustList": [pem(anchor) for anchor in anchors],
            **claims,
        }
        fields = {"alg": "ES256", "typ": "JWT", **(header or {})}
        left = {name: value for name, value in payload.items() if value is not None}
        octets = json.dumps(fields).encode(), json.dumps(left).encode()
        return raw_token(key or self.key, *octets).encode()

    def read(self, data: bytes, now: float = NOW, **options: Any) -> TrustList:
        """Read a list as somebody who knows the signing certificate."""
        trusted = options.pop("trusted", [self.certificate])
        return read_trust_list(open_trust_list(data), trusted, now, **options)
