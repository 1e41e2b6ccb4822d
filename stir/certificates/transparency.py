"""Certificate transparency: signed certificate timestamps embedded in STI certificates.

draft-ietf-stir-certificate-transparency takes the structures of RFC 6962 section 3 as they are:
a log signs the certificate without its timestamps, and nobody asks the log during a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from stir.certificates.certificate import UNREADABLE, Credential, Problem
from stir.certificates.chain import Path
from stir.certificates.der import OCTET_STRING, NotDer, only
from stir.reason import Reason

SCT_LIST_OID: Final = x509.PrecertificateSignedCertificateTimestamps.oid
MAX_TIMESTAMPS: Final = 16
MAX_CREDENTIALS: Final = 4_096
# How far a log's clock may be ahead of ours, in seconds.
CLOCK_TOLERANCE: Final = 60.0
_SHA256: Final = hashes.SHA256()
_V1: Final = 0
_HASH_SHA256: Final = 4
_SIGNATURE_RSA, _SIGNATURE_ECDSA = 1, 3
_PRECERT_ENTRY: Final = b"\x00\x01"
_CERTIFICATE_TIMESTAMP: Final = b"\x00"
_MIN_RSA_BITS: Final = 2_048
LogKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class MalformedTimestamps(ValueError):
    """The octets are not a list of signed certificate timestamps; the message says why."""


class MalformedLogKey(ValueError):
    """The octets are not the public key of a log; the configuration is at fault."""


@dataclass(frozen=True, slots=True)
class Log:
    """A transparency log that is believed: P-256 or RSA of at least 2,048 bits (RFC 6962 2.1.4).

    `operator` runs it; timestamps of one operator's logs count as one where policy says so.
    """

    name: str
    key: LogKey = field(repr=False)
    operator: str = ""

    @property
    def log_id(self) -> bytes:
        """The SHA-256 of its key, by which timestamps name it (section 3.2)."""
        return _key_hash(self.key)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """One signed certificate timestamp, `at` in milliseconds since the epoch."""

    log_id: bytes
    at: int
    extensions: bytes = field(repr=False)
    hash_algorithm: int
    signature_algorithm: int
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TransparencyStatus:
    """What the timestamps of a certificate come to.

    `problem` is why it is refused; without one, `logs` are the known logs that vouch for it. It
    holds from `valid_from` on (epoch seconds): before that a timestamp lies in the future.
    """

    got: str
    problem: Problem | None
    logs: tuple[str, ...] = ()
    valid_from: float = -inf


class Transparency:
    """Checks timestamps against known logs, each certificate once; given to a service."""

    def __init__(self, logs: Sequence[Log], *, require: int = 0) -> None:
        """`require`: how many known logs have to vouch for a certificate, by their operators."""
        self._logs = {log.log_id: log for log in logs}
        self._require = require
        self._known: dict[bytes, tuple[Path, TransparencyStatus]] = {}

    def status(self, credential: Credential, path: Path, now: float) -> TransparencyStatus:
        """What vouches for the leaf of a path without problem; `now` is in epoch seconds."""
        before, known = self._known.get(credential.fingerprint, (None, None))
        if known is None or not (before is path or before == path):
            known = self._check(path)
            while len(self._known) >= MAX_CREDENTIALS:
                del self._known[next(iter(self._known))]
            self._known[credential.fingerprint] = path, known
        if now < known.valid_from:
            return TransparencyStatus(
                "", _invalid(f"a timestamp {round(known.valid_from - now)} s in the future")
            )
        return known

    def _check(self, path: Path) -> TransparencyStatus:
        leaf, *above = path.certificates
        if not above:
            return TransparencyStatus("the certificate itself is configured as trusted", None)
        try:
            timestamps = timestamps_of(leaf)
            entry = precertificate_entry(leaf, above[0]) if timestamps else b""
        except MalformedTimestamps as error:
            return TransparencyStatus("", _invalid(str(error)))
        vouching: dict[str, Log] = {}
        latest = -inf
        for timestamp in timestamps:
            log = self._logs.get(timestamp.log_id)
            if log is None:
                continue  # whoever that is; only known logs can be held to their word
            if not signed_by(timestamp, entry, log.key):
                return TransparencyStatus("", _invalid(f"one that {log.name} did not sign"))
            vouching[log.operator or log.name] = log
            latest = max(latest, timestamp.at / 1000 - CLOCK_TOLERANCE)
        names = tuple(log.name for log in vouching.values())
        shown = f"{len(timestamps)} timestamps, known: {', '.join(names) or 'none'}"
        if len(vouching) < self._require:
            expected = f"timestamps of {self._require} known logs, each of another operator"
            problem = Problem(Reason.TRANSPARENCY_MISSING, shown, expected)
            return TransparencyStatus("", problem)
        return TransparencyStatus(shown, None, names, latest)


def _invalid(got: str) -> Problem:
    expected = "timestamps that known logs signed for this certificate, none in the future"
    return Problem(Reason.TRANSPARENCY_INVALID, got, expected)


def timestamps_of(certificate: x509.Certificate) -> tuple[Timestamp, ...]:
    """The timestamps embedded in a certificate; raises MalformedTimestamps."""
    for extension in iter(certificate.extensions):
        if isinstance(extension.value, x509.PrecertificateSignedCertificateTimestamps):
            return parse_timestamps(extension.value.public_bytes())
    return ()


def parse_timestamps(value: bytes) -> tuple[Timestamp, ...]:
    """Parse the extension's value, an OCTET STRING (RFC 6962 section 3.3); strict.

    At most 16 timestamps. Those of another version than 1 are left out, as the RFC wants. Raises
    MalformedTimestamps.
    """
    outer = _Octets(_octet_string(value))
    listed = _Octets(outer.vector(2))
    outer.end()
    found: list[Timestamp] = []
    for _ in range(MAX_TIMESTAMPS):
        if listed.at_end:
            break
        item = _Octets(listed.vector(2))
        if item.take(1)[0] != _V1:
            continue
        log_id, at, extensions = item.take(32), item.number(8), item.vector(2)
        hash_algorithm, signature_algorithm = item.take(2)
        signature = item.vector(2)
        item.end()
        found.append(
            Timestamp(log_id, at, extensions, hash_algorithm, signature_algorithm, signature)
        )
    if not listed.at_end:
        raise MalformedTimestamps(f"more than {MAX_TIMESTAMPS} timestamps")
    return tuple(found)


def precertificate_entry(leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The PreCert of section 3.2: the issuer's key hash, and the certificate without timestamps.

    Raises MalformedTimestamps where the certificate cannot be taken apart.
    """
    try:
        body = leaf.tbs_precertificate_bytes
        return _key_hash(issuer.public_key()) + len(body).to_bytes(3, "big") + body
    except (*UNREADABLE, OverflowError):
        raise MalformedTimestamps("a certificate that cannot be taken apart") from None


