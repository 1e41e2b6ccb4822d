"""HTTPS to services that the operator named: connections are kept, redirects are not followed.

Not for URLs of strangers: those go through `gateway.http.fetch`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Final, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.http.fetch import AddressSource, FailureReason, Fetched, FetchFailed
from sip.dns import DnsUnavailable

_MAX_ADDRESSES: Final = 4
_MAX_HEADER_LINE: Final = 4096
_KEPT_SECONDS: Final = 4.0
MAX_BODY: Final = 262_144


class Requester(Protocol):
    """Whoever makes requests to fixed services: over HTTPS, or through a relay."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        """Make one request; any status is an answer. Raises FetchFailed."""
        ...


class ServiceClient:
    """Makes requests to a few fixed services, at most `total` at the same time.

    context: TLS, as `gateway.http.fetch.client_context` makes it. Answers have 262,144 octets at
    most. Made on the event loop's first request; `close` ends it.
    """

    def __init__(self, dns: AddressSource, context: ssl.SSLContext, *, total: int = 64) -> None:
        self._dns = dns
        self._context = context
        self._total = total
        self._under_way = 0
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        """Make one request within `timeout` seconds; any status is an answer.

        Raises FetchFailed.
        """
        host = url.split("/", 3)[2].partition(":")[0]
        if self._under_way >= self._total:
            raise FetchFailed("ourselves", FailureReason.BUSY, f"{self._under_way} under way")
        self._under_way += 1
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(method, url, host, headers or {}, body)
        except TimeoutError:
            detail = f"nothing within {timeout:g} s"
            raise FetchFailed(host, FailureReason.TIMEOUT, detail) from None
        except aiohttp.ClientConnectorCertificateError:
            detail = "its certificate is not trusted, or for another name"
            raise FetchFailed(host, FailureReason.TLS, detail) from None
        except aiohttp.ClientSSLError:
            raise FetchFailed(host, FailureReason.TLS, "it speaks no TLS with us") from None
        except aiohttp.ClientConnectorError as error:
            detail = error.os_error.strerror or "no connection"
            raise FetchFailed(host, FailureReason.CONNECT, detail) from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise FetchFailed(host, FailureReason.PROTOCOL, type(error).__name__) from None
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(
        self, method: str, url: str, host: str, headers: Mapping[str, str], body: bytes | None
    ) -> Fetched:
        sent = {**headers, "Accept-Encoding": "identity"}
        async with self._open().request(
            method, url, headers=sent, data=body, allow_redirects=False
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise FetchFailed(host, FailureReason.ENCODING, "answer is compressed")
            read = bytearray()
            async for chunk in response.content.iter_any():
                read += chunk
                if len(read) > MAX_BODY:
                    detail = f"more than {MAX_BODY} octets"
                    raise FetchFailed(host, FailureReason.OVERSIZED, detail)
            names = {name.lower(): value for name, value in response.headers.items()}
            return Fetched(response.status, names, bytes(read))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_Resolver(self._dns),
                ssl=self._context,
                limit=self._total,
                keepalive_timeout=_KEPT_SECONDS,
                ttl_dns_cache=10,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=_MAX_HEADER_LINE,
                max_field_size=_MAX_HEADER_LINE,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


class _Resolver(AbstractResolver):
    """Asks our own DNS; addresses stand for themselves."""

    def __init__(self, dns: AddressSource) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            addresses = await self._dns.addresses(host)
        except DnsUnavailable as error:
            raise OSError(None, f"DNS: {error.detail}") from None
        if not addresses:
            raise OSError(None, "DNS: has no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses[:_MAX_ADDRESSES]
        ]

    async def close(self) -> None:
        """Nothing is held."""
