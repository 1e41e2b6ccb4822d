"""F1, F2 and F5 on real HTTPS: who may ask, what is malformed, and what enumeration learns."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.directory.answer import ANSWER_OCTETS
from discovery.directory.orders import Operation
from gateway.directory.openapi import DESCRIPTION
from stir.certificates.issuing import issue_tls_certificate
from tests.support.directory_world import (
    NUMBER,
    TOKEN,
    DirectoryClient,
    DirectoryWorld,
    running,
)
from tests.support.openapi_contract import EXAMPLES, Contract, Mode, Request, over

pytestmark = pytest.mark.real
CHANGES = ("/dp/v1/records", "/dp/v1/objections", "/ca/v1/challenges", "/ca/v1/certificates")


@pytest.fixture
async def client(world: DirectoryWorld) -> AsyncIterator[DirectoryClient]:
    async with running(world) as client:
        yield client


# --- F1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer wrong-token-of-alpha")],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", "Bearer ")],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
        [("Authorization", "PrivateToken token=AAAA")],
    ],
)
async def test_lookups_without_a_right_to_ask_are_401(
    client: DirectoryClient, headers: list[tuple[str, str]]
) -> None:
    async with client.session.post(
        f"{client.url}/dp/v1/lookup?token={TOKEN}", json={"csi": NUMBER}, headers=headers
    ) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.content_type == "application/problem+json"


async def test_guessing_tokens_ends_with_429(client: DirectoryClient) -> None:
    statuses = [(await client.lookup(token=f"guess-{n}")).status for n in range(30)]
    assert set(statuses) == {401, 429}
    assert (await client.lookup()).status == 200


async def test_a_peer_is_known_by_its_tls_certificate(tmp_path: Path) -> None:
    world = DirectoryWorld(
        tmp_path,
        directory={
            "client_trust_anchors": tmp_path / "tls-root.pem",
            "peer": ({"name": "beta", "domain": "gateway.beta.example"},),
        },
    )
    async with running(world) as client:
        assert (await client.lookup(token=None)).status == 401
        for name, status in (("gateway.beta.example", 200), ("other.example", 401)):
            issued = issue_tls_certificate(world.tls_root, time.time(), dns_names=(name,))
            assert issued.key_pem is not None
            pair = tmp_path / f"{name}.pem"
            pair.write_bytes(issued.chain_pem + issued.key_pem)
            context = ssl.create_default_context(cafile=str(tmp_path / "tls-root.pem"))
            context.load_cert_chain(pair)
            async with client.session.post(
                f"{client.url}/dp/v1/lookup", json={"csi": NUMBER}, ssl=context
            ) as response:
                assert response.status == status


# --- F2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b"{", {}, 400),
        (b'{"csi":1,"csi":1}', {}, 400),
        (b'{"csi":NaN}', {}, 400),
        (b'{"csi":"\xff"}', {}, 400),
        (b'{"csi":' + b"[" * 10_000, {}, 400),
        (b'{"csi":"tel:+1415"}' + b" " * 20_000, {}, 413),
        (b'{"csi":"tel:+14155550123"}', {"Content-Type": "text/plain"}, 415),
        (b'{"csi":"tel:+14155550123"}', {"Content-Encoding": "gzip"}, 415),
        (b'{"csi":"tel:+14155550123","more":1}', {}, 422),
        (b"{}", {}, 422),
        (b'{"csi":"tel:14155550123"}', {}, 400),
        (b'{"csi":"tel:+14155550123","svc":"fax"}', {}, 400),
    ],
)
async def test_a_malformed_lookup_has_one_status(
    client: DirectoryClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", **headers}
    async with client.session.post(
        f"{client.url}/dp/v1/lookup", data=body, headers=sent
    ) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"


async def test_raw_framing_tricks_end_in_a_declared_way(
    world: DirectoryWorld, client: DirectoryClient
) -> None:
    head = f"POST /dp/v1/lookup HTTP/1.1\r\nHost: dp.example\r\nAuthorization: Bearer {TOKEN}\r\n"
    json_type = "Content-Type: application/json\r\n"
    both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    chunks = "Transfer-Encoding: chunked\r\n\r\n" + "1\r\n \r\n" * 30_000 + "0\r\n\r\n"
    for tail in (both, chunks, "Content-Length: -1\r\n\r\n", "Content-Length: 2000000\r\n\r\n{"):
        reply = await _raw(world, client, (head + json_type + tail).encode())
        assert reply.split(b" ", 2)[1] in (b"400", b"408", b"413"), tail[:40]
    assert (await client.lookup()).status == 200


async def _raw(world: DirectoryWorld, client: DirectoryClient, octets: bytes) -> bytes:
    context = ssl.create_default_context(cafile=str(world.folder / "tls-root.pem"))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", client.service.listener.port, ssl=context
    )
    try:
        writer.write(octets)
        return await reader.readline()
    finally:
        writer.close()


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(DESCRIPTION).cases()))
async def test_every_operation_keeps_to_its_description(
    client: DirectoryClient, method: str, path: str, mode: Mode
) -> None:
    """Any request, described or not, gets a declared answer, and never one of ours (5xx)."""
    send = over(client.session, client.url, f"Bearer {TOKEN}")
    await Contract(DESCRIPTION).hold(method, path, mode, send)


async def test_good_tokens_with_anything_around_them_keep_to_it(
    world: DirectoryWorld, client: DirectoryClient
) -> None:
    """What is signed gets past the first look; so the rest of each operation is reached."""
    owner, stranger = world.owner(), world.owner(certified=False)
    orders = [each.order(op) for op in Operation for each in (owner, stranger)]
    good: dict[tuple[str, str], list[dict[str, Any]]] = {
        ("put", "/dp/v1/records"): [
            {"record": owner.token(seq=seq), "chain": owner.chain} for seq in (1, 2)
        ],
        ("delete", "/dp/v1/records"): [{"removal": owner.removal(), "chain": owner.chain}],
        ("post", "/dp/v1/lookup"): [{"csi": NUMBER}],
    }
    for path in ("/dp/v1/objections", "/ca/v1/challenges", "/ca/v1/certificates"):
        good["post", path] = [{"order": order} for order in orders]
    asked = st.sampled_from([(*where, each) for where, all_ in good.items() for each in all_])
    members = st.sampled_from(["record", "removal", "order", "chain", "release", "csi"])
    values = st.sampled_from([None, "x.y.z", [], owner.chain, owner.token(), *orders[:4]])
    changed: st.SearchStrategy[dict[str, Any]] = st.just({})
    changed |= st.dictionaries(members, values, max_size=1)
    send, contract = over(client.session, client.url, f"Bearer {TOKEN}"), Contract(DESCRIPTION)
    loop = asyncio.get_running_loop()

    async def ask(method: str, path: str, document: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json"}
        body = json.dumps(document).encode()
        contract.check(method, path, await send(Request(method, path, headers, body)))

    @settings(
        max_examples=3 * EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(asked, changed)
    def fuzz(asking: tuple[str, str, dict[str, Any]], change: dict[str, Any]) -> None:
        method, path, document = asking
        doing = ask(method, path, {**document, **change})
        asyncio.run_coroutine_threadsafe(doing, loop).result(20)

    await asyncio.to_thread(fuzz)
    assert {200, 201, 422} <= set(contract.seen)


# --- F5 --------------------------------------------------------------------------------------


async def test_known_and_unknown_identifiers_look_alike(
    world: DirectoryWorld, client: DirectoryClient
) -> None:
    known = [f"tel:+1415555{n:04d}" for n in range(0, 40, 2)]
    for csi in known:
        assert (await client.register(world.owner(csi))).status == 200
    shapes: set[tuple[Any, ...]] = set()
    work: set[tuple[int, int]] = set()
    for n in range(40):
        before = (client.service.records.statements, client.service.lookups.signed)
        reply = await client.lookup(f"tel:+1415555{n:04d}")
        after = (client.service.records.statements, client.service.lookups.signed)
        work.add((after[0] - before[0], after[1] - before[1]))
        shapes.add((reply.status, len(reply.body), tuple(sorted(set(reply.headers) - {"Date"}))))
    assert len(shapes) == 1
    assert next(iter(shapes))[:2] == (200, ANSWER_OCTETS)
    assert work == {(1, 1)}  # as many statements and signatures, found or not


async def test_enumeration_ends_at_the_quota(tmp_path: Path) -> None:
    peer = {"name": "alpha", "token": TOKEN, "lookups_per_day": 50, "lookups_burst": 1000}
    world = DirectoryWorld(tmp_path, directory={"peer": (peer,)})
    async with running(world) as client:
        statuses = [(await client.lookup(f"tel:+1415555{n:04d}")).status for n in range(60)]
        assert statuses == [200] * 50 + [429] * 10
        world.clock.now += 86_400
        assert (await client.lookup()).status == 200


async def test_challenges_and_certificates_tell_nothing_about_a_number(
    world: DirectoryWorld, client: DirectoryClient
) -> None:
    registered = world.owner()
    await client.register(registered)
    shapes = set()
    for csi in (NUMBER, "tel:+14155550199"):
        stranger = world.owner(csi, certified=False)
        asked = await client.send(
            "POST", "/ca/v1/challenges", {"order": stranger.order(Operation.CHALLENGE)}
        )
        renewed = await client.send(
            "POST", "/ca/v1/certificates", {"order": stranger.order(Operation.RENEW)}
        )
        shapes.add((asked.status, len(asked.body), renewed.status, renewed.body))
    assert len(shapes) == 1


async def test_changes_from_one_address_are_limited(tmp_path: Path) -> None:
    world = DirectoryWorld(tmp_path, directory={"changes_burst": 5})
    async with running(world) as client:
        for path in CHANGES:
            statuses = []
            for _ in range(6):
                method = "PUT" if path.endswith("records") else "POST"
                statuses.append((await client.send(method, path, {})).status)
            assert 429 in statuses
