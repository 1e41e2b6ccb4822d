"""The two-provider scene with a directory that both have joined, and numbers to find in it."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from discovery.directory.client import CheckedAnswer
from discovery.directory.identifier import Identifier, identifier_of
from discovery.directory.record import MAX_LIFETIME, Map, Record
from discovery.log.logged import LogPolicy
from discovery.log.note import parse_verifier
from discovery.log.relying import TrustedLogs
from discovery.model import Service
from gateway.demo.directory import HOST, URL, DirectoryFacts, DirectoryProcess, write_directory_keys
from gateway.demo.dns import Record as DnsRecord
from gateway.demo.process import SceneError
from gateway.demo.scene import ALICE, DNS_PORT, Scene
from gateway.directory.keys import TrustedChains
from gateway.directory.owner import CodeNeeded, OwnerClient, OwnerFailed, OwnerFile
from gateway.directory_client import DirectoryConnection, DirectoryFailed, PlainWay
from gateway.dns import DnsResolver, DnsSettings
from gateway.http.fetch import client_context
from gateway.http.service_client import ServiceClient
from stir.certificates.certificate import load_certificates

OPTED_OUT: Final = "+13125550150"
TWO_PROVIDERS: Final = "+13125550160"
_CODE: Final = re.compile(r"Code: (\d{4}-\d{4})")
_DIGIT: Final = re.compile(r"\d")
_CODE_SECONDS: Final = 10.0
_LOOKUP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


def _map(number: str, domain: str, prio: int) -> Map:
    return Map(domain, (Service.VOICE,), f"sip:{number}@{domain};user=phone", prio)


RECORDS: Final = {
    ALICE: (_map(ALICE, "alpha.example", 10),),
    OPTED_OUT: (),
    TWO_PROVIDERS: (
        _map(TWO_PROVIDERS, "beta.example", 20),
        _map(TWO_PROVIDERS, "gamma.example", 10),
    ),
}


@dataclass(frozen=True, slots=True)
class Registration:
    """One owner's way into the directory: the text that came, the state, and how long it took."""

    number: str
    text: str
    state: str
    seconds: float


class DirectoryScene(Scene):
    """The scene, with `dp.example`: a directory, its authority for numbers and its log."""

    facts: DirectoryFacts
    directory: DirectoryProcess
    starting_seconds = 0.0

    def _make_keys(self) -> None:
        super()._make_keys()
        names = ("alpha", "beta")
        self.facts = write_directory_keys(self.folder, self.authorities, names, time.time())

    def configuration(self, name: str) -> str:
        return super().configuration(name) + (self.facts.joining() if name != "dp" else "")

    def more_records(self) -> list[DnsRecord]:
        return [DnsRecord(HOST, "A", f"{self.prefix}.60")]

    async def start_more(self) -> None:
        self._progress(f"directory {URL}, with an authority for numbers and a log")
        self.directory = DirectoryProcess(self._configure("dp"))
        self._stack.push_async_callback(self.directory.stop)
        began = time.monotonic()
        await self.directory.start()
        self.starting_seconds = time.monotonic() - began
        settings = DnsSettings(nameservers=((f"{self.prefix}.53", DNS_PORT),))
        resolver = DnsResolver(settings)
        self._stack.push_async_callback(resolver.close)
        trust = self.folder / "beta" / "keys" / "tls-root.pem"
        self._client = ServiceClient(resolver, client_context(trust))
        self._stack.push_async_callback(self._client.close)

    async def register_owners(self) -> list[Registration]:
        """Let every owner prove control of the number and register; raises SceneError."""
        owners = (self._register(number, maps) for number, maps in RECORDS.items())
        return list(await asyncio.gather(*owners))

    async def look_up(self, number: str) -> tuple[CheckedAnswer, float]:
        """Look a number up as beta.example; return the checked answer and seconds.

        Raises SceneError.
        """
        keys = self.folder / "beta" / "keys"
        token = (keys / "directory.token").read_text("utf-8").strip()
        anchors = load_certificates((keys / "number-root.pem").read_bytes())
        policy = LogPolicy((parse_verifier(self.facts.log_key),), quorum=0)
        connection = DirectoryConnection(
            URL,
            self.facts.key,
            PlainWay(self._client, token),
            self._client,
            TrustedChains(anchors),
            time.time,
            logs=TrustedLogs({URL: policy}),
        )
        began = time.monotonic()
        try:
            answer = await connection.ask(
                identifier_of(number), Service.VOICE, timeout=_LOOKUP_SECONDS
            )
        except DirectoryFailed as failed:
            raise SceneError(f"{number} looked up: {failed}") from None
        return answer, time.monotonic() - began

    async def _register(self, number: str, maps: tuple[Map, ...]) -> Registration:
        csi, began, text = identifier_of(number), time.monotonic(), ""
        try:
            owner = OwnerClient(
                self._client, URL, URL, csi, OwnerFile.open(self._key(number), csi), time.time
            )
            try:
                await owner.certify()
            except CodeNeeded:
                text, code = await self._code(number)
                await owner.certify(code)
            said: Any = await owner.register(lambda *args: _record(csi, maps, *args))
        except OwnerFailed as failed:
            raise SceneError(f"{number} registers: {failed}") from None
        state = str(said.get("state"))
        return Registration(number, text, state, time.monotonic() - began)

    def _key(self, number: str) -> Path:
        return self.folder / "owners" / f"{number}.key"

    async def _code(self, number: str) -> tuple[str, str]:
        """The text on the owner's telephone, its digits hidden, and the code in it.

        Raises SceneError.
        """
        for _ in range(int(_CODE_SECONDS / _POLL_SECONDS)):
            for message in self.smsc.inbox(number):
                found = _CODE.search(message.text)
                if found is not None:
                    return _DIGIT.sub("*", message.text), found[1]
            await asyncio.sleep(_POLL_SECONDS)
        raise SceneError(f"{number}: no code came within {_CODE_SECONDS:g} s")


def _record(csi: Identifier, maps: tuple[Map, ...], seq: int, now: int, x5u: str) -> Record:
    return Record(
        csi=csi, seq=seq, issued_at=now, expires_at=now + MAX_LIFETIME, maps=maps, x5u=x5u
    )
