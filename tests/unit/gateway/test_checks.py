"""What `spingate check` finds out, each thing in its good and its bad state."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from gateway import checks
from gateway.checks import Finding, examine
from gateway.config import Config, ConfigError
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from stir.certificates.certificate import TN_AUTH_LIST_OID
from stir.certificates.issuing import issue_sti_certificate
from stir.certificates.tn_auth_list import Range, Spc, TnAuthList
from tests.support.call_scene import FakeDns, make_config
from tests.support.stir_authority import NOW, URL, StirWorld, to_pem

WORLD = StirWorld()
ICON = "https://www.alpha.example/icon.png"
COVERS = TnAuthList((Range("14155550100", 100),))


class FakeResolver(FakeDns):
    def __init__(self) -> None:
        super().__init__()
        self.known = {"alpha.example": ("203.0.113.1",)}
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class World:
    """Everything `spingate check` looks at, changed at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resolver = FakeResolver()
        self.answer: Fetched | Exception | None = None
        self.busy: ConfigError | None = None
        self.running = False
        self.icon = b"a picture"
        self.now = NOW
        self.issue(COVERS)

    def issue(self, numbers: TnAuthList) -> None:
        issued = issue_sti_certificate(WORLD.issuer, numbers, NOW)
        assert issued.key_pem is not None
        (self.folder / "sti.pem").write_bytes(issued.chain_pem)
        (self.folder / "sti.key").write_bytes(issued.key_pem)
        (self.folder / "root.pem").write_bytes(to_pem(list(WORLD.root.certificates)))
        self.answer = Fetched(200, {"date": formatdate(NOW, usegmt=True)}, issued.chain_pem)

    def config(self, *, signs: bool = True) -> Config:
        stir: dict[str, Any] = {"verification": {"trust_anchors": [self.folder / "root.pem"]}}
        if signs:
            stir["authentication"] = {
                "certificate": self.folder / "sti.pem",
                "key": self.folder / "sti.key",
                "x5u": URL,
            }
        access = make_config().model_dump()["listen"][0]
        return make_config(stir=stir, listen=[access])

    async def findings(self, config: Config | None = None) -> dict[str, Finding]:
        return {found.name: found async for found in examine(config or self.config())}

    async def get(self, url: str) -> Fetched:
        if url == ICON:
            return Fetched(200, {}, self.icon)
        assert url == URL
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)

    def check_ports(_config: Config) -> None:
        if made.busy is not None:
            raise made.busy

    async def is_running(_config: Config) -> bool:
        return made.running

    monkeypatch.setattr(checks, "check_ports", check_ports)
    monkeypatch.setattr(checks, "is_running", is_running)
    monkeypatch.setattr(checks, "make_resolver", lambda _config: made.resolver)
    monkeypatch.setattr(checks, "make_fetch_client", lambda _config, _resolver: made)
    monkeypatch.setattr("gateway.checks.time.time", lambda: made.now)
    return made


async def test_where_all_is_well_everything_passes(world: World) -> None:
    found = await world.findings()
    assert list(found) == ["keys", "STI certificate", "TNAuthList", "ports", "DNS", "x5u", "clock"]
    assert {finding.outcome for finding in found.values()} == {"passed"}
    assert world.resolver.closed


async def test_wrong_files_end_the_examination_at_once(world: World) -> None:
    (world.folder / "sti.key").write_text("junk")
    found = await world.findings()
    assert list(found) == ["keys"]
    assert found["keys"].outcome == "failed"


async def test_without_a_signer_its_checks_are_skipped(world: World) -> None:
    found = await world.findings(world.config(signs=False))
    assert found["STI certificate"].outcome == found["x5u"].outcome == "skipped"
    assert "clock" not in found


async def test_an_expired_certificate_fails(world: World) -> None:
    world.now = NOW + 20 * 365 * 86_400
    assert (await world.findings())["STI certificate"].outcome == "failed"


async def test_numbers_outside_the_certificate_are_named(world: World) -> None:
    world.issue(TnAuthList((Range("14155550100", 50),)))
    found = (await world.findings())["TNAuthList"]
    assert (found.outcome, found.detail) == (
        "failed",
        "does not cover all of +14155550100-+14155550199",
    )


async def test_a_certificate_of_codes_only_names_them(world: World) -> None:
    world.issue(TnAuthList((Spc("TEST"),)))
    found = (await world.findings())["TNAuthList"]
    assert (found.outcome, "TEST" in found.detail) == ("passed", True)
    assert TN_AUTH_LIST_OID.dotted_string == "1.3.6.1.5.5.7.1.26"


@pytest.mark.parametrize(("running", "outcome"), [(True, "passed"), (False, "failed")])
async def test_a_busy_port_is_well_where_the_gateway_itself_has_it(
    world: World, running: bool, outcome: str
) -> None:
    world.busy, world.running = ConfigError("listen[0].port", "cannot bind"), running
    assert (await world.findings())["ports"].outcome == outcome


async def test_a_domain_that_dns_does_not_know_fails(world: World) -> None:
    world.resolver.known = {}
    assert (await world.findings())["DNS"].outcome == "failed"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"-----BEGIN PRIVATE KEY-----", "private key"),
        (b"nothing", "status 200"),
        (WORLD.issued.chain_pem, "another certificate"),
    ],
)
async def test_what_is_published_has_to_be_the_certificate_that_signs(
    world: World, body: bytes, part: str
) -> None:
    world.answer = Fetched(200, {}, body)
    found = (await world.findings())["x5u"]
    assert found.outcome == "failed"
    assert part in found.detail


async def test_a_repository_out_of_reach_fails(world: World) -> None:
    world.answer = FetchFailed("certs.alpha.example", next(iter(FailureReason)), "test")
    assert (await world.findings())["x5u"].outcome == "failed"


@pytest.mark.parametrize(
    ("date", "outcome"),
    [
        (formatdate(NOW - 4, usegmt=True), "passed"),
        (formatdate(NOW - 60, usegmt=True), "failed"),
        (formatdate(NOW + 60, usegmt=True), "failed"),
        ("", "skipped"),
        ("yesterday", "skipped"),
        ("Wed, 99 Nov 2026 11:06:40 GMT", "skipped"),
    ],
)
async def test_the_clock_is_compared_where_the_server_says_its_own(
    world: World, date: str, outcome: str
) -> None:
    assert isinstance(world.answer, Fetched)
    world.answer = Fetched(200, {"date": date}, world.answer.body)
    assert (await world.findings())["clock"].outcome == outcome


@pytest.mark.parametrize(("served", "outcome"), [(b"a picture", "passed"), (b"another", "failed")])
async def test_an_icon_is_served_as_it_is_signed(world: World, served: bytes, outcome: str) -> None:
    (world.folder / "icon.png").write_bytes(b"a picture")
    world.icon = served
    config = world.config()
    entry = {"users": ["alice"], "name": "Alpha", "icon_url": ICON}
    stir = config.stir.model_dump(exclude_unset=True)
    stir["rich_call_data"] = [{**entry, "icon_file": world.folder / "icon.png"}]
    listen = config.model_dump()["listen"]
    assert (await world.findings(make_config(stir=stir, listen=listen)))["icon"].outcome == outcome
