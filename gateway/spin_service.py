"""SPIN as one service of the gateway: invitations out, answers in, the agent for own numbers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from discovery.model import FoundUri, Service
from discovery.number import NumberRanges
from discovery.spin.agent import Agent as SpinAgent
from discovery.spin.agent import AgentPolicy
from discovery.spin.breaker import BreakerPolicy
from discovery.spin.callback_url import CallbackPolicy
from discovery.spin.handlers import StoreUnavailable
from discovery.spin.limits import RateLimit
from discovery.spin.pending import PendingInvitations
from gateway.agent_credentials import SqlCredentialStore
from gateway.agent_store import SqlAgentStore
from gateway.config.discovery import Smpp, Spin
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.agent import AgentApi, AgentParts
from gateway.http.agent_calls import CallRoutes, Mode
from gateway.http.agent_choices import ChoiceRoutes
from gateway.http.agent_handlers import HandlerRoutes, HandlerSettings
from gateway.http.callback import CallbackServer
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import GuardedClient
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.keys import Keys
from gateway.resolution import Resolver, ResolverLimits, TimedSource
from gateway.revocation import RevocationService
from gateway.services import server_context
from gateway.sms.message import IncomingSms
from gateway.sms.transceiver import SmppSettings, SmsTransceiver
from gateway.spin.app_keys import FetchedAppKeys
from gateway.spin.finding import ResolverFinder
from gateway.spin.originating import OriginatingSettings, SpinSource
from gateway.spin.passports import StirCallSigner, StirSigner, StirVerifier
from gateway.spin.terminating import SpinTerminator

_HOUR: Final = 3600.0
_MINUTE: Final = 60.0
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
        self._sms = _transceiver(config.sms.smpp, keys, self._on_message)
        self.source = SpinSource(
            _originating(config, spin),
            pending,
            signer,
            self._sms,
            wall_clock=time.time,
            on_late=on_late,
        )
        self._store = SqlAgentStore(database)
        self.agent = SpinAgent(_policy(config, spin), secrets.token_bytes)
        self._terminator = SpinTerminator(
            self.agent, self._store, verifier, signer, fetch, self._inbox, wall_clock=time.time
        )
        self.callback = CallbackServer(
            pending,
            verifier,
            self.source.deliver,
            time.time,
            per_source=RateLimit(spin.limits.answers_per_address_minute, _MINUTE),
        )
        self.finder = ResolverFinder()
        self._apps = FetchedAppKeys(fetch)
        self._call_signer = StirCallSigner(keys.authentication)
        self._credentials = SqlCredentialStore(database)
        self._listeners = self._make_listeners(keys)
        self._stack = AsyncExitStack()

    def _make_listeners(self, keys: Keys) -> list[tuple[str, HttpListener]]:
        spin = self._spin
        tls = server_context(spin.certificate, spin.key)
        callback = HttpListener(self.callback.application(), spin.address, spin.port, tls=tls)
        listeners = [("spin", callback)]
        if spin.agent is not None and keys.agent_token is not None:
            try:
                api = self._agent_api(keys.agent_token)
            except ValueError as error:
                raise ConfigError("spin.agent.token", str(error)) from None
            server = HttpListener(
                api.application(),
                spin.agent.address,
                spin.agent.port,
                tls=None,
                limits=ListenerLimits(lifetime=_STREAM_SECONDS),
            )
            listeners.append(("spin.agent", server))
        return listeners

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
            self._store, settings, self._apps, random=random, wall_clock=time.time, changed=changed
        )
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
        self.finder.use("auto", resolver)
        invited = [TimedSource(self.source, self._spin.answer_timeout_seconds)]
        looked_up = [each for each in sources if each.source is not self.source]
        modes: tuple[tuple[Mode, Sequence[TimedSource]], ...] = (
            ("sms", invited),
            ("directory", looked_up),
        )
        for mode, chosen in modes:
            if chosen:
                made = Resolver(chosen, None, wall_clock=time.time, limits=limits)
                self.finder.use(mode, made)

    async def start(self) -> None:
        """Listen and bind to the SMSC; raises ConfigError for a port or database."""
        try:
            await self._store.create_tables()
        except StoreUnavailable as error:
            raise ConfigError("provider.state_directory", f"database: {error}") from None
        for key, listener in self._listeners:
            try:
                await listener.start()
            except OSError as error:
                raise ConfigError(f"{key}.port", str(error)) from None
            self._stack.push_async_callback(listener.stop)
        self._sms.start()
        self._stack.push_async_callback(self._terminator.close)
        self._stack.push_async_callback(self._sms.stop)
        self._stack.push_async_callback(self.finder.close)

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
            **{("answer", str(why)): count for why, count in self.callback.refused.items()},
        }

    def sms_counts(self) -> dict[tuple[str, ...], int]:
        """Return what happened to short messages since the start, by kind."""
        counters = self._sms.counters
        kinds = ("sent", "throttled", "failed", "received", "receipts", "binds")
        return {(kind,): getattr(counters, kind) for kind in kinds}

    @property
    def bound(self) -> bool:
        """Whether the SMSC is bound now."""
        return self._sms.bound

    def _on_message(self, message: IncomingSms) -> None:
        self._terminator.on_message(message)

    def _inbox(self, messages: tuple[IncomingSms, ...]) -> None:
        """Ordinary messages go back to the SMSC, for the person they were sent to."""
        for message in messages:
            self._sms.pass_on(message)


def _transceiver(
    settings: Smpp | None, keys: Keys, on_message: Callable[[IncomingSms], None]
) -> SmsTransceiver:
    if settings is None:
        raise ConfigError("sms.smpp", "is missing: [spin] needs an SMSC to send invitations by")
    return SmsTransceiver(
        SmppSettings(
            host=settings.host,
            port=settings.port,
            system_id=settings.system_id,
            password=keys.smpp_password or "",
            window=settings.window,
            submit_timeout=settings.submit_timeout_seconds,
            reconnect_pause=settings.reconnect_seconds,
        ),
        on_message,
    )


def _originating(config: Config, spin: Spin) -> OriginatingSettings:
    smpp = config.sms.smpp
    source = smpp.source_address if smpp is not None else None
    limits = spin.limits
    return OriginatingSettings(
        callback_url=spin.callback_url.rstrip("/"),
        mapping_lifetime=config.discovery.cache_seconds,
        locale=spin.language,
        source_address=source.lstrip("+") if source else None,
        allowed_prefixes=tuple(prefix.lstrip("+") for prefix in spin.invite_prefixes),
        provider=config.provider.domain,
        together=tuple(Service(service) for service in spin.together),
        message_lifetime=spin.message_lifetime_seconds,
        per_number=RateLimit(spin.invitations_per_number_hour, _HOUR),
        per_caller=RateLimit(limits.sent_per_caller_hour, _HOUR),
        per_prefix=RateLimit(limits.sent_per_prefix_hour, _HOUR),
        total=RateLimit(limits.sent_per_minute, _MINUTE),
        breaker=BreakerPolicy(
            limits.breaker_percent, limits.breaker_invitations, limits.breaker_pause_seconds
        ),
    )


def _policy(config: Config, spin: Spin) -> AgentPolicy:
    return AgentPolicy(
        numbers=NumberRanges(config.provider.numbers),
        known_senders=NumberRanges(spin.known_senders),
        unknown_senders=spin.unknown_senders,
        callback=CallbackPolicy(
            ports=frozenset(config.fetch.ports), trusted_hosts=frozenset(spin.trusted_agents)
        ),
        per_sender=RateLimit(spin.invitations_per_sender_hour, _HOUR),
        per_target=RateLimit(spin.limits.taken_per_number_minute, _MINUTE),
        per_prefix=RateLimit(spin.limits.taken_per_prefix_minute, _MINUTE),
    )
