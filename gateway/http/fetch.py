"""The guarded HTTP client: one request to one checked address, within hard limits.

The name is resolved once, every address is checked, and the connection goes to those very
addresses with the name proven by the server's certificate. No redirects, proxies, cookies,
compression or connection reuse; one time limit for everything.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.http.guard import (
    GuardedUrl,
    GuardPolicy,
    RefusalReason,
    UrlRefused,
    check_address,
    check_url,
)
from sip.dns import DnsUnavailable

_MAX_ADDRESSES: Final = 8
_MAX_HEADER_LINE: Final = 4096
_OURSELVES: Final = "our own limit of requests"


class AddressSource(Protocol):
    """Whoever knows the addresses of a name; raises sip.dns.DnsUnavailable."""

    async def addresses(self, name: str) -> tuple[str, ...]: ...


class FailureReason(StrEnum):
    """Why a permitted request brought nothing."""

    BUSY = "busy"
    DNS = "dns"
    TIMEOUT = "timeout"
    CONNECT = "connect"
    TLS = "tls"
    PROTOCOL = "protocol"
    ENCODING = "encoding"
    OVERSIZED = "oversized"


class FetchRefused(Exception):
    """Our own guard forbids the request; nothing was sent. `culprit` is whoever named the URL."""

    def __init__(self, culprit: str, reason: RefusalReason, detail: str) -> None:
        super().__init__(f"{culprit}: refused ({reason}): {detail}")
        self.culprit = culprit
        self.reason = reason
        self.detail = detail


class FetchFailed(Exception):
    """The request was permitted but failed; `culprit` is the host, the DNS or ourselves (busy)."""

    def __init__(self, culprit: str, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{culprit}: {reason}: {detail}")
        self.culprit = culprit
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of requests; times in seconds, sizes in octets.

    timeout: for everything, name, connection, waiting for a free place and body together;
    max_body: of an answer; per_host, total: requests at the same time; max_waiting: requests that
    have none of these places yet, any more fail at once; per_second: requests begun, evenly spread.
    """

    timeout: float = 2.0
    max_body: int = 65_536
    per_host: int = 4
    total: int = 32
    max_waiting: int = 256
    per_second: float = 100.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer with any status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class GuardedClient:
    """Makes requests to URLs that strangers chose.

    dns: resolves names. trust_file: PEM of the certificate authorities to believe; the system's
    where None. Raises OSError or ssl.SSLError from the constructor for a bad trust file.
    """

    def __init__(
        self,
        dns: AddressSource,
        *,
        policy: GuardPolicy | None = None,
        limits: FetchLimits | None = None,
        trust_file: Path | None = None,
    ) -> None:
        self._dns = dns
        self._policy = policy or GuardPolicy()
        self._limits = limits or FetchLimits()
        self._context = client_context(trust_file)
        self._free = asyncio.Semaphore(self._limits.total)
        self._hosts: dict[str, _Host] = {}
        self._under_way = 0
        self._next_start = 0.0

    async def get(
        self, url: str, *, accept: str = "*/*", if_none_match: str | None = None
    ) -> Fetched:
        """Fetch a URL. Raises FetchRefused, FetchFailed; any status is an answer.

        With an ETag as `if_none_match`, 304 says that nothing has changed (RFC 9110 13.1.2).
        """
        headers = {"Accept": accept}
        if if_none_match is not None:
            headers["If-None-Match"] = if_none_match
        return await self._request("GET", url, headers, None)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        """Post a body. Raises FetchRefused, FetchFailed; any status is an answer."""
        return await self._request("POST", url, headers, body)

    async def _request(
        self,
        method: Literal["GET", "POST"],
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Fetched:
        try:
            target = check_url(url, self._policy)
        except UrlRefused as error:
            raise FetchRefused("url", error.reason, str(error)) from None
        waiting_for = _Progress(_OURSELVES, FailureReason.BUSY)
        if self._under_way >= self._limits.total + self._limits.max_waiting:
            raise FetchFailed(_OURSELVES, FailureReason.BUSY, f"{self._under_way} under way")
        try:
            async with asyncio.timeout(self._limits.timeout):
                async with self._place(target.host):
                    waiting_for.now(target.host, FailureReason.DNS)
                    addresses = await self._resolve(target)
                    waiting_for.now(target.host, FailureReason.TIMEOUT)
                    return await self._exchange(method, target, addresses, headers, body)
        except TimeoutError:
            detail = f"nothing within {self._limits.timeout:g} s"
            raise FetchFailed(waiting_for.culprit, waiting_for.reason, detail) from None

    async def _resolve(self, target: GuardedUrl) -> tuple[str, ...]:
        try:
            names = (target.host,) if target.numeric else await self._dns.addresses(target.host)
        except DnsUnavailable as error:
            raise FetchFailed(error.culprit, FailureReason.DNS, error.detail) from None
        if not names:
            raise FetchFailed(target.host, FailureReason.DNS, "has no address")
        try:
            # One forbidden address condemns the name: nobody publishes one by accident.
            return tuple(check_address(name, self._policy) for name in names[:_MAX_ADDRESSES])
        except UrlRefused as error:
            raise FetchRefused(target.host, error.reason, str(error)) from None

    async def _exchange(
        self,
        method: str,
        target: GuardedUrl,
        addresses: tuple[str, ...],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Fetched:
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(addresses), ssl=self._context, force_close=True, use_dns_cache=False
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    trust_env=False,
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    max_line_size=_MAX_HEADER_LINE,
                    max_field_size=_MAX_HEADER_LINE,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as session,
                session.request(
                    method,
                    target.text,
                    headers={**headers, "Accept-Encoding": "identity"},
                    data=body,
                    allow_redirects=False,
                ) as response,
            ):
                return await self._read(target, response)
        except aiohttp.ClientError as error:
            raise _failed(target.host, error) from None
        except (ValueError, OSError) as error:
            # aiohttp lets a few of the parser's and the transport's own errors through.
            detail = type(error).__name__
            raise FetchFailed(target.host, FailureReason.PROTOCOL, detail) from None

    async def _read(self, target: GuardedUrl, response: aiohttp.ClientResponse) -> Fetched:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed(target.host, FailureReason.ENCODING, "answer is compressed")
        limit = self._limits.max_body
        if (response.content_length or 0) > limit:
            raise FetchFailed(target.host, FailureReason.OVERSIZED, f"more than {limit} octets")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise FetchFailed(target.host, FailureReason.OVERSIZED, f"more than {limit} octets")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Fetched(response.status, headers, bytes(body))

    @asynccontextmanager
    async def _place(self, host: str) -> AsyncIterator[None]:
        held = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._limits.per_host)))
        held.users += 1
        self._under_way += 1
        try:
            async with held.free, self._free:
                await self._turn()
                yield
        finally:
            self._under_way -= 1
            held.users -= 1
            if not held.users:
                self._hosts.pop(host, None)

    async def _turn(self) -> None:
        """Let a moment pass since the last request began.

        Requests that fail at once give their places back at once: a flood of them, or a burst
        after a common time-out, would take the event loop from everybody else.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        start = max(now, self._next_start)
        self._next_start = start + 1 / self._limits.per_second
        if start > now:
            await asyncio.sleep(start - now)


@dataclass(slots=True)
class _Host:
    free: asyncio.Semaphore
    users: int = 0


class _Progress:
    """Who is being waited for, so that a time-out can name them."""

    def __init__(self, culprit: str, reason: FailureReason) -> None:
        self.now(culprit, reason)

    def now(self, culprit: str, reason: FailureReason) -> None:
        self.culprit = culprit
        self.reason = reason


class _Pinned(AbstractResolver):
    """Answers every name with the addresses that were checked; asks nobody."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def client_context(trust_file: Path | None) -> ssl.SSLContext:
    """Make a TLS client context: 1.2 or newer, certificate and host name checked."""
    context = ssl.create_default_context(cafile=str(trust_file) if trust_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context


def _failed(host: str, error: aiohttp.ClientError) -> FetchFailed:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return FetchFailed(host, FailureReason.TLS, "certificate does not prove the name")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return FetchFailed(host, FailureReason.TLS, _ssl_detail(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        detail = error.os_error.strerror or "no connection"
        return FetchFailed(host, FailureReason.CONNECT, detail)
    return FetchFailed(host, FailureReason.PROTOCOL, type(error).__name__)


def _ssl_detail(error: aiohttp.ClientConnectorSSLError) -> str:
    cause = error.os_error
    reason = getattr(cause, "reason", None)
    return str(reason) if reason else "handshake failed"
