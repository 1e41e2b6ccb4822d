"""Requests to a directory through a relay, so that it does not learn who asks (RFC 9458)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from discovery.privacy.bhttp import BinaryRequest, BinaryResponse
from discovery.privacy.encapsulation import REQUEST_MEDIA_TYPE, RESPONSE_MEDIA_TYPE
from discovery.privacy.http_date import parse_http_date
from discovery.privacy.ohttp import DATE_PROBLEM, OhttpClient
from discovery.privacy.ohttp_keys import MEDIA_TYPE as KEYS_MEDIA_TYPE
from discovery.privacy.ohttp_keys import parse_key_configurations
from discovery.privacy.reason import PrivacyError
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.ohttp_relay import Poster

_log = structlog.get_logger("ohttp_client")
_MIN_REFRESH: Final = 60.0


class Getter(Protocol):
    """Fetches a URL, as GuardedClient does; raises FetchFailed, FetchRefused."""

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched: ...


class KeySource(Protocol):
    """Whoever knows the gateway's key configuration."""

    async def current(self) -> OhttpClient:
        """Return a client of the gateway. Raises FetchFailed, FetchRefused, PrivacyError."""

    def doubt(self) -> None:
        """Hear that the gateway did not open a request made with the current one."""


class PinnedKeys:
    """Key configurations that the operator, or a signed document, has given.

    data: `application/ohttp-keys`. Raises PrivacyError from the constructor.
    """

    def __init__(self, data: bytes) -> None:
        self._client = OhttpClient.choose(parse_key_configurations(data))

    async def current(self) -> OhttpClient:
        return self._client

    def doubt(self) -> None:
        _log.warning("the gateway does not take its pinned key any more: configure the new one")


class FetchedKeys:
    """Key configurations fetched from the gateway, kept for max_age seconds.

    A gateway that gave each client another key could tell them apart by it (RFC 9458 section 7):
    fetch where many see the same, through a cache of the relay's for instance, or pin. monotonic:
    seconds.
    """

    def __init__(
        self,
        url: str,
        getter: Getter,
        *,
        max_age: float = 3_600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._getter = getter
        self._max_age = max_age
        self._monotonic = monotonic
        self._client: OhttpClient | None = None
        self._fetched = 0.0
        self._doubted = False
        self._one = asyncio.Lock()

    async def current(self) -> OhttpClient:
        async with self._one:
            age = self._monotonic() - self._fetched
            due = age >= self._max_age or (self._doubted and age >= _MIN_REFRESH)
            if self._client is None:
                self._client = await self._fetch()
                self._fetched = self._monotonic()
            elif due:
                self._client = await self._again(self._client)
            return self._client

    def doubt(self) -> None:
        self._doubted = True

    async def _again(self, client: OhttpClient) -> OhttpClient:
        """Fetch anew; where that fails, keep what we have, which gateways take for longer."""
        try:
            client = await self._fetch()
            self._fetched, self._doubted = self._monotonic(), False
        except (FetchFailed, FetchRefused, PrivacyError) as error:
            _log.warning("key configurations not renewed", error=str(error))
            self._fetched, self._doubted = self._monotonic(), True
        return client

    async def _fetch(self) -> OhttpClient:
        fetched = await self._getter.get(self._url, accept=KEYS_MEDIA_TYPE)
        if fetched.status != 200 or _kind(fetched) != KEYS_MEDIA_TYPE:
            detail = f"no key configurations but status {fetched.status}"
            raise FetchFailed(_host(self._url), FailureReason.PROTOCOL, detail)
        return OhttpClient.choose(parse_key_configurations(fetched.body))


class ObliviousClient:
    """Makes requests of one origin through one relay.

    relay: URL of the relay's resource for the gateway; authority: the origin's name. The relay
    has to be another operator's than the gateway's. wall_clock: epoch seconds.
    """

    def __init__(
        self,
        relay: str,
        authority: str,
        keys: KeySource,
        poster: Poster,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._relay = relay
        self._authority = authority
        self._keys = keys
        self._poster = poster
        self._wall_clock = wall_clock

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> BinaryResponse:
        """Make one request; any status from inside is an answer.

        Nothing is sent twice but where the gateway says that only our clock was wrong, in which
        case it has not asked the origin. Raises FetchFailed, FetchRefused, PrivacyError.
        """
        fields = tuple(headers.items())
        request = BinaryRequest(method, "https", self._authority, path, fields, body)
        answer = await self._once(request, self._wall_clock())
        theirs = _their_time(answer)
        # Used for this once: an offset kept would be something to know us again by.
        return answer if theirs is None else await self._once(request, theirs)

    async def _once(self, request: BinaryRequest, now: float) -> BinaryResponse:
        sealed, opener = (await self._keys.current()).seal(request, now)
        answer = await self._poster.post(self._relay, sealed, {"Content-Type": REQUEST_MEDIA_TYPE})
        if answer.status != 200 or _kind(answer) != RESPONSE_MEDIA_TYPE:
            # Unprotected, so from the relay or about the key; it may be forged, hence only doubt.
            if 400 <= answer.status < 500 and answer.status not in (404, 429):
                self._keys.doubt()
            detail = f"status {answer.status} without an encapsulated response"
            raise FetchFailed(_host(self._relay), FailureReason.PROTOCOL, detail)
        return opener.open(answer.body)


def _their_time(answer: BinaryResponse) -> float | None:
    """Return the gateway's time where it refused ours (RFC 9458 section 6.5.2)."""
    if answer.status != 400 or answer.header("content-type") != "application/problem+json":
        return None
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("type") != DATE_PROBLEM:
        return None
    return parse_http_date(answer.header("date") or "")


def _kind(fetched: Fetched) -> str:
    return fetched.headers.get("content-type", "").partition(";")[0].strip().lower()


def _host(url: str) -> str:
    return url.split("/", 3)[2]
