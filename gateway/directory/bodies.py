"""Bodies of the directory's interfaces: strict JSON in, problems and JSON out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Set
from typing import Final

from aiohttp import web

from discovery.directory.reason import Refusal, Refused
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.problem import Problem

MAX_BODY: Final = 16_384
_BODY_TIME: Final = 5.0
_MAX_DEPTH: Final = 4
_STATUS: Final = {
    Refusal.OVERSIZED: 413,
    Refusal.MALFORMED: 400,
    Refusal.WRONG_TYPE: 400,
    Refusal.NOT_CANONICAL: 400,
    Refusal.IDENTIFIER: 400,
    Refusal.BAD_URI: 422,
    Refusal.HOST_IS_NOT_MSP: 422,
    Refusal.BAD_TAGS: 422,
    Refusal.TOO_MANY_MAPS: 422,
    Refusal.LIFETIME: 422,
    Refusal.NOT_FRESH: 422,
    Refusal.EXPIRED: 422,
    Refusal.SEQUENCE: 409,
    Refusal.BEFORE_REMOVAL: 409,
    Refusal.OVERLOADED: 409,
    Refusal.NO_CHALLENGE: 404,
    Refusal.BURNT: 429,
    Refusal.RATE_LIMITED: 429,
    Refusal.UNDELIVERED: 503,
}
_RETRY: Final = {429: "3600", 503: "60"}


def problem_of(refused: Refused) -> Problem:
    """Return the problem document of a refusal; what names no other status is 403."""
    status = _STATUS.get(refused.reason, 403)
    headers = {"Retry-After": _RETRY[status]} if status in _RETRY else None
    return Problem(status, refused.detail, kind=f"urn:spin:error:{refused.reason}", headers=headers)


async def read_object(
    request: web.Request, needed: Set[str], optional: Set[str] = frozenset()
) -> dict[str, object]:
    """Read a JSON object with these members; raises Problem: 400, 408, 413, 415, 422."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Problem(415, "send application/json, not compressed")
    if request.content.is_eof():  # it came with its header: nothing to wait for
        return checked_object(await request.read(), needed, optional)
    try:
        async with asyncio.timeout(_BODY_TIME):
            body = await request.read()
    except TimeoutError:
        raise Problem(408) from None
    return checked_object(body, needed, optional)


def checked_object(
    body: bytes, needed: Set[str], optional: Set[str] = frozenset()
) -> dict[str, object]:
    """Read a body that came by whatever way; raises Problem: 400, 422."""
    try:
        document = parse_json_object(body, max_depth=_MAX_DEPTH)
    except MalformedJson as error:
        raise Problem(400, str(error)) from None
    names = set(document)
    if not needed <= names or not names <= needed | optional:
        more = f", and may be {', '.join(sorted(optional))}" if optional else ""
        raise Problem(422, f"members are {', '.join(sorted(needed))}{more}")
    return document


def json_response(document: Mapping[str, object], *, status: int = 200) -> web.Response:
    """Return a JSON answer that nobody may keep."""
    return web.Response(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
