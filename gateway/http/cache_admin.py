"""The operator's endpoints for the certificate cache, behind the admin interface's token."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from gateway.http.admin_body import read_object
from gateway.http.credentials import CertificateSource
from gateway.http.preloading import Preloading
from gateway.http.problem import Problem

# The command line sends no more than this in one request.
MAX_CERTIFICATES: Final = 50
MAX_URLS: Final = 32
_MAX_BODY: Final = 4 * 2**20


def cache_routes(preloading: Preloading, source: CertificateSource) -> list[web.RouteDef]:
    """Return POST /v1/cache/import, /v1/cache/fetch and /v1/cache/clear.

    import: ``{"certificates": [{"url", "pem"}]}``, at most 50; fetch: ``{"urls": []}``, at most 32.
    Both answer ``{"results": [{"url", "refused"}]}``, `refused` being null or why. clear:
    ``{"url"}``, null for everything; it answers ``{"cleared": count}``.
    """

    async def take(request: web.Request) -> web.Response:
        asked = _list_of(await read_object(request, _MAX_BODY), "certificates", MAX_CERTIFICATES)
        given = [(_text(each, "url"), _text(each, "pem")) for each in asked]
        refused = [preloading.take(url, pem) for url, pem in given]
        return _results([url for url, _ in given], refused)

    async def fetch(request: web.Request) -> web.Response:
        urls = _list_of(await read_object(request, _MAX_BODY), "urls", MAX_URLS)
        if not all(isinstance(url, str) for url in urls):
            raise Problem(400, "urls are texts")
        return _results(urls, await preloading.fetch(urls, source))

    async def clear(request: web.Request) -> web.Response:
        asked = await read_object(request, _MAX_BODY)
        url = None if asked.get("url") is None else _text(asked, "url")
        return web.json_response({"cleared": preloading.clear(url)})

    return [
        web.post("/v1/cache/import", take),
        web.post("/v1/cache/fetch", fetch),
        web.post("/v1/cache/clear", clear),
    ]


def _results(urls: list[str], refused: list[str | None]) -> web.Response:
    pairs = zip(urls, refused, strict=True)
    return web.json_response({"results": [{"url": url, "refused": why} for url, why in pairs]})


def _list_of(asked: dict[str, Any], name: str, most: int) -> list[Any]:
    items = asked.get(name)
    if not isinstance(items, list) or len(items) > most:
        raise Problem(400, f"{name} is a list of at most {most}")
    return items


def _text(asked: object, name: str) -> str:
    value = asked.get(name) if isinstance(asked, dict) else None
    if not isinstance(value, str):
        raise Problem(400, f"{name} is a text")
    return value
