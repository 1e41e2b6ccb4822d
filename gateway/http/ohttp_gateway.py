"""The Oblivious Gateway Resource: requests come in encapsulated and go to an inner handler.

`POST` takes `message/ohttp-req`, `GET` gives the key configurations (RFC 9458 section 5, RFC 9540).
What cannot be opened is answered in the clear; all else, errors too, inside.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from aiohttp import web

from discovery.privacy.alike import Beat
from discovery.privacy.bhttp import BinaryRequest, BinaryResponse
from discovery.privacy.encapsulation import REQUEST_MEDIA_TYPE, RESPONSE_MEDIA_TYPE
from discovery.privacy.ohttp import (
    KEY_PROBLEM,
    MAX_REQUEST,
    OhttpGateway,
    ProtectedError,
    Responder,
)
from discovery.privacy.ohttp_keys import MEDIA_TYPE as KEYS_MEDIA_TYPE
from discovery.privacy.reason import Fault, PrivacyError
from gateway.http.beats import wait_for_beat
from gateway.http.connection_age import ConnectionAges
from gateway.http.problem import Problem

_log = structlog.get_logger("ohttp")

GATEWAY_PATH: Final = "/.well-known/ohttp-gateway"
_BODY_TIME: Final = 5.0
_NO_STORE: Final = {"Cache-Control": "no-store"}
# Fields that mean something else, or nothing, when there are two of them.
_SINGLE: Final = frozenset({"authorization", "content-type", "content-length", "host"})

# Status and problem type where the answer cannot be encapsulated (RFC 9458 5.2, 5.3, 6.4).
_UNPROTECTED: Final = {
    Fault.KEY_UNKNOWN: (422, KEY_PROBLEM),
    Fault.SUITE_UNSUPPORTED: (422, KEY_PROBLEM),
    Fault.UNDECRYPTABLE: (422, KEY_PROBLEM),
    Fault.OVERSIZED: (413, "about:blank"),
}


class InnerHandler(Protocol):
    """Answers requests whose sender nobody knows; field names come in lower case.

    May raise gateway.http.problem.Problem, which is answered inside.
    """

    async def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> BinaryResponse: ...


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """handler_time: seconds for an inner request; concurrent: of them at once; keys_max_age:
    seconds that clients may keep the key configurations."""

    handler_time: float = 5.0
    concurrent: int = 256
    keys_max_age: int = 3_600


class OhttpGatewayServer:
    """Serves one gateway over HTTP.

    authorities: names a request may be for, in lower case, so that we are no way to anywhere else
    (RFC 9458 section 6.3). beat: when answers go. wall_clock: epoch seconds. `refused` counts by
    fault, `taken` what the handler was asked.
    """

    def __init__(
        self,
        gateway: OhttpGateway,
        handler: InnerHandler,
        authorities: frozenset[str],
        *,
        beat: Beat | None = None,
        limits: GatewayLimits | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._handler = handler
        self._authorities = authorities
        self._beat = beat or Beat(0.0)
        self._limits = limits or GatewayLimits()
        self._wall_clock = wall_clock
        self._ages = ConnectionAges()
        self._under_way = 0
        self.refused: Counter[Fault] = Counter()
        self.taken = 0

    def add_to(self, application: web.Application, path: str = GATEWAY_PATH) -> None:
        """Add the resource to an application that has the `problems` middleware."""
        application.router.add_post(path, self._post)
        application.router.add_get(path, self._keys, allow_head=False)

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=self._gateway.keys.encode(self._wall_clock()),
            content_type=KEYS_MEDIA_TYPE,
            headers={"Cache-Control": f"max-age={self._limits.keys_max_age}"},
        )

    async def _post(self, request: web.Request) -> web.Response:
        asked = asyncio.get_running_loop().time()
        body = await read_octets(request, REQUEST_MEDIA_TYPE, MAX_REQUEST)
        if self._under_way >= self._limits.concurrent:
            raise Problem(503, headers={"Retry-After": "1", **_NO_STORE})
        self._under_way += 1
        try:
            answer = await self._answer(body)
            # Ready or not a while ago: from outside, answers take so many beats.
            await wait_for_beat(self._beat, asked)
        finally:
            self._under_way -= 1
        response = web.Response(body=answer, content_type=RESPONSE_MEDIA_TYPE, headers=_NO_STORE)
        return self._ages.retire(request, response)

    async def _answer(self, body: bytes) -> bytes:
        try:
            request, responder = self._gateway.open(body, self._wall_clock())
        except ProtectedError as error:
            self.refused[error.fault] += 1
            return error.seal(self._wall_clock())
        except PrivacyError as error:
            self.refused[error.fault] += 1
            status, kind = _UNPROTECTED.get(error.fault, (400, "about:blank"))
            raise Problem(status, error.detail, kind=kind, headers=_NO_STORE) from None
        return await self._inner(request, responder)

    async def _inner(self, request: BinaryRequest, responder: Responder) -> bytes:
        try:
            async with asyncio.timeout(self._limits.handler_time):
                return responder.seal(await self._handle(request))
        except Problem as problem:
            return responder.seal(_inside(problem))
        except TimeoutError:
            return responder.seal(_inside(Problem(504)))
        except PrivacyError as error:
            _log.error("inner answer cannot be sent", fault=str(error.fault), detail=error.detail)
            return responder.seal(_inside(Problem(500)))
        except Exception:  # noqa: BLE001 - outermost of the inner request: a bug answers 500 inside
            _log.exception("inner request failed")
            return responder.seal(_inside(Problem(500)))

    async def _handle(self, request: BinaryRequest) -> BinaryResponse:
        if request.scheme != "https" or request.authority.lower() not in self._authorities:
            raise Problem(421, "not one of our names")
        headers: dict[str, str] = {}
        for name, value in request.headers:
            if name in headers and name in _SINGLE:
                raise Problem(400, f"{name} is given twice")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.taken += 1
        return await self._handler(request.method, request.path, headers, request.content)


async def read_octets(request: web.Request, media_type: str, limit: int) -> bytes:
    """Read a body of one media type, within 5 seconds. Raises Problem: 408, 413, 415."""
    if request.content_type != media_type or "Content-Encoding" in request.headers:
        raise Problem(415, f"send {media_type}, not compressed", headers=_NO_STORE)
    if (request.content_length or 0) > limit:
        raise Problem(413, headers=_NO_STORE)
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIME):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise Problem(413, headers=_NO_STORE)
    except TimeoutError:
        raise Problem(408, headers=_NO_STORE) from None
    return bytes(body)


def _inside(problem: Problem) -> BinaryResponse:
    response = problem.response()
    headers = tuple((name.lower(), value) for name, value in response.headers.items())
    body = response.body
    return BinaryResponse(problem.status, headers, body if isinstance(body, bytes) else b"")
