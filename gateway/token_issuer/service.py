"""The issuer of tokens over HTTP (RFC 9578 sections 4 and 6).

`GET /.well-known/private-token-issuer-directory` says which keys sign; `POST /token-request` signs
one blinded message for a client that is known, within its quota of the day. The issuer sees who
asks for how many tokens, and nothing of where they are spent or for which number.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

import structlog
from aiohttp import web

from discovery.privacy.issuer_directory import IssuerDirectory
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token import (
    ISSUER_DIRECTORY_MEDIA_TYPE,
    ISSUER_DIRECTORY_PATH,
    REQUEST_MEDIA_TYPE,
    REQUEST_OCTETS,
    RESPONSE_MEDIA_TYPE,
)
from discovery.privacy.token_issuer import IssuerKey, TokenIssuer
from gateway.config.load import ConfigError, cannot_bind
from gateway.config.oblivious_services import IssuerConfig
from gateway.http.connection_age import ConnectionAges
from gateway.http.known_clients import KnownClients, read_clients
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.ohttp_gateway import read_octets
from gateway.http.problem import Problem, problems
from gateway.keys import check_pair
from gateway.metrics import Exposition
from gateway.services import server_context
from gateway.token_issuer.key_folder import KeyFolder
from gateway.token_issuer.quota import SqliteQuota
from gateway.token_issuer.signers import SigningProcesses
from stir.oob.rate import Rate, TokenBuckets

_log = structlog.get_logger("issuer")
REQUEST_PATH: Final = "/token-request"
_DAY: Final = 86_400
_KEYS_SECONDS: Final = 60.0
_KEYS_MAX_AGE: Final = 3_600
# Clients told to come back at midnight would all come at once.
_SPREAD_SECONDS: Final = 900
_NO_STORE: Final = {"Cache-Control": "no-store"}
_LIMITS: Final = ListenerLimits(max_connections=1_000, max_per_source=64)
_STATUS: Final = {
    Fault.MALFORMED: 422,
    Fault.NOT_ACCEPTED: 422,
    Fault.KEY_UNKNOWN: 422,
    Fault.QUOTA_USED_UP: 429,
}


class Signers(Protocol):
    """Whoever signs blinded messages; raises PrivacyError: OVERLOADED, SIGNING_FAILED."""

    async def sign(self, key: IssuerKey, blinded: bytes) -> bytes: ...


class TokenIssuerApi:
    """The resources. rates: by the client's name; wall_clock: epoch seconds.

    `outcomes` counts by client and outcome: issued, or a fault. Nothing that was signed is kept.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        clients: KnownClients,
        rates: dict[str, Rate],
        signers: Signers,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._buckets = {name: TokenBuckets(rate, max_keys=1) for name, rate in rates.items()}
        self._signers = signers
        self._wall_clock = wall_clock
        self._ages = ConnectionAges()
        # One thread: the quota is one file, and its disk must not be waited for here.
        self._quota_thread = ThreadPoolExecutor(1, thread_name_prefix="quota")
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[problems])
        application.router.add_get(ISSUER_DIRECTORY_PATH, self._directory)
        application.router.add_post(REQUEST_PATH, self._issue)
        return application

    def close(self) -> None:
        """End the thread."""
        self._quota_thread.shutdown()

    async def _directory(self, _request: web.Request) -> web.Response:
        body = self._issuer.directory(REQUEST_PATH, self._wall_clock()).encode()
        headers = {"Cache-Control": f"max-age={_KEYS_MAX_AGE}"}
        return web.Response(body=body, content_type=ISSUER_DIRECTORY_MEDIA_TYPE, headers=headers)

    async def _issue(self, request: web.Request) -> web.Response:
        now = self._wall_clock()
        name = self._clients.identify(request, now)
        body = await read_octets(request, REQUEST_MEDIA_TYPE, REQUEST_OCTETS)
        try:
            signature = await self._sign(body, name, now)
        except PrivacyError as error:
            self.outcomes[name, str(error.fault)] += 1
            raise _problem(error, now) from None
        self.outcomes[name, "issued"] += 1
        answer = web.Response(body=signature, content_type=RESPONSE_MEDIA_TYPE, headers=_NO_STORE)
        return self._ages.retire(request, answer)

    async def _sign(self, body: bytes, client: str, now: float) -> bytes:
        if not self._buckets[client].take("", now):
            raise PrivacyError(Fault.OVERLOADED, "more tokens a second than agreed")
        loop = asyncio.get_running_loop()
        key, blinded = await loop.run_in_executor(
            self._quota_thread, self._issuer.admit, body, client, now
        )
        return await self._signers.sign(key, blinded)


