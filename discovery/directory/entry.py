"""The entry of an identifier in split storage: what an answer would have been, made to be kept.

    zlib of {"answer": <JWS spin-dp-entry>, "records": [{"record", "chain", "proof"}]}

The directory signs it anew every few hours, so that whoever stores it can show an old one for so
long and no longer.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

from discovery.directory.answer import ANSWER_OCTETS, Answer, LoggedRecord
from discovery.directory.jws import Kind, Signer, sign
from discovery.directory.reason import Refusal, Refused
from discovery.spin.strict_json import MalformedJson, parse_json_object

_MAX_DEPTH: Final = 8


def build_entry(entry: Answer, records: Sequence[LoggedRecord], signer: Signer) -> bytes:
    """Return the octets to be sealed. Raises Refused(OVERSIZED), which registration prevents."""
    document = {
        "answer": sign(Kind.ENTRY, entry.claims(), signer),
        "records": [record.document() for record in records],
    }
    plain = json.dumps(document, separators=(",", ":")).encode("utf-8")
    if len(plain) > ANSWER_OCTETS:
        raise Refused(Refusal.OVERSIZED, "records do not fit an entry")
    return zlib.compress(plain, 9)


def entry_document(entry: bytes) -> Mapping[str, object]:
    """Read an entry's members; raises Refused: OVERSIZED, MALFORMED."""
    inflation = zlib.decompressobj()
    try:
        plain = inflation.decompress(entry, ANSWER_OCTETS + 1)
    except zlib.error:
        raise Refused(Refusal.MALFORMED, "entry cannot be decompressed") from None
    if len(plain) > ANSWER_OCTETS:
        raise Refused(Refusal.OVERSIZED, f"entry longer than {ANSWER_OCTETS} octets")
    if not inflation.eof or inflation.unused_data:
        raise Refused(Refusal.MALFORMED, "entry ends too early or too late")
    try:
        document = parse_json_object(plain, max_depth=_MAX_DEPTH)
    except MalformedJson as error:
        raise Refused(Refusal.MALFORMED, f"entry: {error}") from None
    if set(document) != {"answer", "records"}:
        raise Refused(Refusal.MALFORMED, "entry has other members")
    return document
