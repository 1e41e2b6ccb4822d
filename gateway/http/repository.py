"""The public certificate repository that x5u points to: `GET /certs/{name}`.

Only certificates leave: a file that holds anything else, a private key above all, is not served.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from gateway.http.problem import Problem, problems
from stir.certificates.certificate import MalformedCredential, load_certificates

_log = structlog.get_logger("repository")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.(?:pem|crt|cer)")
_MAX_FILE: Final = 65_536
_MAX_READ: Final = 256
_CERTIFICATES: Final = re.compile(
    rb"\s*(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"
)
_TAG: Final = re.compile(r'(?:W/)?"([^"]{0,128})"')
MEDIA_TYPE: Final = "application/pem-certificate-chain"
# Verifiers keep a chain for a day at most (ATIS-1000074 section 5.3.1): saying more is idle.
IMMUTABLE_AGE: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Chain:
    """A file as it was read: `version` tells whether the file is still that one."""

    version: tuple[int, int, int]
    pem: bytes
    tag: str
    not_after: float
    immutable: bool


class CertificateRepository:
    """Serves the certificate chains of a folder.

    max_age: seconds for Cache-Control of files that may be replaced under their name; those named
    by their own certificate's digest never are, and say so. None is cached past its notAfter. A
    renewed certificate is served from the moment it is moved into place. wall_clock: epoch seconds.
    """

    def __init__(
        self, folder: Path, *, max_age: int = 3600, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._max_age = max_age
        self._wall_clock = wall_clock
        self._read: OrderedDict[str, _Chain] = OrderedDict()
        self.withheld = 0

    def application(self) -> web.Application:
        """Return the aiohttp application to serve over TLS."""
        application = web.Application(middlewares=[problems], client_max_size=1)
        application.router.add_get("/certs/{name}", self._get)
        return application

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not _NAME.fullmatch(name):
            raise Problem(404)
        chain = await asyncio.to_thread(self._chain, name)
        if chain is None:
            raise Problem(404)
        self._keep(name, chain)
        headers = {
            "Cache-Control": self._cache_control(chain),
            "ETag": f'"{chain.tag}"',
            "Last-Modified": formatdate(_changed(chain), usegmt=True),
            "X-Content-Type-Options": "nosniff",
        }
        if _is_known(request, chain):
            return web.Response(status=304, headers=headers)
        return web.Response(body=chain.pem, content_type=MEDIA_TYPE, headers=headers)

    def _cache_control(self, chain: _Chain) -> str:
        left = max(int(chain.not_after - self._wall_clock()), 0)
        if chain.immutable:
            return f"public, max-age={min(left, IMMUTABLE_AGE)}, immutable"
        return f"public, max-age={min(left, self._max_age)}"

    def _chain(self, name: str) -> _Chain | None:
        path = self._folder / name
        try:
            if not path.is_file():
                return None
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                version = (status.st_mtime_ns, status.st_size, status.st_ino)
                known = self._read.get(name)
                if known is not None and known.version == version:
                    return known
                pem = file.read(_MAX_FILE + 1)
        except OSError as error:
            _log.warning("certificate unreadable", file=name, detail=error.strerror)
            return None
        chain = _read_chain(name, pem, version)
        if chain is None:
            self.withheld += 1
            _log.error("file withheld: it holds something that is no certificate", file=name)
            return None
        return chain

    def _keep(self, name: str, chain: _Chain) -> None:
        self._read[name] = chain
        while len(self._read) > _MAX_READ:
            self._read.popitem(last=False)


def _read_chain(name: str, pem: bytes, version: tuple[int, int, int]) -> _Chain | None:
    if len(pem) > _MAX_FILE or not _CERTIFICATES.fullmatch(pem):
        return None
    try:
        leaf = load_certificates(pem)[0]
    except MalformedCredential:
        return None
    digest = hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).hexdigest()
    stem = name.rpartition(".")[0]
    return _Chain(
        version=version,
        pem=pem,
        tag=hashlib.sha256(pem).hexdigest()[:32],
        not_after=leaf.not_valid_after_utc.timestamp(),
        immutable=len(stem) >= 32 and digest.startswith(stem),
    )


def _changed(chain: _Chain) -> int:
    return chain.version[0] // 1_000_000_000


def _is_known(request: web.Request, chain: _Chain) -> bool:
    """Whether who asks has it already (RFC 9110 section 13.2.2)."""
    tags = request.headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or chain.tag in _TAG.findall(tags)
    since = request.headers.get("If-Modified-Since")
    if since is None:
        return False
    try:
        return _changed(chain) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False
