"""Fuzz targets of the directory: what owners, directories and overseers of them send.

With atheris installed: `python -m tests.fuzz.discovery.directory_targets answer [CORPUS]`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.directory.answer import parse_answer
from discovery.directory.canonical_json import canonical, parse_canonical
from discovery.directory.client import AnswerChecker, CheckedAnswer
from discovery.directory.holder import Holder
from discovery.directory.identifier import Identifier, identifier_of, parse_identifier
from discovery.directory.jws import Key, Kind, encode, read
from discovery.directory.merging import merge
from discovery.directory.orders import PublicPoint, read_order
from discovery.directory.prefix_map import MAX_ASKED, read_prefix_map
from discovery.directory.reason import Refused
from discovery.directory.record import check_times, parse_record, sign_record
from discovery.directory.statements import parse_release, parse_removal

NOW: Final = 1_795_000_000.0
CSI: Final = "tel:+14155550123"
DIRECTORY: Final = "https://dp.example"
SIGNATURE: Final = encode(bytes(64))


@dataclass(frozen=True, slots=True)
class Anybody:
    """A key that takes every signature, and a certificate for everything.

    The fuzzer cannot sign; so it gets past the signature, to what is looked at only after it.
    """

    thumbprint: str = "x" * 43
    not_before: float = 0.0
    not_after: float = 4e9

    def verify(self, octets: bytes, signature: bytes) -> bool:
        return True

    def sign(self, octets: bytes) -> bytes:
        return bytes(64)

    def owns(self, csi: Identifier) -> bool:
        return True

    def provides(self, csi: Identifier) -> bool:
        return True

    def key(self, point: PublicPoint) -> Key:
        return self

    def holder(self, chain: Sequence[str], now: float) -> Holder:
        return self


ANYBODY: Final = Anybody()


def token(kind: Kind, payload: bytes) -> str:
    """The octets as the payload of a token of this kind."""
    header = encode(canonical({"alg": "ES256", "typ": str(kind)}))
    return f"{header}.{encode(payload)}.{SIGNATURE}"


def _read_all(given: str) -> None:
    for parse in (parse_record, parse_answer, parse_removal, parse_release):
        with contextlib.suppress(Refused):
            parse(given)
    with contextlib.suppress(Refused):
        read_order(given, ANYBODY, audience=DIRECTORY, now=NOW)
    with contextlib.suppress(Refused):
        read_prefix_map(given, ANYBODY, NOW)


def tokens(data: bytes) -> None:
    """Read octets as a token of every kind; what is read is a token of one kind only."""
    given = data.decode("latin-1")
    _read_all(given)
    taken = 0
    for kind in Kind:
        with contextlib.suppress(Refused):
            taken += read(given, kind, max_length=4096).token == given
    assert taken <= 1


def claims(data: bytes) -> None:
    """Read octets as the payload of every kind; a record that is read is written as it came."""
    for kind in Kind:
        _read_all(token(kind, data))
    with contextlib.suppress(Refused):
        assert canonical(parse_canonical(data)) == data
    with contextlib.suppress(Refused):
        given = token(Kind.RECORD, data)
        _, record = parse_record(given)
        assert sign_record(record, ANYBODY) == given
        check_times(record, NOW)


def prefixes(data: bytes) -> None:
    """Read a map of prefixes and ask it for directories."""
    with contextlib.suppress(Refused):
        found = read_prefix_map(token(Kind.PREFIXES, data), ANYBODY, NOW)
        for csi in (CSI, "mailto:bob@mail.example"):
            assert len(found.directories(parse_identifier(csi))) <= MAX_ASKED


def answer(data: bytes) -> None:
    """Check an answer whose signatures all hold, and merge it with itself."""
    checker = AnswerChecker(DIRECTORY, ANYBODY, ANYBODY)
    csi = parse_identifier(CSI)
    with contextlib.suppress(Refused):
        checked = checker.check(data, csi, NOW)
        assert isinstance(checked, CheckedAnswer)
        assert all(each.record.csi == csi for each in checked.records)
        merge([*checked.records, *checked.records])


def identifier(data: bytes) -> None:
    """Read an identifier; it has one spelling."""
    text = data.decode("utf-8", "replace")
    for parse in (parse_identifier, identifier_of):
        with contextlib.suppress(Refused):
            found = parse(text)
            assert parse_identifier(str(found)) == found
            assert found.shown


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "tokens": tokens,
    "claims": claims,
    "prefixes": prefixes,
    "answer": answer,
    "identifier": identifier,
}


def main() -> None:
    """Fuzz the target named by the first argument."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
