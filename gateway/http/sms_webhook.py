"""Where an HTTP SMS provider brings messages, `POST /sms`, and receipts, `POST /sms/receipts`.

Both are signed, and each counts once:

    X-Spingate-Timestamp: 1795000000
    X-Spingate-Signature: v1=<hex of HMAC-SHA256(key, timestamp "." body)>
    {"from": "+14155550100", "to": "+12125550123", "text": "..."}

200 `{"invitation": true|false}`: what is none is the provider's to deliver to the person.
A receipt has the provider's own form, as configured; 200 `{"known": true|false}`. It can be wrong
or a lie: all that follows from it is which carriage is tried first.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from discovery.number import canonical_number
from discovery.spin.carriage import invitation_token
from discovery.spin.handlers import StoreUnavailable
from discovery.spin.limits import RateLimit, ReplayMemory, SlidingWindow
from discovery.spin.reference import read_reference
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.problem import Problem
from gateway.http.source_address import source_of
from gateway.sms.message import IncomingSms
from gateway.sms.receipt_form import ReceiptForm
from gateway.spin.keeping import Keeper, Kept, KeptInMemory, Kind

_log = structlog.get_logger("sms")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE: Final = re.compile(r"v1=(?P<hex>[0-9a-f]{64})")
_MAX_BODY: Final = 8192
_BODY_TIME: Final = 5.0
_UCS2: Final = 0x08
_FAILED: Final = RateLimit(20, 60.0)
_MEMBERS: Final = frozenset({"from", "to", "text"})
MIN_KEY: Final = 16


class SmsWebhook:
    """Takes signed messages and hands invitations on.

    key: 16 octets at least (ValueError). window: seconds a timestamp may lie from now, either way.
    """

    def __init__(
        self,
        key: bytes,
        on_message: Callable[[IncomingSms], None],
        wall_clock: Callable[[], float],
        *,
        window: float = 300.0,
        keeper: Keeper | None = None,
        receipts: ReceiptForm | None = None,
        on_receipt: Callable[[str, bool | None], bool] | None = None,
    ) -> None:
        if len(key) < MIN_KEY:
            raise ValueError(f"the key needs {MIN_KEY} octets or more")
        self._key = key
        self._on_message = on_message
        self._wall_clock = wall_clock
        self._window = window
        self._form = receipts or ReceiptForm()
        self._on_receipt = on_receipt
        self._keeper: Keeper = KeptInMemory() if keeper is None else keeper
        self._seen = ReplayMemory()
        self._failures = SlidingWindow(_FAILED)
        self.outcomes: Counter[str] = Counter()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the route."""
        router.add_post("/sms", self._take)
        if self._on_receipt is not None:
            router.add_post("/sms/receipts", self._take_receipt)

    async def _take(self, request: web.Request) -> web.Response:
        sms = _message(await self._signed(request))
        text = sms.octets.decode("utf-16-be", "replace")
        ours = invitation_token(text) is not None or read_reference(text) is not None
        self.outcomes["invitation" if ours else "ordinary"] += 1
        if ours:
            self._on_message(sms)
        return web.json_response({"invitation": ours})

    async def _take_receipt(self, request: web.Request) -> web.Response:
        body = await self._signed(request)
        try:
            receipt = self._form.read(parse_json_object(body, max_depth=8))
        except MalformedJson as error:
            raise Problem(400, str(error)) from None
        except ValueError as error:
            raise Problem(422, str(error)) from None
        assert self._on_receipt is not None
        known = self._on_receipt(receipt.message_id, receipt.delivered)
        self.outcomes["receipt" if known else "receipt of nothing"] += 1
        return web.json_response({"known": known})

    async def _signed(self, request: web.Request) -> bytes:
        """Return a body that is signed, in time, and new."""
        now, source = self._wall_clock(), source_of(request.remote)
        if not self._failures.allows(source, now):
            raise Problem(429, "too many wrong signatures", headers={"Retry-After": "60"})
        if request.content_type != "application/json" or "Content-Encoding" in request.headers:
            raise Problem(415, "send application/json, not compressed")
        body = await _read(request)
        signature = self._verify(request, body, source, now)
        if self._seen.seen(signature, now):
            self.outcomes["replayed"] += 1
            raise Problem(409, "taken before")
        if not self._seen.remember(signature, now + 2 * self._window, now):
            raise Problem(503, "too many messages", headers={"Retry-After": "60"})
        await self._keep(signature, now + 2 * self._window)
        return body

    async def restore(self) -> None:
        """Take up which messages an earlier process took; raises StoreUnavailable."""
        now = self._wall_clock()
        for entry in await self._keeper.all(Kind.WEBHOOK, now):
            self._seen.remember(entry.name, entry.until, now)

    async def _keep(self, signature: str, until: float) -> None:
        try:
            new = await self._keeper.add(Kind.WEBHOOK, Kept(signature, until))
        except StoreUnavailable as error:
            _log.error("message not taken", culprit=str(error))
            # The provider brings it again, as it is.
            self._seen.forget(signature)
            raise Problem(503, "the store is unavailable", headers={"Retry-After": "5"}) from None
        if not new:
            self.outcomes["replayed"] += 1
            raise Problem(409, "taken before")

    def _verify(self, request: web.Request, body: bytes, source: str, now: float) -> str:
        """Return the signature, by which a message counts once; raises Problem(401)."""
        timestamp = request.headers.get("X-Spingate-Timestamp", "")
        given = _SIGNATURE.fullmatch(request.headers.get("X-Spingate-Signature", ""))
        expected = hmac.new(
            self._key, timestamp.encode("utf-8", "replace") + b"." + body, hashlib.sha256
        ).hexdigest()
        genuine = hmac.compare_digest(given["hex"] if given else "0" * 64, expected)
        timely = bool(_TIMESTAMP.fullmatch(timestamp)) and (
            abs(now - int(timestamp)) <= self._window
        )
        if not genuine or not timely:
            self._failures.record(source, now)
            self.outcomes["refused"] += 1
            detail = "signature is not genuine" if not genuine else "timestamp is too far from now"
            raise Problem(401, detail, headers={"WWW-Authenticate": "Signature"})
        return expected


async def _read(request: web.Request) -> bytes:
    if (request.content_length or 0) > _MAX_BODY:
        raise Problem(413, f"at most {_MAX_BODY} octets are taken")
    try:
        async with asyncio.timeout(_BODY_TIME):
            return await request.read()
    except TimeoutError:
        raise Problem(408) from None


def _message(body: bytes) -> IncomingSms:
    try:
        document = parse_json_object(body, max_depth=2)
    except MalformedJson as error:
        raise Problem(400, str(error)) from None
    values = [document.get(name) for name in ("from", "to", "text")]
    if set(document) != _MEMBERS or not all(isinstance(value, str) for value in values):
        raise Problem(422, "members are from, text and to, all of them texts")
    sender, recipient, text = (str(value) for value in values)
    number = canonical_number(recipient)
    if number is None or not 0 < len(sender) <= 32:
        raise Problem(422, "to is not a telephone number, or from is empty or too long")
    octets = text.encode("utf-16-be", "replace")
    return IncomingSms(sender.removeprefix("+"), number, octets, 0, _UCS2)


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    """Return the value of X-Spingate-Signature, for whoever sends."""
    digest = hmac.new(key, str(timestamp).encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"
