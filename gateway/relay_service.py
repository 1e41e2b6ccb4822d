"""The relay of Oblivious HTTP as `spingate directory relay` runs it."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from discovery.spin.limits import RateLimit
from gateway.config.load import ConfigError, cannot_bind
from gateway.config.oblivious_services import RelayConfig
from gateway.dns import DnsResolver
from gateway.http.fetch import AddressSource, client_context
from gateway.http.guard import HTTPS_PORT, GuardPolicy, UrlRefused
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.ohttp_key_copies import KeyCopies
from gateway.http.ohttp_relay import KeptConnections, OhttpRelay
from gateway.http.problem import problems
from gateway.http.service_client import ServiceClient
from gateway.keys import check_pair
from gateway.metrics import Exposition
from gateway.services import dns_resolver, server_context

_log = structlog.get_logger("ohttp_relay")
_FORGOTTEN_SECONDS: Final = 60.0
_TOLD_EVERY: Final = 60
_AT_ONCE: Final = 256


class RelayService:
    """A relay that leads to its targets and nowhere else.

    What is logged: once an hour how many requests were passed on and refused, never of whom. Of
    clients the addresses are known for as long as their limit looks back, a minute.
    Raises ConfigError from the constructor and from `start`. dns: None for [dns] of the
    configuration. wall_clock: epoch seconds.
    """

    def __init__(
        self,
        config: RelayConfig,
        *,
        dns: AddressSource | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        section = config.relay
        check_pair(section.certificate, section.key, "relay")
        try:
            context = client_context(section.trust_anchors)
        except OSError:
            raise ConfigError("relay.trust_anchors", "cannot be read as PEM certificates") from None
        self._own_dns: DnsResolver | None = None
        if dns is None:
            dns = self._own_dns = dns_resolver(config.dns)
        self._client = ServiceClient(dns, context, total=_AT_ONCE)
        targets = {target.name: target.url for target in config.target}
        self._copies = KeyCopies(targets, self._client, section.keys_seconds)
        ports = frozenset(urlsplit(url).port or HTTPS_PORT for url in targets.values())
        try:
            self.relay = OhttpRelay(
                targets,
                KeptConnections(self._client, timeout=section.timeout_seconds),
                guard=GuardPolicy(ports=ports),
                per_source=RateLimit(section.requests_per_minute, 60.0),
                allow=[ipaddress.ip_network(network) for network in section.allow_networks],
                copies=self._copies,
                wall_clock=wall_clock,
            )
        except (UrlRefused, ValueError) as error:
            raise ConfigError("target", str(error)) from None
        application = web.Application(middlewares=[problems])
        self.relay.add_to(application)
        self.listener = HttpListener(
            application,
            section.address,
            section.port,
            tls=server_context(section.certificate, section.key),
            limits=ListenerLimits(section.max_connections, section.max_connections_per_source),
        )
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Listen."""
        stack = self._stack
        if self._own_dns is not None:
            stack.push_async_callback(self._own_dns.close)
        stack.push_async_callback(self._client.close)
        try:
            await self.listener.start()
        except OSError as error:
            await stack.aclose()
            raise cannot_bind("relay.port", error) from None
        stack.push_async_callback(self.listener.stop)
        for work, name in ((self._copies.follow(), "relay keys"), (self._tell(), "relay counts")):
            stack.callback(asyncio.create_task(work, name=name).cancel)

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted, for `operator_listener`: by target, and of whom nothing."""
        text = "Requests, by target and outcome: forwarded, or the status of our answer"
        exposition.counts("requests", text, ("target", "outcome"), lambda: self.relay.outcomes)
        text = "How old the copy of a target's key configurations is; infinite: there is none"
        exposition.gauges("keys_age_seconds", text, ("target",), self._copies.ages)

    def health(self) -> str:
        """Return "ok": a target that is away is no fault of the relay's."""
        return "ok"

    async def stop(self) -> None:
        """Stop listening, and close everything."""
        await self._stack.aclose()

    async def _tell(self) -> None:
        while True:
            for _ in range(_TOLD_EVERY):
                await asyncio.sleep(_FORGOTTEN_SECONDS)
                self.relay.forget_old()
            refused = {str(status): count for status, count in self.relay.refused.items()}
            _log.info("so far", forwarded=self.relay.forwarded, refused=refused)
