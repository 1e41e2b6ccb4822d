"""A directory in memory of a test: its authority, owners with keys, and messages that arrive."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from discovery.directory.challenge import key_authorization, read_code
from discovery.directory.client import AnswerChecker
from discovery.directory.holding import Claim
from discovery.directory.identifier import Identifier, parse_identifier
from discovery.directory.orders import Operation, Order, sign_order
from discovery.directory.reason import Refused
from discovery.directory.record import Map, Record, sign_record
from discovery.directory.statements import Release, Removal, sign_release, sign_removal
from discovery.model import Service
from gateway.config.directory import DirectoryConfig
from gateway.directory.files import load_directory_keys
from gateway.directory.keys import EcSigner, TrustedChains, chain_texts
from gateway.directory.log_sink import LogSink
from gateway.directory.registry import ReleasePresented
from gateway.directory.service import DirectoryService
from stir.certificates.issuing import (
    DAY,
    Authority,
    issue_sti_certificate,
    issue_tls_certificate,
    key_to_pem,
    make_intermediate,
    make_root,
    new_key,
    to_pem,
)
from stir.certificates.tn_auth_list import One, Range, TnAuthList

NOW = 1_795_000_000.0
TOKEN = "token-of-peer-alpha"
NUMBER = "tel:+14155550123"
MAIL = "mailto:bob@mail.example"
VOICE_URI = "sip:+14155550123@b.example;user=phone"


@dataclass
class Clock:
    """A clock that tests set."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


class RealClock(Clock):
    """The clock of processes that a test talks to, however slow they are."""

    def __call__(self) -> float:
        return _real_now()


@dataclass
class FakeCouriers:
    """Collects challenges instead of sending them."""

    routes: int = 1
    carries_mail: bool = True
    delivered: list[tuple[Identifier, tuple[str, ...]]] = field(default_factory=list)
    told: list[tuple[Identifier, Claim]] = field(default_factory=list)
    failure: Refused | None = None

    async def deliver(self, csi: Identifier, parts: Sequence[str]) -> None:
        self.delivered.append((csi, tuple(parts)))
        if self.failure is not None:
            raise self.failure

    async def tell(self, csi: Identifier, claim: Claim) -> None:
        self.told.append((csi, claim))

    @property
    def code(self) -> str:
        return "".join(self.delivered[-1][1])


@dataclass
class Owner:
    """Somebody with a key; certificates come from the world's authority directly."""

    world: DirectoryWorld
    csi: Identifier
    signer: EcSigner
    chain: list[str] = field(default_factory=list)
    x5u: str = "https://dp.example/ca/v1/certificates/test"

    def certify(self, now: float | None = None, lifetime: float = 7 * DAY) -> None:
        """Get a certificate without a challenge, as if it were done."""
        at = self.world.clock.now if now is None else now
        number = str(self.csi).startswith("tel:")
        issued = issue_sti_certificate(
            self.world.number_ca,
            TnAuthList((One(self.csi.value),)) if number else None,
            at,
            lifetime=lifetime,
            public_key=self.signer.public.public_key,
            mail_addresses=() if number else (self.csi.value,),
        )
        self.chain = list(chain_texts(issued.chain_pem))

    def record(self, **changes: Any) -> Record:
        """A good record, with fields changed."""
        at = int(self.world.clock.now)
        values: dict[str, Any] = {
            "csi": self.csi,
            "seq": 1,
            "issued_at": at,
            "expires_at": at + 30 * 86_400,
            "maps": (
                Map("b.example", (Service.VOICE, Service.VIDEO), VOICE_URI, 10, ("personal",)),
            ),
            "x5u": self.x5u,
            **changes,
        }
        return Record(**values)

    def token(self, **changes: Any) -> str:
        return sign_record(self.record(**changes), self.signer)

    def removal(self, seq: int = 2, *, at: str | None = None) -> str:
        audience = at or self.world.config.directory.url
        said = Removal(audience, self.csi, seq, int(self.world.clock.now))
        return sign_removal(said, self.signer)

    def release(self, to: Owner) -> ReleasePresented:
        said = Release(self.csi, to.signer.public.thumbprint, int(self.world.clock.now))
        return ReleasePresented(sign_release(said, self.signer), self.chain)

    def order(self, operation: Operation, **changes: Any) -> str:
        values: dict[str, Any] = {
            "operation": operation,
            "audience": self.world.config.directory.url,
            "csi": self.csi,
            "issued_at": int(self.world.clock.now),
            "point": self.signer.public.point,
            **changes,
        }
        return sign_order(Order(**values), self.signer)

    def answer(self, challenge: dict[str, Any], code: str) -> str:
        """The order that answers a challenge."""
        return self.order(
            Operation.CERTIFY,
            challenge_id=challenge["id"],
            answer=key_authorization(
                read_code(code, self.csi), challenge["part2"], self.signer.public.thumbprint
            ),
        )


