"""Where an MMSC delivers multimedia messages to us (MM7 DeliverReq), by a password we gave it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from discovery.number import masked
from discovery.spin.limits import RateLimit, SlidingWindow
from discovery.spin.mms import read_content
from gateway.http.problem import Problem
from gateway.http.source_address import source_of
from gateway.mms.mm7 import MAX_BODY, MalformedMm7, build_delivery_answer, read_delivery

_log = structlog.get_logger("mms")
_BODY_TIME: Final = 10.0
_FAILED: Final = RateLimit(20, 60.0)
_DELIVERED: Final = 1000
_UNSUPPORTED: Final = 4006


class Mm7Receiver:
    """Takes deliveries; `on_invitation` gets token, sender and recipient of those that are ours.

    Any other message is answered as not supported, so that the MMSC delivers it to the person.
    user, password: what the MMSC presents (HTTP Basic, over TLS).
    """

    def __init__(
        self,
        user: str,
        password: str,
        on_invitation: Callable[[str, str, str], None],
        wall_clock: Callable[[], float],
    ) -> None:
        self._secret = hashlib.sha256(f"{user}:{password}".encode()).digest()
        self._on_invitation = on_invitation
        self._wall_clock = wall_clock
        self._failures = SlidingWindow(_FAILED)
        self.outcomes: Counter[str] = Counter()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the route."""
        router.add_post("/mm7", self._deliver)

    async def _deliver(self, request: web.Request) -> web.Response:
        self._authenticate(request)
        if "Content-Encoding" in request.headers:
            raise Problem(415, "send it not compressed")
        if (request.content_length or 0) > MAX_BODY:
            raise Problem(413, f"at most {MAX_BODY} octets are taken")
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIME):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise Problem(413, f"at most {MAX_BODY} octets are taken")
        except TimeoutError:
            raise Problem(408) from None
        try:
            delivery = read_delivery(request.headers.get("Content-Type", ""), bytes(body))
        except MalformedMm7 as error:
            self.outcomes["malformed"] += 1
            raise Problem(400, str(error)) from None
        token = read_content(delivery.entity).token
        if token is None:
            self.outcomes["ordinary"] += 1
            answer = build_delivery_answer(delivery.transaction, _UNSUPPORTED, "no invitation")
        else:
            self.outcomes["invitation"] += 1
            _log.info("multimedia invitation", number=masked(delivery.recipient))
            self._on_invitation(token, delivery.sender, delivery.recipient)
            answer = build_delivery_answer(delivery.transaction, _DELIVERED, "Success")
        return web.Response(body=answer, content_type="text/xml", charset="utf-8")

    def _authenticate(self, request: web.Request) -> None:
        now, source = self._wall_clock(), source_of(request.remote)
        if not self._failures.allows(source, now):
            raise Problem(429, "too many wrong passwords", headers={"Retry-After": "60"})
        values = request.headers.getall("Authorization", [])
        scheme, _, given = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        try:
            presented = base64.b64decode(given.strip(), validate=True)
        except (binascii.Error, ValueError):
            presented = b""
        digest = hashlib.sha256(presented).digest()
        if scheme.lower() != "basic" or not hmac.compare_digest(digest, self._secret):
            self._failures.record(source, now)
            raise Problem(401, headers={"WWW-Authenticate": 'Basic realm="mm7"'})
