"""What serves strangers: certificates only, bounded connections, bounded time, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.http import listener as listener_module
from gateway.http.fetch import client_context
from gateway.http.listener import HttpListener, ListenerLimits, _Bounded
from gateway.http.repository import CertificateRepository
from gateway.http.source_address import source_of
from tests.support.https import TestAuthority

pytestmark = pytest.mark.real


def private_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


async def get(
    listener: HttpListener, trust: Path, path: str, asked: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connector = aiohttp.TCPConnector(ssl=client_context(trust))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(
            f"https://127.0.0.1:{listener.port}{path}", headers=asked, allow_redirects=False
        ) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status, headers, await response.read()


@contextlib.asynccontextmanager
async def serving(
    application: web.Application,
    tls: ssl.SSLContext | None,
    limits: ListenerLimits | None = None,
) -> AsyncIterator[HttpListener]:
    listener = HttpListener(application, "127.0.0.1", 0, tls=tls, limits=limits)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


async def test_a_chain_is_served_with_its_type_and_lifetime(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "chain.pem").write_bytes(authority.trust_file.read_bytes() * 2)
    repository = CertificateRepository(folder, max_age=600)
    tls = authority.server_context("127.0.0.1")
    async with serving(repository.application(), tls) as listener:
        status, headers, body = await get(listener, authority.trust_file, "/certs/chain.pem")
        assert status == 200
        assert headers["content-type"] == "application/pem-certificate-chain"
        assert headers["cache-control"] == "public, max-age=600"
        assert body == (folder / "chain.pem").read_bytes()
        again = {"If-None-Match": headers["etag"]}
        assert (await get(listener, authority.trust_file, "/certs/chain.pem", again))[0] == 304


@pytest.mark.parametrize("order", ["key first", "key last", "only a key", "rubbish", "large"])
async def test_a_file_that_holds_a_key_or_anything_else_never_leaves(
    tmp_path: Path, order: str
) -> None:
    authority = TestAuthority(tmp_path)
    certificate, key = authority.trust_file.read_bytes(), private_key()
    folder = tmp_path / "certs"
    folder.mkdir()
    contents = {
        "key first": key + certificate,
        "key last": certificate + key,
        "only a key": key,
        "rubbish": b"hello " + certificate,
        "large": certificate * 200,
    }
    (folder / "leaf.pem").write_bytes(contents[order])
    repository = CertificateRepository(folder)
    tls = authority.server_context("127.0.0.1")
    async with serving(repository.application(), tls) as listener:
        status, _, body = await get(listener, authority.trust_file, "/certs/leaf.pem")
    assert status == 404
    assert b"PRIVATE" not in body
    assert repository.withheld == 1


@pytest.mark.parametrize(
    "path",
    [
        "/certs/../secret.pem",
        "/certs/%2e%2e%2fsecret.pem",
        "/certs/..%2fsecret.pem",
        "/certs/.hidden.pem",
        "/certs/leaf.key",
        "/certs/",
        "/certs/nothing.pem",
        "/",
        "/certs/a%00.pem",
    ],
)
async def test_nothing_outside_the_folder_is_served(tmp_path: Path, path: str) -> None:
    authority = TestAuthority(tmp_path)
    folder = tmp_path / "certs"
    folder.mkdir()
    (tmp_path / "secret.pem").write_bytes(authority.trust_file.read_bytes())
    (folder / ".hidden.pem").write_bytes(authority.trust_file.read_bytes())
    (folder / "leaf.key").write_bytes(private_key())
    tls = authority.server_context("127.0.0.1")
    async with serving(CertificateRepository(folder).application(), tls) as listener:
        assert (await get(listener, authority.trust_file, path))[0] == 404


async def pong(_request: web.Request) -> web.Response:
    return web.Response(text="pong")


def application() -> web.Application:
    made = web.Application()
    made.router.add_get("/ping", pong)
    return made


async def closed_after(reader: asyncio.StreamReader) -> float:
    started = time.monotonic()
    async with asyncio.timeout(5):
        with contextlib.suppress(OSError):
            await reader.read()
    return time.monotonic() - started


async def test_connections_of_one_source_are_bounded_and_others_still_come_in() -> None:
    limits = ListenerLimits(max_connections=10, max_per_source=3)
    async with serving(application(), None, limits) as listener:
        idle = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        extra, extra_writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await closed_after(extra) < 1
        assert listener.refused_connections == 1
        other = ("127.0.0.2", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=other)
        writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"pong" in await reader.read()
        for _, held in [*idle, (reader, writer), (extra, extra_writer)]:
            held.close()


async def test_the_connections_of_a_network_are_bounded_together() -> None:
    """Whoever has an IPv6 /64 could take every place there is, each from an address of its own."""

    class Peer(asyncio.Transport):
        def __init__(self, address: str) -> None:
            super().__init__({"peername": (address, 4_000, 0, 0)})
            self.aborted = False

        def abort(self) -> None:
            self.aborted = True

        def close(self) -> None:
            self.aborted = True

        def is_closing(self) -> bool:
            return self.aborted

    limits = ListenerLimits(max_per_source=3)
    listener = HttpListener(application(), "::1", 0, tls=None, limits=limits)
    peers = [Peer(f"2001:db8:0:7::{host:x}") for host in range(1, 6)]
    bounded = [_Bounded(asyncio.Protocol(), listener) for _ in peers]
    for each, peer in zip(bounded, peers, strict=True):
        each.connection_made(peer)
    assert [peer.aborted for peer in peers] == [False] * 3 + [True] * 2
    for each in bounded:
        each.connection_lost(None)
    assert listener.admit(Peer("2001:db8:0:7::9"), source_of("2001:db8:0:7::9"))


async def test_a_slow_sender_is_cut_when_the_connection_has_lived_long_enough() -> None:
    async with serving(application(), None, ListenerLimits(lifetime=0.5)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET /ping HTTP/1.1\r\nHost: ")
        assert 0.2 < await closed_after(reader) < 2
        writer.close()


async def test_places_are_free_again_when_connections_end() -> None:
    async with serving(application(), None, ListenerLimits(max_per_source=1)) as listener:
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"pong" in await reader.read()
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.02)
        assert listener.refused_connections == 0


async def test_a_busy_port_is_an_error_at_once() -> None:
    async with serving(application(), None) as listener:
        second = HttpListener(application(), "127.0.0.1", listener.port, tls=None)
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        await second.stop()


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\xff",
        b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost : x\r\n\r\n",
    ],
)
async def test_a_head_out_of_shape_is_refused_or_closed(request_head: bytes) -> None:
    async with serving(application(), None, ListenerLimits(lifetime=1)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(request_head + b"\r\n\r\n")
        async with asyncio.timeout(3):
            head = await reader.read(12)
        assert head in (b"", b"HTTP/1.1 400", b"HTTP/1.0 400")
        writer.close()


async def test_little_of_a_flood_of_chunks_is_read_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    received = listener_module._Bounded.data_received

    def counted(self: listener_module._Bounded, data: bytes) -> None:
        sizes.append(len(data))
        received(self, data)

    monkeypatch.setattr(listener_module._Bounded, "data_received", counted)

    async def read(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    application = web.Application(client_max_size=16_384)
    application.router.add_post("/", read)
    async with serving(application, None, ListenerLimits(receive_buffer=8_192)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n")
        assert b" 413 " in await reader.readline()
        writer.transport.abort()
    assert max(sizes) <= 65_536


async def test_what_is_no_http_leaves_no_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(web.Application(), None) as listener:
        for octets in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 10_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(octets + b"\r\n")
            assert b" 400 " in await reader.readline()
            writer.transport.abort()
    assert not [record for record in caplog.records if record.exc_info]
