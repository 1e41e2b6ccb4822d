"""The Oblivious Relay Resource, run by somebody other than the gateway (RFC 9458 section 6.2).

`POST /relay/{name}` goes to the gateway configured under that name and to nowhere else. The relay
knows who asks and not what; it passes on the content and nothing besides, and logs no sender.
`GET /relay/{name}` gives the gateway's key configurations from one copy for all, so that a gateway
that answers the relay cannot tell clients apart by their keys (section 7).
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog
from aiohttp import web

from discovery.privacy.encapsulation import REQUEST_MEDIA_TYPE, RESPONSE_MEDIA_TYPE
from discovery.privacy.ohttp import MAX_REQUEST, MAX_RESPONSE, PROBLEM_MEDIA_TYPE
from discovery.spin.limits import RateLimit, SlidingWindow
from gateway.http.connection_age import ConnectionAges
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.guard import GuardPolicy, IpNetwork, check_url
from gateway.http.ohttp_gateway import read_octets
from gateway.http.ohttp_key_copies import KEYS_MEDIA_TYPE, KeyCopies
from gateway.http.problem import Problem
from gateway.http.service_client import ServiceClient
from gateway.http.source_address import source_of

_log = structlog.get_logger("ohttp_relay")

RELAY_PATH: Final = "/relay/{name}"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_MAX_PROBLEM: Final = 4_096
_KEYS_MAX_AGE: Final = 600


class Poster(Protocol):
    """Posts to a URL, as GuardedClient does; raises FetchFailed, FetchRefused."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched: ...


class KeptConnections:
    """A Poster to services the operator named: one pool of connections for the requests of all,
    so that no connection stands for a client, and no handshake is paid for each."""

    def __init__(self, client: ServiceClient, *, timeout: float = 10.0) -> None:
        self._client = client
        self._timeout = timeout

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        """Post a body. Raises FetchFailed."""
        return await self._client.request(
            "POST", url, timeout=self._timeout, headers=headers, body=body
        )


class OhttpRelay:
    """Forwards to a few gateways for anybody, so many a source.

    gateways: https URLs by the name in our path; guard: what such a URL may look like. per_source:
    for an IPv4 address or an IPv6 /64. allow: networks of clients, everybody where empty. copies:
    of the gateways' key configurations, None to give none out. wall_clock: epoch seconds. Raises
    gateway.http.guard.UrlRefused from the constructor for a URL that is none.
    """

    def __init__(
        self,
        gateways: Mapping[str, str],
        poster: Poster,
        *,
        guard: GuardPolicy | None = None,
        per_source: RateLimit | None = None,
        allow: Sequence[IpNetwork] = (),
        copies: KeyCopies | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        for url in gateways.values():
            check_url(url, guard or GuardPolicy())
        self._gateways = dict(gateways)
        self._poster = poster
        self._sources = SlidingWindow(per_source or RateLimit(600, 60.0))
        self._allow = tuple(allow)
        self._copies = copies
        self._wall_clock = wall_clock
        self._ages = ConnectionAges()
        self.forwarded = 0
        self.refused: Counter[int] = Counter()
        # By target, and what became of it: "forwarded", or the status of our answer.
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    def add_to(self, application: web.Application) -> None:
        """Add the resource to an application that has the `problems` middleware."""
        application.router.add_post(RELAY_PATH, self._post)
        application.router.add_get(RELAY_PATH, self._keys, allow_head=False)

    def forget_old(self) -> None:
        """Forget who asked, as far as no limit needs it any more."""
        self._sources.forget_old(self._wall_clock())
        self._ages.forget_old()

    async def _keys(self, request: web.Request) -> web.Response:
        self._admit(request)
        copy = None if self._copies is None else self._copies.get(request.match_info["name"])
        if copy is None:
            raise Problem(503 if self._copies else 404, headers=_NO_STORE)
        headers = {"Cache-Control": f"max-age={_KEYS_MAX_AGE}"}
        answer = web.Response(body=copy, content_type=KEYS_MEDIA_TYPE, headers=headers)
        return self._ages.retire(request, answer)

    async def _post(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        target = name if name in self._gateways else ""  # never a name that strangers made up
        try:
            answer = await self._forward(request)
        except Problem as problem:
            self.refused[problem.status] += 1
            self.outcomes[target, str(problem.status)] += 1
            raise
        self.outcomes[target, "forwarded"] += 1
        return self._ages.retire(request, answer)

    def _admit(self, request: web.Request) -> str:
        """Return the URL behind the name. Raises Problem: 403, 404, 429."""
        url = self._gateways.get(request.match_info["name"])
        if url is None:
            raise Problem(404, headers=_NO_STORE)
        if self._allow and not _is_in(request.remote, self._allow):
            raise Problem(403, headers=_NO_STORE)
        if not self._sources.take(source_of(request.remote), self._wall_clock()):
            raise Problem(429, headers={"Retry-After": "1", **_NO_STORE})
        return url

    async def _forward(self, request: web.Request) -> web.Response:
        url = self._admit(request)
        body = await read_octets(request, REQUEST_MEDIA_TYPE, MAX_REQUEST)
        if not body:
            raise Problem(400, "no content", headers=_NO_STORE)
        # A request of our own with the content alone: no field of the client's, nor one about it.
        headers = {"Content-Type": REQUEST_MEDIA_TYPE}
        try:
            answer = await self._poster.post(url, body, headers)
        except FetchFailed as error:
            _log.warning("gateway failed", culprit=error.culprit, reason=str(error.reason))
            raise _failure(error.reason) from None
        except FetchRefused as error:
            _log.error("gateway refused by our guard", detail=error.detail)
            raise Problem(502, headers=_NO_STORE) from None
        self.forwarded += 1
        return _passed_on(answer)


def _failure(reason: FailureReason) -> Problem:
    if reason is FailureReason.BUSY:
        return Problem(503, headers={"Retry-After": "1", **_NO_STORE})
    return Problem(504 if reason is FailureReason.TIMEOUT else 502, headers=_NO_STORE)


def _passed_on(answer: Fetched) -> web.Response:
    """Return the gateway's answer: content and its type, no other field (they might track)."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status == 200 and kind == RESPONSE_MEDIA_TYPE and len(answer.body) <= MAX_RESPONSE:
        return web.Response(body=answer.body, content_type=kind, headers=_NO_STORE)
    # An outdated key, for instance (section 5.3): the client should hear of that.
    if 400 <= answer.status < 500 and kind == PROBLEM_MEDIA_TYPE:
        body = answer.body[:_MAX_PROBLEM]
        return web.Response(status=answer.status, body=body, content_type=kind, headers=_NO_STORE)
    raise Problem(503 if answer.status == 503 else 502, headers=_NO_STORE)


def _is_in(remote: str | None, networks: Sequence[IpNetwork]) -> bool:
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)