class DirectoryWorld:
    """Roots, an authority for numbers, and the configuration of one directory in a folder."""

    def __init__(
        self, folder: Path, *, shared: DirectoryWorld | None = None, **changes: Any
    ) -> None:
        """`shared`: another directory's world, with whose authorities and clock this one lives."""
        self.folder = folder
        self.clock: Clock
        self.number_root: Authority
        self.number_ca: Authority
        self.provider_root: Authority
        self.tls_root: Authority
        if shared is None:
            self.clock = Clock()
            self.number_root = make_root("Numbers", NOW - DAY)
            self.number_ca = make_intermediate(self.number_root, "Number CA", NOW - DAY)
            self.provider_root = make_root("STI", NOW - DAY)
            self.tls_root = make_root("TLS", _real_now() - DAY)
        else:
            self.clock, self.number_root = shared.clock, shared.number_root
            self.number_ca, self.provider_root = shared.number_ca, shared.provider_root
            self.tls_root = shared.tls_root
        self.couriers = FakeCouriers()
        self.config = self._configuration(changes)
        self.keys = load_directory_keys(self.config)
        self.chains = TrustedChains(self.number_root.certificates, self.provider_root.certificates)

    def service(self, log: LogSink | None = None) -> DirectoryService:
        return DirectoryService(
            self.config,
            self.keys,
            log=log,
            wall_clock=self.clock,
            couriers=self.couriers,
        )

    def owner(self, csi: str = NUMBER, *, certified: bool = True) -> Owner:
        owner = Owner(self, parse_identifier(csi), EcSigner(new_key()))
        if certified:
            owner.certify()
        return owner

    def provider(self, start: str = "14155550100", count: int = 100) -> Owner:
        """The number provider: a certificate for the whole range."""
        provider = Owner(self, parse_identifier(NUMBER), EcSigner(new_key()))
        issued = issue_sti_certificate(
            self.provider_root,
            TnAuthList((Range(start, count),)),
            self.clock.now,
            public_key=provider.signer.public.public_key,
        )
        provider.chain = list(chain_texts(issued.chain_pem))
        return provider

    def checker(self) -> AnswerChecker:
        """A sender's checks of this directory's answers."""
        return AnswerChecker(self.config.directory.url, self.keys.signer.public, self.chains)

    def _configuration(self, changes: dict[str, Any]) -> DirectoryConfig:
        issued = issue_tls_certificate(
            self.tls_root, _real_now(), dns_names=("dp.example",), addresses=("127.0.0.1",)
        )
        assert issued.key_pem is not None
        _write_authority(self.folder / "ca", self.number_ca)
        (self.folder / "https.pem").write_bytes(issued.chain_pem)
        (self.folder / "https.key").write_bytes(issued.key_pem)
        (self.folder / "numbers.pem").write_bytes(self.number_root.certificate_pem)
        (self.folder / "tls-root.pem").write_bytes(self.tls_root.certificate_pem)
        (self.folder / "providers.pem").write_bytes(self.provider_root.certificate_pem)
        directory = {
            "url": "https://dp.example",
            "address": "127.0.0.1",
            "port": 1,
            "certificate": self.folder / "https.pem",
            "key": self.folder / "https.key",
            "state_directory": self.folder / "state",
            "provider_trust_anchors": (self.folder / "providers.pem",),
            "changes_burst": 10_000,
            "peer": ({"name": "alpha", "token": TOKEN},),
            **changes.pop("directory", {}),
        }
        authority = {
            "certificate": self.folder / "ca.pem",
            "key": self.folder / "ca.key",
            "prefixes": ("+1",),
            **changes.pop("authority", {}),
        }
        mail = {"host": "127.0.0.1", "tls": "none", "sender": "challenge@dp.example"}
        # A port where no SMSC of somebody else listens.
        sms = ({"host": "127.0.0.1", "port": 1, "system_id": "directory"},)
        made = DirectoryConfig.model_validate(
            {"directory": directory, "authority": authority, "mail": mail, "sms": sms, **changes}
        )
        # that of the URL, or any free one, which the configuration of a service does not allow
        port = made.directory.url.split("/")[2].partition(":")[2]
        section = made.directory.model_copy(update={"port": int(port or 0)})
        return made.model_copy(update={"directory": section})


@asynccontextmanager
async def running(
    world: DirectoryWorld, log: LogSink | None = None
) -> AsyncIterator[DirectoryClient]:
    """Run the service on real HTTPS and give a client of it."""
    service = world.service(log)
    await service.start()
    context = ssl.create_default_context(cafile=str(world.folder / "tls-root.pem"))
    connector = aiohttp.TCPConnector(ssl=context)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"https://127.0.0.1:{service.listener.port}"
            yield DirectoryClient(service, session, url)
    finally:
        await service.stop()


@asynccontextmanager
async def opened(
    world: DirectoryWorld, log: LogSink | None = None
) -> AsyncIterator[DirectoryService]:
    """The service with its database, without a listener."""
    service = world.service(log)
    try:
        await service.open()
        yield service
    finally:
        await service.stop()


@dataclass
class Reply:
    """A status, the body as JSON where it is, and its octets."""

    status: int
    document: Any
    body: bytes
    headers: dict[str, str]


@dataclass
class DirectoryClient:
    """A plain HTTPS client of a running directory."""

    service: DirectoryService
    session: aiohttp.ClientSession
    url: str

    async def send(
        self, method: str, path: str, document: object = None, *, token: str | None = None
    ) -> Reply:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.request(
            method, self.url + path, json=document, headers=headers
        ) as response:
            body = await response.read()
            is_json = "json" in response.content_type
            return Reply(
                response.status,
                await response.json(content_type=None) if is_json and body else None,
                body,
                dict(response.headers),
            )

    async def lookup(self, csi: str = NUMBER, token: str | None = TOKEN) -> Reply:
        return await self.send("POST", "/dp/v1/lookup", {"csi": csi}, token=token)

    async def register(self, owner: Owner, **changes: Any) -> Reply:
        document = {"record": owner.token(**changes), "chain": owner.chain}
        return await self.send("PUT", "/dp/v1/records", document)


def code_of(text: str) -> str:
    """The code in a text message."""
    found = re.search(r"([0-9]{4})-([0-9]{4})", text)
    assert found is not None
    return found[1] + found[2]


def _write_authority(path: Path, authority: Authority) -> None:
    path.with_suffix(".pem").write_bytes(to_pem(authority.certificates))
    path.with_suffix(".key").write_bytes(key_to_pem(authority.key))


def _real_now() -> float:
    import time

    return time.time()
