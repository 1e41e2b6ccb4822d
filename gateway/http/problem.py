"""Errors of our HTTP interfaces: RFC 9457 problem documents, and nothing of our own inside."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("http")
MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Problem(Exception):
    """A request is answered with an error; `kind` is the problem type, `detail` for people."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        kind: str = "about:blank",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {detail}")
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """Return the problem document (RFC 9457 3)."""
        document: dict[str, object] = {
            "type": self.kind,
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
        }
        if self.detail:
            document["detail"] = self.detail
        return web.Response(
            status=self.status,
            body=json.dumps(document, separators=(",", ":")).encode(),
            content_type=MEDIA_TYPE,
            headers=self.headers,
        )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem document, aiohttp's own and our bugs included."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = error.headers.get("Allow")
        return Problem(error.status, headers={"Allow": allow} if allow else None).response()
    except Exception:  # noqa: BLE001 - outermost: a bug answers 500 and the server lives
        _log.exception("request failed", method=request.method, route=_route(request))
        return Problem(500).response()


def _route(request: web.Request) -> str:
    """Return the route's pattern; the path itself may hold a capability."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(none)"
