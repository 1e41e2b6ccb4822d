"""aioice, an ICE implementation of others, connects to our agent over real sockets."""

from __future__ import annotations

import asyncio
import random
from typing import cast

import aioice
import pytest

from media.candidate import host_candidate, parse_candidate
from media.ice import Address, IceAction, IceAgent, IceCredentials, IceParameters, SendStun
from media.ice_values import new_credentials
from media.stun import looks_like_stun

pytestmark = pytest.mark.real


class AgentSocket(asyncio.DatagramProtocol):
    """The smallest driver: one socket, one timer."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.media: asyncio.Queue[bytes] = asyncio.Queue()
        self.connected = asyncio.Event()
        self.agent: IceAgent | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.agent is not None
        source = (addr[0], addr[1])
        if looks_like_stun(data):
            self.act(self.agent.receive(data, source, self.loop.time()))
        elif self.agent.is_validated(source):
            self.media.put_nowait(data)

    def act(self, actions: list[IceAction]) -> None:
        assert self.agent is not None
        for action in actions:
            if isinstance(action, SendStun):
                self.transport.sendto(action.data, action.destination)
        if self.agent.selected is not None:
            self.connected.set()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.agent.next_deadline()
        if deadline is not None:
            self._timer = self.loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        assert self.agent is not None
        self.act(self.agent.expire(self.loop.time()))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.transport.close()


def _host() -> str:
    """An address of this machine other than loopback, which aioice leaves out."""
    found = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not found:
        pytest.skip("this machine has no address but loopback, and aioice uses none there")
    return str(found[0])


async def _ours(*, controlling: bool, lite: bool) -> tuple[AgentSocket, Address]:
    loop = asyncio.get_running_loop()
    transport, socket = await loop.create_datagram_endpoint(AgentSocket, (_host(), 0))
    host, port = transport.get_extra_info("sockname")[:2]
    rand = random.SystemRandom()
    socket.agent = IceAgent(
        new_credentials(rand), (host, port), controlling=controlling, lite=lite, rand=rand
    )
    return socket, (host, port)


@pytest.mark.parametrize(("we_control", "lite"), [(True, False), (False, False), (False, True)])
async def test_our_agent_and_aioice_connect_and_exchange_datagrams(
    we_control: bool, lite: bool
) -> None:
    ours, base = await _ours(controlling=we_control, lite=lite)
    theirs = aioice.Connection(ice_controlling=not we_control, use_ipv6=False)
    assert ours.agent is not None
    try:
        await theirs.gather_candidates()
        theirs.remote_username = ours.agent.credentials.ufrag
        theirs.remote_password = ours.agent.credentials.pwd
        theirs.remote_is_lite = lite
        await theirs.add_remote_candidate(aioice.Candidate.from_sdp(str(host_candidate(*base))))
        await theirs.add_remote_candidate(None)
        candidates = [parse_candidate(found.to_sdp()) for found in theirs.local_candidates]
        remote = IceParameters(
            IceCredentials(theirs.local_username, theirs.local_password),
            tuple(found for found in candidates if found is not None),
        )
        ours.act(ours.agent.start(remote, ours.loop.time()))
        await asyncio.wait_for(theirs.connect(), 8)
        await asyncio.wait_for(ours.connected.wait(), 8)
        assert ours.agent.selected is not None
        ours.transport.sendto(b"\x80to you", ours.agent.selected)
        assert await asyncio.wait_for(theirs.recv(), 5) == b"\x80to you"
        await theirs.send(b"\x80to us")
        assert await asyncio.wait_for(ours.media.get(), 5) == b"\x80to us"
    finally:
        await theirs.close()
        ours.close()
