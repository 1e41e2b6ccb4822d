"""An agent's interface over a real store, with an application, its domain, user and provider."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from discovery.model import Assurance, FoundUri, Outcome, Resolution, Service, SourceOutcome
from discovery.number import NumberRanges
from discovery.sources import About
from gateway.agent_credentials import SqlCredentialStore
from gateway.agent_store import SqlAgentStore
from gateway.http.agent import AgentApi, AgentParts
from gateway.http.agent_calls import CallLimits, CallRoutes, Mode, ModeUnavailable, SigningRefused
from gateway.http.agent_choices import ChoiceRoutes
from gateway.http.agent_handlers import HandlerRoutes, HandlerSettings
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.spin.app_keys import FetchedAppKeys
from tests.support.spin_passports import BOB, NOW, base64url, canonical

PROVIDER_TOKEN = "a-token-of-the-provider"
NUMBERS = ("+12125550100-+12125550199",)


class AppDomain:
    """A domain that publishes the key of one application and signs its proofs."""

    def __init__(self, msp: str = "chat.example", app_id: str = "wire") -> None:
        self.msp, self.app_id = msp, app_id
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def url(self) -> str:
        return f"https://{self.msp}/.well-known/spin-app/{self.app_id}"

    def jwk(self) -> dict[str, object]:
        numbers = self.key.public_key().public_numbers()
        x, y = (base64url(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def claims(self, nonce: str, **changes: object) -> dict[str, object]:
        return {
            "app_id": self.app_id,
            "aud": "beta.example",
            "nonce": nonce,
            "number": f"+{BOB}",
            "svc": ["im"],
            "uri": f"mimi://{self.msp}/u/{{tn}}",
            **changes,
        }

    def proof(self, claims: dict[str, object], **header: object) -> str:
        head = {"alg": "ES256", "typ": "spin-app", **header}
        signing_input = f"{base64url(canonical(head))}.{base64url(canonical(claims))}"
        r, s = decode_dss_signature(
            self.key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
        )
        return f"{signing_input}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def handler(self, proof: str | None = None, **changes: object) -> dict[str, object]:
        document: dict[str, object] = {
            "app_id": self.app_id,
            "svc": ["im"],
            "uri": f"mimi://{self.msp}/u/{{tn}}",
            "msp": self.msp,
            **changes,
        }
        return document if proof is None else {**document, "proof": proof}


@dataclass
class FakeWeb:
    """The guarded client: documents by URL; anything else does not exist."""

    documents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        self.asked.append(url)
        if url not in self.documents:
            raise FetchFailed(url.split("/")[2], FailureReason.CONNECT, "no connection")
        return Fetched(200, {}, self.documents[url])

    def publish(self, domain: AppDomain) -> None:
        self.documents[domain.url] = canonical(domain.jwk())


@dataclass
class FakeFinder:
    """Answers once it is let go; the number 14155550199 is never found."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    about: list[About] = field(default_factory=list)

    def check(self, mode: Mode) -> None:
        if mode == "directory":
            raise ModeUnavailable("no directory is configured")

    async def find(
        self,
        number: str,
        service: Service,
        *,
        caller: str,
        mode: Mode,
        timeout: float,
        about: About,
    ) -> Resolution:
        self.asked.append((number, caller, mode))
        self.about.append(about)
        await self.go.wait()
        if number.endswith("99"):
            return Resolution(
                number, service, (), (SourceOutcome("spin", Outcome.NO_ANSWER, "silence", 1.0),)
            )
        uri = FoundUri(
            service, f"sip:+{number}@a.example", "a.example", 10, Assurance.SIGNED, NOW + 9
        )
        return Resolution(number, service, (uri,), (SourceOutcome("spin", Outcome.FOUND, "", 0.5),))


class FakeCallSigner:
    """Says what it would sign."""

    def identity(self, orig: str, dest: str, now: float, media_keys: object) -> str:
        if media_keys == []:
            raise SigningRefused("mky is empty")
        return f"{orig}>{dest}"

    def key_attestation(self, orig: str, kind: str, jkt: str, now: float, expires: float) -> str:
        return f"{orig}:{kind}:{jkt}"


