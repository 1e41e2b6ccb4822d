"""Alpha finds Beta's number with real parts: SMSC over SMPP, HTTPS callback, certificates, STIR."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import pytest
import smpp34
import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import create_async_engine

from discovery.cache import MappingCache
from discovery.model import Outcome, Resolution, Service
from discovery.number import NumberRanges
from discovery.spin.agent import Agent, AgentPolicy
from discovery.spin.callback_url import CallbackPolicy
from discovery.spin.handlers import Handler
from discovery.spin.invitation import parse_invitation
from discovery.spin.passports import PassportVerifier, Rejected, VerifiedPassport
from discovery.spin.pending import PendingInvitations
from discovery.spin.reason import Refusal, Refused
from discovery.spin.reference import References
from discovery.spin.segments import split_text
from gateway.agent_store import SqlAgentStore
from gateway.http.callback import CallbackServer
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import GuardedClient
from gateway.http.guard import GuardPolicy
from gateway.http.listener import HttpListener
from gateway.http.problem import problems
from gateway.http.references import ReferenceServer
from gateway.http.repository import CertificateRepository
from gateway.resolution import Resolver, ResolverLimits, TimedSource
from gateway.sms.message import IncomingSms, OutgoingMessage
from gateway.sms.transceiver import SmppSettings, SmsTransceiver
from gateway.spin.carriers import Carriers
from gateway.spin.keeping import KeptInMemory
from gateway.spin.kept_engines import KeptReferences
from gateway.spin.originating import OriginatingSettings, SpinSource
from gateway.spin.passports import StirSigner, StirVerifier
from gateway.spin.terminating import SpinTerminator
from stir.authentication import AuthenticationService
from stir.certificates.credential_cache import CredentialCache
from stir.certificates.issuing import Authority, Issued, issue_sti_certificate, make_root
from stir.certificates.tn_auth_list import One, Range, TnAuthList
from tests.interop.sms.test_transceiver import free_port
from tests.support.https import TestAuthority
from tests.support.spin_passports import ALICE, BOB, invitation_claims

pytestmark = pytest.mark.real
CALLBACK, CERTIFICATES = "spin.alpha.example", "certificates.example"


class LoopbackDns:
    """Every name is this machine."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


@dataclass
class World:
    """What stands around the two providers."""

    folder: Path
    web: TestAuthority
    sti: Authority
    smsc_port: int
    sms_count: int = 0
    esmes: dict[str, smpp34.Esme] = field(default_factory=dict)
    kept: list[tuple[str, str, bytes, int]] = field(default_factory=list)
    repository: HttpListener | None = None

    def x5u(self, name: str) -> str:
        assert self.repository is not None
        return f"https://{CERTIFICATES}:{self.repository.port}/certs/{name}.pem"

    def publish(self, name: str, issued: Issued) -> None:
        certs = self.folder / "certs"
        certs.mkdir(exist_ok=True)
        (certs / f"{name}.pem").write_bytes(issued.chain_pem)

    def tls(self, *names: str) -> ssl.SSLContext:
        return self.web.server_context(*names)

    async def route(self) -> None:
        """Be the SMSC: messages for Beta's numbers go to Beta, each part twice, others are kept."""
        server = smpp34.Server("127.0.0.1", self.smsc_port, system_id="DEV")
        await server.start()
        try:
            while True:
                event = await server.next()
                if isinstance(event, smpp34.Esme):
                    self.esmes[event.system_id] = event
                elif isinstance(event, smpp34.SubmitSmEvent):
                    event.accept(secrets.token_hex(4))
                    self.sms_count += 1
                    self.kept.append(
                        (
                            event.source_addr,
                            event.destination_addr,
                            bytes(event.short_message),
                            event.esm_class,
                        )
                    )
                    await self.deliver(self.kept[-1])
                    await self.deliver(self.kept[-1])
        finally:
            await server.stop()

    async def deliver(self, message: tuple[str, str, bytes, int]) -> None:
        source, destination, octets, esm_class = message
        if destination.startswith("1212555") and "beta" in self.esmes:
            # Beta may have unbound already when a test needed the first copy only.
            with contextlib.suppress(smpp34.SmppError):
                await self.esmes["beta"].deliver_sm(
                    destination, octets, source_addr=source, esm_class=esm_class, data_coding=0
                )


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    now = time.time()
    made = World(folder, TestAuthority(folder), make_root("STI root", now), free_port())
    (folder / "certs").mkdir()
    repository = CertificateRepository(folder / "certs")
    made.repository = HttpListener(
        repository.application(), "127.0.0.1", 0, tls=made.tls(CERTIFICATES)
    )
    await made.repository.start()
    smsc = asyncio.create_task(made.route())
    await asyncio.sleep(0.05)
    try:
        yield made
    finally:
        smsc.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await smsc
        await made.repository.stop()


