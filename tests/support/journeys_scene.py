"""Two gateways as processes, applications at domains of their own, and what their users decide.

Both providers run an agent; the applications `wire` (wire.dp.example) and `chat`
(chat.relay.example) publish their keys over HTTPS at .90 and are installed by users of either.
"""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from discovery.client import agent
from discovery.client.agent import (
    AgentProblem,
    Question,
    read_credential,
    read_nonce,
)
from discovery.model import Service
from discovery.spin.handlers import Handler
from discovery.spin.rules import Contact, Rule
from gateway.config.files import read_secret
from gateway.demo.dns import Record
from gateway.demo.provider import Provider
from gateway.demo.scene import ALICE, BOB
from gateway.http.agent_client import AgentClient
from gateway.http.listener import HttpListener
from tests.support.agent_scene import AppDomain
from tests.support.two_providers import CAROL, QuickScene
from tests.support.two_providers import DAVE as DAVE

# Domains that the scene's name server is authoritative for, and that are no provider's.
WIRE: Final = AppDomain("wire.dp.example", "wire")
CHAT: Final = AppDomain("chat.relay.example", "chat")
DOMAINS: Final = {domain.app_id: domain for domain in (WIRE, CHAT)}
_MORE: Final = """
[discovery]
negative_seconds = 0.0

[spin.limits]
taken_per_number_minute = 1000
breaker_percent = 0
"""


class JourneysScene(QuickScene):
    """The scene with strangers left in silence, agents that trust each other, and two domains."""

    def configuration(self, name: str) -> str:
        text = super().configuration(name)
        other = "beta" if name == "alpha" else "alpha"
        return text.replace(
            'unknown_senders = "answer"',
            f'trusted_agents = ["spin.{other}.example"]\n'
            "invitations_per_number_hour = 1000\n"
            "invitations_per_sender_hour = 1000",
        )

    def more_records(self) -> list[Record]:
        return [Record(each.msp, "A", f"{self.prefix}.90") for each in DOMAINS.values()]

    async def start_more(self) -> None:
        names = tuple(each.msp for each in DOMAINS.values())
        tls_files = self.tests_authority.issue("apps", dns=names)
        application = web.Application()
        application.router.add_get("/.well-known/spin-app/{app_id}", _key)
        listener = HttpListener(application, f"{self.prefix}.90", 443, tls=_context(*tls_files))
        await listener.start()
        self._stack.push_async_callback(listener.stop)


class Journeys:
    """The scene, and its users' devices."""

    def __init__(self, scene: JourneysScene) -> None:
        self.scene = scene
        self.alpha, self.beta = scene.alpha, scene.beta
        self._clients: list[AgentClient] = []
        self._grants: dict[tuple[str, str], AgentClient] = {}
        self._sessions: dict[str, AgentClient] = {}

    def url(self, provider: Provider) -> str:
        section = provider.config.spin.agent if provider.config.spin else None
        assert section is not None
        return f"http://{section.address}:{section.port}"

    def client(self, provider: Provider, token: str) -> AgentClient:
        made = AgentClient(self.url(provider), token)
        self._clients.append(made)
        return made

    def provider_of(self, number: str) -> Provider:
        return self.alpha if number.startswith("+1415") else self.beta

    async def user(self, number: str) -> AgentClient:
        """A session of the user of a number."""
        if number not in self._sessions:
            provider = self.provider_of(number)
            section = provider.config.spin.agent if provider.config.spin else None
            assert section is not None
            token = read_secret(section.token, section.token_file, "spin.agent.token")
            opened = await self.client(provider, token).send(agent.open_session(number))
            self._sessions[number] = self.client(provider, read_credential(opened).token)
        return self._sessions[number]

    async def application(self, number: str, app_id: str) -> AgentClient:
        """An application that the user of a number has let in; it has no handler by that."""
        if (number, app_id) not in self._grants:
            granted = await (await self.user(number)).send(agent.let_in(app_id))
            token = read_credential(granted).token
            self._grants[number, app_id] = self.client(self.provider_of(number), token)
        return self._grants[number, app_id]

    async def install(self, number: str, app_id: str) -> str:
        """Let an application in, have it register with its domain's proof, and agree to it."""
        domain, provider = DOMAINS[app_id], self.provider_of(number)
        app = await self.application(number, app_id)
        given = read_nonce(await app.send(agent.nonce()))
        uri = f"mimi://{domain.msp}/u/{{tn}}"
        digits = number.removeprefix("+")
        wanted = Handler("", app_id, digits, (Service.IM,), uri, domain.msp, 0.0)
        claims = domain.claims(given.nonce, number=number, aud=provider.domain, uri=uri)
        assert agent.proof_signing_input(wanted, given)
        made = await app.send(
            agent.register(app_id, [Service.IM], uri, domain.msp, proof=domain.proof(claims))
        )
        await (await self.user(number)).send(agent.consent(str(made["id"])))
        return str(made["id"])

    async def decide(self, number: str, *rules: Rule, contacts: tuple[Contact, ...] = ()) -> None:
        """Replace the rules and contacts of a user."""
        session = await self.user(number)
        await session.send(agent.set_contacts(contacts))
        await session.send(agent.set_rules(rules))

    async def ask(
        self,
        by: str,
        for_number: str = BOB,
        *,
        app_id: str = "wire",
        service: Service = Service.IM,
        mode: agent.Mode = "sms",
        omsp: str | None = None,
        tag: str | None = None,
    ) -> Question:
        """Have a user's application find a number."""
        app = await self.application(by, app_id)
        return await app.resolve(for_number, service, mode=mode, timeout=10, omsp=omsp, tag=tag)

    async def found(self, by: str, **how: object) -> list[str]:
        """Return the URIs that a user's application finds Bob at."""
        asked = await self.ask(by, **how)  # type: ignore[arg-type]
        return [uri.uri for uri in asked.uris]

    async def kill(self, provider: Provider) -> None:
        """End a gateway as a power cut does, and start it again."""
        assert provider.process_id is not None
        os.kill(provider.process_id, signal.SIGKILL)
        await provider.ended()
        await provider.start()

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


async def refused(sending: Awaitable[object]) -> int:
    """Return the HTTP status with which an agent refuses."""
    try:
        await sending
    except AgentProblem as problem:
        return problem.status
    raise AssertionError("it was not refused")


def at(domain: AppDomain, number: str = BOB) -> str:
    """Return where a number is found in an application."""
    return f"mimi://{domain.msp}/u/{number}"


async def _key(request: web.Request) -> web.Response:
    domain = DOMAINS.get(request.match_info["app_id"])
    if domain is None or request.host != domain.msp:
        raise web.HTTPNotFound
    return web.json_response(domain.jwk())


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def journeys(folder: Path) -> AsyncIterator[Journeys]:
    """Start both gateways; Bob and Alice have both applications, Carol has chat alone."""
    additions = {"alpha": _MORE, "beta": _MORE}
    async with JourneysScene(folder, lambda _: None, with_phones=False, additions=additions) as it:
        made = Journeys(it)
        try:
            for number, apps in ((BOB, ("chat", "wire")), (ALICE, ("wire",)), (CAROL, ("chat",))):
                for app_id in apps:
                    await made.install(number, app_id)
            yield made
        finally:
            await made.close()


__all__ = ["ALICE", "BOB", "CAROL", "CHAT", "WIRE", "Journeys", "at", "journeys"]
