"""SPIN as one service of the gateway: invitations out, answers in, the agent for own numbers."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from discovery.model import FoundUri
from discovery.number import NumberRanges
from discovery.spin.agent import Agent as SpinAgent
from discovery.spin.handlers import StoreUnavailable
from discovery.spin.limits import RateLimit
from discovery.spin.pending import PendingInvitations
from discovery.spin.reference import References
from gateway.agent_credentials import SqlCredentialStore
from gateway.agent_store import SqlAgentStore
from gateway.config.discovery import Agent, Spin
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.agent import AgentApi, AgentParts
from gateway.http.agent_calls import CallRoutes, Mode
from gateway.http.agent_choices import ChoiceRoutes
from gateway.http.agent_handlers import HandlerRoutes, HandlerSettings
from gateway.http.callback import CallbackServer, Routes
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import GuardedClient
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.mm7 import Mm7Receiver
from gateway.http.references import ReferenceServer
from gateway.http.sms_webhook import SmsWebhook
from gateway.http.unix_listener import UnixListener
from gateway.keys import Keys
from gateway.resolution import Resolver, ResolverLimits, TimedSource
from gateway.revocation import RevocationService
from gateway.services import server_context
from gateway.sms.message import IncomingSms
from gateway.spin.app_keys import FetchedAppKeys
from gateway.spin.finding import ResolverFinder
from gateway.spin.keeping import SqlKeeper
from gateway.spin.kept_engines import KeptInvitations, KeptNetworks, KeptReferences
from gateway.spin.making import (
    make_carriers,
    make_chosen_carrier,
    make_http_sender,
    make_networks,
    make_originating,
    make_policy,
    make_receipt_form,
    make_transceiver,
)
from gateway.spin.originating import SpinSource
from gateway.spin.passports import StirCallSigner, StirSigner, StirVerifier
from gateway.spin.terminating import SpinTerminator

_log = structlog.get_logger("spin")
_MINUTE: Final = 60.0
_WRITE_SECONDS: Final = 5.0
_WRITES_A_SWEEP: Final = 6
# A caller's application may stream events for as long as a question may last.
_STREAM_SECONDS: Final = 150.0
LateAnswer = Callable[[str, str, tuple[FoundUri, ...]], None]
"""(number, caller, uris): an answer that came when nobody waited any more."""


class SpinService:
    """Everything SPIN needs at run time; made before anything listens."""

    def __init__(
        self,
        config: Config,
        spin: Spin,
        keys: Keys,
        fetch: GuardedClient,
        certificates: CertificateSource,
        database: AsyncEngine,
        on_late: LateAnswer,
        *,
        revocation: RevocationService | None = None,
    ) -> None:
        assert keys.authentication is not None  # the configuration demands it beside [spin]
        self._config = config
        self._spin = spin
        signer = StirSigner(keys.authentication)
        self.verifier = verifier = StirVerifier(
            certificates,
            keys.sti_trust_anchors,
            accept_ranges=spin.accept_range_certificates,
            extra_ports=frozenset(config.fetch.ports),
            revocation=revocation,
        )
        pending = PendingInvitations(secrets.token_bytes)
        self._keeper = keeper = SqlKeeper(database)
        self._invitations = KeptInvitations(pending, keeper)
        smpp = config.sms.smpp
        self._smpp = (
            make_transceiver(smpp, keys, self._on_message, self._on_delivery) if smpp else None
        )
        self._provider = make_http_sender(config, keys, self._on_delivery)
        self._sender = sender = make_chosen_carrier(config.sms, self._smpp, self._provider)
        self._references = KeptReferences(References(secrets.token_bytes), keeper)
        networks = make_networks(spin)
        self._networks = KeptNetworks(networks, keeper)
        self._carriers = make_carriers(config, spin, keys, sender, self._references, networks)
        self.source = SpinSource(
            make_originating(config, spin),
            pending,
            signer,
            self._carriers,
            wall_clock=time.time,
            on_late=on_late,
            kept=self._invitations,
        )
        self._store = SqlAgentStore(database)
        self.agent = SpinAgent(make_policy(config, spin), secrets.token_bytes)
        self._terminator = SpinTerminator(
            self.agent,
            self._store,
            verifier,
            signer,
            fetch,
            self._inbox,
            wall_clock=time.time,
            keeper=keeper,
        )
        self.callback = CallbackServer(
            pending,
            verifier,
            self.source.deliver,
            time.time,
            per_source=RateLimit(spin.limits.answers_per_address_minute, _MINUTE),
            kept=self._invitations,
        )
        self.finder = ResolverFinder()
        self._apps = FetchedAppKeys(fetch)
        self._call_signer = StirCallSigner(keys.authentication)
        self._credentials = SqlCredentialStore(database)
        self._counted: dict[str, Mm7Receiver | SmsWebhook] = {}
        self._restoring: list[Callable[[], Awaitable[None]]] = []
        self._listeners = self._make_listeners(keys)
        self._stack = AsyncExitStack()

    def _make_listeners(self, keys: Keys) -> list[tuple[str, HttpListener | UnixListener]]:
        spin = self._spin
        tls = server_context(spin.certificate, spin.key)
        application = self.callback.application(*self._further_routes(keys))
        callback = HttpListener(application, spin.address, spin.port, tls=tls)
        listeners: list[tuple[str, HttpListener | UnixListener]] = [("spin.port", callback)]
        if spin.agent is not None and keys.agent_token is not None:
            try:
                api = self._agent_api(keys.agent_token)
            except ValueError as error:
                raise ConfigError("spin.agent.token", str(error)) from None
            listeners.append(agent_listener(api.application(), spin.agent))
        return listeners

    def _further_routes(self, keys: Keys) -> list[Routes]:
        """What else is reached at the callback server: references, the MMSC, an SMS provider."""
        routes: list[Routes] = [
            ReferenceServer(
                self._references,
                time.time,
                per_source=RateLimit(self._spin.limits.answers_per_address_minute, _MINUTE),
            )
        ]
        secret, mms, http = keys.carriages, self._spin.mms, self._config.sms.http
        if mms is not None and secret.mms_deliver_password:
            receiver = Mm7Receiver(
                mms.deliver_user, secret.mms_deliver_password, self._on_attachment, time.time
            )
            self._counted["mm7"] = receiver
            routes.append(receiver)
        if http is not None and secret.sms_webhook_key:
            key = secret.sms_webhook_key.encode()
            window = http.webhook_window_seconds
            hook = SmsWebhook(
                key,
                self._on_message,
                time.time,
                window=window,
                keeper=self._keeper,
                receipts=make_receipt_form(http.receipts),
                on_receipt=self._provider.receipt if self._provider is not None else None,
            )
            self._restoring.append(hook.restore)
            self._counted["sms"] = hook
            routes.append(hook)
        return routes

    def _agent_api(self, token: str) -> AgentApi:
        """Make the agent's interface; raises ValueError for a token that is too short."""
        provider = self._config.provider
        settings = HandlerSettings(
            NumberRanges(provider.numbers),
            frozenset({provider.domain, *provider.further_domains}),
            audience=provider.domain,
        )
        random, changed = secrets.token_bytes, self._terminator.reconsider
        handlers = HandlerRoutes(
            self._store,
            settings,
            self._apps,
            random=random,
            wall_clock=time.time,
            changed=changed,
            keeper=self._keeper,
        )
        self._restoring.append(handlers.restore)
        parts = AgentParts(
            self._store,
            self._credentials,
            handlers,
            ChoiceRoutes(self._store, settings.numbers, handlers, changed),
            CallRoutes(
                settings.numbers,
                self.finder,
                self._call_signer,
                random=random,
                wall_clock=time.time,
                speaks_for=handlers.speaks_for,
            ),
            settings,
        )
        return AgentApi(parts, token, random=random, wall_clock=time.time)

    def find_with(
        self, resolver: Resolver, sources: Sequence[TimedSource], limits: ResolverLimits
    ) -> None:
        """Let the agent's applications find numbers: as calls do, by invitation only, or without.

        resolver: the gateway's own, of these sources.
        """
        self.finder.use("auto", resolver, sources)
        invited = [TimedSource(self.source, self._spin.answer_timeout_seconds)]
        looked_up = [each for each in sources if each.source is not self.source]
        modes: tuple[tuple[Mode, Sequence[TimedSource]], ...] = (
            ("sms", invited),
            ("directory", looked_up),
        )
        for mode, chosen in modes:
            if chosen:
                made = Resolver(chosen, None, wall_clock=time.time, limits=limits)
                self.finder.use(mode, made, chosen)

    async def start(self) -> None:
        """Listen and bind to the SMSC; raises ConfigError for a port or database."""
        try:
            await self._store.create_tables()
            await self._restore()
        except StoreUnavailable as error:
            raise ConfigError("provider.state_directory", f"database: {error}") from None
        for key, listener in self._listeners:
            try:
                await listener.start()
            except OSError as error:
                raise ConfigError(key, str(error)) from None
            self._stack.push_async_callback(listener.stop)
        if self._smpp is not None:
            self._smpp.start()
        sweeper = asyncio.create_task(self._sweep(), name="spin sweep")
        self._stack.push_async_callback(self._end, sweeper)
        self._stack.push_async_callback(self._terminator.close)
        if self._smpp is not None:
            self._stack.push_async_callback(self._smpp.stop)
        self._stack.push_async_callback(self.finder.close)

    async def _restore(self) -> None:
        """Take up what an earlier process left, before anything of it is asked for."""
        now = time.time()
        for kept in (self._invitations, self._references, self._networks):
            await kept.restore(now)
        for restore in self._restoring:
            await restore()
        await self._terminator.restore()

    async def _sweep(self) -> None:
        """Write what was learnt, post what is owed, forget what has expired, for ever."""
        for turn in itertools.count(1):
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                await self._networks.write(time.time())
                if turn % _WRITES_A_SWEEP == 0:
                    await self._keeper.sweep(time.time())
                    self._terminator.try_again()
            except StoreUnavailable as error:
                _log.error("state not kept", culprit=str(error))

    async def _end(self, sweeper: asyncio.Task[None]) -> None:
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)
        try:
            await self._networks.write(time.time())
        except StoreUnavailable as error:
            _log.error("state not kept", culprit=str(error))

    async def stop(self) -> None:
        """Unbind, close, and give up invitations under way."""
        await self._stack.aclose()

    def counts(self) -> dict[tuple[str, ...], int]:
        """Return what happened since the start, by (kind, outcome): invitations taken, answers
        posted, answers taken. Outcomes are reason codes of a closed list."""
        return {
            ("invitation", "answered"): self.agent.answered,
            **{("invitation", str(why)): count for why, count in self.agent.ignored.items()},
            ("post", "delivered"): self._terminator.delivered,
            ("post", "undelivered"): self._terminator.undelivered,
            ("answer", "taken"): self.callback.taken,
            **{("carriage", str(kind)): count for kind, count in self._carriers.sent.items()},
            **{("asked", str(how)): count for how, count in self.source.outcomes.items()},
            **{("webhook", how): count for how, count in self._webhook_outcomes().items()},
            **{("answer", str(why)): count for why, count in self.callback.refused.items()},
        }

    def _webhook_outcomes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, routes in self._counted.items():
            found |= {f"{name} {how}": count for how, count in routes.outcomes.items()}
        return found

    @property
    def postponed(self) -> int:
        """Invitations that wait for their users' choice."""
        return self._terminator.postponed

    def sms_counts(self) -> dict[tuple[str, ...], int]:
        """Return what happened to short messages since the start, by carrier and kind."""
        carriers = {"smpp": self._smpp, "http": self._provider}
        kinds = ("sent", "throttled", "failed", "received", "receipts", "binds")
        return {
            (name, kind): getattr(carrier.counters, kind)
            for name, carrier in carriers.items()
            if carrier is not None
            for kind in kinds
        }

    @property
    def bound(self) -> bool:
        """Whether the SMSC is bound now; a provider reached over HTTP always is."""
        return self._smpp.bound if self._smpp is not None else True

    def _on_attachment(self, token: str, sender: str, recipient: str) -> None:
        self._terminator.on_attachment(token, sender=sender, recipient=recipient)

    def _on_delivery(self, label: str, delivered: bool) -> None:
        self._carriers.delivered(label, delivered, time.time())

    def _on_message(self, message: IncomingSms) -> None:
        self._terminator.on_message(message)

    def _inbox(self, messages: tuple[IncomingSms, ...]) -> None:
        """Ordinary messages go back to the SMSC, for the person they were sent to."""
        for message in messages:
            if self._smpp is not None:
                self._smpp.pass_on(message)


def agent_listener(
    application: web.Application, agent: Agent
) -> tuple[str, HttpListener | UnixListener]:
    """Return where the agent's interface is served, with the key that says so."""
    limits = ListenerLimits(lifetime=_STREAM_SECONDS)
    if agent.socket is not None:
        listener = UnixListener(application, agent.socket, group=agent.socket_group, limits=limits)
        return "spin.agent.socket", listener
    tls = None
    if agent.certificate is not None and agent.key is not None:
        tls = server_context(agent.certificate, agent.key)
        if agent.client_trust_anchors is not None:
            tls.load_verify_locations(agent.client_trust_anchors)
            tls.verify_mode = ssl.CERT_REQUIRED
    if ip_address(agent.address).is_loopback:
        # All applications of the host come from there: one's listeners are bounded by its number.
        limits = replace(limits, max_per_source=limits.max_connections)
    made = HttpListener(application, agent.address, agent.port, tls=tls, limits=limits)
    return "spin.agent.port", made