def signing(around: World, name: str, granted: TnAuthList, *dns_names: str) -> StirSigner:
    issued = issue_sti_certificate(around.sti, granted, time.time(), dns_names=dns_names)
    around.publish(name, issued)
    assert issued.key_pem is not None
    return StirSigner(AuthenticationService(issued.key_pem, issued.chain_pem, around.x5u(name)))


def fetching(around: World, *ports: int) -> GuardedClient:
    assert around.repository is not None
    return GuardedClient(
        LoopbackDns(),
        policy=GuardPolicy(
            ports=frozenset({around.repository.port, *ports}),
            allow_networks=(ip_network("127.0.0.0/8"),),
        ),
        trust_file=around.web.trust_file,
    )


def verifying(around: World, *, accept_ranges: bool = False) -> PassportVerifier:
    assert around.repository is not None
    source = CertificateSource(fetching(around), CredentialCache(), time.time)
    return StirVerifier(
        source,
        [around.sti.certificate],
        accept_ranges=accept_ranges,
        extra_ports=frozenset({around.repository.port}),
    )


@dataclass
class Alpha:
    resolver: Resolver
    source: SpinSource
    sms: SmsTransceiver
    callback: CallbackServer
    listener: HttpListener


@asynccontextmanager
async def alpha(
    around: World, signer: StirSigner, *, patience: float = 5.0
) -> AsyncIterator[Alpha]:
    pending = PendingInvitations(secrets.token_bytes)
    sms = SmsTransceiver(
        SmppSettings(
            "127.0.0.1", around.smsc_port, "alpha", "x", submit_timeout=2.0, reconnect_pause=0.1
        ),
        lambda _: None,
    )
    callback = CallbackServer(
        pending, verifying(around), lambda waiting, got: source.deliver(waiting, got), time.time
    )
    listener = HttpListener(callback.application(), "127.0.0.1", 0, tls=around.tls(CALLBACK))
    await listener.start()
    source = SpinSource(
        OriginatingSettings(f"https://{CALLBACK}:{listener.port}"),
        pending,
        signer,
        Carriers(sms),
        wall_clock=time.time,
        on_late=lambda *late: resolver.learn(*late),
    )
    resolver = Resolver(
        [TimedSource(source, patience)],
        MappingCache(),
        wall_clock=time.time,
        limits=ResolverLimits(negative=0.0),
    )
    sms.start()
    await sms.wait_bound()
    try:
        yield Alpha(resolver, source, sms, callback, listener)
    finally:
        await sms.stop()
        await resolver.close()
        await listener.stop()


@dataclass
class Beta:
    agent: Agent
    store: SqlAgentStore
    inbox: list[tuple[IncomingSms, ...]]


@asynccontextmanager
async def beta(
    around: World, signer: StirSigner, callback_port: int, *, accept_ranges: bool = False
) -> AsyncIterator[Beta]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{around.folder / 'beta.sqlite'}")
    store = SqlAgentStore(engine)
    await store.create_tables()
    await store.add_handler(
        Handler(
            "h1",
            "softphone",
            "1212555",
            (Service.VOICE,),
            "sip:{number}@beta.example",
            "beta.example",
            time.time(),
        )
    )
    agent = Agent(
        AgentPolicy(
            numbers=NumberRanges(["+12125550100-+12125550199"]),
            unknown_senders="answer",
            callback=CallbackPolicy(ports=frozenset({callback_port})),
        ),
        secrets.token_bytes,
    )
    inbox: list[tuple[IncomingSms, ...]] = []
    side = SpinTerminator(
        agent,
        store,
        verifying(around, accept_ranges=accept_ranges),
        signer,
        fetching(around, callback_port),
        inbox.append,
        wall_clock=time.time,
    )
    sms = SmsTransceiver(
        SmppSettings("127.0.0.1", around.smsc_port, "beta", "x", reconnect_pause=0.1),
        side.on_message,
    )
    sms.start()
    await sms.wait_bound()
    try:
        yield Beta(agent, store, inbox)
    finally:
        await sms.stop()
        await side.close()
        await engine.dispose()


