"""Servers that are down, mute or somebody else: the next one is tried, and the log names them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.demo.dns import Record, sip_records
from gateway.demo.scene import BOB
from sip.headers import Headers
from sip.message import Request, Response
from tests.support.raw_dialog import rtp_sdp
from tests.support.raw_phone import RawPhone, is_request
from tests.support.raw_wire import WireServer
from tests.support.two_providers import TwoProviders

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

FIRST, SECOND = 90, 91


def publish(world: TwoProviders, name: str, *hosts: int) -> None:
    """Publish the servers of a domain, in order."""
    domain = f"{name}.alpha.example"
    targets = [(f"s{h}.{domain}", f"{world.scene.prefix}.{h}", 5061) for h in hosts]
    records: list[Record] = sip_records(domain, targets)
    for record in records:
        world.scene.dns.zones.add(record)


def server(world: TwoProviders, host: int, *names: str) -> WireServer:
    """A TLS server with a certificate for these names."""
    return WireServer(world.address(host, 5061), world.serving(*names))


async def call(world: TwoProviders, number: str) -> tuple[RawPhone, Request]:
    """A trunk that passes media calls a number whose route leads to the servers."""
    trunk = await world.trunk(62, "+14155550150")
    placed = await trunk.call(number, rtp_sdp(trunk.wire.local.host))
    return trunk, placed.request


async def busy(at: WireServer, trunk: RawPhone, request: Request) -> None:
    """The server answers 486, and the trunk hears it."""
    arrival = await at.inbox.take(is_request("INVITE"))
    came = arrival.message
    assert isinstance(came, Request)
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    copied = [(n, f"{v};tag=x" if n == "To" else v) for n in names for v in came.headers.all(n)]
    arrival.reply(Response(486, "Busy Here", Headers.of(*copied)).to_bytes())
    assert (await trunk.final(request)).status_code == 486


async def test_a_dead_first_server_costs_no_call(world: TwoProviders) -> None:
    bob, trunk = await world.bob(), await world.trunk()
    await bob.register()
    placed = await trunk.call(BOB, rtp_sdp(trunk.wire.local.host))
    incoming = await bob.incoming()
    refused = asyncio.create_task(placed.refused())
    await incoming.decline(486)
    await refused
    record = await world.record(world.alpha, placed.request.call_id)
    assert record["next_hop"] == f"tls:{world.address(20, 5061)}"
    await world.idle()


async def test_a_server_that_proves_another_name_gets_no_request_and_the_next_is_tried(
    world: TwoProviders,
) -> None:
    publish(world, "misnamed", FIRST, SECOND)
    impostor = server(world, FIRST, "other.alpha.example", f"s{FIRST}.misnamed.alpha.example")
    async with impostor, server(world, SECOND, "misnamed.alpha.example") as right:
        trunk, request = await call(world, "+14155550160")
        await busy(right, trunk, request)
        assert impostor.inbox.seen == []
    record = await world.record(world.alpha, request.call_id)
    assert record["next_hop"] == f"tls:{world.address(SECOND, 5061)}"
    await world.idle()


async def test_a_server_that_says_nothing_costs_the_connect_timeout_and_the_next_is_tried(
    world: TwoProviders,
) -> None:
    publish(world, "mute", FIRST, SECOND)
    mute = socket.create_server((world.address(FIRST).host, 5061))
    with mute:
        async with server(world, SECOND, "mute.alpha.example") as right:
            trunk, request = await call(world, "+14155550161")
            await busy(right, trunk, request)
    await world.idle()


async def test_when_every_server_fails_the_caller_is_told_and_the_log_names_each(
    world: TwoProviders,
) -> None:
    publish(world, "dead", FIRST, SECOND, 92)
    mute = socket.create_server((world.address(FIRST).host, 5061))
    with mute:
        async with server(world, SECOND, "other.alpha.example") as impostor:
            started = asyncio.get_running_loop().time()
            trunk, request = await call(world, "+14155550162")
            response = await trunk.final(request)
            assert impostor.inbox.seen == []
    assert response.status_code in (500, 503)
    assert response.headers.get("Reason")
    assert asyncio.get_running_loop().time() - started < 10.0
    line = next(
        line
        for line in world.log(world.alpha).splitlines()
        if "not delivered" in line and request.call_id in line
    )
    assert "dead.alpha.example" in line
    for host in (FIRST, SECOND, 92):
        assert f"{world.scene.prefix}.{host}" in line
    await world.idle()
