"""The suite against HTTP services of ATIS-1000082, good and bad ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from stir.authentication import AuthenticationService, SigningRequest
from tests.support.conformance_scene import conformance
from tests.support.stir_authority import URL as X5U
from tests.support.stir_authority import StirWorld

pytestmark = pytest.mark.real

ORIG, DEST = "14155550100", "12125550123"
Answer = Callable[[dict[str, Any]], web.Response]


@asynccontextmanager
async def service(path: str, answer: Answer) -> AsyncIterator[str]:
    """An HTTP service; gives its URL."""

    async def handle(request: web.Request) -> web.Response:
        return answer(await request.json())

    application = web.Application()
    application.router.add_post(path, handle)
    server = TestServer(application, host="127.0.0.1")
    await server.start_server()
    try:
        yield str(server.make_url(path))
    finally:
        await server.close()


def believing(request: dict[str, Any]) -> web.Response:
    """A verification service that believes everything."""
    assert set(request["verificationRequest"]) == {"from", "to", "time", "identity"}
    return web.json_response({"verificationResponse": {"verstat": "TN-Validation-Passed"}})


def refusing(request: dict[str, Any]) -> web.Response:
    verdict = {"reasoncode": "437", "reasondesc": "no", "verstat": "TN-Validation-Failed"}
    return web.json_response({"verificationResponse": verdict})


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """The options of somebody's own certificate: nothing of the suite's is served."""
    world = StirWorld()
    assert world.issued.key_pem is not None
    (tmp_path / "chain.pem").write_bytes(world.issued.chain_pem)
    (tmp_path / "key.pem").write_bytes(world.issued.key_pem)
    files = ("--cert", str(tmp_path / "chain.pem"), "--key", str(tmp_path / "key.pem"))
    return [*files, "--x5u", X5U, "--from", ORIG, "--to", DEST, "--pause", "0"]


async def test_a_verification_service_that_believes_everything_fails(own: list[str]) -> None:
    async with service("/stir/v1/verification", believing) as url:
        said, found = await conformance(url, *own)
    assert said.code == 1
    results = {name: each["result"] for name, each in found.items()}
    assert (results["valid"], results["wrong-key"], results["old"]) == ("pass", "fail", "fail")
    # one Identity a request, no SDP, and none of the suite's own certificates
    for name in ("none", "many", "media-keys", "expired", "redirect"):
        assert results[name] == "skipped", name


async def test_one_that_refuses_everything_fails_only_the_good_ones(own: list[str]) -> None:
    async with service("/stir/v1/verification", refusing) as url:
        said, found = await conformance(url, *own)
    assert said.code == 1
    assert {name for name, each in found.items() if each["result"] == "fail"} == {
        "valid",
        "valid-c",
        "spaces",
    }
    assert (found["alg-none"]["status"], found["alg-none"]["result"]) == (437, "pass")


async def test_one_that_answers_nonsense_does_not_stop_the_suite(own: list[str]) -> None:
    nonsense = web.Response
    async with service("/stir/v1/verification", lambda _: nonsense(text="[[[")) as url:
        said, found = await conformance(url, *own, "--only", "valid", "--only", "old")
    assert [each["conduct"] for each in found.values()] == ["refused", "refused"]
    assert said.code == 1
    said, found = await conformance(url, *own, "--only", "valid", "--timeout", "1")
    assert (said.code, found["valid"]["conduct"]) == (1, "silent")


def _sign(service: AuthenticationService, request: dict[str, Any]) -> web.Response:
    """A signing service that checks its input as it should."""
    asked = request["signingRequest"]
    if not {"attest", "orig", "dest", "iat", "origid"} <= asked.keys() or asked["attest"] not in (
        *"ABC",
    ):
        return web.json_response({"signingResponse": {"reasonCode": "1"}}, status=400)
    if not asked["orig"]["tn"].isdigit():
        return web.json_response({}, status=400)
    signing = SigningRequest(
        asked["orig"]["tn"],
        tuple(asked["dest"]["tn"]),
        asked["iat"],
        asked["attest"],
        asked["origid"],
    )
    return web.json_response({"signingResponse": {"identity": service.sign(signing)}})


async def test_a_signing_service_is_looked_at(own: list[str]) -> None:
    signer = StirWorld().signer
    async with service("/stir/v1/signing", lambda request: _sign(signer, request)) as url:
        said, found = await conformance(url, *own)
    assert said.code == 0, said.out
    assert {name for name, each in found.items() if each["result"] != "pass"} == {"old-iat"}

    lazy = web.json_response
    answer = {"signingResponse": {"identity": "a.b.c;info=<http://x>"}}
    async with service("/stir/v1/signing", lambda _: lazy(answer)) as url:
        said, found = await conformance(url, *own)
    assert said.code == 1
    assert found["signs"]["remark"] == "what it signed is no PASSporT"
    assert found["no-orig"]["remark"] == "it was signed"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sip:+12125550123@192.0.2.1", "--from", ORIG], "give --serve"),
        (["sip:+12125550123@192.0.2.1", "--from", ORIG, "--serve", "127.0.0.1:1"], "go together"),
        (["sip:bob@192.0.2.1", "--from", ORIG], "telephone numbers"),
        (["tel:+12125550123", "--from", ORIG], "a sip: URI"),
        (["nonsense", "--from", ORIG], "nonsense"),
        (["sip:+12125550123@192.0.2.1", "--from", ORIG, "--only", "x"], "no such case"),
        (
            [
                "https://x/",
                "--to",
                DEST,
                "--from",
                ORIG,
                "--serve",
                "1:x",
                "--base-url",
                "http://x",
            ],
            "ADDRESS:PORT",
        ),
    ],
)
async def test_wrong_usage_is_two(arguments: list[str], says: str) -> None:
    said, _ = await conformance(*arguments)
    assert said.code == 2
    assert says in said.err
