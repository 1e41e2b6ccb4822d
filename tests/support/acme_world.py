"""Everything around certificate renewal over real HTTPS on loopback: CA, STI-PA, repository."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.config import Config, load_config
from gateway.dns import DnsResolver, DnsSettings
from gateway.http.repository import CertificateRepository
from gateway.renewal.store import HeldCertificate
from gateway.renewal.wiring import RenewalParts, make_renewal
from stir.certificates.certificate import Credential, load_credential
from stir.certificates.issuing import make_intermediate, make_root, to_pem
from stir.certificates.tn_auth_list import Spc, TnAuthList
from tests.support.acme_authority import AcmeAuthority
from tests.support.acme_resources import Temper
from tests.support.https import TestAuthority
from tests.support.token_authority import TokenAuthority

ADDRESS = "127.0.0.1"
ASKED = TnAuthList((Spc("TEST"),))

_CONFIG = """
[provider]
domain = "alpha.example"
numbers = ["+14155550100-+14155550199"]
state_directory = "state"

[[listen]]
name = "peers"
role = "peers"
transport = "udp"
address = "127.0.0.1"
port = 5060

[stir.authentication]

[stir.verification]
trust_anchors = ["sti-root.pem"]

[stir.acme]
directory = "{directory}"
publish_url = "{repository}/certs/"
publish_directory = "certs"
service_provider_codes = ["TEST"]
organization = "Alpha Telecom"
country = "US"
contact = ["mailto:certificates@alpha.example"]
agree_terms_of_service = true
trust_anchors = "root.pem"
publish_timeout_seconds = 1.0
timeout_seconds = 5.0
{acme}

[stir.acme.token]
{token}

[fetch]
trust_anchors = "root.pem"
allow_networks = ["127.0.0.0/8"]
ports = [443, 8443, {port}]
"""
_TOKEN_API = """
url = "{sti_pa}/api/v1/account/1234/token"
login_url = "{sti_pa}/api/v1/auth/login"
user = "edge"
password_file = "sti-pa.password"
trust_anchors = "root.pem"
"""


class AcmeWorld:
    """A folder with a configuration, and the servers it names; `now` moves the clock of all."""

    def __init__(self, folder: Path, temper: Temper, seed: int) -> None:
        self.folder = folder
        self.certs = folder / "certs"
        self.certs.mkdir()
        self.ahead = 0.0
        self.tls_authority = TestAuthority(folder)
        self.root = make_root("Test STI Root", time.time())
        self.issuer = make_intermediate(self.root, "Test STI Issuing CA", time.time())
        (folder / "sti-root.pem").write_bytes(to_pem(self.root.certificates))
        self.tokens = TokenAuthority(self.clock)
        (folder / "sti-pa.password").write_text(f"{self.tokens.password}\n")
        self.sockets = {name: _bound() for name in ("acme", "sti-pa", "repository")}
        self.authority = AcmeAuthority(
            self.issuer, self.tokens, self.url("acme"), self.clock, temper=temper, seed=seed
        )
        self.repository = CertificateRepository(self.certs, wall_clock=self.clock)

    def clock(self) -> float:
        return time.time() + self.ahead

    def url(self, name: str) -> str:
        return f"https://{ADDRESS}:{self.sockets[name].getsockname()[1]}"

    def write_config(self, *, acme: str = "", token: str = "", **replaced: str) -> Path:
        """Write the configuration; `acme` are more lines of [stir.acme], `token` its source."""
        path = self.folder / "gateway.toml"
        text = _CONFIG.format(
            directory=replaced.get("directory", self.authority.directory_url),
            repository=self.url("repository"),
            port=self.sockets["repository"].getsockname()[1],
            acme=acme,
            token=token or _TOKEN_API.format(sti_pa=self.url("sti-pa")),
        )
        path.write_text(text, encoding="utf-8")
        return path

    def config(self, **changes: str) -> Config:
        return load_config(self.write_config(**changes), {})

    def parts(
        self, config: Config | None = None, progress: Callable[[str], None] = lambda _: None
    ) -> RenewalParts:
        """What renewal works with, as the gateway makes it."""
        config = config or self.config()
        resolver = DnsResolver(DnsSettings(nameservers=((ADDRESS, 9),)))
        return make_renewal(
            config,
            self.root.certificates,
            resolver,
            self.clock,
            progress=progress,
        )

    def held(self, held: HeldCertificate) -> Credential:
        """The published chain of a certificate."""
        return load_credential((self.certs / f"{held.name}.pem").read_bytes())

    @property
    def state(self) -> Path:
        return self.folder / "state" / "acme"


@asynccontextmanager
async def acme_world(
    folder: Path, temper: Temper | None = None, *, seed: int = 1, serve_repository: bool = True
) -> AsyncIterator[AcmeWorld]:
    """The servers, as long as the context lasts."""
    world = AcmeWorld(folder, temper or Temper(retry_after=0), seed)
    applications: dict[str, Any] = {
        "acme": world.authority.application(),
        "sti-pa": world.tokens.application(),
    }
    if serve_repository:
        applications["repository"] = world.repository.application()
    tls = world.tls_authority.server_context(ADDRESS)
    runners = [
        await _serve(application, world.sockets[name], tls)
        for name, application in applications.items()
    ]
    try:
        yield world
    finally:
        for runner in runners:
            await runner.cleanup()
        for each in world.sockets.values():
            each.close()


async def _serve(
    application: web.Application, bound: socket.socket, tls: ssl.SSLContext
) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, bound, ssl_context=tls).start()
    return runner


def _bound() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((ADDRESS, 0))
    return made
