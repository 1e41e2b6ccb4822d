"""The two-provider scene: everything around two gateways that a call between them needs."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

from gateway.config.files import read_secret
from gateway.configs_folder import configs_folder
from gateway.demo.dns import NameServer, Record, Zones, sip_records
from gateway.demo.keys import (
    REPOSITORY_HOST,
    ProviderKeys,
    make_authorities,
    write_provider_keys,
    write_repository_keys,
)
from gateway.demo.network import choose_prefix
from gateway.demo.process import SceneError, ServerProcess
from gateway.demo.provider import Provider
from gateway.demo.smsc import Smsc
from gateway.demo.smsc_settings import SmscSettings
from gateway.http.listener import HttpListener
from gateway.http.repository import CertificateRepository
from gateway.services import server_context
from gateway.softphone.phone import Softphone
from gateway.softphone.protocol import SoftphoneSettings, Srtp
from gateway.softphone.tone import write_tone

ALICE: Final = "+14155550100"
BOB: Final = "+12125550123"
TONES: Final = {"alice": 440.0, "bob": 620.0}

_SHIPPED_PREFIX: Final = "127.61.0"
_PROVIDERS: Final = (
    ProviderKeys("alpha", "alice", "+14155550100", 100),
    ProviderKeys("beta", "bob", "+12125550100", 100),
)
_TONE_SECONDS: Final = 10.0
DNS_PORT: Final = 5353
_REPOSITORY_PORT: Final = 8443
_SMSC_PORT: Final = 2775
_PORTS: Final = (
    *((host, port) for host in (10, 20) for port in (5061, 8443, 8086, 8087)),
    *((host, 5061) for host in (11, 21)),
    (30, _REPOSITORY_PORT),
    (40, _SMSC_PORT),
    (53, DNS_PORT),
    (60, 8446),
    (61, 8448),
    (62, 8449),
)


class Scene:
    """Two providers on loopback and the world they need; use it as an async context manager.

    `folder` is emptied and filled with keys, configurations, logs, traces and recordings.
    `progress` is told what is being started. `with_phones` starts a softphone a provider.
    `additions` are TOML texts appended to a provider's configuration, for tests and benches.
    """

    def __init__(
        self,
        folder: Path,
        progress: Callable[[str], None],
        *,
        with_phones: bool = True,
        additions: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._progress = progress
        self._with_phones = with_phones
        self._additions = additions or {}
        self._stack = AsyncExitStack()
        self.prefix = ""
        self.phones: dict[str, Softphone] = {}
        self.processes: list[ServerProcess] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except SceneError as error:
            dead = await self.dead()
            await self._stack.aclose()
            raise SceneError(dead or str(error)) from None
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self._prepare_folder()
        self._progress("certificate authorities, keys and certificates")
        self._make_keys()
        self.prefix = choose_prefix(_PORTS)
        self._progress(f"certificate repository https://{REPOSITORY_HOST}:{_REPOSITORY_PORT}/")
        await self._start_repository()
        self._progress("authoritative DNS for alpha.example and beta.example")
        await self._start_dns()
        self._progress("short message service centre (SMPP 3.4)")
        await self._start_smsc()
        await self.start_more()
        self.alpha = Provider("alpha", self._configure("alpha"))
        self.beta = Provider("beta", self._configure("beta"))
        await self.start_together(self.alpha, self.beta)
        await self.alpha.register_handler("alice", ALICE)
        await self.beta.register_handler("bob", BOB)
        if self._with_phones:
            await self._start_phones()

    async def _start_phones(self) -> None:
        for name, number, provider, srtp in (
            ("alice", ALICE, self.alpha, "mandatory"),
            ("bob", BOB, self.beta, "disabled"),
        ):
            self._progress(f"{name}'s softphone {number}, registered over TLS")
            await self._start_phone(name, number, provider, srtp)  # type: ignore[arg-type]

    async def start_together(self, *processes: ServerProcess) -> None:
        """Start processes side by side, to be stopped in the end; raises SceneError."""
        for process in processes:
            self._progress(process.called)
            self.processes.append(process)
            self._stack.push_async_callback(process.stop)
        starting = [asyncio.ensure_future(process.start()) for process in processes]
        try:
            await asyncio.gather(*starting)
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    async def dead(self) -> str:
        """Say which processes have ended by themselves, and where to read why; or nothing."""
        ended = await asyncio.gather(*(process.has_ended() for process in self.processes))
        pairs = zip(self.processes, ended, strict=True)
        return "; ".join(process.last_words() for process, over in pairs if over)

    def serves(self, next_hop: str | None) -> bool:
        """Whether a call went to the second server of beta.example, its first being down."""
        return next_hop == f"tls:{self.prefix}.20:5061"

    # --- files -------------------------------------------------------------------------------

    def _prepare_folder(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        (self.folder / "certs").mkdir(parents=True)
        for name, frequency in TONES.items():
            write_tone(self.folder / f"{name}.wav", frequency, _TONE_SECONDS, sample_rate=8000)

    def _make_keys(self) -> None:
        now = time.time()
        self.authorities = make_authorities(now)
        for provider in _PROVIDERS:
            keys = self.folder / provider.name / "keys"
            write_provider_keys(keys, self.folder / "certs", self.authorities, provider, now)
        write_repository_keys(self.folder / "ca", self.authorities, now)

    def _configure(self, name: str) -> Path:
        """Copy a provider's shipped configuration onto this scene's addresses."""
        return self.place(name, "gateway.toml")

    def place(self, name: str, file: str) -> Path:
        """Copy a shipped configuration to a file, onto this scene's addresses."""
        path = self.folder / name / file
        text = self.configuration(name) + self._additions.get(name, "")
        path.write_text(text.replace(_SHIPPED_PREFIX, self.prefix), encoding="utf-8")
        return path

    def configuration(self, name: str) -> str:
        """Return the configuration shipped for a provider; a scene of another kind changes it."""
        return (configs_folder() / f"{name}.toml").read_text(encoding="utf-8")

    def more_records(self) -> list[Record]:
        """Return further DNS records, for a scene of another kind."""
        return []

    async def start_more(self) -> None:
        """Start what else the gateways need, for a scene of another kind."""

    # --- world -------------------------------------------------------------------------------

    async def _start_repository(self) -> None:
        ca = self.folder / "ca"
        self.repository = CertificateRepository(self.folder / "certs")
        listener = HttpListener(
            self.repository.application(),
            f"{self.prefix}.30",
            _REPOSITORY_PORT,
            tls=server_context(ca / "repository.pem", ca / "repository.key"),
        )
        await listener.start()
        self._stack.push_async_callback(listener.stop)

    async def _start_dns(self) -> None:
        records = [Record(REPOSITORY_HOST, "A", f"{self.prefix}.30")]
        for name, tens in (("alpha", 1), ("beta", 2)):
            # The first server of each provider is down, as one of them always is.
            targets = [
                (f"gw0.{name}.example", f"{self.prefix}.{tens}9", 5061),
                (f"gw1.{name}.example", f"{self.prefix}.{tens}0", 5061),
            ]
            records += sip_records(f"{name}.example", targets)
            records += [
                Record(f"sip.{name}.example", "A", f"{self.prefix}.{tens}1"),
                Record(f"spin.{name}.example", "A", f"{self.prefix}.{tens}0"),
            ]
        domains = ("alpha", "beta", "dp", "relay", "tokens", "sti-ca")
        zones = Zones([f"{name}.example" for name in domains], [*records, *self.more_records()])
        self.dns = NameServer(zones, f"{self.prefix}.53", DNS_PORT)
        await self.dns.start()
        self._stack.push_async_callback(self.dns.stop)

    async def _start_smsc(self) -> None:
        routes = {"alpha": ("+141555501*",), "beta": ("+121255501*",)}
        self.smsc = Smsc(SmscSettings(_SMSC_PORT, f"{self.prefix}.40", routes))
        await self.smsc.start()
        self._stack.push_async_callback(self.smsc.stop)

    async def _start_phone(self, name: str, number: str, provider: Provider, srtp: Srtp) -> None:
        phone = Softphone(self.phone_settings(name, number, provider, srtp))
        await phone.start()
        self._stack.push_async_callback(phone.close)
        await phone.register()
        self.phones[name] = phone

    def phone_settings(
        self, name: str, number: str, provider: Provider, srtp: Srtp
    ) -> SoftphoneSettings:
        """Return the settings of a user's softphone."""
        user = provider.config.user[0]
        host = 100 + len(self.phones) + 1
        return SoftphoneSettings(
            address_of_record=f"sip:{number}@{provider.domain}",
            transport="tls",
            bind_address=f"{self.prefix}.{host}",
            username=user.username,
            password=read_secret(user.password, user.password_file, "user[0].password"),
            proxy=f"sip:sip.{provider.domain}:5061;transport=tls",
            nameserver=(f"{self.prefix}.53", DNS_PORT),
            trust_anchor_file=self.folder / provider.name / "keys" / "tls-root.pem",
            srtp=srtp,
            answer_after=0.3,
            play=self.folder / f"{name}.wav",
            record=self.folder / f"{name}-heard-{{call}}.wav",
        )
