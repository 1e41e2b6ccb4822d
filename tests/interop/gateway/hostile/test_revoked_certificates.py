"""Revoked certificates on a real gateway, with a list server that tests may break (case C9)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sip.message import Response
from stir.certificates.certificate import load_certificates
from stir.certificates.issuing import make_intermediate, make_root
from tests.support.revocation import ListMaker, points
from tests.support.stir_peer import Handset, Signer, caller, signer_with
from tests.support.troubled_scene import (
    TroubledScene,
    WebServer,
    admin_text,
    eventually,
    http,
    logged,
    metric,
    record_of,
)

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SETTINGS = {"stir.revocation": {"refresh_seconds": 1, "fetch_timeout_seconds": 1.0}}
HOST = "crl.sti-ca.example"
_numbers = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lists(scene: TroubledScene) -> AsyncIterator[WebServer]:
    """A server of revocation lists."""
    async with scene.web_server(HOST, 31) as server:
        yield server


def issuers_list(scene: TroubledScene, *revoked: str, age: float = 0.0) -> bytes:
    """The development authority's list, revoking what signers have published."""
    now, authority = time.time(), scene.authorities.sti
    maker = ListMaker(
        authority.certificate.subject,
        authority.key,
        this_update=now - 60 - age,
        next_update=now + 3600 - age,
    )
    names = [url.rpartition("/")[2] for url in revoked]
    pems = [(scene.folder / "certs" / name).read_bytes() for name in names]
    return maker.der(*(load_certificates(pem)[0] for pem in pems))


def signer_at(scene: TroubledScene, lists: WebServer, path: str) -> Signer:
    return signer_with(scene, extensions=[points(lists.url(path))])


async def called(scene: TroubledScene, signer: Signer) -> tuple[Response, str]:
    call_id = f"revoked-{next(_numbers)}@stranger"
    async with caller(scene) as stranger:
        return await stranger.call(signer.identity(), call_id=call_id), call_id


async def revocation_check(scene: TroubledScene, call_id: str) -> dict[str, str]:
    record = await record_of(scene.beta, call_id)
    return next(check for check in record["verdict"]["checks"] if check["step"] == "revocation")


async def test_a_certificate_revoked_between_two_calls_is_refused(
    scene: TroubledScene, bob: Handset, lists: WebServer
) -> None:
    path = "/between.crl"
    signer = signer_at(scene, lists, path)
    lists.pages[path] = http(200, issuers_list(scene))
    response, call_id = await called(scene, signer)
    assert response.status_code == 486
    assert bob.got(call_id) is not None

    lists.pages[path] = http(200, issuers_list(scene, signer.x5u, age=-1))
    seen = lists.asked(path)
    await eventually(lambda: lists.asked(path) > seen + 1 or None, "never asked again", 10)
    response, call_id = await called(scene, signer)
    assert (response.status_code, response.reason_phrase) == (437, "Unsupported Credential")
    assert (response.headers.get("Reason") or "").startswith("STIR;cause=437;")
    assert bob.got(call_id) is None
    record = await record_of(scene.beta, call_id)
    assert record["verdict"]["reason"] == "credential_revoked"
    assert await metric(scene.beta, "spingate_revocation_total", result="revoked") >= 1


async def test_the_first_call_of_a_revoked_certificate_waits_for_the_list(
    scene: TroubledScene, bob: Handset, lists: WebServer
) -> None:
    path = "/first.crl"
    signer = signer_at(scene, lists, path)
    lists.pages[path] = http(200, issuers_list(scene, signer.x5u))
    response, _ = await called(scene, signer)
    assert response.status_code == 437


@pytest.mark.parametrize("trouble", ["down", "hanging", "unsigned", "huge", "gone"])
async def test_a_list_that_is_not_to_be_had_costs_no_call(
    scene: TroubledScene, bob: Handset, lists: WebServer, trouble: str
) -> None:
    path = f"/{trouble}.crl"
    signer = signer_at(scene, lists, path)
    if trouble == "down":
        signer = signer_with(scene, extensions=[points(f"https://down.{HOST}:8443/a.crl")])
    elif trouble == "hanging":
        lists.pages[path] = hanging
    elif trouble == "unsigned":
        stranger = make_intermediate(make_root("x", time.time()), "y", time.time())
        name = scene.authorities.sti.certificate.subject
        der = ListMaker(name, stranger.key, time.time() - 9, time.time() + 99).der()
        lists.pages[path] = http(200, der)
    elif trouble == "huge":
        lists.pages[path] = http(200, b"\x30" * 2_000_000)
    began = time.monotonic()
    response, call_id = await called(scene, signer)
    assert response.status_code == 486
    assert time.monotonic() - began < 4
    check = await revocation_check(scene, call_id)
    assert check["outcome"] == "skipped"
    assert check["got"].startswith("not checked:")
    assert bob.got(call_id) is not None
    await logged(scene.beta, "revocation source unavailable")
    labels = {"source": "list", "outcome": "failed"}
    failed = await metric(scene.beta, "spingate_revocation_fetches_total", **labels)
    assert failed >= 1


async def hanging(_server: WebServer, _head: bytes, _writer: object) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize(("hours", "status"), [(2, 486), (26, 437)])
async def test_an_expired_list_is_believed_for_a_day(
    scene: TroubledScene, bob: Handset, lists: WebServer, hours: int, status: int
) -> None:
    path = f"/expired-{hours}.crl"
    signer = signer_at(scene, lists, path)
    lists.pages[path] = http(200, issuers_list(scene, age=hours * 3600.0))
    response, call_id = await called(scene, signer)
    assert response.status_code == status
    if status == 437:
        record = await record_of(scene.beta, call_id)
        assert record["verdict"]["reason"] == "revocation_unavailable"


async def test_a_strangers_certificate_has_nothing_fetched(
    scene: TroubledScene, bob: Handset, lists: WebServer
) -> None:
    now = time.time()
    stranger = make_intermediate(make_root("Stranger", now), "Stranger CA", now)
    path = "/stranger.crl"
    signer = signer_with(scene, issuer=stranger, extensions=[points(lists.url(path))])
    response, call_id = await called(scene, signer)
    assert response.status_code == 437
    record = await record_of(scene.beta, call_id)
    assert record["verdict"]["reason"] == "chain_untrusted"
    assert lists.asked(path) == 0


async def test_the_operator_sees_the_lists(
    scene: TroubledScene, bob: Handset, lists: WebServer
) -> None:
    path = "/shown.crl"
    lists.pages[path] = http(200, issuers_list(scene))
    await called(scene, signer_at(scene, lists, path))
    text = await admin_text(scene.beta, "/v1/revocation")
    assert lists.url(path) in text
    assert '"state": "current"' in text or '"state":"current"' in text