class TokenIssuerService:
    """The issuer as `spingate directory issuer` runs it.

    Raises ConfigError from the constructor and from `start`. wall_clock: epoch seconds.
    """

    def __init__(
        self, config: IssuerConfig, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        section = config.issuer
        check_pair(section.certificate, section.key, "issuer")
        self._wall_clock = wall_clock
        self.keys = key_folder(config)
        self._quota = SqliteQuota(
            section.state_directory / "quota.db",
            {client.name: client.tokens_per_day for client in config.client},
        )
        self._issuer = TokenIssuer(self.keys.load(wall_clock()), self._quota)
        self._signers = SigningProcesses(section.signers, max_waiting=section.max_waiting)
        rates = {
            client.name: Rate(client.tokens_per_second, client.tokens_burst)
            for client in config.client
        }
        self.api = TokenIssuerApi(
            self._issuer,
            KnownClients(read_clients(config.client, "client")),
            rates,
            self._signers,
            wall_clock,
        )
        tls = server_context(section.certificate, section.key)
        if section.client_trust_anchors is not None:
            _ask_for_certificates(tls, section.client_trust_anchors)
        self.listener = HttpListener(
            self.api.application(), section.address, section.port, tls=tls, limits=_LIMITS
        )
        self._stack = AsyncExitStack()
        self._damaged = False

    async def start(self) -> None:
        """Start the signing processes and listen."""
        stack = self._stack
        stack.callback(self._quota.close)
        stack.callback(self.api.close)
        stack.push_async_callback(self._signers.close)
        try:
            await self._signers.start()
            await self.listener.start()
        except OSError as error:
            await stack.aclose()
            raise cannot_bind("issuer.port", error) from None
        stack.push_async_callback(self.listener.stop)
        reader = asyncio.create_task(self._follow_keys(), name="issuer keys")
        stack.callback(reader.cancel)

    async def stop(self) -> None:
        """Stop listening, and close everything."""
        await self._stack.aclose()

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted, for `operator_listener`."""
        text = "Requests for a token, by client and outcome: issued, or a fault"
        exposition.counts("requests", text, ("client", "outcome"), lambda: self.api.outcomes)
        exposition.gauge("keys", "Keys in force or announced", lambda: len(self.announced.keys))
        exposition.gauge("keys_unreadable", "Whether the folder is", lambda: self._damaged)

    @property
    def announced(self) -> IssuerDirectory:
        """What is published of the keys."""
        return self._issuer.directory(REQUEST_PATH, self._wall_clock())

    def health(self) -> str:
        """Return "ok", or what is wrong in a word or two."""
        return "keys unreadable" if self._damaged else "ok"

    def reload(self) -> None:
        """Read the keys again; keep those there are where the folder is damaged."""
        try:
            self._issuer.replace_keys(self.keys.load(self._wall_clock()))
            self._damaged = False
        except ConfigError as error:
            self._damaged = True
            _log.error("keys not read again", culprit=error.key, detail=error.text)

    async def _follow_keys(self) -> None:
        while True:
            await asyncio.sleep(_KEYS_SECONDS)
            self.reload()


def key_folder(config: IssuerConfig) -> KeyFolder:
    """Return the folder of an issuer's keys."""
    section = config.issuer
    return KeyFolder(section.state_directory / "keys", float(section.overlap_days * _DAY))


def _problem(error: PrivacyError, now: float) -> Problem:
    status = _STATUS.get(error.fault, 503)
    headers = dict(_NO_STORE)
    if status == 429:
        tomorrow = _DAY - int(now) % _DAY
        headers["Retry-After"] = str(tomorrow + random.randrange(_SPREAD_SECONDS))  # noqa: S311
    elif status == 503:
        headers["Retry-After"] = "5"
    return Problem(status, str(error), headers=headers)


def _ask_for_certificates(context: ssl.SSLContext, anchors: Path) -> None:
    """Let clients prove a name by certificate; those who do not are known by their token."""
    try:
        context.load_verify_locations(anchors)
    except OSError:
        text = f"{anchors} cannot be read as PEM certificates"
        raise ConfigError("issuer.client_trust_anchors", text) from None
    context.verify_mode = ssl.CERT_OPTIONAL
