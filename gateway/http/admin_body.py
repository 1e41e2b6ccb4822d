"""Bodies sent to the operator's interface: one bounded JSON object."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.problem import Problem

_BODY_TIME: Final = 5.0


async def read_object(request: web.Request, most: int) -> dict[str, Any]:
    """Read a JSON object of at most `most` octets, every text of which is Unicode.

    Raises Problem: 400, 408, 413, 415.
    """
    if "Content-Encoding" in request.headers:
        raise Problem(415, "send it not compressed")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIME):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise Problem(413, f"at most {most} octets are taken")
    except TimeoutError:
        raise Problem(408) from None
    try:
        asked = parse_json_object(bytes(body))
    except MalformedJson as error:
        raise Problem(400, f"the body is {error}") from None
    if not _is_unicode(asked):
        raise Problem(400, "the body holds half a character")
    return asked


def _is_unicode(value: object) -> bool:
    """Whether no text has a surrogate by itself, which can be written nowhere else."""
    if isinstance(value, dict):
        return all(_is_unicode(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return all(map(_is_unicode, value))
    return not isinstance(value, str) or not any("\ud800" <= each <= "\udfff" for each in value)
