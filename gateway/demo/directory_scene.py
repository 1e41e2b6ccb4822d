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
from discovery.model import Service
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.demo.directory import (
    HOST,
    URL,
    DirectoryFacts,
    Joining,
    directory_process,
    witnessed,
    write_directory_keys,
)
from gateway.demo.dns import Record as DnsRecord
from gateway.demo.keys import write_secret_file
from gateway.demo.oblivious import (
    ISSUER_HOST,
    ISSUER_URL,
    RELAY_HOST,
    issuer_process,
    publish_issuer_key,
    relay_process,
    write_issuer_keys,
    write_relay_keys,
)
from gateway.demo.process import SceneError
from gateway.demo.scene import ALICE, DNS_PORT, Scene
from gateway.demo.witness import WitnessOfLog
from gateway.directory.owner import CodeNeeded, OwnerClient, OwnerFailed, OwnerFile
from gateway.directory_making import make_directory_source
from gateway.directory_source import DirectorySource
from gateway.dns import DnsResolver, DnsSettings
from gateway.http.fetch import FetchFailed, client_context
from gateway.http.service_client import ServiceClient

OPTED_OUT: Final = "+13125550150"
TWO_PROVIDERS: Final = "+13125550160"
_CODE: Final = re.compile(r"Code: (\d{4}-\d{4})")
_DIGIT: Final = re.compile(r"\d")
_CODE_SECONDS: Final = 10.0
_LOOKUP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_TOKEN_SECONDS: Final = 20.0
# The reference of issuers and relays has their names already.
_SHIPPED: Final = {"dp": "dp", "relay": "demo-relay", "tokens": "demo-issuer"}


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
    """The scene, with `dp.example`: a directory, its authority for numbers and its log.

    Providers ask it through `relay.example` with tokens of `tokens.example`.
    """

    facts: DirectoryFacts
    joining: Joining
    starting_seconds = 0.0

    def _make_keys(self) -> None:
        super()._make_keys()
        now, names = time.time(), ("alpha", "beta")
        self.facts = write_directory_keys(self.folder, self.authorities, names, now)
        write_issuer_keys(self.folder, self.authorities, names, now)
        write_relay_keys(self.folder / "relay" / "keys", self.authorities, now)
        self._witness = WitnessOfLog(self.folder / "witness", self.facts.log_key)

    def configuration(self, name: str) -> str:
        text = super().configuration(_SHIPPED.get(name, name))
        if name == "dp":
            return text + witnessed(self._witness.url, self._witness.key)
        return text if name in _SHIPPED else text + self.joining.section()

    def more_records(self) -> list[DnsRecord]:
        hosts = ((HOST, 60), (RELAY_HOST, 61), (ISSUER_HOST, 62))
        return [DnsRecord(host, "A", f"{self.prefix}.{last}") for host, last in hosts]

    async def start_more(self) -> None:
        """Start the witness, then directory, relay and issuer, each a process of its own."""
        self._progress("witness, who cosigns the directory's log")
        await self._witness.start()
        self._stack.push_async_callback(self._witness.stop)
        issuer = self.place("tokens", "issuer.toml")
        key = publish_issuer_key(issuer, self.folder / "dp" / "keys" / "tokens.der", time.time())
        began = time.monotonic()
        await self.start_together(
            directory_process(self.place("dp", "directory.toml")),
            relay_process(self.place("relay", "relay.toml")),
            issuer_process(issuer),
        )
        self.starting_seconds = time.monotonic() - began
        self._resolver = DnsResolver(DnsSettings(nameservers=((f"{self.prefix}.53", DNS_PORT),)))
        self._stack.push_async_callback(self._resolver.close)
        trust = self.folder / "beta" / "keys" / "tls-root.pem"
        self._client = ServiceClient(self._resolver, client_context(trust))
        self._stack.push_async_callback(self._client.close)
        self.joining = Joining(self.facts, self._witness.key, key, await self._described())
        for name in ("alpha", "beta"):
            path = self.folder / name / "keys" / "dp.ohttp-keys"
            write_secret_file(path, self.joining.ohttp_keys)

    async def _described(self) -> dict[str, Any]:
        """What the directory publishes of itself, as an operator reads it before joining."""
        try:
            url = f"{URL}/.well-known/spin-dp"
            answer = await self._client.request("GET", url, timeout=_LOOKUP_SECONDS)
            return parse_json_object(answer.body)
        except (FetchFailed, MalformedJson) as error:
            raise SceneError(f"{URL} does not describe itself: {error}") from None

    async def tokens_ready(self) -> None:
        """Wait until both gateways have bought tokens; raises SceneError."""
        for provider in (self.alpha, self.beta):
            for _ in range(int(_TOKEN_SECONDS / _POLL_SECONDS)):
                if await provider.metric("spingate_directory_tokens") > 0:
                    break
                await asyncio.sleep(_POLL_SECONDS)
            else:
                raise SceneError(
                    f"{provider.called} has no tokens of {ISSUER_URL}; see {provider.log_file}"
                )

    async def register_owners(self) -> list[Registration]:
        """Let every owner prove control of the number and register; raises SceneError."""
        owners = (self._register(number, maps) for number, maps in RECORDS.items())
        return list(await asyncio.gather(*owners))

    async def asker(self) -> DirectorySource:
        """Return what looks numbers up as beta.example's gateway does, by its own configuration.

        A gateway keeps of an answer what calls need; this one shows what proved it. Raises
        SceneError.
        """
        source = make_directory_source(self.beta.config.discovery.directory, self._resolver)
        assert source is not None
        self._stack.push_async_callback(source.close)
        source.begin()
        for _ in range(int(_TOKEN_SECONDS / _POLL_SECONDS)):
            if source.tokens >= len(RECORDS):
                return source
            await asyncio.sleep(_POLL_SECONDS)
        raise SceneError(f"{ISSUER_URL} gives no tokens; see {self.folder / 'tokens'}")

    async def look_up(self, number: str, asker: DirectorySource) -> tuple[CheckedAnswer, float]:
        """Look a number up; return the checked answer and seconds. Raises SceneError."""
        began = time.monotonic()
        answers, failures = await asker.answers(identifier_of(number), Service.VOICE)
        if not answers:
            raise SceneError(f"{number} looked up: {'; '.join(failures)}")
        return answers[0], time.monotonic() - began

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
