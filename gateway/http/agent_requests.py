"""What requests to the agent's interface have in common: bodies, members, numbers, answers."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import web

from discovery.model import Service
from discovery.number import NumberRanges, canonical_number
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.agent_credentials import Kind, Principal
from gateway.http.problem import Problem

_MAX_DEPTH: Final = 8
_BODY_TIME: Final = 5.0
MAX_LISTS: Final = 1 << 19
NOT_OURS: Final = "not a number of this agent"
PRINCIPAL: Final = web.RequestKey("principal", Principal)


def principal_of(request: web.Request, *kinds: Kind) -> Principal:
    """Return whose token came with a request; 403 unless of one of these kinds."""
    principal = request[PRINCIPAL]
    if principal.kind not in kinds:
        wanted = " or ".join(str(kind) for kind in kinds)
        raise Problem(403, f"needs the credential of: {wanted}")
    return principal


async def read_object(
    request: web.Request,
    required: frozenset[str],
    optional: frozenset[str] = frozenset(),
    *,
    max_body: int = 8192,
) -> dict[str, object]:
    """Read a JSON object with these members and no others, of at most `max_body` octets."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Problem(415, "send application/json, not compressed")
    if (request.content_length or 0) > max_body:
        raise Problem(413, f"at most {max_body} octets are taken")
    try:
        async with asyncio.timeout(_BODY_TIME):
            body = await request.read()
    except TimeoutError:
        raise Problem(408) from None
    if len(body) > max_body:
        raise Problem(413, f"at most {max_body} octets are taken")
    try:
        document = parse_json_object(body, max_depth=_MAX_DEPTH)
    except MalformedJson as error:
        raise Problem(400, str(error)) from None
    if not required <= set(document) <= required | optional:
        further = f", and may be {', '.join(sorted(optional))}" if optional else ""
        raise Problem(422, f"members are {', '.join(sorted(required)) or 'none'}{further}")
    return document


def text_member(document: dict[str, object], member: str) -> str:
    """Return a member that is text, or 422."""
    value = document[member]
    if not isinstance(value, str):
        raise Problem(422, f"{member} is not text")
    return value


def seconds_member(
    document: dict[str, object], member: str, default: float, *, least: float, most: float
) -> float:
    """Return a number of seconds within bounds, or 422."""
    value = document.get(member, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Problem(422, f"{member} is not {least:g} to {most:g} seconds")
    return float(value)


def services_of(value: object) -> tuple[Service, ...]:
    """Return a list of services, or 422."""
    if not isinstance(value, list) or not 0 < len(value) <= len(Service):
        raise Problem(422, "svc is not a list of services")
    try:
        return tuple(Service(item) for item in value)
    except ValueError:
        raise Problem(422, "a service is not voice, video or im") from None


def service_of(value: object) -> Service:
    """Return one service, or 422."""
    if not isinstance(value, str) or value not in set(Service):
        raise Problem(422, "svc is not voice, video or im")
    return Service(value)


def own_number(
    document: dict[str, object], member: str, principal: Principal, numbers: NumberRanges
) -> str:
    """Return the number a request acts for, the credential's own where none is named.

    422 for what is no number, 403 for one that is not this agent's or not the credential's.
    """
    if member in document:
        number = canonical_number(text_member(document, member))
        if number is None:
            raise Problem(422, f"{member} is not a telephone number")
    else:
        number = principal.number
        if number not in numbers:
            raise Problem(422, f"{member} is needed: this credential covers several numbers")
    if number not in numbers or not principal.covers(number):
        raise Problem(403, NOT_OURS)
    return number


def json_response(
    document: dict[str, object], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Answer with JSON that nobody keeps."""
    return web.Response(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
