"""The public certificate repository that x5u points to: `GET /certs/{name}`.

Only certificates leave: a file that holds anything else, a private key above all, is not served.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from gateway.http.problem import Problem, problems

_log = structlog.get_logger("repository")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.(?:pem|crt|cer)")
_MAX_FILE: Final = 65_536
_CERTIFICATES: Final = re.compile(
    rb"\s*(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"
)
MEDIA_TYPE: Final = "application/pem-certificate-chain"


class CertificateRepository:
    """Serves the certificate chains of a folder.

    max_age: seconds for Cache-Control. Files are read at each request, so that a renewed
    certificate is served from the moment it is moved into place.
    """

    def __init__(self, folder: Path, *, max_age: int = 3600) -> None:
        self._folder = folder
        self._max_age = max_age
        self.withheld = 0

    def application(self) -> web.Application:
        """Return the aiohttp application to serve over TLS."""
        application = web.Application(middlewares=[problems], client_max_size=0)
        application.router.add_get("/certs/{name}", self._get)
        return application

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not _NAME.fullmatch(name):
            raise Problem(404)
        pem = await asyncio.to_thread(self._read, name)
        if pem is None:
            raise Problem(404)
        tag = f'"{hashlib.sha256(pem).hexdigest()[:32]}"'
        headers = {
            "Cache-Control": f"public, max-age={self._max_age}",
            "ETag": tag,
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=pem, content_type=MEDIA_TYPE, headers=headers)

    def _read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            if not path.is_file():
                return None
            with path.open("rb") as file:
                pem = file.read(_MAX_FILE + 1)
        except OSError as error:
            _log.warning("certificate unreadable", file=name, detail=error.strerror)
            return None
        if len(pem) > _MAX_FILE or not _CERTIFICATES.fullmatch(pem):
            self.withheld += 1
            _log.error("file withheld: it holds something that is no certificate", file=name)
            return None
        return pem