@dataclass
class AgentScene:
    """The interface, and tokens for those who use it."""

    client: TestClient[web.Request, web.Application]
    store: SqlAgentStore
    web: FakeWeb
    finder: FakeFinder
    changed: list[str]
    now: list[float]
    make_application: Callable[[], Application]
    session: str = ""

    async def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> ClientResponse:
        """Make a request with a token, the user session's where none is given."""
        return await self.client.request(
            method,
            f"/os/v1{path}",
            json=document,
            headers={"Authorization": f"Bearer {token or self.session}", **headers},
        )

    async def told(
        self, method: str, path: str, document: object = None, *, token: str | None = None
    ) -> dict[str, object]:
        """Make a request that succeeds, and return what is answered."""
        response = await self.call(method, path, document, token=token)
        assert response.status < 300, (response.status, await response.text())
        found: dict[str, object] = await response.json() if response.status != 204 else {}
        return found

    async def token_for(self, app_id: str, *, number: str | None = None) -> str:
        """Let an application in: by the user, or by the provider for a number or prefix."""
        if number is None:
            made = await self.told("POST", "/apps", {"app_id": app_id})
        else:
            made = await self.told(
                "POST", "/apps", {"app_id": app_id, "number": number}, token=PROVIDER_TOKEN
            )
        return str(made["token"])

    async def open_session(self, number: str = f"+{BOB}") -> str:
        made = await self.told("POST", "/sessions", {"number": number}, token=PROVIDER_TOKEN)
        return str(made["token"])

    async def register(self, domain: AppDomain, *, consent: bool = True) -> str:
        """Let an application in, have it register with its proof, and agree to it."""
        self.web.publish(domain)
        token = await self.token_for(domain.app_id)
        nonce = str((await self.told("POST", "/nonces", token=token))["nonce"])
        proof = domain.proof(domain.claims(nonce))
        made = await self.told("POST", "/handlers", domain.handler(proof), token=token)
        if consent:
            await self.told("POST", f"/handlers/{made['id']}/consent")
        return str(made["id"])


def make_api(
    engine: AsyncEngine,
    web_client: FakeWeb,
    finder: FakeFinder,
    changed: list[str],
    now: list[float],
    *,
    token: str = PROVIDER_TOKEN,
    max_handlers: int = 3,
    limits: CallLimits | None = None,
) -> tuple[AgentApi, SqlAgentStore]:
    """Make the interface over an engine."""
    counter = itertools.count()
    store = SqlAgentStore(engine)
    settings = HandlerSettings(
        NumberRanges(NUMBERS), frozenset({"beta.example"}), "beta.example", max_handlers
    )

    def random(count: int) -> bytes:
        return next(counter).to_bytes(count, "big")

    def clock() -> float:
        return now[0]

    handlers = HandlerRoutes(
        store,
        settings,
        FetchedAppKeys(web_client),
        random=random,
        wall_clock=clock,
        changed=changed.append,
    )
    calls = CallRoutes(
        settings.numbers,
        finder,
        FakeCallSigner(),
        random=random,
        wall_clock=clock,
        speaks_for=handlers.speaks_for,
        limits=limits,
    )
    parts = AgentParts(
        store,
        SqlCredentialStore(engine),
        handlers,
        ChoiceRoutes(store, settings.numbers, handlers, changed.append),
        calls,
        settings,
    )
    return AgentApi(parts, token, random=random, wall_clock=clock), store


@asynccontextmanager
async def agent_scene(
    folder: Path, *, max_handlers: int = 3, limits: CallLimits | None = None
) -> AsyncIterator[AgentScene]:
    """Serve an agent for Beta's numbers, with a session of BOB's."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'agent.sqlite'}")
    web_client, finder, changed, now = FakeWeb(), FakeFinder(), list[str](), [NOW]
    api, store = make_api(
        engine, web_client, finder, changed, now, max_handlers=max_handlers, limits=limits
    )
    await store.create_tables()
    async with TestClient(TestServer(api.application())) as client:
        scene = AgentScene(client, store, web_client, finder, changed, now, api.application)
        scene.session = await scene.open_session()
        yield scene
    await engine.dispose()