def signed_data(at: int, entry: bytes, extensions: bytes) -> bytes:
    """What a log signs: the fields of section 3.2 in their order; `at` in milliseconds."""
    head = bytes([_V1]) + _CERTIFICATE_TIMESTAMP + at.to_bytes(8, "big") + _PRECERT_ENTRY
    return head + entry + len(extensions).to_bytes(2, "big") + extensions


def signed_by(timestamp: Timestamp, entry: bytes, key: LogKey) -> bool:
    """Whether the log with this key signed the timestamp for a PreCert."""
    data = signed_data(timestamp.at, entry, timestamp.extensions)
    if timestamp.hash_algorithm != _HASH_SHA256:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if timestamp.signature_algorithm != _SIGNATURE_ECDSA:
                return False
            key.verify(timestamp.signature, data, ec.ECDSA(_SHA256))
        else:
            if timestamp.signature_algorithm != _SIGNATURE_RSA:
                return False
            key.verify(timestamp.signature, data, padding.PKCS1v15(), _SHA256)
    except InvalidSignature:
        return False
    return True


def load_log_key(data: bytes) -> LogKey:
    """Read the public key of a log, PEM or DER; raises MalformedLogKey."""
    try:
        if data.startswith(b"\x30"):
            key = serialization.load_der_public_key(data)
        else:
            key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedLogKey("not a public key in PEM or DER") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    raise MalformedLogKey("a log's key is P-256 or RSA of at least 2048 bits (RFC 6962 2.1.4)")


def _key_hash(key: CertificatePublicKeyTypes) -> bytes:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(_SHA256)
    digest.update(der)
    return digest.finalize()


def _octet_string(der: bytes) -> bytes:
    try:
        return only(der, OCTET_STRING)
    except NotDer as error:
        raise MalformedTimestamps(f"not an OCTET STRING in DER: {error}") from None


class _Octets:
    """Reads TLS presentation language (RFC 8446 section 3); raises MalformedTimestamps."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._octets)

    def take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) != count:
            raise MalformedTimestamps("a list that ends too soon")
        self._at += count
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    def end(self) -> None:
        if not self.at_end:
            raise MalformedTimestamps("octets after the end")
