"""F1 and F2 for the operator's interface: what is described, and only with its token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from gateway.http.admin import admin_application
from gateway.http.admin_openapi import description
from gateway.http.cache_admin import cache_routes
from gateway.http.credentials import CertificateSource
from gateway.http.listener import HttpListener
from gateway.http.preloading import Preloading
from tests.support.call_placement_scene import KnownCertificates
from tests.support.openapi_contract import Contract, Mode, over
from tests.unit.gateway.test_admin_interface import look_up

pytestmark = pytest.mark.real
TOKEN = "correct-horse-battery"
STATES = ("calls", "certificates")
DESCRIPTION = description(STATES, cache=True)


class Cache:
    """A certificate cache that refuses all there is."""

    def take(self, url: str, pem: str) -> str | None:
        return f"{url} is refused" if len(pem.encode()) >= 0 else None

    async def fetch(self, urls: list[str], source: object) -> list[str | None]:
        return [None for _ in urls]

    def clear(self, url: str | None) -> int:
        return len((url or "").encode())


@asynccontextmanager
async def interface() -> AsyncIterator[str]:
    application = admin_application(
        TOKEN,
        lambda: b"spingate_calls_total 0\n",
        {name: lambda: [{"call_id": "1"}] for name in STATES},
        look_up,
        routes=cache_routes(
            cast(Preloading, Cache()), cast(CertificateSource, KnownCertificates())
        ),
    )
    listener = HttpListener(application, "127.0.0.1", 0, tls=None)
    await listener.start()
    yield f"http://127.0.0.1:{listener.port}"
    await listener.stop()


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(DESCRIPTION).cases()))
async def test_every_operation_keeps_to_its_description(method: str, path: str, mode: Mode) -> None:
    async with interface() as url, aiohttp.ClientSession() as session:
        contract = Contract(DESCRIPTION)
        await contract.hold(method, path, mode, over(session, url, f"Bearer {TOKEN}", ""))
        assert path == "/healthz" or contract.seen[401] >= 1


async def test_what_is_served_is_what_is_described() -> None:
    async with interface() as url, aiohttp.ClientSession() as session:
        async with session.get(
            f"{url}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as answer:
            document: dict[str, Any] = await answer.json()
        assert document["paths"].keys() == Contract(DESCRIPTION).description["paths"].keys()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/discover", b'{"number":"\\ud800","service":"voice","from":"+1"}', 400),
        ("/v1/cache/clear", b'{"url":"\\udfff"}', 400),
        ("/v1/cache/import", b'{"certificates":[{"url":"\\ud800","pem":""}]}', 400),
        ("/v1/cache/fetch", b'{"urls":["\\ud800"]}', 400),
        ("/v1/discover", b" " * 2_000, 413),
        ("/v1/cache/fetch", b" " * (4 * 2**20 + 1), 413),
    ],
)
async def test_bodies_that_once_were_errors_of_ours(path: str, body: bytes, status: int) -> None:
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json; charset=no-such-charset",
    }
    async with (
        interface() as url,
        aiohttp.ClientSession() as session,
        session.post(url + path, data=BytesIO(body), headers=headers) as answer,
    ):
        assert answer.status == status
        assert answer.content_type == "application/problem+json"


def test_the_real_paths_of_the_cache_are_the_described_ones(tmp_path: Path) -> None:
    routes = cache_routes(cast(Preloading, Cache()), cast(CertificateSource, KnownCertificates()))
    described = {path for path in Contract(DESCRIPTION).description["paths"] if "/cache/" in path}
    assert {route.path for route in routes} == described
