"""P-256 keys and certificate chains as the directory's engines ask for them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from discovery.directory.canonical_json import canonical
from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.jws import SIGNATURE_OCTETS, encode
from discovery.directory.orders import PublicPoint
from discovery.directory.reason import Refusal, Refused
from discovery.number import NumberRanges
from stir.certificates.certificate import (
    ES256,
    Credential,
    load_credential,
)
from stir.certificates.chain import Path, PathBuilder, validity_of_issuers
from stir.certificates.tn_auth_list import One, TnAuthList

_HALF: Final = SIGNATURE_OCTETS // 2


class EcSigner:
    """Signs with one private key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = EcKey(key.public_key())

    def sign(self, octets: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(octets, ES256))
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")


class EcKey:
    """Verifies with one public key."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self.public_key = key
        numbers = key.public_numbers()
        self.point = PublicPoint(numbers.x.to_bytes(_HALF, "big"), numbers.y.to_bytes(_HALF, "big"))
        self.thumbprint = encode(hashlib.sha256(canonical(self.point.jwk())).digest())

    def verify(self, octets: bytes, signature: bytes) -> bool:
        if len(signature) != SIGNATURE_OCTETS:
            return False
        r, s = signature[:_HALF], signature[_HALF:]
        der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        try:
            self.public_key.verify(der, octets, ES256)
        except InvalidSignature:
            return False
        return True


class PointKeys:
    """Makes verifying keys of points; an `orders.Keys`."""

    def key(self, point: PublicPoint) -> EcKey:
        x, y = int.from_bytes(point.x, "big"), int.from_bytes(point.y, "big")
        try:
            return EcKey(ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())
        except ValueError:
            raise Refused(Refusal.MALFORMED, "jwk is not a point of P-256") from None


@dataclass(frozen=True, slots=True)
class CertificateHolder:
    """A `Holder`: the leaf of a chain, and for what kind of right its root is trusted."""

    key: EcKey
    not_before: float
    not_after: float
    tn_auth_list: TnAuthList | None
    mail_addresses: tuple[str, ...]
    dns_names: frozenset[str]
    may_own: bool
    may_provide: bool
    codes: Mapping[str, NumberRanges] = field(repr=False)

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint

    def verify(self, octets: bytes, signature: bytes) -> bool:
        return self.key.verify(octets, signature)

    def owns(self, csi: Identifier) -> bool:
        if not self.may_own:
            return False
        if csi.scheme is Scheme.TEL:
            granted = self.tn_auth_list
            return granted is not None and granted.entries == (One(csi.value),)
        return self.tn_auth_list is None and self.mail_addresses == (csi.value,)

    def provides(self, csi: Identifier) -> bool:
        if not self.may_provide:
            return False
        if csi.scheme is Scheme.MAILTO:
            return csi.mail_domain in self.dns_names
        granted = self.tn_auth_list
        if granted is None or granted.entries == (One(csi.value),):
            return False
        return granted.covers(csi.value) or any(
            csi.value in self.codes[code] for code in granted.codes if code in self.codes
        )


class TrustedChains:
    """Reads chains and finds their way to a root; a `client.Chains`.

    owners: roots of authorities for single numbers and mailboxes; providers: roots of authorities
    for ranges, provider codes and domains; codes: which numbers a provider code stands for.
    """

    def __init__(
        self,
        owners: Sequence[x509.Certificate],
        providers: Sequence[x509.Certificate] = (),
        codes: Mapping[str, NumberRanges] | None = None,
    ) -> None:
        self._owners = PathBuilder(owners)
        self._providers = PathBuilder(providers)
        self._codes = dict(codes or {})

    def holder(self, chain: Sequence[str], now: float) -> CertificateHolder:
        credential = _credential(chain)
        owning = self._owners.find(credential).at(now)
        providing = self._providers.find(credential).at(now)
        may_own, may_provide = _holds(owning), _holds(providing)
        if not may_own and not may_provide:
            problem = owning.problem or owning.delegation_problem
            got = problem.reason.code if problem is not None else "delegation"
            raise Refused(Refusal.UNTRUSTED_CERTIFICATE, f"chain: {got}")
        expired = validity_of_issuers(owning if may_own else providing, now)
        if expired is not None:
            raise Refused(Refusal.CERTIFICATE_EXPIRED, "an issuer of the chain is not valid now")
        assert credential.public_key is not None
        mail, names = _names(credential.leaf)
        return CertificateHolder(
            key=EcKey(credential.public_key),
            not_before=credential.not_before,
            not_after=credential.not_after,
            tn_auth_list=credential.tn_auth_list,
            mail_addresses=mail,
            dns_names=names,
            may_own=may_own,
            may_provide=may_provide,
            codes=self._codes,
        )


def chain_texts(pem: bytes) -> tuple[str, ...]:
    """Return a PEM chain as base64 DER texts, leaf first; raises MalformedCredential."""
    return tuple(
        base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode("ascii")
        for certificate in load_credential(pem).certificates
    )


def _credential(chain: Sequence[str]) -> Credential:
    try:
        ders = [base64.b64decode(text, validate=True) for text in chain]
        certificates = [x509.load_der_x509_certificate(der) for der in ders]
        pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
        credential = load_credential(pem)
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise Refused(Refusal.MALFORMED, "chain is not base64 DER certificates") from None
    if credential.public_key is None or credential.problem is not None:
        reason = credential.problem.reason.code if credential.problem else "key"
        raise Refused(Refusal.UNTRUSTED_CERTIFICATE, f"certificate: {reason}")
    if credential.references or (credential.grants[0].problem is not None):
        raise Refused(Refusal.UNTRUSTED_CERTIFICATE, "what it grants does not stand in it")
    return credential


def _holds(path: Path) -> bool:
    return path.problem is None and path.delegation_problem is None


def _names(leaf: x509.Certificate) -> tuple[tuple[str, ...], frozenset[str]]:
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            mail = value.get_values_for_type(x509.RFC822Name)
            names = value.get_values_for_type(x509.DNSName)
            return tuple(mail), frozenset(name.lower() for name in names)
    return (), frozenset()
