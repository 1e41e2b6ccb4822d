"""The composition root: construct, wire, run, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import create_async_engine

from discovery.cache import MappingCache
from discovery.model import FoundUri
from discovery.sources import Source
from gateway.binding_store import BindingsUnavailable, SqlBindingStore
from gateway.calls.making import CallResources, make_call_handling
from gateway.calls.record import CallRecordFile
from gateway.calls.state import CallTable
from gateway.config.load import ConfigError, cannot_bind
from gateway.config.root import Config
from gateway.directory.sealing import CallerKeys
from gateway.directory_making import directory_seconds, make_directory_source
from gateway.http.admin import admin_application
from gateway.http.listener import HttpListener
from gateway.keys import Keys
from gateway.listeners import Listeners
from gateway.loop_faults import on_loop_fault
from gateway.metrics import Metrics
from gateway.number_sources import enum_source, resolver_limits, timed_sources
from gateway.operator_view import OperatorView
from gateway.resolution import Resolver
from gateway.services import (
    make_fetch_client,
    make_media_engine,
    make_next_hops,
    make_resolver,
)
from gateway.spin_service import SpinService
from gateway.started import settle_memory
from gateway.stir_service import StirService
from gateway.trace import MessageTrace

_DRAIN_SECONDS: Final = 30.0
_DRAIN_POLL_SECONDS: Final = 0.2
_LAST_BYES_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 10.0
_log = structlog.get_logger("spingate")


class Gateway:
    """One gateway process: everything constructed and wired, then started and stopped."""

    def __init__(self, config: Config, keys: Keys) -> None:
        """Construct and wire; nothing listens yet. Raises ConfigError."""
        self.config = config
        self._keys = keys
        self._stack = AsyncExitStack()
        self.metrics = Metrics()
        self._trace = MessageTrace(config.provider.domain, config.log.trace_file)
        self._records = CallRecordFile(config.log.call_record_file)
        self._resolver = make_resolver(config)
        database = config.provider.state_directory / "spingate.db"
        self._database = create_async_engine(f"sqlite+aiosqlite:///{database}")
        self._bindings = SqlBindingStore(self._database)
        self._media = make_media_engine(config)
        self.calls = CallTable(config.sip.max_calls, config.sip.max_call_seconds)
        self._fetch = make_fetch_client(config, self._resolver)
        self._stir = StirService(config, keys, self._fetch, time.time, self._resolver)
        self._spin = self._make_spin(keys)
        self._mappings = self._make_mapping_cache()
        self.resolver = self._make_number_resolver()
        handling = make_call_handling(config, keys, self._call_resources())
        self.endpoint, self.control = handling.endpoint, handling.control
        self._ending = handling.ending
        self._hurry = asyncio.Event()
        self._gauges()

    def _call_resources(self) -> CallResources:
        listeners = Listeners(self.config.provider, self.config.listen)
        return CallResources(
            dns=self._resolver,
            next_hops=make_next_hops(self.config, self._resolver, listeners),
            listeners=listeners,
            bindings=self._bindings,
            media=self._media,
            table=self.calls,
            stir=self._stir,
            numbers=self.resolver,
            metrics=self.metrics,
            trace=self._trace,
            records=self._records,
        )

    def _make_spin(self, keys: Keys) -> SpinService | None:
        spin = self.config.spin
        if spin is None:
            return None
        return SpinService(
            self.config,
            spin,
            keys,
            self._fetch,
            self._stir.certificates,
            self._database,
            self._learn,
            revocation=self._stir.revocation,
        )

    def _learn(self, number: str, caller: str, uris: tuple[FoundUri, ...]) -> None:
        """Keep an answer that came when nobody waited any more; the resolver is made last."""
        self.resolver.learn(number, caller, uris)

    def _make_mapping_cache(self) -> MappingCache | None:
        settings = self.config.discovery
        if "cache" not in settings.order:
            return None
        return MappingCache(max_entries=settings.cache_entries, max_lifetime=settings.cache_seconds)

    def _make_number_resolver(self) -> Resolver:
        settings, spin = self.config.discovery, self.config.spin
        seconds = spin.answer_timeout_seconds if spin is not None else 0.0
        self._enum = enum_source(settings.enum, self._resolver)
        provider = self.config.provider
        self._directory = make_directory_source(
            settings.directory,
            self._resolver,
            own_domains=frozenset({provider.domain, *provider.further_domains}),
        )
        if self._directory is not None:
            self._directory.measure(self.metrics)
        made: dict[str, tuple[Source | None, float]] = {
            "directory": (self._directory, directory_seconds(settings.directory)),
            "enum": (self._enum, settings.enum.budget_seconds if settings.enum else 0.0),
            "spin": (self._spin.source if self._spin is not None else None, seconds),
        }
        unshared = self._directory.personal if self._directory is not None else CallerKeys()
        sources, limits = timed_sources(settings, made), resolver_limits(settings, unshared)
        resolver = Resolver(sources, self._mappings, wall_clock=time.time, limits=limits)
        if self._spin is not None:
            self._spin.find_with(resolver, sources, limits)
        return resolver

    # --- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises ConfigError where a port or the database is not to be had."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        stack = self._stack
        stack.callback(self._trace.close)
        stack.callback(self._records.close)
        stack.push_async_callback(self._resolver.close)
        stack.push_async_callback(self._database.dispose)
        try:
            await self._bindings.create_tables()
        except BindingsUnavailable as error:
            raise ConfigError("provider.state_directory", f"database: {error}") from None
        if self._directory is not None:
            stack.push_async_callback(self._directory.close)
            self._directory.begin()
        stack.push_async_callback(self.resolver.close)
        stack.push_async_callback(self._media.close)
        stack.push_async_callback(self._stir.stop)
        await self._stir.start()
        if self._spin is not None:
            self._stir.anchors.follow(self._spin.verifier.replace_anchors)
            await self._spin.start()
            stack.push_async_callback(self._spin.stop)
        try:
            await self.endpoint.start()
        except OSError as error:
            raise ConfigError("listen", str(error)) from None
        stack.push_async_callback(self.endpoint.stop)
        sweeper = asyncio.get_running_loop().create_task(self._sweep())
        stack.callback(sweeper.cancel)
        # Last, so that /healthz answers no sooner than everything else does.
        await self._serve_http("admin", self._admin())

    async def stop(self, *, drain: float = 0.0) -> None:
        """Take no new calls, let calls end for `drain` seconds, end the rest, close everything."""
        self.control.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                await self._no_calls_left()
        self.control.give_up()
        for call in self.calls.calls():
            if call.record.answered is not None:
                self._ending.hang_up(call, "gateway stops", sides=("caller", "callee"))
        await self.endpoint.stop(drain=_LAST_BYES_SECONDS)
        await self._stack.aclose()

    def reload(self, read: Callable[[], Config] | None = None) -> None:
        """Sign with changed key and certificate files from now on, if they are good.

        `read` reads the configuration again, of which only [stir.authentication] counts here.
        """
        self._stir.own_certificate.reload(read)

    def hurry(self) -> None:
        """Do not wait for calls any longer."""
        self._hurry.set()

    async def _no_calls_left(self) -> None:
        while len(self.calls) and not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_POLL_SECONDS):
                    await self._hurry.wait()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._ending.expire(time.time())

    # --- HTTP --------------------------------------------------------------------------------

    async def _serve_http(self, key: str, listener: HttpListener | None) -> None:
        if listener is None:
            return
        try:
            await listener.start()
        except OSError as error:
            raise cannot_bind(f"{key}.port", error) from None
        self._stack.push_async_callback(listener.stop)

    def _admin(self) -> HttpListener | None:
        admin = self.config.admin
        if admin is None or self._keys.admin_token is None:
            return None
        view = OperatorView(
            config=self.config,
            calls=self.calls,
            control=self.control,
            endpoint=self.endpoint,
            media=self._media,
            resolver=self.resolver,
            mappings=self._mappings,
            credentials=self._stir.credentials,
            clock=time.time,
        )
        application = admin_application(
            self._keys.admin_token,
            self.metrics.exposition,
            view.readers() | self._stir.readers(),
            view.discover,
            routes=self._stir.routes(),
            health=self._stir.health,
        )
        return HttpListener(application, admin.address, admin.port, tls=None)

    def _gauges(self) -> None:
        metrics = self.metrics
        metrics.gauge("calls_active", "Calls up or being set up", lambda: len(self.calls))
        metrics.gauge("media_sessions", "Bridged media sessions", lambda: self._media.active)
        metrics.gauge("media_ports", "Media port pairs in use", lambda: self._media.ports_in_use)
        metrics.gauge(
            "transactions", "Transactions without final response", lambda: self.endpoint.unfinished
        )
        metrics.gauge("trace_lost", "Trace lines lost to a full disk", lambda: self._trace.lost)
        metrics.gauge("records_lost", "Call records lost", lambda: self._records.lost)
        self._stir.gauges(metrics)
        if self._enum is not None:
            text = "ENUM answers, by how DNSSEC validation ended"
            validations = self._enum.validations
            metrics.counts("enum_validations", text, ("status", "fault"), lambda: {**validations})
        spin = self._spin
        if spin is not None:
            text = "SPIN invitations and answers, by kind and outcome"
            metrics.counts("spin", text, ("kind", "outcome"), spin.counts)
            text = "Short messages and their parts, by carrier and kind"
            metrics.counts("sms", text, ("carrier", "kind"), spin.sms_counts)
            text = "Prefixes cut off, hardly any invitation being answered"
            metrics.gauge("spin_prefixes_cut_off", text, lambda: spin.source.cut_off)
            text = "Invitations that wait for their users' choice"
            metrics.gauge("spin_postponed", text, lambda: spin.postponed)
            metrics.gauge("smsc_bound", "Whether the SMSC is bound", lambda: spin.bound)


async def serve(config: Config, keys: Keys, *, read: Callable[[], Config] | None = None) -> None:
    """Run a gateway until SIGTERM (drain) or SIGINT (stop now). Raises ConfigError.

    SIGHUP reloads key and certificate of the own calls; `read` reads the configuration again.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(on_loop_fault)
    gateway = Gateway(config, keys)
    await gateway.start()
    settle_memory()
    _log.info("serving", domain=config.provider.domain, listeners=len(config.listen))
    received: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received.put_nowait, number)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload, read)
    drain = _DRAIN_SECONDS if await received.get() is signal.SIGTERM else 0.0
    _log.info("stopping", drain_seconds=drain, calls=len(gateway.calls))
    hurried = asyncio.ensure_future(received.get())
    hurried.add_done_callback(lambda _: gateway.hurry())
    await gateway.stop(drain=drain)
    hurried.cancel()
