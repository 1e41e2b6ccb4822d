"""Transparency logs that sign anything, and certificates with any timestamps in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from stir.certificates.certificate import Credential, load_credential
from stir.certificates.issuing import Authority, to_pem
from stir.certificates.transparency import (
    SCT_LIST_OID,
    Log,
    Timestamp,
    precertificate_entry,
    signed_data,
)
from tests.support.stir_authority import NOW, StirWorld, make_certificate

SHA256, RSA, ECDSA = 4, 1, 3
Change = Callable[[Timestamp], Timestamp]
LogSigner = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class TestLog:
    """A log with its private key."""

    __test__ = False

    name: str = "first log"
    operator: str = ""
    key: LogSigner = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public(self) -> Log:
        return Log(self.name, self.key.public_key(), self.operator)

    def sign(self, entry: bytes, at: float = NOW - 60, extensions: bytes = b"") -> Timestamp:
        """A timestamp for a PreCert; `at` in seconds since the epoch."""
        milliseconds = int(at * 1000)
        data = signed_data(milliseconds, entry, extensions)
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            algorithm, signature = ECDSA, self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        else:
            signature = self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            algorithm = RSA
        log_id = self.public.log_id
        return Timestamp(log_id, milliseconds, extensions, SHA256, algorithm, signature)


def encoded(timestamp: Timestamp, version: int = 0) -> bytes:
    """One timestamp as RFC 6962 section 3.2 writes it."""
    return (
        bytes([version])
        + timestamp.log_id
        + timestamp.at.to_bytes(8, "big")
        + vector(timestamp.extensions)
        + bytes([timestamp.hash_algorithm, timestamp.signature_algorithm])
        + vector(timestamp.signature)
    )


def vector(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def octet_string(octets: bytes) -> bytes:
    size = len(octets)
    if size < 0x80:
        return bytes([4, size]) + octets
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([4, 0x80 | len(length)]) + length + octets


def timestamp_list(*items: bytes) -> bytes:
    """The extension's value with these encoded timestamps."""
    return octet_string(vector(b"".join(vector(item) for item in items)))


def logged(
    world: StirWorld,
    logs: Sequence[TestLog],
    *,
    at: float = NOW - 60,
    change: Change = lambda timestamp: timestamp,
    others: Sequence[bytes] = (),
    issuer: Authority | None = None,
    vouched: x509.Certificate | None = None,
    position: int = 99,
) -> Credential:
    """A leaf with a timestamp of each log, then `others`; `vouched` is what the logs saw instead.

    The extension stands at `position` among the others.
    """
    signer = issuer or world.issuer
    draft = make_certificate(signer, key=world.key.public_key())
    value = timestamp_list(b"")
    shown = vouched or with_timestamps(draft, signer, value, position)
    entry = precertificate_entry(shown, signer.certificate)
    items = [encoded(change(log.sign(entry, at))) for log in logs]
    final = with_timestamps(draft, signer, timestamp_list(*items, *others), position)
    return load_credential(to_pem([final]) + signer.chain_pem)


def with_timestamps(
    draft: x509.Certificate, issuer: Authority, value: bytes, position: int = 99
) -> x509.Certificate:
    """The same certificate with the list's extension in it, signed again."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(draft.subject)
        .issuer_name(draft.issuer)
        .public_key(draft.public_key())
        .serial_number(draft.serial_number)
        .not_valid_before(draft.not_valid_before_utc)
        .not_valid_after(draft.not_valid_after_utc)
    )
    extensions = [(each.value, each.critical) for each in iter(draft.extensions)]
    extensions.insert(position, (x509.UnrecognizedExtension(SCT_LIST_OID, value), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, hashes.SHA256())


def altered(**changes: object) -> Change:
    """Change fields of every timestamp."""
    return lambda timestamp: replace(timestamp, **changes)  # type: ignore[arg-type]
