"""What the owner of a number or mailbox does with a directory: prove, register, remove, object.

A key file holds the owner's private key; beside it `FILE.json` remembers the certificate, the last
`seq` and a challenge that waits for its code. Whoever has both is the owner.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from discovery.directory.challenge import key_authorization, read_code
from discovery.directory.identifier import Identifier
from discovery.directory.orders import Operation, Order, sign_order
from discovery.directory.reason import Refused
from discovery.directory.record import Record, sign_record
from discovery.directory.statements import (
    THUMBPRINT,
    Release,
    Removal,
    sign_release,
    sign_removal,
)
from gateway.directory.keys import EcSigner, chain_texts
from gateway.http.fetch import Fetched, FetchFailed
from gateway.http.service_client import ServiceClient
from stir.certificates.certificate import MalformedCredential, load_certificates, load_private_key
from stir.certificates.issuing import key_to_pem, new_key

_TIMEOUT: Final = 15.0
_DAY: Final = 86_400.0
_KNOWN: Final = 200
_PROVE_AGAIN: Final = frozenset({"urn:spin:error:reauthenticate", "urn:spin:error:before_removal"})


class OwnerFailed(Exception):
    """Something the owner asked for did not work; the text says whose fault that is."""


class CodeNeeded(Exception):
    """A challenge is under way: its code comes by message and has to be given."""

    def __init__(self, routes: int) -> None:
        codes = "a code is" if routes == 1 else f"{routes} codes are"
        super().__init__(f"{codes} under way by message")
        self.routes = routes


@dataclass(slots=True)
class OwnerFile:
    """The owner's key and what belongs to it; every change is written at once."""

    path: Path
    signer: EcSigner = field(repr=False)
    state: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path, csi: Identifier) -> OwnerFile:
        """Open the file of an identifier's key, making one where none is. Raises OwnerFailed."""
        try:
            if not path.exists():
                _write(path, key_to_pem(new_key()))
            signer = EcSigner(load_private_key(path.read_bytes()))
            beside = path.with_name(f"{path.name}.json")
            state = json.loads(beside.read_text("utf-8")) if beside.exists() else {}
        except OSError as error:
            raise OwnerFailed(f"{path}: {error.strerror}") from None
        except MalformedCredential as error:
            raise OwnerFailed(f"{path}: {error}") from None
        except ValueError:
            raise OwnerFailed(f"{path}.json is damaged: remove it") from None
        if not isinstance(state, dict) or state.setdefault("csi", str(csi)) != str(csi):
            raise OwnerFailed(f"{path} is the key of another identifier")
        return cls(path, signer, state)

    def save(self, **changes: object) -> None:
        """Remember something; None forgets it. Raises OwnerFailed."""
        self.state.update(changes)
        kept = {name: value for name, value in self.state.items() if value is not None}
        try:
            _write(self.path.with_name(f"{self.path.name}.json"), json.dumps(kept).encode())
        except OSError as error:
            raise OwnerFailed(f"{self.path}: {error.strerror}") from None

    @property
    def chain(self) -> list[str]:
        """The certificate's chain, base64 DER; raises OwnerFailed without one."""
        try:
            return list(chain_texts(str(self.state.get("chain", "")).encode()))
        except MalformedCredential:
            raise OwnerFailed("there is no certificate for this key yet: register first") from None

    def certified_until(self) -> float:
        """When the certificate ends, epoch seconds; 0 without one."""
        try:
            leaf = load_certificates(str(self.state.get("chain", "")).encode())[0]
        except MalformedCredential:
            return 0.0
        return leaf.not_valid_after_utc.timestamp()


