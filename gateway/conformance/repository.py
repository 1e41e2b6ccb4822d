"""Where the suite's certificates are served from while it runs."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.conformance.credentials import GOOD, REDIRECT, Credentials
from gateway.http.listener import HttpListener
from gateway.http.repository import MEDIA_TYPE


@asynccontextmanager
async def repository(
    credentials: Credentials, address: str, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[HttpListener]:
    """Serve every chain below the base URL's path; raises OSError where the port is taken."""

    async def page(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == REDIRECT:
            return web.Response(status=302, headers={"Location": credentials.url(GOOD)})
        body = credentials.pages.get(name)
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, content_type=MEDIA_TYPE)

    application = web.Application(client_max_size=0)
    path = "/" + credentials.base_url.partition("://")[2].partition("/")[2]
    application.router.add_get(f"{path.rstrip('/')}/{{name}}.pem", page)
    listener = HttpListener(application, address, port, tls=tls)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()
