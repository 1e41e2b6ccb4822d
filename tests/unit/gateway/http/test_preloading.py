"""The certificate cache of the operator: preloaded, kept over a restart, never trusted for that."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from gateway.cli.cache_input import WrongInput, read_preloads
from gateway.cli.main import app
from gateway.http.admin import admin_application
from gateway.http.cache_admin import cache_routes
from gateway.http.credential_folder import CredentialFolder, KeptCredential
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, GuardedClient
from gateway.http.guard import GuardPolicy
from gateway.http.preloading import Preloading
from stir.certificates.certificate import Credential
from stir.certificates.chain import PathBuilder
from stir.certificates.credential_cache import CredentialCache
from tests.support.stir_authority import NOW, StirWorld

URL = "https://certificates.example/alpha.pem"
TOKEN = "correct-horse-battery"


class FakeClient:
    """Serves one chain everywhere but at hosts that are down."""

    def __init__(self, pem: bytes) -> None:
        self.pem = pem
        self.asked: list[str] = []

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        self.asked.append(url)
        if "down" in url:
            raise FetchFailed("down.example", FailureReason.TIMEOUT, "nothing within 2 s")
        return Fetched(200, {}, self.pem)


class Scene:
    """A cache with its folder; `restart` makes it anew from what lies on disk."""

    def __init__(self, folder: Path) -> None:
        self.world = StirWorld()
        self.folder = folder
        self.now = NOW
        self.pem = self.world.issued.chain_pem
        self.client = FakeClient(self.pem)
        self.restart()

    def restart(self, world: StirWorld | None = None) -> None:
        self.cache = CredentialCache(stale_if_error=3_600)
        self.preloading = Preloading(
            self.cache,
            CredentialFolder(self.folder),
            PathBuilder((world or self.world).root.certificates),
            GuardPolicy(),
            lambda: self.now,
        )
        self.source = CertificateSource(
            cast(GuardedClient, self.client),
            self.cache,
            lambda: self.now,
            on_stored=self.preloading.saved,
        )

    def take(self, url: str = URL, pem: bytes | None = None) -> str | None:
        return self.preloading.take(url, (pem or self.pem).decode())

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*"))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "certificates")


async def test_an_imported_certificate_serves_its_url_and_no_other(scene: Scene) -> None:
    assert scene.take() is None
    assert isinstance(await scene.source.get(URL), Credential)
    assert scene.client.asked == []
    await scene.source.get(URL + "2")
    assert scene.client.asked == [URL + "2"]
    first, second = scene.preloading.listing()
    assert (second["url"], second["source"], second["hits"]) == (URL, "imported", 1)
    assert (first["source"], first["problem"]) == ("fetched", None)
    assert second["expires"] == NOW + 86_400


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://certificates.example/c.pem", "not a plain https URL"),
        ("https://certificates.example:22/c.pem", "port"),
        ("https://u@certificates.example/c.pem", "not a plain https URL"),
    ],
)
def test_an_import_for_a_url_that_is_never_fetched_is_refused(
    scene: Scene, url: str, why: str
) -> None:
    assert why in (scene.take(url) or "")
    assert scene.files == []


def test_what_calls_could_not_use_is_not_imported(scene: Scene) -> None:
    stranger = StirWorld()
    expired = scene.world.leaf(not_after=NOW - 1).pem
    key_usage = scene.world.leaf(usage=False).pem
    assert "chain_signature" in (scene.take(pem=stranger.issued.chain_pem) or "")
    assert "credential_expired" in (scene.take(pem=expired) or "")
    assert "credential_key_usage" in (scene.take(pem=key_usage) or "")
    assert "malformed" in (scene.take(pem=b"<html>") or "")
    assert "malformed" in (scene.preloading.take(URL, "é" * 70_000) or "")
    assert len(scene.cache) == 0


async def test_a_restart_comes_up_warm(scene: Scene) -> None:
    for number in range(300):
        assert scene.take(f"https://certificates.example/{number}.pem") is None
    scene.restart()
    scene.now += 3_600
    assert scene.preloading.restore(5_000) == 300
    await scene.source.get("https://certificates.example/299.pem")
    assert scene.client.asked == []
    scene.restart()
    assert scene.preloading.restore(10) == 10, "no more than the cache holds"


async def test_what_was_kept_is_verified_again(scene: Scene) -> None:
    scene.take()
    scene.restart(StirWorld())
    assert scene.preloading.restore(100) == 0, "its root is trusted no more"
    assert len(scene.cache) == 0
    scene.restart()
    assert scene.preloading.restore(100) == 1, "trusted again"
    scene.now += 10**9
    scene.restart()
    assert scene.preloading.restore(100) == 0, "it expired"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"url": 1}',
        "[" * 100_000,
        "x" * 200_000,
        "é",
        '{"url":"","pem":"","expires":1}',
    ],
)
def test_a_file_that_was_tampered_with_is_left_out(scene: Scene, text: str) -> None:
    scene.take()
    scene.files[0].write_text(text, encoding="utf-8")
    scene.take(URL + "2")
    scene.restart()
    assert scene.preloading.restore(100) == 1


async def test_what_was_swapped_on_disk_can_sign_for_its_own_numbers_only(scene: Scene) -> None:
    """Another trusted chain under our URL: every check of a call still holds it to its numbers."""
    other = scene.world.leaf()
    scene.take()
    kept = json.loads(scene.files[0].read_text())
    scene.files[0].write_text(json.dumps({**kept, "pem": other.pem.decode()}))
    scene.restart()
    assert scene.preloading.restore(100) == 1
    found = await scene.source.get(URL)
    assert isinstance(found, Credential)
    assert found.fingerprint == other.fingerprint


async def test_what_is_fetched_again_is_kept_anew(scene: Scene) -> None:
    scene.take()
    scene.now += 86_401
    await scene.source.get(URL)
    assert scene.client.asked == [URL]
    (listed,) = scene.preloading.listing()
    assert (listed["source"], listed["expires"]) == ("preloaded", scene.now + 300)
    assert json.loads(scene.files[0].read_text())["expires"] == scene.now + 300


async def test_urls_are_fetched_for_the_operator_and_kept(scene: Scene) -> None:
    down = "https://down.example/c.pem"
    await scene.source.get(down)
    refused = await scene.preloading.fetch([URL, down], scene.source)
    assert refused == [None, "down.example: timeout: nothing within 2 s"]
    assert scene.client.asked.count(down) == 2, "asked again, although it failed just now"
    assert len(scene.files) == 1
    scene.client.pem = StirWorld().issued.chain_pem
    (why,) = await scene.preloading.fetch([URL + "3"], scene.source)
    assert why is not None
    assert "chain_signature" in why
    assert len(scene.files) == 1


def test_clearing_forgets_on_disk_too(scene: Scene) -> None:
    scene.take()
    scene.take(URL + "2")
    assert scene.preloading.clear(URL) == 1
    assert scene.preloading.clear(URL) == 0
    assert len(scene.files) == 1
    assert scene.preloading.clear(None) == 1
    assert scene.files == []


def test_a_full_disk_costs_files_not_calls(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = CredentialFolder(tmp_path / "file" / "certificates")
    folder.save(KeptCredential(URL, "pem", NOW))
    folder.remove(URL)
    folder.clear()
    assert folder.lost == 1
    assert list(folder.load(10)) == []


@pytest.mark.parametrize("expires", ["NaN", "1e999", "-1", "9" * 400, '"soon"', "null"])
def test_a_file_without_a_time_is_left_out(tmp_path: Path, expires: str) -> None:
    folder = CredentialFolder(tmp_path)
    (tmp_path / "kept.json").write_text(f'{{"url": "u", "pem": "p", "expires": {expires}}}')
    assert list(folder.load(10)) == []
    folder.remove("\ud800")


# --- the admin interface and the command line ----------------------------------------------------


async def nobody(number: str, service: str, sender: str) -> dict[str, Any]:
    raise ValueError("nobody")


@pytest.fixture
async def server(scene: Scene) -> AsyncIterator[TestServer]:
    application = admin_application(
        TOKEN,
        lambda: b"",
        {"certificates": scene.preloading.listing},
        nobody,
        routes=cache_routes(scene.preloading, scene.source),
        health=lambda: "clock wrong",
    )
    started = TestServer(application)
    await started.start_server()
    yield started
    await started.close()


def authorised(server: TestServer) -> TestClient[web.Request, web.Application]:
    return TestClient(server, headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize("path", ["import", "fetch", "clear"])
async def test_the_cache_is_closed_without_the_token(server: TestServer, path: str) -> None:
    async with TestClient(server) as client:
        assert (await client.post(f"/v1/cache/{path}", json={})).status == 401


async def test_import_fetch_list_and_clear_over_the_admin_interface(
    server: TestServer, scene: Scene
) -> None:
    async with authorised(server) as client:
        body = {"certificates": [{"url": URL, "pem": scene.pem.decode()}, {"url": "x", "pem": ""}]}
        results = (await (await client.post("/v1/cache/import", json=body)).json())["results"]
        assert [each["refused"] is None for each in results] == [True, False]
        fetched = await client.post("/v1/cache/fetch", json={"urls": [URL + "2"]})
        assert (await fetched.json())["results"] == [{"url": URL + "2", "refused": None}]
        listed = (await (await client.get("/v1/certificates")).json())["certificates"]
        assert {each["source"] for each in listed} == {"imported", "preloaded"}
        cleared = await client.post("/v1/cache/clear", json={"url": URL})
        assert await cleared.json() == {"cleared": 1}
        assert await (await client.post("/v1/cache/clear", json={})).json() == {"cleared": 1}


@pytest.mark.parametrize("path", ["import", "fetch", "clear"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 50_000,
        b'{"certificates": 1, "urls": 1, "url": 1}',
        b'{"certificates": [1], "urls": [1], "url": []}',
        json.dumps({"certificates": [{}] * 51, "urls": ["u"] * 33, "url": 5}).encode(),
        b"x" * (4 * 2**20 + 1),
    ],
)
async def test_a_body_that_is_wrong_or_too_large_is_a_400_or_413(
    server: TestServer, path: str, body: bytes
) -> None:
    async with authorised(server) as client:
        answer = await client.post(f"/v1/cache/{path}", data=io.BytesIO(body))
        assert answer.status in (400, 413)


async def test_a_wrong_clock_shows_in_the_health(server: TestServer) -> None:
    async with TestClient(server) as client:
        answer = await client.get("/healthz")
        assert (answer.status, await answer.json()) == (503, {"status": "clock wrong"})


async def test_a_question_nested_too_deep_is_a_400(server: TestServer) -> None:
    async with authorised(server) as client:
        assert (await client.post("/v1/discover", data=b"[" * 1_024)).status == 400


def test_lists_of_urls_json_lines_and_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("PEM")
    lines = f'# ours\n\n{{"url": "{URL}", "file": "chain.pem"}}\n'
    (tmp_path / "index.jsonl").write_text(lines)
    (tmp_path / "urls").write_text(f"{URL}\n  {URL}2  \n")
    (tmp_path / "lines.jsonl").write_text(json.dumps({"url": URL, "pem": "P"}) + "\n")
    read = [read_preloads(path) for path in (tmp_path, tmp_path / "urls", tmp_path / "lines.jsonl")]
    assert [[(each.url, each.pem) for each in found] for found in read] == [
        [(URL, "PEM")],
        [(URL, None), (URL + "2", None)],
        [(URL, "P")],
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://certificates.example/c.pem", "line 1: neither"),
        ("\n{}", "line 2: an object with url"),
        (f'{{"url": "{URL}"}}', "neither a pem nor a file"),
        (f'{{"url": "{URL}", "file": "none.pem"}}', "No such file"),
        ("[" * 100_000, "neither"),
    ],
)
def test_input_that_cannot_be_used_is_told_by_its_line(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "input").write_text(text)
    with pytest.raises(WrongInput, match=why):
        read_preloads(tmp_path / "input")


def test_the_command_names_what_is_wrong_with_its_input(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"\xff")
    config = tmp_path / "edge.toml"
    config.write_text(
        '[provider]\ndomain = "edge.example"\nnumbers = ["+12125550100"]\n'
        'state_directory = "state"\n[[listen]]\nname = "a"\nrole = "access"\n'
        'transport = "udp"\naddress = "127.0.0.1"\nport = 5060\n[admin]\ntoken = "x"\nport = 1\n'
    )
    run = CliRunner().invoke
    assert run(app, ["cache", "import", str(tmp_path / "input"), "-c", str(config)]).exit_code == 2
    (tmp_path / "input").write_text("# nothing\n")
    assert run(app, ["cache", "import", str(tmp_path / "input"), "-c", str(config)]).exit_code == 2
    for command in (["list"], ["clear"], ["clear", URL]):
        assert run(app, ["cache", *command, "-c", str(config)]).exit_code == 1, "nothing runs"
