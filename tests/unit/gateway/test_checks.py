"""What `spingate check` finds out, each thing in its good and its bad state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import checks
from gateway.checks import Finding, examine
from gateway.config import Config, ConfigError
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.server_certificate import NoServerCertificate
from stir.certificates.certificate import TN_AUTH_LIST_OID
from stir.certificates.issuing import issue_sti_certificate, key_to_pem, make_root, new_key
from stir.certificates.tn_auth_list import Range, Spc, TnAuthList
from tests.support.call_scene import FakeDns, make_config
from tests.support.stir_authority import NOW, URL, StirWorld, make_certificate, to_pem

WORLD = StirWorld()
ICON = "https://www.alpha.example/icon.png"
DAY = 86_400.0
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
        self.server_end: float | Exception = NOW + 60 * DAY
        self.lists: dict[str, Fetched] = {}
        self.issue(COVERS)

    def issue(self, numbers: TnAuthList) -> None:
        issued = issue_sti_certificate(WORLD.issuer, numbers, NOW)
        assert issued.key_pem is not None
        (self.folder / "sti.pem").write_bytes(issued.chain_pem)
        (self.folder / "sti.key").write_bytes(issued.key_pem)
        (self.folder / "root.pem").write_bytes(to_pem(list(WORLD.root.certificates)))
        self.answer = Fetched(200, {"date": formatdate(NOW, usegmt=True)}, issued.chain_pem)

    def config(self, *, signs: bool = True, **more: Any) -> Config:
        stir: dict[str, Any] = {"verification": {"trust_anchors": [self.folder / "root.pem"]}}
        stir.update(more)
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
        if url != URL:
            return self.lists[url]
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

    async def server_certificate_end(url: str, *_: object) -> float:
        if isinstance(made.server_end, Exception):
            raise made.server_end
        return made.server_end

    monkeypatch.setattr(checks, "server_certificate_end", server_certificate_end)
    return made


async def test_where_all_is_well_everything_passes(world: World) -> None:
    found = await world.findings()
    assert list(found) == [
        *("keys", "trust anchors", "STI certificate", "TNAuthList", "STI chain", "ports", "DNS"),
        *("x5u", "x5u server", "clock", "CRL"),
    ]
    assert found.pop("CRL").outcome == "skipped"  # the certificate names no list
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


async def test_a_gap_between_two_ranges_is_seen(world: World) -> None:
    world.issue(TnAuthList((Range("14155550100", 40), Range("14155550150", 50))))
    assert (await world.findings())["TNAuthList"].outcome == "failed"
    world.issue(TnAuthList((Range("14155550100", 50), Range("14155550150", 50))))
    assert (await world.findings())["TNAuthList"].outcome == "passed"


@pytest.mark.parametrize(("days", "outcome"), [(8, "passed"), (6, "warning"), (-1, "failed")])
async def test_an_end_that_is_near_is_warned_of(world: World, days: float, outcome: str) -> None:
    world.server_end = NOW + days * DAY
    found = (await world.findings())["x5u server"]
    assert (found.outcome, bool(found.hint)) == (outcome, outcome != "passed")


async def test_a_certificate_that_ends_soon_is_warned_of(world: World) -> None:
    world.now = NOW + 25 * DAY
    found = (await world.findings())["STI certificate"]
    assert (found.outcome, "ends in 5.0 days" in found.detail) == ("warning", True)


async def test_an_x5u_server_that_proves_nothing_fails(world: World) -> None:
    world.server_end = NoServerCertificate("certs.alpha.example: self-signed")
    assert (await world.findings())["x5u server"].outcome == "failed"


async def test_a_chain_that_ends_elsewhere_fails(world: World) -> None:
    other = make_root("Another Root", NOW)
    (world.folder / "root.pem").write_bytes(other.certificate_pem)
    found = await world.findings()
    assert (found["STI chain"].outcome, found["CRL"].outcome) == ("failed", "skipped")


async def test_a_trust_anchor_that_ended_is_named(world: World) -> None:
    old = make_root("Old Root", NOW, lifetime=DAY)
    roots = world.folder / "root.pem"
    roots.write_bytes(roots.read_bytes() + old.certificate_pem)
    assert (await world.findings())["trust anchors"].outcome == "warning"
    world.now = NOW + 2 * DAY
    found = (await world.findings())["trust anchors"]
    assert (found.outcome, "Old Root" in found.detail) == ("failed", True)


LIST = "https://crl.alpha.example/list.crl"


def revocation_list(*serials: int, age: float = 3600, life: float = 86_400) -> bytes:
    """A list by the issuing authority."""
    start = datetime.fromtimestamp(NOW - age, UTC)
    builder = x509.CertificateRevocationListBuilder()
    builder = builder.issuer_name(WORLD.issuer.certificate.subject).last_update(start)
    builder = builder.next_update(start + timedelta(seconds=life))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(WORLD.issuer.key, hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("serials", "age", "body", "outcome", "part"),
    [
        ((), 3_600, None, "passed", "1 h old, the next is due in 23 h"),
        ((4711,), 3_600, None, "failed", "revoked"),
        ((), 90_000, None, "failed", "ended 1 h ago, 25 h old"),
        ((), 0, b"<html>", "failed", "not a certificate revocation list"),
    ],
)
async def test_the_revocation_list_is_fetched_and_read(
    world: World, serials: tuple[int, ...], age: float, body: bytes | None, outcome: str, part: str
) -> None:
    key = new_key()
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(LIST)], None, None, None)
    leaf = make_certificate(
        WORLD.issuer,
        key=key.public_key(),
        entries=COVERS.entries,
        not_after=NOW + 30 * DAY,
        extensions=[(x509.CRLDistributionPoints([point]), False)],
    )
    pem = to_pem([leaf]) + WORLD.issuer.chain_pem
    (world.folder / "sti.pem").write_bytes(pem)
    (world.folder / "sti.key").write_bytes(key_to_pem(key))
    world.answer = Fetched(200, {}, pem)
    revoked = [leaf.serial_number for _ in serials]
    world.lists[LIST] = Fetched(200, {}, body or revocation_list(*revoked, age=age))
    found = (await world.findings())["CRL"]
    assert (found.outcome, part in found.detail) == (outcome, True), found.detail


async def test_a_policy_administrators_list_is_looked_at_too(world: World) -> None:
    (world.folder / "pa.pem").write_bytes(WORLD.issuer.certificate_pem)
    administrator = {"url": LIST, "certificates": [world.folder / "pa.pem"]}
    settings = world.config(signs=False, revocation={"administrator": [administrator]})
    world.lists[LIST] = Fetched(200, {}, revocation_list())
    assert (await world.findings(settings))["CRL"].outcome == "passed"
    world.lists[LIST] = Fetched(200, {}, revocation_list(age=90_000))
    assert (await world.findings(settings))["CRL"].outcome == "failed"
