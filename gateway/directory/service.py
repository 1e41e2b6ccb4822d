"""The directory service as one thing: constructed, wired, started, swept, stopped."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog

from discovery.privacy.alike import Beat
from gateway.config.directory import DirectoryConfig
from gateway.config.load import ConfigError, cannot_bind
from gateway.directory.access import LookupAccess
from gateway.directory.api import DirectoryApi, DirectoryApiSettings
from gateway.directory.authority import Courier
from gateway.directory.authority_store import AuthorityStore
from gateway.directory.couriers import Couriers
from gateway.directory.database import Database, DirectoryUnavailable
from gateway.directory.files import DirectoryKeys
from gateway.directory.log_owner import log_of
from gateway.directory.log_sink import LogSink, NoLog
from gateway.directory.lookups import Lookups
from gateway.directory.making import (
    ask_for_certificates,
    database_url,
    mail_submission,
    make_authority,
    sms_source,
    sms_transceiver,
)
from gateway.directory.measures import (
    measure_access,
    measure_challenges,
    measure_changes,
    measure_database,
    measure_lookups,
    measure_oblivious,
    measure_tokens,
)
from gateway.directory.oblivious import (
    ObliviousService,
    PublishedFiles,
    host_of,
    make_rotating_keys,
    make_tokens,
)
from gateway.directory.published import enum_server
from gateway.directory.quotas import LookupQuotas
from gateway.directory.record_store import RecordStore
from gateway.directory.registry import Registry
from gateway.directory_log.kept import PREFIX, KeptLog
from gateway.ending import end_task
from gateway.enum_server.server import EnumServer
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.ohttp_gateway import GATEWAY_PATH
from gateway.metrics import Exposition
from gateway.services import server_context
from gateway.split_storage.filling import Filling
from stir.oob.rate import Rate

_log = structlog.get_logger("directory")
_SWEPT_AT_ONCE: Final = 1_000
_LISTENER_LIMITS: Final = ListenerLimits(
    max_connections=2_000, max_per_source=200, lifetime=300.0, receive_buffer=8_192
)


class DirectoryService:
    """Directory, and authority where configured; nothing listens before `start`.

    Raises ConfigError from the constructor and from `start`. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        config: DirectoryConfig,
        keys: DirectoryKeys,
        *,
        log: LogSink | None = None,
        wall_clock: Callable[[], float] = time.time,
        couriers: Courier | None = None,
    ) -> None:
        self._config = config
        self._keys = keys
        self._wall_clock = wall_clock
        section = config.directory
        self._kept_log = (
            KeptLog(config, config.transparency_log)
            if config.transparency_log is not None and log is None
            else None
        )
        self._log: LogSink = log or (self._kept_log.sink if self._kept_log else NoLog())
        try:
            self._database = Database(database_url(config))
        except ValueError as error:
            raise ConfigError("directory.database_url", str(error)) from None
        self._transceivers = [
            sms_transceiver(smpp, f"sms[{index}]", self._delivered)
            for index, smpp in enumerate(config.sms)
        ]
        self._mail = None if config.mail is None else mail_submission(config.mail)
        self.messages = Couriers(
            self._transceivers, [sms_source(smpp) for smpp in config.sms], self._mail
        )
        self._couriers: Courier = couriers or self.messages
        self.records = RecordStore(self._database)
        self.filling = (
            Filling(config, config.split_storage, self.records, self._log, keys.signer, wall_clock)
            if config.split_storage is not None
            else None
        )
        self._authority_store = AuthorityStore(self._database)
        self.authority = make_authority(
            config, keys, self._authority_store, self.records, self._couriers, self._log, wall_clock
        )
        self.registry = Registry(
            self.records,
            keys.chains,
            self._log,
            wall_clock,
            url=section.url,
            told=self._couriers.tell,
            removed=self.authority.removed if self.authority is not None else None,
            changed=self.filling.filler.changed if self.filling is not None else None,
            hold=section.hold_seconds,
        )
        self.lookups = Lookups(self.records, self._log, keys.signer, section.url, wall_clock)
        self._quotas = LookupQuotas(self._database, wall_clock)
        tokens = make_tokens(config, self._database, wall_clock)
        self._tokens = tokens
        self._spent = tokens[1] if tokens is not None else None
        self.access = LookupAccess(
            keys.peers, wall_clock, self._quotas, redeemer=tokens[0] if tokens is not None else None
        )
        settings = DirectoryApiSettings(
            url=section.url,
            description=self.description,
            changes=Rate(section.changes_per_second, section.changes_burst),
            beat=Beat(section.beat_seconds),
        )
        self.api = DirectoryApi(
            settings, self.access, self.lookups, self.registry, self.authority, wall_clock
        )
        self._oblivious = self._make_oblivious()
        tls = server_context(section.certificate, section.key)
        if section.client_trust_anchors is not None:
            ask_for_certificates(
                tls, section.client_trust_anchors, "directory.client_trust_anchors"
            )
        application = self.api.application()
        if self._oblivious is not None:
            self._oblivious.server.add_to(application)
        if self._kept_log is not None:
            application.add_subapp(PREFIX, self._kept_log.application)
        self.listener = HttpListener(
            application,
            section.address,
            section.port,
            tls=tls,
            limits=_LISTENER_LIMITS,
        )
        self.enum: EnumServer | None = None
        if config.enum is not None:
            self.enum = enum_server(config.enum, keys.zone, self.records, wall_clock)
        self._stack = AsyncExitStack()
        self._counted = 0

    def description(self) -> Mapping[str, object]:
        """Return the document of /.well-known/spin-dp."""
        key = self._keys.signer.public
        issuers = self._config.oblivious.issuer if self._config.oblivious is not None else ()
        return {
            "v": 1,
            "url": self._config.directory.url,
            "api": "/dp/v1",
            "authority": "/ca/v1" if self.authority is not None else None,
            "keys": [{**key.point.jwk(), "kid": key.thumbprint}],
            "ohttp": self._ohttp_description(),
            "token_issuers": [each.name for each in issuers],
            "log": self._log.verifier_key,
            "log_labels": self._log.label_key,
        }

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted, for `operator_listener`."""
        measure_lookups(exposition, self.lookups)
        measure_access(exposition, self.access)
        measure_changes(exposition, self.registry, self.api, lambda: self._counted)
        measure_database(exposition, self._database)
        if self._tokens is not None:
            measure_tokens(exposition, *self._tokens)
        if self._oblivious is not None:
            measure_oblivious(exposition, self._oblivious.server)
        if self.authority is not None:
            measure_challenges(exposition, self.authority, self.messages)
        if self._kept_log is not None:
            self._kept_log.measure(exposition)
        if self.filling is not None:
            self.filling.measure(exposition)
        if self.enum is not None:
            self.enum.measure(exposition)

    def health(self) -> str:
        """Return "ok", or what is wrong in a word or two."""
        if self._kept_log is not None and self._kept_log.halted:
            return "log halted"
        return "database unavailable" if self._database.failing else "ok"

    async def start(self) -> None:
        """Open the database and listen."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Stop listening, and close everything."""
        await self._stack.aclose()

    async def sweep(self) -> None:
        """Delete what has expired; raises DirectoryUnavailable."""
        now = self._wall_clock()
        if self._oblivious is not None:
            self._oblivious.renew()
        swept = _SWEPT_AT_ONCE
        while swept == _SWEPT_AT_ONCE:  # lookups come in between
            swept = await self.records.sweep(now, limit=_SWEPT_AT_ONCE)
        await self._quotas.sweep(now)
        if self._spent is not None:
            await self._spent.sweep(now)
        if self.authority is not None:
            await self.authority.sweep()
        await self.registry.enter_missing()
        if self._config.admin is not None:  # of many records that takes a while
            self._counted = await self.records.count()

    async def open(self) -> None:
        """Open the database without listening; `stop` closes it."""
        if self._kept_log is not None:
            self._stack.push_async_callback(self._kept_log.close)
        if self.filling is not None:
            self._stack.push_async_callback(self.filling.close)
        self._stack.push_async_callback(self._database.close)
        self._stack.push_async_callback(self.lookups.close)
        self._stack.push_async_callback(self._keep_counts)
        self._stack.push_async_callback(self.registry.close)
        try:
            await self._database.upgrade()
            await self._check_log()
            if self._spent is not None:
                await self._spent.open(self._wall_clock())
        except DirectoryUnavailable as error:
            raise ConfigError("directory.database_url", f"database: {error}") from None

    async def _check_log(self) -> None:
        """Refuse a database whose records are in another log than ours."""
        own = self._log.verifier_key
        theirs = await log_of(self._database, own)
        if theirs != own:
            raise ConfigError(
                "transparency_log",
                f"what is in this database is logged by {theirs}: only the one process that keeps "
                "that log may use it",
            )

    async def _keep_counts(self) -> None:
        try:
            if self._spent is not None:
                await self._spent.close()
            await self._quotas.close()
        except DirectoryUnavailable as error:
            _log.warning("lookups not given back", culprit="database", detail=str(error))

    async def _start(self) -> None:
        stack = self._stack
        await self.open()
        if self._kept_log is not None:
            await stack.enter_async_context(self._kept_log.running())
        if self.filling is not None:
            await stack.enter_async_context(self.filling.running())
        for transceiver in self._transceivers:
            transceiver.start()
            stack.push_async_callback(transceiver.stop)
        sweeper = asyncio.create_task(self._sweep_for_ever(), name="directory sweep")
        # Ended before the database is closed: it may be in the middle of a transaction.
        stack.push_async_callback(end_task, sweeper)
        if self.enum is not None:
            try:
                await self.enum.start()
            except OSError as error:
                raise cannot_bind("enum.port", error) from None
            stack.push_async_callback(self.enum.stop)
            _log.info("publishing numbers", suffix=self.enum.suffix, ds=self.enum.ds[0])
        try:
            await self.listener.start()
        except OSError as error:
            raise cannot_bind("directory.port", error) from None
        stack.push_async_callback(self.listener.stop)

    async def _sweep_for_ever(self) -> None:
        while True:  # at once: what a crash left behind must not wait
            try:
                await self.sweep()
            except DirectoryUnavailable as error:
                _log.warning("sweep failed", culprit="database", detail=str(error))
            await asyncio.sleep(self._config.directory.sweep_seconds)

    def _delivered(self, label: str, arrived: bool) -> None:
        self.messages.delivered(label, arrived)

    def _ohttp_description(self) -> Mapping[str, object] | None:
        if self._oblivious is None:
            return None
        keys = base64.b64encode(self._oblivious.configuration()).decode("ascii")
        return {"gateway": f"{self._config.directory.url}{GATEWAY_PATH}", "keys": keys}

    def _make_oblivious(self) -> ObliviousService | None:
        keys = make_rotating_keys(self._config)
        if keys is None:
            return None
        host = host_of(self._config)
        log = self._kept_log.files if self._kept_log is not None else None
        published = PublishedFiles(self.description, log)
        beat = Beat(self._config.directory.beat_seconds)
        return ObliviousService(
            keys, self.access, self.api, host, beat, self._wall_clock, published=published
        )
