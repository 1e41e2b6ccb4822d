"""Which directories to ask for an identifier: a signed map from prefixes to their URLs and keys.

    {"v":1,"iat":..,"exp":..,"directories":[{"url":"https://dp.example","key":<thumbprint>}..],
     "prefixes":{"+1":[0,1],"+44":[1],"mailto":[0]}}

A directory may say what is demanded of its log, beside "url" and "key":

    "log":{"keys":[<name+id+key>..],"labels":<hex>,"witnesses":[<name+id+key>..],"quorum":1}

A file mirrored by every gateway; no directory refers to another one (no recursion).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from discovery.directory import claims as read
from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.jws import Key, Kind, Signer, sign
from discovery.directory.jws import read as read_token
from discovery.directory.reason import Refusal, Refused
from discovery.directory.statements import THUMBPRINT

MAX_TOKEN: Final = 262_144
MAX_DIRECTORIES: Final = 256
MAX_PREFIXES: Final = 4_096
MAX_ASKED: Final = 8
MAX_LOG_KEYS: Final = 4
MAX_WITNESSES: Final = 16
_LONGEST_VKEY: Final = 400
_LABELS: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = re.compile(r"\+[0-9]{0,15}|mailto(?::[a-z0-9.-]{1,253})?")
_URL: Final = re.compile(
    r"https://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]{1,64}){0,4}"
)


@dataclass(frozen=True, slots=True)
class LogTerms:
    """What is demanded of a directory's log: its keys, that of its labels (hexadecimal, None where
    they are not checked), and how many of which witnesses."""

    keys: tuple[str, ...]
    labels: str | None = None
    witnesses: tuple[str, ...] = ()
    quorum: int = 0

    def claims(self) -> dict[str, object]:
        """Return the member of the payload."""
        return {
            "keys": list(self.keys),
            "labels": self.labels,
            "witnesses": list(self.witnesses),
            "quorum": self.quorum,
        }


@dataclass(frozen=True, slots=True)
class DirectoryName:
    """A directory: its URL, which is its name in answers, and the thumbprint of its key; what is
    demanded of its log, None where nothing of it counts as logged."""

    url: str
    key: str
    log: LogTerms | None = None

    def claims(self) -> dict[str, object]:
        """Return the member of the payload."""
        named: dict[str, object] = {"url": self.url, "key": self.key}
        return named if self.log is None else {**named, "log": self.log.claims()}


@dataclass(frozen=True, slots=True)
class PrefixMap:
    """Directories by prefix: `+`, `+1`, `+1415`.. for numbers, `mailto`, `mailto:domain`.

    Times in epoch seconds.
    """

    issued_at: int
    expires_at: int
    prefixes: Mapping[str, tuple[DirectoryName, ...]]

    def directories(self, csi: Identifier) -> tuple[DirectoryName, ...]:
        """Return all directories of the longest prefix that fits; empty where none does."""
        if csi.scheme is Scheme.MAILTO:
            whole = self.prefixes.get(f"mailto:{csi.mail_domain}")
            return whole or self.prefixes.get("mailto", ())
        for length in range(len(csi.value), -1, -1):
            found = self.prefixes.get(f"+{csi.value[:length]}")
            if found:
                return found
        return ()

    def claims(self) -> dict[str, object]:
        """Return the payload."""
        names = list(dict.fromkeys(name for each in self.prefixes.values() for name in each))
        return {
            "v": 1,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "directories": [name.claims() for name in names],
            "prefixes": {
                prefix: [names.index(name) for name in each]
                for prefix, each in self.prefixes.items()
            },
        }


def sign_prefix_map(prefixes: PrefixMap, signer: Signer) -> str:
    """Return the map's token."""
    return sign(Kind.PREFIXES, prefixes.claims(), signer)


