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
import schemathesis
from hypothesis import HealthCheck, given, settings

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


def _plain_description() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(DESCRIPTION))
    return document


_WITHOUT_INPUT = ("/.well-known/spin-dp", "/openapi.json")
OPERATIONS = [
    (method, path)
    for path, item in _plain_description()["paths"].items()
    for method in item
    if method in ("get", "put", "post", "delete")
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_every_described_operation_keeps_to_its_description(
    world: DirectoryWorld, client: DirectoryClient, method: str, path: str
) -> None:
    """Any request, described or not, gets a declared status, and never one of ours (5xx)."""
    schema = schemathesis.openapi.from_dict(_plain_description())
    operation = schema[path][method.upper()]
    context = ssl.create_default_context(cafile=str(world.folder / "tls-root.pem"))
    loop = asyncio.get_running_loop()
    declared = set(operation.definition.raw["responses"]) | {"404", "405"}
    seen: set[int] = set()

    async def send(case: Any) -> None:
        headers = {str(k): str(v) for k, v in (case.headers or {}).items()}
        headers["Authorization"] = f"Bearer {TOKEN}"
        unset = isinstance(case.body, type(schemathesis.core.NOT_SET))
        body = None if unset else json.dumps(case.body, default=repr).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with client.session.request(
            case.method,
            client.url + case.formatted_path,
            data=body,
            headers=headers,
            ssl=context,
        ) as response:
            await response.read()
            seen.add(response.status)
            assert str(response.status) in declared, response.status
            assert response.status < 500

    @settings(
        max_examples=1_000 if method != "get" else 50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def fuzz(case: Any) -> None:
        asyncio.run_coroutine_threadsafe(send(case), loop).result(10)

    modes = schemathesis.GenerationMode
    mode = modes.POSITIVE if path in _WITHOUT_INPUT else modes.NEGATIVE
    strategy = operation.as_strategy(generation_mode=mode)
    await asyncio.to_thread(given(strategy)(fuzz))
    assert seen


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
