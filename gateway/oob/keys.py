"""Encryption keys of out-of-band STIR, read once: other providers' public and our private ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config.base import NumberSet
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.oob import OutOfBand
from stir.certificates.certificate import (
    MalformedCredential,
    load_credential,
    load_private_key,
    load_public_key,
)


@dataclass(frozen=True, slots=True)
class OutOfBandKeys:
    """Whom to encrypt to, by called number, and what opens what is encrypted to us."""

    recipients: tuple[tuple[NumberSet, ec.EllipticCurvePublicKey], ...] = ()
    own: tuple[ec.EllipticCurvePrivateKey, ...] = field(default=(), repr=False)

    def recipient(self, number: str) -> ec.EllipticCurvePublicKey | None:
        """Return the key of the provider that serves a number in E.164, or None."""
        return next((key for numbers, key in self.recipients if number in numbers), None)


def load_out_of_band_keys(settings: OutOfBand | None) -> OutOfBandKeys:
    """Read every key file of the section; raises ConfigError with the key's path."""
    if settings is None:
        return OutOfBandKeys()
    recipients = []
    for index, recipient in enumerate(settings.recipient):
        key = f"stir.oob.recipient[{index}].key"
        pem = read_file(recipient.key, key)
        recipients.append((NumberSet(recipient.numbers), _public_key(pem, key)))
    own = []
    for index, path in enumerate(settings.decryption_keys):
        key = f"stir.oob.decryption_keys[{index}]"
        try:
            own.append(load_private_key(read_file(path, key)))
        except MalformedCredential as error:
            raise ConfigError(key, f"{path}: {error}") from None
    return OutOfBandKeys(tuple(recipients), tuple(own))


def _public_key(pem: bytes, key: str) -> ec.EllipticCurvePublicKey:
    try:
        if b"-----BEGIN CERTIFICATE-----" not in pem:
            return load_public_key(pem).public_key
        found = load_credential(pem).public_key
    except MalformedCredential as error:
        raise ConfigError(key, str(error)) from None
    if found is None:
        raise ConfigError(key, "the certificate's key is not on curve P-256")
    return found