def read_prefix_map(token: str, key: Key, now: float) -> PrefixMap:
    """Read and prove a map signed by the authority that oversees the directories.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, NOT_CANONICAL, BAD_SIGNATURE, EXPIRED,
    NOT_FRESH (dated ahead of `now`, epoch seconds).
    """
    signed = read_token(token, Kind.PREFIXES, max_length=MAX_TOKEN)
    signed.prove(key)
    claims = signed.claims
    read.version(claims)
    read.exactly(claims, {"v", "iat", "exp", "directories", "prefixes"})
    issued_at, expires_at = read.moment(claims, "iat"), read.moment(claims, "exp")
    if now >= expires_at:
        raise Refused(Refusal.EXPIRED, "prefix map")
    if issued_at > now + 60:
        raise Refused(Refusal.NOT_FRESH, "prefix map is dated in the future")
    names = _directories(claims)
    return PrefixMap(issued_at, expires_at, _prefixes(claims, names))


def _directories(claims: Mapping[str, object]) -> tuple[DirectoryName, ...]:
    values = read.items(claims, "directories")
    if len(values) > MAX_DIRECTORIES:
        raise Refused(Refusal.OVERSIZED, f"more than {MAX_DIRECTORIES} directories")
    return tuple(_directory(value) for value in values)


def _directory(value: object) -> DirectoryName:
    if not isinstance(value, dict):
        raise Refused(Refusal.MALFORMED, "a directory is not an object")
    members = {"url", "key"}
    read.exactly(value, members | {"log"} if "log" in value else members)
    url, key = read.text(value, "url", max_length=512), read.text(value, "key", max_length=43)
    if _URL.fullmatch(url) is None or THUMBPRINT.fullmatch(key) is None:
        raise Refused(Refusal.MALFORMED, "a directory has no plain https URL and key thumbprint")
    return DirectoryName(url, key, _log_terms(value["log"]) if "log" in value else None)


def _log_terms(value: object) -> LogTerms:
    if not isinstance(value, dict):
        raise Refused(Refusal.MALFORMED, "log is not an object")
    read.exactly(value, {"keys", "labels", "witnesses", "quorum"})
    keys, witnesses = _texts(value, "keys"), _texts(value, "witnesses")
    labels = value["labels"]
    if not keys or len(keys) > MAX_LOG_KEYS or len(witnesses) > MAX_WITNESSES:
        raise Refused(Refusal.MALFORMED, "log names no keys, or too many keys or witnesses")
    if labels is not None and not (isinstance(labels, str) and _LABELS.fullmatch(labels)):
        raise Refused(Refusal.MALFORMED, "labels is not a key of 64 hexadecimal digits")
    return LogTerms(keys, labels, witnesses, read.number(value, "quorum"))


def _texts(value: Mapping[str, object], name: str) -> tuple[str, ...]:
    found = read.items(value, name)
    texts = tuple(each for each in found if isinstance(each, str) and len(each) <= _LONGEST_VKEY)
    if len(texts) != len(found):
        raise Refused(Refusal.MALFORMED, f"{name} is not a list of keys")
    return texts


def _prefixes(
    claims: Mapping[str, object], names: tuple[DirectoryName, ...]
) -> dict[str, tuple[DirectoryName, ...]]:
    values = claims["prefixes"]
    if not isinstance(values, dict) or len(values) > MAX_PREFIXES:
        raise Refused(Refusal.MALFORMED, f"prefixes is not an object of up to {MAX_PREFIXES}")
    found: dict[str, tuple[DirectoryName, ...]] = {}
    for prefix in values:
        if _PREFIX.fullmatch(prefix) is None:
            raise Refused(Refusal.MALFORMED, "a prefix is neither +digits nor mailto")
        places = read.items(values, prefix)
        if not 0 < len(places) <= MAX_ASKED:
            raise Refused(Refusal.MALFORMED, f"a prefix has not 1 to {MAX_ASKED} directories")
        found[prefix] = tuple(_name_at(names, place) for place in places)
    return found


def _name_at(names: tuple[DirectoryName, ...], place: object) -> DirectoryName:
    if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(names):
        raise Refused(Refusal.MALFORMED, "a prefix names a directory that is not listed")
    return names[place]
