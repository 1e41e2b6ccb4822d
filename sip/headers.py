"""The header fields of a message: ordered raw values, decoded by nobody until somebody asks.

Text is UTF-8 with `surrogateescape`: RFC 3261 section 7 makes UTF-8 the charset, and bytes that
are not UTF-8 survive a round trip exactly (PEP 383), where latin-1 would garble every legitimate
display name. Known names are held in their long form, so compact and long forms are one header;
unknown names keep their spelling.
"""

from collections.abc import Iterator
from typing import Self

from sip.header_names import KEYS, MalformedHeader, header_name

__all__ = ["ENCODING", "ERRORS", "Headers", "MalformedHeader"]

ENCODING = "utf-8"
ERRORS = "surrogateescape"


def _checked(name: str, value: str) -> str:
    """Refuse a value that would put another line on the wire or cannot be written at all."""
    if "\r" in value or "\n" in value:
        raise MalformedHeader(name, "line break in a value")
    if not value.isascii():
        try:
            value.encode(ENCODING, ERRORS)
        except UnicodeEncodeError:
            raise MalformedHeader(name, "value is not text") from None
    return value


class Headers:
    """Immutable ordered header fields; changing one gives a new Headers (RFC 3261 section 7.3).

    A comma-separated list stays one value. Names compare without regard to case or compact form.
    """

    __slots__ = ("_keys", "_names", "_values")

    def __init__(self, names: list[str], keys: list[str], values: list[str]) -> None:
        """Take ownership of three lists of one length; use `of` to build from pairs."""
        self._names = names
        self._keys = keys
        self._values = values

    @classmethod
    def of(cls, *pairs: tuple[str, str]) -> Self:
        """Build from (name, value) pairs; raises MalformedHeader for what must not be written."""
        names: list[str] = []
        keys: list[str] = []
        values: list[str] = []
        for name, value in pairs:
            written, key = header_name(name)
            names.append(written)
            keys.append(key)
            values.append(_checked(written, value))
        return cls(names, keys, values)

    def get(self, name: str) -> str | None:
        """Return the first value of the name, or None."""
        try:
            return self._values[self._keys.index(KEYS[name])]
        except ValueError:
            return None

    def all(self, name: str) -> tuple[str, ...]:
        """Return every raw value of the name, in order."""
        key = KEYS[name]
        count = self._keys.count(key)
        if count == 0:
            return ()
        if count == 1:
            return (self._values[self._keys.index(key)],)
        return tuple(v for k, v in zip(self._keys, self._values, strict=True) if k == key)

    def count(self, name: str) -> int:
        """Return how many fields carry the name."""
        return self._keys.count(KEYS[name])

    def keys(self) -> tuple[str, ...]:
        """Return the comparison key of each field, in order, repeated names repeated."""
        return tuple(self._keys)

    def __contains__(self, name: str) -> bool:
        return KEYS[name] in self._keys

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self._names, self._values, strict=True)

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._names == other._names and self._values == other._values

    def __hash__(self) -> int:
        return hash((tuple(self._names), tuple(self._values)))

    def __repr__(self) -> str:
        # Values may hold credentials (Authorization, Identity); names are enough to debug with.
        return f"Headers({', '.join(self._names)})"

    def prepend(self, name: str, value: str) -> "Headers":
        """Return a copy with the field put before every field of its name, else first of all."""
        written, key = header_name(name)
        at = self._keys.index(key) if key in self._keys else 0
        return self._inserted(at, written, key, _checked(written, value))

    def append(self, name: str, value: str) -> "Headers":
        """Return a copy with the field put last."""
        written, key = header_name(name)
        return self._inserted(len(self._keys), written, key, _checked(written, value))

    def replace(self, name: str, value: str) -> "Headers":
        """Return a copy where the first field of the name has the value and others are gone."""
        written, key = header_name(name)
        if key not in self._keys:
            return self.append(name, value)
        first = self._keys.index(key)
        kept = self if self._keys.count(key) == 1 else self._filtered({key}, keep_index=first)
        values = kept._values.copy()
        values[first] = _checked(written, value)
        return Headers(kept._names, kept._keys, values)

    def replace_first(self, name: str, value: str) -> "Headers":
        """Return a copy where the first field of the name has the value; raises MalformedHeader."""
        written, key = header_name(name)
        if key not in self._keys:
            raise MalformedHeader(written, "absent")
        values = self._values.copy()
        values[self._keys.index(key)] = _checked(written, value)
        return Headers(self._names, self._keys, values)

    def without(self, *names: str) -> "Headers":
        """Return a copy without any field of the names."""
        keys = {KEYS[name] for name in names}
        return self if keys.isdisjoint(self._keys) else self._filtered(keys, keep_index=-1)

    def without_first(self, name: str) -> "Headers":
        """Return a copy without the first field of the name."""
        key = KEYS[name]
        if key not in self._keys:
            return self
        at = self._keys.index(key)
        names, keys, values = self._names.copy(), self._keys.copy(), self._values.copy()
        del names[at], keys[at], values[at]
        return Headers(names, keys, values)

    def lines(self) -> list[str]:
        """Return the fields as lines for the wire, without line ends."""
        return [f"{name}: {value}" for name, value in zip(self._names, self._values, strict=True)]

    def index(self, name: str) -> int:
        """Return the position of the first field of the name, or -1."""
        key = KEYS[name]
        return self._keys.index(key) if key in self._keys else -1

    def _inserted(self, at: int, name: str, key: str, value: str) -> "Headers":
        names, keys, values = self._names.copy(), self._keys.copy(), self._values.copy()
        names.insert(at, name)
        keys.insert(at, key)
        values.insert(at, value)
        return Headers(names, keys, values)

    def _filtered(self, keys: set[str], *, keep_index: int) -> "Headers":
        kept = [i for i, k in enumerate(self._keys) if k not in keys or i == keep_index]
        return Headers(
            [self._names[i] for i in kept],
            [self._keys[i] for i in kept],
            [self._values[i] for i in kept],
        )
