"""Signed notes (c2sp.org/signed-note): a text and signature lines below it, Ed25519."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from discovery.log.reason import LogRefusal, LogRefused

MAX_NOTE: Final = 32_768
MAX_SIGNATURES: Final = 64
ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
_NAME: Final = re.compile(r"[^\s+\x00-\x20\x7f]{1,255}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature: the key's name, its id and what it signed with (without the id)."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, ending in a newline, and its signatures; str() is the note as it is sent."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    def with_signatures(self, more: Iterable[SignatureLine]) -> Note:
        """Return the note with further signatures; newer ones replace those of the same key."""
        lines = {(line.name, line.key_id): line for line in (*self.signatures, *more)}
        return Note(self.text, tuple(lines.values()))


class KeyOfNote(Protocol):
    """A key whose signatures on notes are understood."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def verify(self, text: str, signature: bytes) -> bool:
        """Tell whether this is the key's signature on the text."""
        ...


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public key of a log: `name+id+key` as text (a vkey), signature type 0x01."""

    name: str
    public_key: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """First four octets of the digest over name, type and key."""
        return key_id(self.name, ED25519, self.public_key)

    def verify(self, text: str, signature: bytes) -> bool:
        """Tell whether this is the key's signature on the text (RFC 8032)."""
        return signed(self.public_key, signature, text.encode())

    def __str__(self) -> str:
        return vkey(self.name, ED25519, self.public_key)


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """The private key of a log. Raises ValueError for a name that no note can carry."""

    name: str
    private_key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def verifier(self) -> VerifierKey:
        """What others verify with."""
        return VerifierKey(self.name, self.private_key.public_key())

    def sign(self, text: str) -> Note:
        """Return the text (ending in a newline) as a note with this signature."""
        signature = self.private_key.sign(text.encode())
        return Note(text, (SignatureLine(self.name, self.verifier.key_id, signature),))


def parse_note(data: bytes | str) -> Note:
    """Read a note; no signature is verified. Raises LogRefused (OVERSIZED, MALFORMED)."""
    if len(data) > MAX_NOTE:
        raise LogRefused(LogRefusal.OVERSIZED, f"a note of more than {MAX_NOTE} octets")
    try:
        whole = data.decode() if isinstance(data, bytes) else data
        whole.encode()
    except UnicodeError:
        raise _malformed("not UTF-8") from None
    if _CONTROL.search(whole):
        raise _malformed("control characters")
    text, gap, lines = whole.rpartition("\n\n")
    if not gap:
        raise _malformed("no signatures")
    return Note(text + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[SignatureLine, ...]:
    """Read signature lines, one at least. Raises LogRefused (MALFORMED)."""
    found = lines.split("\n")
    if found.pop() or not 0 < len(found) <= MAX_SIGNATURES:
        raise _malformed("the signatures do not end, or there are too many")
    return tuple(map(_signature, found))


def verified(note: Note, keys: Iterable[KeyOfNote]) -> list[tuple[KeyOfNote, SignatureLine]]:
    """Return which of the keys have signed; signatures of others are ignored.

    Raises LogRefused (FORGED) if one that claims to be of a key given is not: such a note is
    rejected whole, however many others are good.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[tuple[str, bytes], tuple[KeyOfNote, SignatureLine]] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if not key.verify(note.text, line.signature):
            raise LogRefused(LogRefusal.FORGED, f"not signed by {line.name}")
        found.setdefault((line.name, line.key_id), (key, line))
    return list(found.values())


def parse_vkey(text: str, signature_type: int) -> tuple[str, Ed25519PublicKey]:
    """Return name and key of `name+id+base64(type, key)`.

    Raises LogRefused (MALFORMED) if it is none, its id does not fit or it has another type.
    """
    name, _, rest = text.strip().partition("+")
    id_text, _, encoded = rest.partition("+")
    material = _base64(encoded)
    if not _NAME.fullmatch(name) or material[:1] != bytes([signature_type]) or len(material) != 33:
        raise _malformed(f"not a verifier key of type {signature_type}: name+id+key")
    public_key = Ed25519PublicKey.from_public_bytes(material[1:])
    if id_text != key_id(name, signature_type, public_key).hex():
        raise _malformed("the id of the verifier key is not that of its name and key")
    return name, public_key


def parse_verifier(text: str) -> VerifierKey:
    """Return the public key of a log from its vkey. Raises LogRefused (MALFORMED)."""
    return VerifierKey(*parse_vkey(text, ED25519))


def vkey(name: str, signature_type: int, key: Ed25519PublicKey) -> str:
    """Return the text of a public key: `name+id+base64(type, key)`."""
    encoded = b64encode(bytes([signature_type]) + _raw(key)).decode()
    return f"{name}+{key_id(name, signature_type, key).hex()}+{encoded}"


def key_id(name: str, signature_type: int, key: Ed25519PublicKey) -> bytes:
    """Return the four octets that, with the name, tell a key."""
    return sha256(f"{name}\n".encode() + bytes([signature_type]) + _raw(key)).digest()[:4]


def signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Tell whether this is the key's Ed25519 signature on the message."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_name(name: str) -> None:
    """Raise ValueError for a key name that no note can carry: empty, spaces, plus."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a key: 1 to 255 characters, no spaces, no plus")


def parse_hash(text: str) -> bytes:
    """Return the 32 octets in base64. Raises LogRefused (MALFORMED)."""
    value = _base64(text)
    if len(value) != 32:
        raise _malformed("not a hash")
    return value


def _signature(line: str) -> SignatureLine:
    name, gap, encoded = line.removeprefix(_DASH).partition(" ")
    value = _base64(encoded)
    if not line.startswith(_DASH) or not gap or not _NAME.fullmatch(name) or len(value) < 5:
        raise _malformed("not a signature line")
    return SignatureLine(name, value[:4], value[4:])


def _base64(text: str) -> bytes:
    try:
        value = a2b_base64(text.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeError):
        raise _malformed("not base64") from None
    # One value has one spelling: the unused bits of the last character are zero.
    if b64encode(value).decode() != text:
        raise _malformed("not base64")
    return value


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _malformed(detail: str) -> LogRefused:
    return LogRefused(LogRefusal.MALFORMED, detail)
