"""A sender's side: the question, and what an answer has to prove before a call follows it (R1, R4).

The sender trusts no directory: it checks the owner's signature, the certificate's chain and number,
and the log's proof itself, from what came with the answer. It fetches nothing to do so, since
whoever serves a certificate would learn who asks for whom.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from discovery.directory.answer import (
    ANSWER_OCTETS,
    MAX_CERTIFICATES,
    MAX_CHAIN,
    MAX_RECORDS,
    LoggedRecord,
    Status,
    check_answer,
    parse_answer,
    status_of,
)
from discovery.directory.claims import items
from discovery.directory.entry import entry_document
from discovery.directory.holder import Holder, check_owner
from discovery.directory.identifier import Identifier
from discovery.directory.jws import Key, Kind, Signed
from discovery.directory.merging import ProvenRecord
from discovery.directory.reason import Refusal, Refused
from discovery.directory.record import Record, check_times, parse_record
from discovery.model import Service
from discovery.spin.strict_json import MalformedJson, parse_json_object

_MAX_DEPTH: Final = 8


class Chains(Protocol):
    """Whoever reads certificate chains and knows which roots are trusted."""

    def holder(self, chain: Sequence[str], now: float) -> Holder:
        """Return the leaf of a chain (base64 DER, leaf first) whose path holds.

        Raises Refused(UNTRUSTED_CERTIFICATE) or CERTIFICATE_EXPIRED for an issuer.
        """
        ...


class LogProofs(Protocol):
    """Whoever checks that a record is in a directory's transparency log."""

    def is_logged(
        self,
        directory: str,
        csi: Identifier,
        digest: str,
        proof: Mapping[str, object],
        now: float,
    ) -> bool:
        """Tell whether the proof shows a record, by its digest, in a log that is trusted for this
        directory."""
        ...


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """What one directory said, checked; `refused` says why records in it do not count."""

    directory: str
    status: Status
    records: tuple[ProvenRecord, ...]
    refused: tuple[Refused, ...] = ()


def build_lookup(csi: Identifier, service: Service | None = None) -> bytes:
    """Return the body of a lookup. The service only counts in statistics: all maps come back."""
    question: dict[str, str] = {"csi": str(csi)}
    if service is not None:
        question["svc"] = str(service)
    return json.dumps(question, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True)
class AnswerChecker:
    """Checks the answers of one directory; `key` is its key, `directory` its URL.

    `logs` None: proofs are not looked at, and nothing counts as logged.
    """

    directory: str
    key: Key
    chains: Chains
    logs: LogProofs | None = None

    def check(self, body: bytes, csi: Identifier, now: float) -> CheckedAnswer:
        """Check a whole answer; single records that fail are left out and said to be.

        Raises Refused where the answer itself does not hold: OVERSIZED, MALFORMED, WRONG_TYPE,
        BAD_SIGNATURE, WRONG_DIRECTORY, OTHER_IDENTIFIER, NOT_FRESH, WRONG_STATUS.
        """
        return self._check(_document(body), Kind.ANSWER, csi, now)

    def check_entry(self, entry: bytes, csi: Identifier, now: float) -> CheckedAnswer:
        """Check what was sealed in split storage, as `check` does an answer.

        An entry was signed when it was sealed, hours before: until its end, whoever stores it can
        show it where the directory has a newer one.
        """
        return self._check(entry_document(entry), Kind.ENTRY, csi, now)

    def _check(
        self, document: Mapping[str, object], kind: Kind, csi: Identifier, now: float
    ) -> CheckedAnswer:
        signed, answer = parse_answer(document["answer"], kind)
        check_answer(signed, answer, directory=self.directory, key=self.key, csi=csi, now=now)
        records = items(document, "records")
        if len(records) > MAX_RECORDS:
            raise Refused(Refusal.OVERSIZED, f"more than {MAX_RECORDS} records")
        proven: list[ProvenRecord] = []
        refused: list[Refused] = []
        parsed = []
        for item, digest in zip(records, _as_many(answer.digests, records), strict=True):
            try:
                signed_record, record = parse_record(_member(item, "record"))
                if signed_record.digest != digest:
                    raise Refused(Refusal.WRONG_STATUS, "records are not those of the answer")
                parsed.append(record)
                proven.append(self._prove(signed_record, record, item, csi, now))
            except Refused as why:
                refused.append(why)
        if not refused and status_of(parsed) is not answer.status:
            raise Refused(Refusal.WRONG_STATUS, "status does not fit the records")
        status = status_of([each.record for each in proven])
        return CheckedAnswer(self.directory, status, tuple(proven), tuple(refused))

    def _prove(
        self, signed: Signed, record: Record, item: object, csi: Identifier, now: float
    ) -> ProvenRecord:
        if record.csi != csi:
            raise Refused(Refusal.OTHER_IDENTIFIER, "record is about another identifier")
        check_times(record, now)
        chain, proof = read_chain(_member(item, "chain")), _member(item, "proof")
        holder = self.chains.holder(chain, now)
        check_owner(holder, csi, now)
        signed.prove(holder)
        return ProvenRecord(
            record=record,
            thumbprint=holder.thumbprint,
            digest=signed.digest,
            logged=self._is_logged(csi, signed.digest, proof, now),
            usable_until=min(float(record.expires_at), holder.not_after),
            directory=self.directory,
            evidence=LoggedRecord(signed.token, chain, proof if isinstance(proof, dict) else None),
        )

    def _is_logged(self, csi: Identifier, digest: str, proof: object, now: float) -> bool:
        if self.logs is None or not isinstance(proof, dict):
            return False
        return self.logs.is_logged(self.directory, csi, digest, proof, now)


def read_chain(value: object) -> tuple[str, ...]:
    """Read a chain's list of base64 texts; raises Refused: MALFORMED, OVERSIZED."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_CERTIFICATES:
        raise Refused(Refusal.MALFORMED, f"chain is not a list of 1 to {MAX_CERTIFICATES} texts")
    texts = tuple(text for text in value if isinstance(text, str) and text.isascii())
    if len(texts) != len(value):
        raise Refused(Refusal.MALFORMED, "a certificate of the chain is no text")
    if sum(map(len, texts)) > MAX_CHAIN:
        raise Refused(Refusal.OVERSIZED, f"chain longer than {MAX_CHAIN} characters")
    return texts


def _document(body: bytes) -> dict[str, object]:
    if len(body) > ANSWER_OCTETS:
        raise Refused(Refusal.OVERSIZED, f"answer longer than {ANSWER_OCTETS} octets")
    try:
        document = parse_json_object(body, max_depth=_MAX_DEPTH)
    except MalformedJson as error:
        raise Refused(Refusal.MALFORMED, f"answer: {error}") from None
    if set(document) != {"answer", "records", "pad"}:
        raise Refused(Refusal.MALFORMED, "answer has other members")
    return document


def _as_many(digests: tuple[str, ...], records: list[object]) -> tuple[str, ...]:
    if len(digests) != len(records):
        raise Refused(Refusal.WRONG_STATUS, "records are not those of the answer")
    return digests


def _member(item: object, name: str) -> object:
    if not isinstance(item, dict) or name not in item:
        raise Refused(Refusal.MALFORMED, f"a record comes without {name}")
    return item[name]