class OwnerClient:
    """One owner at one directory and one authority (often the same service).

    Methods raise OwnerFailed; wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        client: ServiceClient,
        directory: str,
        authority: str,
        csi: Identifier,
        file: OwnerFile,
        wall_clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._directory = directory
        self._authority = authority
        self._csi = csi
        self._file = file
        self._wall_clock = wall_clock
        self._presented: Mapping[str, object] | None = None

    async def certify(self, code: str | None = None) -> None:
        """See to a certificate that lives for a day or more.

        Renewed by the key where that is enough; else a challenge is begun, and CodeNeeded raised,
        or the one begun before is answered with `code`.
        """
        now = self._wall_clock()
        if code is None and self._file.certified_until() > now + _DAY:
            return
        challenge = self._file.state.get("challenge")
        if code is not None and isinstance(challenge, dict):
            await self._answer(challenge, code)
            return
        if code is not None:
            raise OwnerFailed("no challenge waits for a code: begin without one")
        if self._file.state.get("x5u") and await self._renew():
            return
        await self._begin()

    async def register(self, record: Callable[[int, int, str], Record]) -> Mapping[str, Any]:
        """Put the record made by `record(seq, now, x5u)`; return what the directory said.

        Raises CodeNeeded where control has to be proven once more.
        """
        seq = int(self._file.state.get("seq", 0)) + 1
        made = record(seq, int(self._wall_clock()), str(self._file.state.get("x5u", "")))
        try:
            token = sign_record(made, self._file.signer)
        except Refused as refused:
            raise OwnerFailed(f"record: {refused}") from None
        document = {"record": token, "chain": self._file.chain, **self._release()}
        self._file.save(seq=seq)  # used up: an answer that is lost may be to a record that is kept
        try:
            said = await self._send("PUT", f"{self._directory}/dp/v1/records", document)
        except _ProveAgain:
            # The number's provider has removed it: this certificate counts no more.
            self._file.save(chain=None, x5u=None)
            await self._begin()
            raise
        self._file.save(receipt=self._receipt(said.get("receipt")), directory=self._directory)
        await self._pin_log()
        return said

    async def _pin_log(self) -> None:
        """Remember the log's keys as they were when the owner first registered."""
        if self._file.state.get("receipt") is None:
            return
        pinned = self._file.state.get("log")
        if isinstance(pinned, dict) and pinned.get("directory") == self._directory:
            return
        said = await self._send("GET", f"{self._directory}/.well-known/spin-dp", None)
        key, labels = said.get("log"), said.get("log_labels")
        if isinstance(key, str) and isinstance(labels, str):
            self._file.save(log={"directory": self._directory, "key": key, "labels": labels})

    def _receipt(self, given: object) -> object:
        """Return a receipt with what earlier ones of the same label knew, the latest 200."""
        before = self._file.state.get("receipt")
        if not isinstance(given, dict) or not isinstance(given.get("known"), list):
            return before
        known = given["known"]
        if isinstance(before, dict) and before.get("label") == given.get("label"):
            known = [each for each in before.get("known", []) if each not in known] + known
        return {**given, "known": known[-_KNOWN:]}

    async def remove(self) -> None:
        """Take the record out of the directory."""
        seq = int(self._file.state.get("seq", 0)) + 1
        removal = Removal(self._directory, self._csi, seq, int(self._wall_clock()))
        document = {"removal": sign_removal(removal, self._file.signer), "chain": self._file.chain}
        self._file.save(seq=seq)
        said = await self._send("DELETE", f"{self._directory}/dp/v1/records", document)
        self._file.save(receipt=self._receipt(said.get("receipt")))

    async def object_to_claims(self) -> None:
        """Refuse what other keys claim."""
        order = self._order(Operation.OBJECT, self._directory)
        await self._send("POST", f"{self._directory}/dp/v1/objections", {"order": order})

    def present(self, release: Mapping[str, object] | None) -> None:
        """Present a former key's release with what is asked next."""
        self._presented = release

    def _release(self) -> dict[str, object]:
        return {} if self._presented is None else {"release": dict(self._presented)}

    async def _begin(self) -> None:
        order = self._order(Operation.CHALLENGE, self._authority)
        said = await self._send("POST", f"{self._authority}/ca/v1/challenges", {"order": order})
        self._file.save(challenge={"id": said.get("id"), "part2": said.get("part2")})
        raise CodeNeeded(2 if said.get("routes") == 2 else 1)

    async def _answer(self, challenge: Mapping[str, Any], code: str) -> None:
        answer = key_authorization(
            read_code(code, self._csi),
            str(challenge.get("part2")),
            self._file.signer.public.thumbprint,
        )
        order = self._order(Operation.CERTIFY, self._authority, str(challenge.get("id")), answer)
        await self._certificate(order)
        self._file.save(challenge=None)

    async def _renew(self) -> bool:
        try:
            await self._certificate(self._order(Operation.RENEW, self._authority))
        except _ProveAgain:
            return False
        return True

    async def _certificate(self, order: str) -> None:
        document = {"order": order, **self._release()}
        said = await self._send("POST", f"{self._authority}/ca/v1/certificates", document)
        self._file.save(x5u=said.get("x5u"))
        if self._authority == self._directory:
            # Elsewhere it is another log, with labels of its own.
            self._file.save(receipt=self._receipt(said.get("receipt")))
        if said.get("chain") is None:
            self._file.save(challenge=None)
            until = said.get("effective_at")
            later = until - self._wall_clock() if isinstance(until, int) else 0.0
            wait = max(0.0, later) / 3600
            raise OwnerFailed(
                f"another key has this identifier: it can be yours in {wait:.0f} h, unless that "
                "key's owner objects; ask again then"
            )
        self._file.save(chain=said.get("chain"))

    def _order(
        self, operation: Operation, audience: str, challenge: str = "", answer: str = ""
    ) -> str:
        order = Order(
            operation=operation,
            audience=audience,
            csi=self._csi,
            issued_at=int(self._wall_clock()),
            point=self._file.signer.public.point,
            challenge_id=challenge,
            answer=answer,
        )
        return sign_order(order, self._file.signer)

    async def _send(
        self, method: str, url: str, document: Mapping[str, object] | None
    ) -> dict[str, Any]:
        body = None if document is None else json.dumps(document, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        try:
            reply = await self._client.request(
                method, url, timeout=_TIMEOUT, headers=headers, body=body
            )
        except FetchFailed as failed:
            raise OwnerFailed(str(failed)) from None
        if reply.status >= 400:
            raise _refused(url, reply)
        return _document(url, reply) if reply.body else {}


def make_release(file: OwnerFile, csi: Identifier, to: str, now: float) -> dict[str, object]:
    """Return what lets the key with thumbprint `to` take over without waiting.

    Raises OwnerFailed.
    """
    if THUMBPRINT.fullmatch(to) is None:
        raise OwnerFailed("--to is not a key's thumbprint")
    token = sign_release(Release(csi, to, int(now)), file.signer)
    return {"token": token, "chain": file.chain}


class _ProveAgain(OwnerFailed):
    """The authority wants a challenge."""


def _refused(url: str, reply: Fetched) -> OwnerFailed:
    host = url.split("/", 3)[2]
    try:
        problem = _document(url, reply)
    except OwnerFailed:
        return OwnerFailed(f"{host}: HTTP status {reply.status}")
    text = f"{host}: {problem.get('detail') or problem.get('title')} (HTTP {reply.status})"
    kind = problem.get("type")
    return _ProveAgain(text) if kind in _PROVE_AGAIN else OwnerFailed(text)


def _document(url: str, reply: Fetched) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise OwnerFailed(f"{url.split('/', 3)[2]}: answered something that is no JSON object")
    return document


def _write(path: Path, octets: bytes) -> None:
    """Write a file whole or not at all, for its owner's eyes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(octets)
    draft.replace(path)
