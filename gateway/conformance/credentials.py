"""The suite's own certificates: a good one, and one wrong in each way a verifier has to notice."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from stir.certificates.certificate import ES256, TN_AUTH_LIST_OID
from stir.certificates.issuing import Authority, make_intermediate, make_root, new_key, to_pem
from stir.certificates.tn_auth_list import Entry, One, build_tn_auth_list
from stir.passport import encode_part

_HOUR: Final = 3_600.0
_GARBAGE: Final = b"<!DOCTYPE html><title>Not a certificate</title>\n"
GOOD, OTHER_NUMBER, NO_LIST, EXPIRED, EARLY = "good", "other", "no-list", "expired", "early"
UNTRUSTED, BY_LEAF, GARBAGE, MISSING = "untrusted", "by-leaf", "garbage", "missing"
REDIRECT: Final = "redirect"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, and the URL where its certificate is, or should be."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    x5u: str

    def sign(self, header: Mapping[str, object], payload: Mapping[str, object]) -> str:
        """Sign any header and payload whatever, as a signer who knows no rules could."""
        parts = (
            encode_part(json.dumps(part, sort_keys=True, separators=(",", ":")).encode())
            for part in (header, payload)
        )
        return self.sign_octets(*parts)

    def sign_octets(self, header: str, payload: str) -> str:
        """Sign two base64url parts that need not hold JSON."""
        octets = f"{header}.{payload}"
        r, s = decode_dss_signature(self.key.sign(octets.encode(), ES256))
        return f"{octets}.{encode_part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def at(self, x5u: str) -> Signer:
        """The same key, named by another URL."""
        return Signer(self.key, x5u)

    def with_other_key(self) -> Signer:
        """Somebody else's key behind the same URL."""
        return Signer(new_key(), self.x5u)


class Credentials:
    """Signers by name, and the pages a repository has to serve for them.

    `base_url` is where the repository is reached, without a slash at its end. `number` is the
    originating number in digits. The certificates are valid for an hour from `now`, epoch seconds.
    """

    def __init__(
        self,
        base_url: str,
        number: str,
        now: float | None = None,
        *,
        authority: Authority | None = None,
        good: Signer | None = None,
    ) -> None:
        now = time.time() if now is None else now
        self.base_url = base_url
        self.authority = authority or _new_authority(now)
        self.pages: dict[str, bytes] = {}
        stranger = _new_authority(now)
        own = [One(number)]
        self._signers = {
            OTHER_NUMBER: self._issue(OTHER_NUMBER, [One(_another(number))], now),
            NO_LIST: self._issue(NO_LIST, None, now),
            EXPIRED: self._issue(EXPIRED, own, now - 3 * _HOUR),
            EARLY: self._issue(EARLY, own, now + 24 * _HOUR),
            UNTRUSTED: self._issue(UNTRUSTED, own, now, stranger),
            GARBAGE: Signer(new_key(), self.url(GARBAGE)),
            MISSING: Signer(new_key(), self.url(MISSING)),
        }
        self._signers[GOOD] = good or self._issue(GOOD, own, now)
        self._signers[BY_LEAF] = self._issue(BY_LEAF, own, now, self._leaf_as_issuer(own, now))
        self.pages[GARBAGE] = _GARBAGE

    def __getitem__(self, name: str) -> Signer:
        return self._signers[name]

    @property
    def root_pem(self) -> bytes:
        """The root a target has to trust for the good certificate to be one."""
        return to_pem(self.authority.certificates[-1:])

    def url(self, name: str) -> str:
        """Where the repository serves a chain."""
        return f"{self.base_url}/{name}.pem"

    def _issue(
        self, name: str, entries: Sequence[Entry] | None, now: float, by: Authority | None = None
    ) -> Signer:
        key, issuer = new_key(), by or self.authority
        certificate = _certificate(issuer, key, entries, now)
        self.pages[name] = to_pem([certificate]) + issuer.chain_pem
        return Signer(key, self.url(name))

    def _leaf_as_issuer(self, entries: Sequence[Entry], now: float) -> Authority:
        """A customer's certificate, used as if it were an authority's."""
        key = new_key()
        certificate = _certificate(self.authority, key, entries, now)
        return Authority((certificate, *self.authority.certificates), key)


def _new_authority(now: float) -> Authority:
    root = make_root("Conformance Test Root", now)
    return make_intermediate(root, "Conformance Test Authority", now)


def _certificate(
    issuer: Authority, key: ec.EllipticCurvePrivateKey, entries: Sequence[Entry] | None, now: float
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SHAKEN conformance test")])
    usage = dict.fromkeys(_USAGES, False) | {"digital_signature": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now - 300))
        .not_valid_after(_moment(now + _HOUR))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False
        )
    )
    if entries is not None:
        listed = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, build_tn_auth_list(entries))
        builder = builder.add_extension(listed, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _another(number: str) -> str:
    """A number of the same length that differs in its last digit."""
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def _moment(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
