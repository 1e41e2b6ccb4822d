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
from discovery.privacy.reason import PrivacyError
from gateway.demo.directory import HOST, URL, DirectoryFacts, DirectoryProcess, write_directory_keys
from gateway.demo.dns import Record as DnsRecord
from gateway.demo.oblivious import RELAY_HOST, Issuer, Purse, Relay, oblivious_way
from gateway.demo.process import SceneError
from gateway.demo.scene import ALICE, DNS_PORT, Scene
from gateway.directory.keys import TrustedChains
from gateway.directory.owner import CodeNeeded, OwnerClient, OwnerFailed, OwnerFile
from gateway.directory_client import DirectoryConnection, DirectoryFailed
from gateway.dns import DnsResolver, DnsSettings
from gateway.http.fetch import FetchFailed, client_context
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
        self._issuer = Issuer()
        self._issuer.write_key(self.folder / "dp" / "keys" / "tokens.der")

    def configuration(self, name: str) -> str:
        return super().configuration(name) + (self.facts.joining() if name != "dp" else "")

    def more_records(self) -> list[DnsRecord]:
        return [
            DnsRecord(HOST, "A", f"{self.prefix}.60"),
            DnsRecord(RELAY_HOST, "A", f"{self.prefix}.61"),
        ]

    async def start_more(self) -> None:
        self._progress(f"directory {URL}, with an authority for numbers and a log")
        self.directory = DirectoryProcess(self._configure("dp"))
        self._stack.push_async_callback(self.directory.stop)
        began = time.monotonic()
        await self.directory.start()
        self.starting_seconds = time.monotonic() - began
        await self._start_relay()

    async def _start_relay(self) -> None:
        """A relay with connections of its own, and ours to it."""
        settings = DnsSettings(nameservers=((f"{self.prefix}.53", DNS_PORT),))
        resolver = DnsResolver(settings)
        self._stack.push_async_callback(resolver.close)
        trust = self.folder / "beta" / "keys" / "tls-root.pem"
        self._client = ServiceClient(resolver, client_context(trust))
        self._stack.push_async_callback(self._client.close)
        self._progress("relay of Oblivious HTTP, run by neither of them")
        beyond = ServiceClient(resolver, client_context(trust))
        self._stack.push_async_callback(beyond.close)
        self.relay = Relay(
            f"{self.prefix}.61", self.folder / "relay", self.authorities, time.time()
        )
        await self.relay.start(beyond)
        self._stack.push_async_callback(self.relay.stop)

    async def register_owners(self) -> list[Registration]:
        """Let every owner prove control of the number and register; raises SceneError."""
        owners = (self._register(number, maps) for number, maps in RECORDS.items())
        return list(await asyncio.gather(*owners))

    async def asker(self, lookups: int) -> DirectoryConnection:
        """Return what looks so many numbers up for beta.example, unknown to the directory.

        Raises SceneError.
        """
        anchors = load_certificates(
            (self.folder / "beta" / "keys" / "number-root.pem").read_bytes()
        )
        policy = LogPolicy((parse_verifier(self.facts.log_key),), quorum=0)
        try:
            purse = Purse(self._issuer.tokens("beta", lookups))
            way = await oblivious_way(self._client, purse)
        except (FetchFailed, PrivacyError) as error:
            raise SceneError(f"{URL}: {error}") from None
        return DirectoryConnection(
            URL,
            self.facts.key,
            way,
            self._client,
            TrustedChains(anchors),
            time.time,
            logs=TrustedLogs({URL: policy}),
        )

    async def look_up(self, number: str, asker: DirectoryConnection) -> tuple[CheckedAnswer, float]:
        """Look a number up; return the checked answer and seconds. Raises SceneError."""
        began = time.monotonic()
        try:
            answer = await asker.ask(identifier_of(number), Service.VOICE, timeout=_LOOKUP_SECONDS)
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