async def resolve(side: Alpha, number: str = f"+{BOB}") -> Resolution:
    return await side.resolver.resolve(number, Service.VOICE, caller=f"+{ALICE}")


ALICES, BOBS = TnAuthList((One(ALICE),)), TnAuthList((One(BOB),))


async def test_a_number_is_found_once_by_sms_and_then_from_the_cache(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        with structlog.testing.capture_logs() as logs:
            a = await stack.enter_async_context(
                alpha(around, signing(around, "alpha", ALICES, CALLBACK))
            )
            b = await stack.enter_async_context(
                beta(around, signing(around, "beta", BOBS), a.listener.port)
            )
            first = await resolve(a)
            parts = around.sms_count
            second = await resolve(a)
        assert [uri.uri for uri in first.uris] == [f"sip:+{BOB}@beta.example;user=phone"]
        assert first.asked_text() == "cache: not found; spin: found"
        assert second.asked_text() == "cache: found"
        assert 4 <= parts == around.sms_count
        assert (a.callback.taken, b.agent.answered) == (1, 1)
        async with asyncio.timeout(5):
            # Alpha knows before Beta has heard that its answer was taken.
            while not (entries := await b.store.audit(limit=1)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert entries[0].outcome == "ok"
        assert b.inbox == []
        for secret in (ALICE, BOB, "Bearer", "eyJ"):
            assert secret not in str(logs)


async def test_an_ordinary_message_reaches_betas_inbox_untouched(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        a = await stack.enter_async_context(
            alpha(around, signing(around, "alpha", ALICES, CALLBACK))
        )
        b = await stack.enter_async_context(
            beta(around, signing(around, "beta", BOBS), a.listener.port)
        )
        await a.sms.send(OutgoingMessage(ALICE, BOB, split_text("Dinner at eight? {€}", 1)))
        async with asyncio.timeout(5):
            while not b.inbox:  # noqa: ASYNC110 - the SMSC gives no event
                await asyncio.sleep(0.01)
        assert b.inbox[0][0].octets == split_text("Dinner at eight? {€}", 1)[0].octets


async def test_someone_without_an_agent_sees_the_fallback_text(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        signer = signing(around, "alpha", ALICES, CALLBACK)
        a = await stack.enter_async_context(alpha(around, signer, patience=0.3))
        resolution = await resolve(a, "+13105550123")
        assert resolution.asked[-1].outcome is Outcome.NO_ANSWER
        first_part = around.kept[0][2][6:].decode("ascii")
        assert first_part.startswith(
            "+1 415-555-0100 wants to voice-call you over the Internet. "
            "If you see this, call back normally. spin:1:"
        )


@pytest.mark.parametrize(
    ("granted", "names", "reason"),
    [
        (TnAuthList((One("14155550177"),)), (CALLBACK,), Refusal.UNTRUSTED_SIGNER),
        (TnAuthList((Range("14155550100", 100),)), (CALLBACK,), Refusal.UNTRUSTED_SIGNER),
        (ALICES, (), Refusal.CALLBACK_REFUSED),
        (ALICES, ("victim.example",), Refusal.CALLBACK_REFUSED),
    ],
)
async def test_an_invitation_its_certificate_does_not_cover_gets_no_packet(
    tmp_path: Path, granted: TnAuthList, names: tuple[str, ...], reason: Refusal
) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        signer = signing(around, "alpha", granted, *names)
        a = await stack.enter_async_context(alpha(around, signer, patience=1.0))
        b = await stack.enter_async_context(
            beta(around, signing(around, "beta", BOBS), a.listener.port)
        )
        assert not (await resolve(a)).found
        assert b.agent.ignored[reason] == 1
        assert (b.agent.answered, a.callback.taken) == (0, 0)
        assert sum(a.callback.refused.values()) == 0


async def test_a_range_certificate_is_taken_where_policy_says_so(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        numbers = TnAuthList((Range("14155550100", 100),))
        signer = signing(around, "alpha", numbers, CALLBACK)
        a = await stack.enter_async_context(alpha(around, signer))
        await stack.enter_async_context(
            beta(around, signing(around, "beta", BOBS), a.listener.port, accept_ranges=True)
        )
        assert (await resolve(a)).found


async def test_an_answer_signed_by_somebody_else_is_refused(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        signer = signing(around, "alpha", ALICES, CALLBACK)
        a = await stack.enter_async_context(alpha(around, signer, patience=1.0))
        stranger = signing(around, "stranger", TnAuthList((One("12125550177"),)))
        await stack.enter_async_context(beta(around, stranger, a.listener.port))
        assert not (await resolve(a)).found
        assert a.callback.refused == {Refusal.UNTRUSTED_SIGNER: 1}


async def test_a_captured_invitation_sent_again_is_ignored(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        a = await stack.enter_async_context(
            alpha(around, signing(around, "alpha", ALICES, CALLBACK))
        )
        b = await stack.enter_async_context(
            beta(around, signing(around, "beta", BOBS), a.listener.port)
        )
        assert (await resolve(a)).found
        for message in list(around.kept):
            await around.deliver(message)
        async with asyncio.timeout(5):
            while not b.agent.ignored:  # noqa: ASYNC110 - the SMSC gives no event
                await asyncio.sleep(0.01)
        assert b.agent.ignored == {Refusal.REPLAYED: 1}
        assert a.callback.taken == 1


async def test_a_repository_that_is_down_is_named_and_nothing_is_believed(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path))
        signer = signing(around, "alpha", ALICES, CALLBACK)
        a = await stack.enter_async_context(alpha(around, signer, patience=1.0))
        b = await stack.enter_async_context(
            beta(around, signing(around, "beta", BOBS), a.listener.port)
        )
        assert around.repository is not None
        await around.repository.stop()
        with structlog.testing.capture_logs() as logs:
            assert not (await resolve(a)).found
        assert b.agent.ignored == {Refusal.CREDENTIAL_UNAVAILABLE: 1}
        assert CERTIFICATES in str(logs)


async def test_certificates_inside_an_invitation_are_held_to_the_same_trust(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as around:
        claims = invitation_claims(iat=int(time.time()), exp=int(time.time()) + 60)
        signer = signing(around, "alpha", ALICES, CALLBACK)
        token = signer.sign("spin", claims, x5c=True)
        assert parse_invitation(token, x5c=True)[0].x5c
        verifier = verifying(around)

        async def verdict(text: str, orig: str = ALICE) -> object:
            found = await verifier.verify(text, ppt="spin", orig=orig, now=time.time())
            return found.reason if isinstance(found, Rejected) else found

        genuine = await verdict(token)
        assert isinstance(genuine, VerifiedPassport)
        assert genuine.certificate_names == (CALLBACK,)
        head, _, rest = token.partition(".")
        assert await verdict(f"{head}.{rest[:-8]}AAAAAAAA") is Refusal.FORGED
        wrong = signer.sign("spin", {**claims, "orig": {"tn": BOB}}, x5c=True)
        assert await verdict(wrong, BOB) is Refusal.UNTRUSTED_SIGNER
        stranger = make_root("a stranger's root", time.time())
        issued = issue_sti_certificate(stranger, ALICES, time.time(), dns_names=(CALLBACK,))
        assert issued.key_pem is not None
        forger = StirSigner(
            AuthenticationService(issued.key_pem, issued.chain_pem, around.x5u("alpha"))
        )
        assert await verdict(forger.sign("spin", claims, x5c=True)) is Refusal.UNTRUSTED_SIGNER
        # Only where there is room for it: never in a text message.
        with pytest.raises(Refused) as caught:
            parse_invitation(token)
        assert caught.value.reason is Refusal.WRONG_TYPE


async def test_an_invitation_by_reference_is_fetched_over_https_and_only_what_it_says(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as around:
        held = KeptReferences(References(secrets.token_bytes), KeptInMemory())
        server = HttpListener(
            Served(ReferenceServer(held, time.time)).application(),
            "127.0.0.1",
            0,
            tls=around.tls(CALLBACK),
        )
        await server.start()
        try:
            reference_id = await held.add("a.signed.token", time.time() + 60, time.time())
            client = fetching(around, server.port)
            base = f"https://{CALLBACK}:{server.port}/r/"
            fetched = await client.get(base + reference_id)
            assert (fetched.status, fetched.body) == (200, b"a.signed.token")
            assert fetched.headers["content-type"] == "application/spin-invitation+jwt"
            for path in ("unknown", reference_id[:-1], reference_id + "x"):
                assert (await client.get(base + path)).status == 404
        finally:
            await server.stop()


class Served:
    """One set of routes as an application."""

    def __init__(self, routes: ReferenceServer) -> None:
        self.routes = routes

    def application(self) -> web.Application:
        application = web.Application(middlewares=[problems])
        self.routes.add_to(application.router)
        return application
