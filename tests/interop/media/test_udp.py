"""Media sockets: reading in batches, and the switch to one peer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop

from media.ice_values import Address
from media.udp import MediaSocket, UdpPoller, reader
from tests.support.media_phone import Phone, converse, engine, open_session, phones, until

pytestmark = pytest.mark.real


@pytest.fixture
async def poller() -> AsyncIterator[UdpPoller]:
    made = UdpPoller(asyncio.get_running_loop())
    yield made
    assert len(made) == 0
    made.close()


def sender(host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    return made


async def test_what_strangers_sent_before_keeps_its_source_after_connecting(
    poller: UdpPoller,
) -> None:
    got: list[tuple[bytes, Address]] = []
    made = MediaSocket(poller, "127.0.0.1", 0)
    port = made._socket.getsockname()[1]
    made.read_by(reader(made, lambda data, source: got.append((data, source))))
    with sender() as peer, sender("127.0.0.66") as stranger:
        for number in range(50):
            stranger.sendto(b"stranger %d" % number, ("127.0.0.1", port))
        made.connect(peer.getsockname())
        stranger.sendto(b"late", ("127.0.0.1", port))
        peer.sendto(b"peer", ("127.0.0.1", port))
        await until(lambda: len(got) > 50, seconds=1)
        await asyncio.sleep(0.02)
        assert [source for _, source in got[:50]] == [stranger.getsockname()] * 50
        assert got[50:] == [(b"peer", peer.getsockname())]
    made.close()
    made.close()


async def test_a_socket_closed_by_a_datagram_of_the_same_batch_is_not_read(
    poller: UdpPoller,
) -> None:
    sockets = [MediaSocket(poller, "127.0.0.1", 0) for _ in range(2)]
    reads: list[int] = []

    def close_all(data: bytes, source: Address) -> None:
        reads.append(len(data))
        for one in sockets:
            one.close()

    with sender() as peer:
        for one in sockets:
            one.read_by(reader(one, close_all))
            peer.sendto(b"x", one._socket.getsockname())
        await asyncio.sleep(0.05)
    assert reads == [1]


async def test_an_unreachable_peer_and_a_closed_socket_raise_nothing(poller: UdpPoller) -> None:
    made = MediaSocket(poller, "127.0.0.1", 0)
    made.read_by(reader(made, lambda data, source: None))
    made.connect(("127.0.0.1", 9))
    for _ in range(4):
        made.send(b"x", ("127.0.0.1", 9))
        await asyncio.sleep(0.01)
    made.close()
    before = made.unsent
    made.send(b"x", ("127.0.0.1", 9))
    assert made.unsent == before + 1


def test_sessions_run_on_uvloop() -> None:
    async def scenario() -> None:
        media = engine()
        session = open_session(media, "sdes", "rtp")
        with phones(Phone(b"A", secure=True), Phone(b"B")) as (a, b):
            b.learn(await session.offer(a.sdp(), "caller"))
            a.learn(await session.answer(b.sdp(), "callee"))
            await converse(a, b)
        await media.close()

    uvloop.run(scenario())


async def test_an_ipv6_source_is_an_address_and_a_port(poller: UdpPoller) -> None:
    got: list[tuple[bytes, Address]] = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.bind(("::1", 0))
        port = peer.getsockname()[1]
        made = MediaSocket(poller, "::1", 0)
        made.read_by(reader(made, lambda data, source: got.append((data, source))))
        peer.sendto(b"six", ("::1", made._socket.getsockname()[1]))
        await until(lambda: got == [(b"six", ("::1", port))], seconds=1)
        made.send(b"back", ("::1", port))
        made.connect(("::1", port))
        made.send(b"again", ("::1", port))
        assert (peer.recv(100), peer.recv(100)) == (b"back", b"again")
        made.close()
