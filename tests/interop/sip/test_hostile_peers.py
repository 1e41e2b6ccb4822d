"""What strangers can do to the transports: nothing that others would notice."""

import asyncio
import logging
import random
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sip.flow import Address, Hop, Transport
from sip.message import response_to
from sip.transport.settings import TlsSettings
from tests.support.sip_endpoints import (
    Events,
    User,
    Watcher,
    eventually,
    hop_to,
    listener,
    request,
    running,
)
from tests.support.tls_certificates import Authority

pytestmark = pytest.mark.real

OPTIONS = (
    b"OPTIONS sip:beta.example SIP/2.0\r\n"
    b"Via: SIP/2.0/%s 192.0.2.9:5060;branch=z9hG4bK%d;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@x.example>;tag=1\r\nTo: <sip:b@x.example>\r\n"
    b"Call-ID: %d@x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def options(number: int, transport: Transport = "tcp") -> bytes:
    return OPTIONS % (transport.upper().encode(), number, number)


@asynccontextmanager
async def dialled(
    address: Address, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        address.host, address.port, local_addr=(source, 0), ssl=tls
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(3):
        head = await reader.readuntil(b"\r\n\r\n")
    return head.split(b"\r\n", 1)[0]


async def closed(reader: asyncio.StreamReader, within: float = 3.0) -> bool:
    try:
        async with asyncio.timeout(within):
            return await reader.read() == b""
    except ConnectionError:
        return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def tls_of(authority: Authority, name: str, *, verify_client: bool = False) -> TlsSettings:
    certificate, key = authority.issue(name, dns=(name,))
    anchors = authority.anchor_file
    return TlsSettings(certificate, key, anchors, anchors, verify_client)


async def test_a_message_may_come_byte_by_byte() -> None:
    async with running(listener("tcp")) as beta, dialled(beta.transports.bound("tcp")) as (r, w):
        for number in (1, 2):
            for octet in options(number):
                w.write(bytes((octet,)))
                await w.drain()
            assert await answered(r) == b"SIP/2.0 200 OK"


async def test_many_messages_may_come_in_one_piece() -> None:
    user = User()
    async with (
        running(listener("tcp"), user=user) as beta,
        dialled(beta.transports.bound("tcp")) as (_, w),
    ):
        w.write(b"\r\n".join(options(number) for number in range(50)))
        await eventually(lambda: len(user.requests) == 50)


@pytest.mark.rfc("5626", "4.4.1")
async def test_a_keep_alive_is_answered() -> None:
    async with running(listener("tcp")) as beta, dialled(beta.transports.bound("tcp")) as (r, w):
        w.write(b"\r\n\r\n")
        assert await asyncio.wait_for(r.readexactly(2), 2) == b"\r\n"


async def test_a_message_that_is_too_large_is_answered_513_and_ends_the_connection() -> None:
    limited = listener("tcp", max_message=4096)
    async with running(limited) as beta, dialled(beta.transports.bound("tcp")) as (r, w):
        w.write(options(1).replace(b"Content-Length: 0", b"Content-Length: 5000"))
        assert await answered(r) == b"SIP/2.0 513 Message Too Large"
        assert await closed(r)


async def test_framing_that_is_lost_ends_the_connection_and_hides_nothing() -> None:
    user = User()
    async with running(listener("tcp"), user=user) as beta:
        async with dialled(beta.transports.bound("tcp")) as (r, w):
            w.write(options(1).replace(b"Content-Length: 0", b"Content-Length: -1") + options(2))
            assert (await answered(r)).startswith(b"SIP/2.0 400 ")
            assert await closed(r)
        assert user.requests == []


async def test_idle_connections_of_one_source_leave_room_for_others() -> None:
    watcher = Watcher()
    capped = listener("tcp", max_connections_per_source=50)
    async with running(capped, observer=watcher) as beta:
        address = beta.transports.bound("tcp")
        idle = [
            await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.66", 0))
            for _ in range(60)
        ]
        await eventually(lambda: watcher.dropped_reasons.count(watcher.dropped_reasons[0]) == 10)
        assert watcher.dropped_reasons[0] == "accept: too many connections from one source"
        assert beta.transports.connection_count == 50
        async with dialled(address, "127.0.0.67") as (r, w):
            w.write(options(1))
            assert await answered(r) == b"SIP/2.0 200 OK"
        for _, writer in idle:
            writer.transport.abort()
        await eventually(lambda: beta.transports.connection_count == 0)
        async with dialled(address, "127.0.0.66") as (r, w):
            w.write(options(2))
            assert await answered(r) == b"SIP/2.0 200 OK"


async def test_a_tls_handshake_that_never_ends_takes_a_place_for_a_while_only(
    authority: Authority,
) -> None:
    watcher = Watcher()
    secured = listener(
        "tls",
        tls=tls_of(authority, "beta.example"),
        max_connections_per_source=3,
        header_timeout=0.3,
    )
    async with running(secured, observer=watcher) as beta:
        address = beta.transports.bound("tls")
        idle = [await asyncio.open_connection(address.host, address.port) for _ in range(4)]
        await eventually(
            lambda: "accept: too many connections from one source" in (watcher.dropped_reasons)
        )
        await eventually(lambda: beta.transports.connection_count == 0)
        assert sum("did not finish the handshake" in r for r in watcher.dropped_reasons) == 3
        for _, writer in idle:
            writer.transport.abort()


async def test_garbage_and_old_tls_are_turned_away(authority: Authority) -> None:
    watcher = Watcher()
    secured = listener("tls", tls=tls_of(authority, "beta.example"))
    async with running(secured, observer=watcher) as beta:
        address = beta.transports.bound("tls")
        async with dialled(address) as (r, w):
            w.write(options(1))
            assert await closed(r)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(address.host, address.port, ssl=old)
        await eventually(lambda: len(watcher.dropped_reasons) == 2)
        assert all(reason.startswith("tls: 127.0.0.1:") for reason in watcher.dropped_reasons)


async def test_a_client_without_certificate_is_refused_where_one_is_required(
    authority: Authority,
) -> None:
    secured = listener("tls", tls=tls_of(authority, "beta.example", verify_client=True))
    user = User()
    async with running(secured, user=user) as beta:
        anonymous = ssl.create_default_context(cafile=authority.anchor_file)
        anonymous.check_hostname = False
        try:
            async with dialled(beta.transports.bound("tls"), tls=anonymous) as (r, w):
                w.write(options(1, "tls"))
                assert await closed(r)
        except OSError:
            pass  # with TLS 1.2 the handshake itself fails
        assert user.requests == []


async def test_a_message_that_never_ends_is_cut_off_and_silence_is_not() -> None:
    watcher = Watcher()
    hasty = listener("tcp", header_timeout=0.2, idle_timeout=60)
    async with running(hasty, observer=watcher) as beta:
        address = beta.transports.bound("tcp")
        async with dialled(address) as (r, w), dialled(address) as (quiet, quiet_writer):
            w.write(options(1).replace(b"Content-Length: 0", b"Content-Length: 5"))
            assert (await answered(r)).startswith(b"SIP/2.0 400 ")
            assert await closed(r)
            assert "slow: " in watcher.dropped_reasons[0]
            quiet_writer.write(options(2))
            assert await answered(quiet) == b"SIP/2.0 200 OK"


async def test_a_message_cut_off_by_the_end_of_its_stream_is_answered() -> None:
    user = User()
    async with running(listener("tcp"), user=user) as beta:
        async with dialled(beta.transports.bound("tcp")) as (r, w):
            w.write(options(1).replace(b"Content-Length: 0", b"Content-Length: 5") + b"v=0")
            w.write_eof()
            assert (await answered(r)).startswith(b"SIP/2.0 400 ")
            assert await closed(r)
        assert user.requests == []


async def test_a_connection_without_traffic_is_closed_in_the_end() -> None:
    lazy = listener("tcp", idle_timeout=0.2)
    async with running(lazy) as beta, dialled(beta.transports.bound("tcp")) as (r, _):
        assert await closed(r)


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    watcher, user = Watcher(), User(status=200)
    impatient = listener("tcp", max_write_buffer=65_536)
    async with running(impatient, user=user, observer=watcher) as beta:
        address = beta.transports.bound("tcp")
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((address.host, address.port))
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()

        async def ask() -> None:
            for number in range(20_000):
                await loop.sock_sendall(deaf, options(number))

        asking = asyncio.ensure_future(ask())
        await eventually(
            lambda: any("does not read" in reason for reason in watcher.dropped_reasons), 20
        )
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        deaf.close()


async def test_malformed_spray_leaves_no_trace_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rand = random.Random(5)
    whole = options(1, "udp")

    def mangled() -> bytes:
        data = bytearray(whole)
        for _ in range(rand.randint(1, 12)):
            at = rand.randrange(len(data))
            data[at : at + rand.randint(0, 3)] = rand.randbytes(rand.randint(0, 4))
        return bytes(data[: rand.randint(1, len(data))] if rand.random() < 0.3 else data)

    spray = [mangled() for _ in range(600)] + [rand.randbytes(n) for n in range(1, 300, 7)]
    spray += [b"", b"\r\n", b"\r\n\r\n", b"\0" * 4, b"SIP/2.0", b"SIP/2.0 200 OK\r\n\r\n", b"ACK"]
    user = User()
    with caplog.at_level(logging.INFO):
        async with running(listener("udp"), listener("tcp"), user=user) as beta:
            address = beta.transports.bound("udp")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for data in spray:
                    sender.sendto(data, (address.host, address.port))
                    await asyncio.sleep(0)
            stream = beta.transports.bound("tcp")
            for data in spray[::10]:
                async with dialled(stream) as (_, w):
                    w.write(data)
                    await asyncio.sleep(0)
            async with dialled(stream) as (r, w):
                w.write(options(7_000_001))
                assert await answered(r) == b"SIP/2.0 200 OK"
    assert caplog.records == []


async def test_a_response_goes_to_where_the_request_came_from_whatever_its_via_says() -> None:
    async with running(listener("udp")) as beta:
        address = beta.transports.bound("udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
            liar.bind(("127.0.0.9", 0))
            liar.setblocking(False)
            lie = options(1, "udp").replace(b";rport", b";rport=9;received=127.0.0.77")
            liar.sendto(lie, (address.host, address.port))
            loop = asyncio.get_running_loop()
            data = await asyncio.wait_for(loop.sock_recv(liar, 4096), 2)
        port = liar.getsockname()[1] if liar.fileno() >= 0 else None
        assert data.startswith(b"SIP/2.0 200 OK")
        assert b"received=127.0.0.9" in data
        assert b"127.0.0.77" not in data
        assert port is None or f"rport={port}".encode() in data


async def test_a_response_to_nothing_we_asked_is_dropped_and_counted() -> None:
    watcher, user = Watcher(), User()
    stray = options(1, "udp").split(b"\r\n", 1)[1].replace(b"1 OPTIONS", b"1 INVITE")
    async with running(listener("udp"), user=user, observer=watcher) as beta:
        address = beta.transports.bound("udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"SIP/2.0 200 OK\r\n" + stray, (address.host, address.port))
        await eventually(lambda: watcher.dropped_reasons)
        assert watcher.dropped_reasons == ["unmatched: response to no request of ours"]


@pytest.mark.rfc("3261", "18.2.2")
async def test_a_response_whose_connection_is_gone_goes_to_the_port_of_sent_by() -> None:
    user = User(silent=True)
    received: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    listening = await asyncio.start_server(take, "127.0.0.9", 0)
    port = listening.sockets[0].getsockname()[1]
    async with running(listener("tcp"), user=user) as beta:
        async with dialled(beta.transports.bound("tcp"), "127.0.0.9") as (_, w):
            w.write(options(1).replace(b"192.0.2.9:5060", b"192.0.2.9:%d" % port))
            await eventually(lambda: user.transactions)
        await eventually(lambda: beta.transports.connection_count == 0)

        user.transactions[0].respond(response_to(user.requests[0], 200, to_tag="x"))
        await eventually(lambda: received)
    assert received[0].startswith(b"SIP/2.0 200 OK")
    listening.close()
    await listening.wait_closed()


async def test_a_connection_proven_for_one_name_is_never_used_for_another(
    authority: Authority,
) -> None:
    beta_user, events = User(), Events()
    a = listener("tls", tls=tls_of(authority, "alpha.example"))
    b = listener("tls", "127.0.0.3", tls=tls_of(authority, "beta.example"))
    async with running(a) as alpha, running(b, user=beta_user) as beta:
        first = hop_to(beta, "tls", "beta.example")
        alpha.send(request("OPTIONS"), [first], Events())
        await eventually(lambda: beta_user.requests)
        same_address = Hop("tls", first.address, tls_name="gamma.example")
        alpha.send(request("OPTIONS", call_id="other"), [same_address], events)
        failed = await events.until(lambda event: True)
        assert "is for beta.example, expected gamma.example" in str(failed)
        assert len(beta_user.requests) == 1


async def test_a_broken_connection_fails_what_nobody_answered_at_once() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    listening = await asyncio.start_server(hang_up, "127.0.0.9", 0)
    name = listening.sockets[0].getsockname()
    events = Events()
    async with running(listener("tcp")) as alpha:
        alpha.send(request(), [Hop("tcp", Address(name[0], name[1]))], events)
        failed = await events.until(lambda event: True, timeout=1)
        assert "closed the connection" in str(failed)
    listening.close()
    await listening.wait_closed()


_SCARCE = """
import asyncio, resource, sys
from tests.support.sip_endpoints import User, Watcher, listener, running
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
async def main():
    watcher = Watcher()
    async with running(listener("tcp"), user=User(), observer=watcher) as endpoint:
        print(endpoint.transports.bound("tcp").port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        print("\\n".join(sorted(set(watcher.dropped_reasons))), flush=True)
asyncio.run(main())
"""


async def test_lack_of_files_stops_accepting_for_a_while_and_kills_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _SCARCE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        address = Address("127.0.0.1", int(await process.stdout.readline()))
        many = [
            await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.8", 0))
            for _ in range(45)
        ]
        await asyncio.sleep(0.3)
        for _, writer in many:
            writer.transport.abort()
        async with dialled(address) as (r, w):
            w.write(options(1))
            assert await answered(r) == b"SIP/2.0 200 OK"
        process.stdin.write(b"\n")
        await process.stdin.drain()
        assert b"accept: this process is out of files" in await process.stdout.read()
        assert await process.stderr.read() == b""
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
