"""What an owner watches a log with: the receipts beside own keys, and the log they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discovery.log.entry import Label
from discovery.log.proof_members import read_label
from discovery.log.reason import LogRefused
from discovery.log.vrf import VrfPublic
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.directory_log.kept import PREFIX
from gateway.directory_log.monitor import Watched

_MAX_RECEIPT: Final = 65_536
_MAX_FOUND: Final = 1_000


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A directory's log: its URL, its key and that of its labels, empty where not known."""

    url: str
    key: str = ""
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A file with what a directory told an owner; `place` None where it does not say of whom."""

    path: Path
    label: Label = field(repr=False)
    watched: Watched = field(repr=False)
    place: LogPlace | None = None


def place_of(directory: str) -> LogPlace:
    """Return where a directory of this URL has its log."""
    return LogPlace(directory.rstrip("/") + PREFIX)


def read_receipt(path: Path) -> Receipt:
    """Read a receipt, as a directory answered it or as it is kept beside the owner's key.

    path: that file, or the key's, whose name it has with `.json` after it. Raises ValueError,
    OSError.
    """
    beside = path.with_name(f"{path.name}.json")
    if path.suffix != ".json" and beside.exists():
        path = beside
    with path.open("rb") as file:
        data = file.read(_MAX_RECEIPT)
    try:
        members = parse_json_object(data)
        held = members.get("receipt", members)
        kept = held if isinstance(held, dict) else {}
        csi, known = kept["csi"], kept.get("known", [])
        if not isinstance(csi, str) or not isinstance(known, list):
            raise ValueError
        watched = Watched(csi, frozenset(read_hex(str(each)) for each in known))
        return Receipt(path, read_label(kept), watched, _place(members.get("log")))
    except (MalformedJson, KeyError, ValueError, LogRefused):
        raise ValueError(f"{path} is no receipt of a directory") from None


def receipts_in(folder: Path) -> list[Receipt]:
    """Return the receipts that lie in a folder beside keys, 1,000 at most."""
    found: list[Receipt] = []
    for path in sorted(folder.glob("*.json"))[:_MAX_FOUND]:
        try:
            found.append(read_receipt(path))
        except (ValueError, OSError):
            continue
    return found


def watched_of(
    receipts: Iterable[Receipt], identifiers: Sequence[str], labels: VrfPublic | None
) -> dict[bytes, Watched]:
    """Return what receipts watch, or those of these identifiers; all where none is named.

    labels: checks that each label is that of its identifier. Raises ValueError.
    """
    asked = {bare(each) for each in identifiers}
    found: dict[bytes, Watched] = {}
    for each in receipts:
        label, watched = each.label, each.watched
        if labels and not labels.is_label_of(label.value, watched.identifier, label.proof):
            raise ValueError(f"{each.path}: the label is not that of the identifier")
        if asked and bare(watched.identifier) not in asked:
            continue
        before = found.get(label.value)
        known = watched.known | (before.known if before else frozenset())
        found[label.value] = Watched(watched.identifier, known)
    without = asked - {bare(each.identifier) for each in found.values()}
    if without:
        raise ValueError(
            f"no receipt for {min(without)}: give --receipt KEY.json, which `spingate directory "
            "register` keeps beside the key"
        )
    return found


def one_place(receipts: Iterable[Receipt]) -> LogPlace | None:
    """Return the log that receipts are of, None where none says; raises ValueError for two."""
    places = {each.place for each in receipts if each.place is not None}
    if len(places) > 1:
        raise ValueError("the receipts are of several logs: give those of one, or --directory")
    return next(iter(places), None)


def bare(identifier: str) -> str:
    """Return an identifier as people write it."""
    return identifier.removeprefix("tel:").removeprefix("mailto:").lower()


def read_hex(text: str) -> bytes:
    """Return 32 octets; raises ValueError."""
    value = bytes.fromhex(text)
    if len(value) != 32:
        raise ValueError(f"'{text}' has not 64 hexadecimal digits")
    return value


def _place(value: object) -> LogPlace | None:
    if not isinstance(value, Mapping):
        return None
    directory, key, labels = (value.get(name) for name in ("directory", "key", "labels"))
    if not (isinstance(directory, str) and isinstance(key, str) and isinstance(labels, str)):
        return None
    return LogPlace(place_of(directory).url, key, labels)
