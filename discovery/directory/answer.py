"""The answer to a lookup: dated, signed by the directory, and of one size whatever it says.

    {"answer": <JWS spin-dp-answer>, "records": [{"record": <JWS>, "chain": [<base64 DER>..],
     "proof": {..} | null}], "pad": "000.."}

The directory signs which records it returned, so that it can be held to what it said; what a
record says is only its owner's to sign.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from discovery.directory import claims as read
from discovery.directory.identifier import Identifier, parse_identifier
from discovery.directory.jws import Key, Kind, Signed, Signer, sign
from discovery.directory.jws import read as read_token
from discovery.directory.reason import Refusal, Refused

# With the header of binary HTTP around it still within 16 KiB. One record of any size leaves its
# proof 9,000: 40 hashes and 16 witnesses take 5,000. Two of the largest leave 2,300 each.
ANSWER_OCTETS: Final = 16_000
MAX_ANSWER_TOKEN: Final = 2_048
# A third live key for one identifier is refused at registration: two are a conflict already.
MAX_RECORDS: Final = 2
MAX_CHAIN: Final = 2_048
MAX_CERTIFICATES: Final = 4
LIFETIME: Final = 300
MAX_ENTRY_LIFETIME: Final = 7 * 86_400
SKEW: Final = 60
_EMPTY_PAD: Final = b',"pad":""}'
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class Status(StrEnum):
    """What a directory knows of an identifier (R5)."""

    NONE = "none"
    OPTOUT = "optout"
    MAPS = "maps"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """A record as it is returned: its token, the owner's chain (base64 DER, leaf first), the proof
    that it is in the log, and None where the directory keeps none."""

    token: str = field(repr=False)
    chain: tuple[str, ...] = field(repr=False)
    proof: Mapping[str, object] | None = None

    def document(self) -> dict[str, object]:
        return {"record": self.token, "chain": list(self.chain), "proof": self.proof}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a directory states: status, the records' digests, the checkpoint of its log.

    Times are epoch seconds; `directory` is the directory's own name, its URL. `lifetime`: 300
    seconds of an answer, up to 7 days of an entry in split storage.
    """

    directory: str
    csi: Identifier
    issued_at: int
    status: Status
    digests: tuple[str, ...]
    checkpoint: str | None = None
    lifetime: int = LIFETIME

    def claims(self) -> dict[str, object]:
        """Return the payload."""
        return {
            "v": 1,
            "iss": self.directory,
            "csi": str(self.csi),
            "iat": self.issued_at,
            "exp": self.issued_at + self.lifetime,
            "status": str(self.status),
            "records": list(self.digests),
            "checkpoint": self.checkpoint,
        }


class OptsOut(Protocol):
    """A record, as far as the status needs it."""

    @property
    def opted_out(self) -> bool: ...


def status_of(records: Sequence[OptsOut]) -> Status:
    """Return the status that live records, each of another key, amount to."""
    if not records:
        return Status.NONE
    if len(records) > 1:
        return Status.CONFLICT
    return Status.OPTOUT if records[0].opted_out else Status.MAPS


def build_answer(answer: Answer, records: Sequence[LoggedRecord], signer: Signer) -> bytes:
    """Return the body, exactly 16,000 octets.

    Raises Refused(OVERSIZED) where the records do not fit, which registration prevents.
    """
    document = {
        "answer": sign(Kind.ANSWER, answer.claims(), signer),
        "records": [record.document() for record in records],
    }
    body = _ENCODER.encode(document).encode("ascii")[:-1]
    room = ANSWER_OCTETS - len(body) - len(_EMPTY_PAD)
    if room < 0:
        raise Refused(Refusal.OVERSIZED, "records do not fit an answer")
    return body + b',"pad":"' + b"0" * room + b'"}'


def parse_answer(token: object, kind: Kind = Kind.ANSWER) -> tuple[Signed, Answer]:
    """Read the directory's statement, an answer or an entry; `check_answer` believes it.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, NOT_CANONICAL, IDENTIFIER, LIFETIME.
    """
    signed = read_token(token, kind, max_length=MAX_ANSWER_TOKEN)
    claims = signed.claims
    read.version(claims)
    read.exactly(claims, {"v", "iss", "csi", "iat", "exp", "status", "records", "checkpoint"})
    digests = tuple(each for each in read.items(claims, "records") if isinstance(each, str))
    if len(digests) > MAX_RECORDS or any(len(digest) != 43 for digest in digests):
        raise Refused(Refusal.MALFORMED, "records is not a short list of digests")
    try:
        status = Status(read.text(claims, "status", max_length=16))
    except ValueError:
        raise Refused(Refusal.MALFORMED, "status is unknown") from None
    checkpoint = claims["checkpoint"]
    if checkpoint is not None and not isinstance(checkpoint, str):
        raise Refused(Refusal.MALFORMED, "checkpoint is no text")
    lifetime = read.moment(claims, "exp") - read.moment(claims, "iat")
    if kind is Kind.ANSWER and lifetime != LIFETIME:
        raise Refused(Refusal.LIFETIME, f"answer does not live {LIFETIME} s")
    if not 0 < lifetime <= MAX_ENTRY_LIFETIME:
        raise Refused(Refusal.LIFETIME, f"entry lives not 1 to {MAX_ENTRY_LIFETIME} s")
    return signed, Answer(
        directory=read.text(claims, "iss", max_length=512),
        csi=parse_identifier(claims["csi"]),
        issued_at=read.moment(claims, "iat"),
        status=status,
        digests=digests,
        checkpoint=checkpoint,
        lifetime=lifetime,
    )


def check_answer(
    signed: Signed, answer: Answer, *, directory: str, key: Key, csi: Identifier, now: float
) -> None:
    """Check that this directory gave this answer, about this identifier, just now.

    Raises Refused: BAD_SIGNATURE, WRONG_DIRECTORY, OTHER_IDENTIFIER, NOT_FRESH.
    """
    signed.prove(key)
    if answer.directory != directory:
        raise Refused(Refusal.WRONG_DIRECTORY, "answer is another directory's")
    if answer.csi != csi:
        raise Refused(Refusal.OTHER_IDENTIFIER, "answer is about another identifier")
    if not answer.issued_at - SKEW <= now <= answer.issued_at + answer.lifetime + SKEW:
        raise Refused(Refusal.NOT_FRESH, "answer is not of now")
