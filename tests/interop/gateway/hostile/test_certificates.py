"""Certificates by URL: which are fetched, which never, and what a bad repository costs."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.demo.dns import Record
from sip.message import Response
from tests.support.stir_peer import Caller, Handset, Signer, alphas_signer, caller, signer_with
from tests.support.troubled_scene import (
    Answer,
    TroubledScene,
    WebServer,
    eventually,
    http,
    logged,
    metric,
    record_of,
)

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

HOST = "trouble.sti-ca.example"
FETCH_SECONDS = 1.0
_numbers = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repository(scene: TroubledScene) -> AsyncIterator[WebServer]:
    """A certificate repository whose every answer is written by the tests."""
    async with scene.web_server(HOST, 31) as server:
        yield server


def chain(scene: TroubledScene) -> bytes:
    return (scene.folder / "certs" / "alpha.pem").read_bytes()


def signed_at(scene: TroubledScene, url: str) -> Signer:
    return Signer(alphas_signer(scene).key, url)


async def refused_436(scene: TroubledScene, bob: Handset, url: str, reason: str) -> str:
    """Call with a certificate URL that must not do; return what the failed check got."""
    call_id = f"x5u-{next(_numbers)}@stranger"
    async with caller(scene) as stranger:
        response = await stranger.call(signed_at(scene, url).identity(), call_id=call_id)
    assert response.status_code == 436
    assert response.reason_phrase == "Bad Identity Info"
    assert (response.headers.get("Reason") or "").startswith("STIR;cause=436;")
    assert bob.got(call_id) is None
    record = await record_of(scene.beta, call_id)
    assert record["verdict"]["reason"] == reason
    failed = next(check for check in record["verdict"]["checks"] if check["reason"] == reason)
    return str(failed["got"])


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}:8443/c.pem",
        f"https://{HOST}:22/c.pem",
        f"https://user@{HOST}:8443/c.pem",
        f"https://{HOST}:8443/c.pem?call=1",
        f"https://{HOST}:8443/c.pem#here",
        f"https://{HOST}\\@127.0.0.1:8443/c.pem",
        f"ftp://{HOST}/c.pem",
        "file:///etc/passwd",
        "data:text/plain,hello",
    ],
)
async def test_a_url_that_is_no_plain_https_is_refused_without_a_connection(
    scene: TroubledScene, bob: Handset, repository: WebServer, url: str
) -> None:
    before = repository.connections
    await refused_436(scene, bob, url, "info_refused")
    assert repository.connections == before


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0.0.0.0",
    ],
)
async def test_an_internal_address_in_the_url_is_refused_without_a_connection(
    scene: TroubledScene, bob: Handset, host: str
) -> None:
    async with _listening_on_loopback() as connections:
        call_id = f"x5u-{next(_numbers)}@stranger"
        identity = signed_at(scene, f"https://{host}:8443/c.pem").identity()
        async with caller(scene) as stranger:
            response = await stranger.call(identity, call_id=call_id)
    assert response.status_code == 436
    assert connections == []
    assert bob.got(call_id) is None


@pytest.mark.parametrize(
    "records",
    [
        [("A", "127.0.0.1")],
        [("AAAA", "::ffff:127.0.0.1")],
        [("AAAA", "64:ff9b::7f00:1")],
        [("A", "10.1.2.3")],
        [("A", "SCENE.31"), ("A", "127.0.0.1")],
        [("CNAME", "inside.sti-ca.example.")],
    ],
    ids=["loopback", "mapped", "nat64", "private", "one of two", "alias"],
)
async def test_a_name_that_leads_inside_is_refused_without_a_connection(
    scene: TroubledScene, bob: Handset, repository: WebServer, records: list[tuple[str, str]]
) -> None:
    name = f"rebind{next(_numbers)}.sti-ca.example"
    scene.dns.zones.add(Record("inside.sti-ca.example", "A", "127.0.0.1"))
    for kind, data in records:
        scene.dns.zones.add(Record(name, kind, data.replace("SCENE", scene.prefix)))
    before = repository.connections
    async with _listening_on_loopback() as connections:
        got = await refused_436(scene, bob, f"https://{name}:8443/c.pem", "credential_unavailable")
    assert "refused by our guard" in got
    assert connections == []
    assert repository.connections == before


async def test_a_repository_that_redirects_is_not_followed(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    repository.pages["/moved.pem"] = http(302, b"", f"Location: https://{HOST}:8443/good.pem")
    repository.pages["/good.pem"] = http(200, chain(scene))
    got = await refused_436(scene, bob, repository.url("/moved.pem"), "credential_unavailable")
    assert "302" in got
    assert repository.asked("/good.pem") == 0


async def test_answers_that_are_no_small_plain_file_are_cut_off(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    bomb = gzip.compress(b"0" * 1_000_000)
    repository.pages.update(
        {
            "/gone.pem": http(404, b""),
            "/zipped.pem": http(200, bomb, "Content-Encoding: gzip"),
            "/huge.pem": b"HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\n" + b"0" * 70_000,
            "/endless.pem": _endless,
            "/headers.pem": _headers,
            "/old.pem": b"certificate, please\n",
        }
    )
    told = {
        path: await refused_436(scene, bob, repository.url(path), "credential_unavailable")
        for path in (
            "/gone.pem",
            "/zipped.pem",
            "/huge.pem",
            "/endless.pem",
            "/headers.pem",
            "/old.pem",
        )
    }
    assert "404" in told["/gone.pem"]
    assert "encoding" in told["/zipped.pem"]
    assert "oversized" in told["/huge.pem"]
    assert "oversized" in told["/endless.pem"]
    assert all(HOST in got for got in told.values())


async def test_a_page_that_is_no_certificate_is_437(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    repository.pages["/page.pem"] = http(200, b"<html>It works!</html>")
    async with caller(scene) as stranger:
        url = repository.url("/page.pem")
        response = await stranger.call(signed_at(scene, url).identity())
    assert response.status_code == 437


async def test_a_repository_that_cannot_prove_its_name_is_not_believed(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    scene.dns.zones.add(Record("other.sti-ca.example", "A", scene.address(31)))
    before = len(repository.requests)
    url = "https://other.sti-ca.example:8443/good.pem"
    got = await refused_436(scene, bob, url, "credential_unavailable")
    assert "tls" in got
    assert len(repository.requests) == before


async def test_many_calls_at_once_fetch_a_certificate_once_and_later_ones_never(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    repository.pages["/busy.pem"] = _after(0.3, http(200, chain(scene)))
    signer = signed_at(scene, repository.url("/busy.pem"))
    async with caller(scene) as stranger:
        answers = await asyncio.gather(*(stranger.call(signer.identity()) for _ in range(40)))
        assert {each.status_code for each in answers} == {486}
        assert (await stranger.call(signer.identity())).status_code == 486
    assert repository.asked("/busy.pem") == 1


async def test_more_than_eight_identities_are_refused_before_any_fetch(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    before = repository.connections
    identities = [
        signed_at(scene, repository.url(f"/many{number}.pem")).identity() for number in range(9)
    ]
    async with caller(scene) as stranger:
        response = await stranger.call(*identities, call_id="nine@stranger")
        assert response.status_code == 400
        large = alphas_signer(scene).identity() + ";x=" + "a" * 17_000
        assert (await stranger.call(large)).status_code == 400
    assert repository.connections == before
    assert bob.got("nine@stranger") is None


async def test_one_call_makes_us_fetch_three_certificates_at_most(
    scene: TroubledScene, repository: WebServer
) -> None:
    identities = [
        signed_at(scene, repository.url(f"/each{number}.pem")).identity() for number in range(8)
    ]
    async with caller(scene) as stranger:
        assert (await stranger.call(*identities)).status_code == 436
    assert sum(repository.asked(f"/each{number}.pem") for number in range(8)) == 3


@pytest.mark.parametrize("how", ["hanging", "dripping"])
async def test_a_slow_repository_costs_its_own_call_only(
    scene: TroubledScene, bob: Handset, repository: WebServer, how: str
) -> None:
    repository.pages[f"/{how}.pem"] = _hang if how == "hanging" else _drip
    affected = signed_at(scene, repository.url(f"/{how}.pem"))
    async with caller(scene) as stranger:
        assert (await stranger.call(alphas_signer(scene).identity())).status_code == 486
        started = time.monotonic()
        slow = asyncio.create_task(stranger.call(affected.identity()))
        await eventually(lambda: repository.asked(f"/{how}.pem") or None, "it was not asked")
        assert await _meanwhile(scene, stranger, slow) >= 3
        response = await slow
        took = time.monotonic() - started
    assert response.status_code == 436
    assert FETCH_SECONDS * 0.8 <= took < FETCH_SECONDS + 1.0
    await logged(scene.beta, "credential unavailable", culprit=HOST)


async def _meanwhile(scene: TroubledScene, stranger: Caller, slow: asyncio.Task[Response]) -> int:
    """Place calls with a cached certificate while another call waits; return how many."""
    done = 0
    while done < 5:
        assert (await stranger.call(alphas_signer(scene).identity())).status_code == 486
        if slow.done():
            break
        done += 1
    return done


async def test_dead_certificate_urls_do_not_crowd_out_cached_ones(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    for number in range(60):
        repository.pages[f"/dead{number}.pem"] = _hang
    signers = [signed_at(scene, repository.url(f"/dead{number}.pem")) for number in range(60)]
    async with caller(scene) as stranger:
        assert (await stranger.call(alphas_signer(scene).identity())).status_code == 486
        dead = [asyncio.create_task(stranger.call(each.identity())) for each in signers]
        await eventually(lambda: repository.asked("/dead0.pem") or None, "it was not asked")
        for _ in range(5):
            assert (await stranger.call(alphas_signer(scene).identity())).status_code == 486
        assert not any(each.done() for each in dead), "cached calls had to wait for dead ones"
        assert {each.status_code for each in await asyncio.gather(*dead)} == {436}
    asked = sum(repository.asked(f"/dead{number}.pem") for number in range(60))
    # Four at once; as those give up, a few of the waiting ones get their place for a moment.
    assert asked <= 12


async def test_a_url_that_failed_is_not_asked_again_at_once(
    scene: TroubledScene, bob: Handset, repository: WebServer
) -> None:
    for _ in range(3):
        await refused_436(scene, bob, repository.url("/missing.pem"), "credential_unavailable")
    assert repository.asked("/missing.pem") == 1


async def test_what_was_fetched_shows_in_the_counters(scene: TroubledScene) -> None:
    before = await metric(scene.beta, "spingate_verdicts_total", reason="valid")
    async with caller(scene) as stranger:
        await stranger.call(signer_with(scene).identity())
    assert await metric(scene.beta, "spingate_verdicts_total", reason="valid") == before + 1


# --- pages ---------------------------------------------------------------------------------------


async def _hang(_server: WebServer, _request: bytes, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _drip(_server: WebServer, _request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        writer.write(b"-")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _endless(_server: WebServer, _request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        writer.write(b"1000\r\n" + b"0" * 4096 + b"\r\n")
        await writer.drain()


async def _headers(_server: WebServer, _request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 X\r\n")
    for number in range(100_000):
        writer.write(b"X-%d: y\r\n" % number)
        await writer.drain()


def _after(seconds: float, octets: bytes) -> Answer:
    async def page(_server: WebServer, _request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(octets)

    return page


class _listening_on_loopback:  # noqa: N801 - reads as a phrase
    """Listens at 127.0.0.1:8443 where that is free, and notes who connects."""

    async def __aenter__(self) -> list[object]:
        connections: list[object] = []

        def seen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer.get_extra_info("peername"))
            writer.close()

        self._server = await asyncio.start_server(seen, "127.0.0.1", 8443, reuse_address=True)
        return connections

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
