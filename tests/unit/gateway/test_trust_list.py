"""Trust anchors follow the administrator's list and the operator's files, and outlive failures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509

from gateway.config.load import ConfigError
from gateway.config.trust_list import TrustList as Settings
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.guard import RefusalReason
from gateway.trust_list import TrustAnchors
from gateway.trust_list_file import NAME, load_list
from stir.certificates.issuing import make_root, to_pem
from stir.certificates.trust_list import TrustListRefused
from stir.reason import Reason
from stir.verification import VerificationPolicy, VerificationService
from tests.support.stir_authority import FACTS, NOW, StirWorld
from tests.support.trust_lists import Administrator

DAY = 86_400
URL = "https://pa.example/ca-list"
SIGNER_URL = "https://pa.example/signer.pem"
OWN = make_root("Own", NOW).certificate
ROOTS = [make_root(f"Root {number}", NOW).certificate for number in range(3)]
PA = Administrator(make_root("PA Root", NOW))


class Scene:
    """Trust anchors over a client that answers by URL."""

    def __init__(self, folder: Path, *, url: str | None = URL, by_root: bool = False) -> None:
        self.now = NOW
        self.folder = folder
        self.answers: dict[str, bytes | int | Exception] = {
            URL: PA.signed(ROOTS, header={"x5u": SIGNER_URL}),
            SIGNER_URL: to_pem([PA.certificate]),
        }
        self.asked: list[str] = []
        self.changes: list[tuple[x509.Certificate, ...]] = []
        self.bundle = folder / "own.pem"
        self.bundle.write_bytes(to_pem([OWN]))
        self.trusted = PA.root.certificates if by_root else (PA.certificate,)
        self.url = url
        self.anchors = self.restarted()

    def restarted(self) -> TrustAnchors:
        settings = Settings(url=self.url, administrator=self.folder / "pa.pem")
        made = TrustAnchors(
            [OWN],
            [self.bundle],
            self.read,
            settings,
            self.trusted,
            self.folder,
            self,
            lambda: self.now,
        )
        made.follow(lambda found: self.changes.append(tuple(found)))
        self.anchors = made
        return made

    def read(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self.bundle.read_bytes())
        except ValueError:
            raise ConfigError("stir.verification.trust_anchors[0]", "no certificate") from None

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        self.asked.append(url)
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return Fetched(answer, {}, b"")
        return Fetched(200, {}, answer)

    def write(self, data: bytes) -> None:
        """Change the bundle, with a time stamp that shows it."""
        self.bundle.write_bytes(data)
        stamp = self.bundle.stat().st_mtime_ns + 1_000_000_000
        os.utime(self.bundle, ns=(stamp, stamp))


@pytest.mark.parametrize("by_root", [False, True])
async def test_the_list_is_fetched_before_the_first_call(tmp_path: Path, by_root: bool) -> None:
    scene = Scene(tmp_path, by_root=by_root)
    assert scene.anchors.stale
    await scene.anchors.start()
    assert scene.anchors.in_force == (OWN, *ROOTS)
    assert scene.changes == [(OWN,), (OWN, *ROOTS)]
    assert not scene.anchors.stale


async def test_it_is_fetched_again_when_it_is_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.anchors.start()
    await scene.anchors.look()
    assert scene.asked.count(URL) == 1
    scene.now += 21_601
    scene.answers[URL] = PA.signed(ROOTS[1:], sequence=8)
    await scene.anchors.look()
    assert scene.anchors.in_force == (OWN, *ROOTS[1:])
    assert scene.anchors.age == 0


FAILURES: dict[str, bytes | int | Exception] = {
    "server away": FetchFailed("pa.example", FailureReason.TIMEOUT, "nothing within 10 s"),
    "guard": FetchRefused("url", RefusalReason.PORT, "http"),
    "error page": 503,
    "no list": b"<html>",
    "older": PA.signed(ROOTS[:1], sequence=6),
    "forged": Administrator(make_root("Other", NOW)).signed(ROOTS[:1], sequence=9),
    "expired": PA.signed(ROOTS[:1], sequence=9, expires=int(NOW)),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_whatever_goes_wrong_the_last_good_list_stays(tmp_path: Path, case: str) -> None:
    scene = Scene(tmp_path)
    await scene.anchors.start()
    scene.answers[URL] = FAILURES[case]
    scene.now += 21_601
    await scene.anchors.look()
    assert scene.anchors.in_force == (OWN, *ROOTS)
    assert scene.anchors.failures == 1
    scene.answers[URL] = PA.signed(ROOTS[:1], sequence=9)
    scene.now += 301
    await scene.anchors.look()
    assert scene.anchors.in_force == (OWN, ROOTS[0])


async def test_a_list_too_long_expired_is_dropped(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.anchors.start()
    scene.answers[URL] = 503
    for days, listed, stale in ((0.5, True, False), (2, True, True), (7.9, True, True)):
        scene.now = NOW + days * DAY
        await scene.anchors.look()
        assert (len(scene.anchors.in_force) > 1, scene.anchors.stale) == (listed, stale)
    scene.now = NOW + 8.1 * DAY
    await scene.anchors.look()
    assert scene.anchors.in_force == (OWN,)


async def test_a_list_without_exp_is_stale_when_two_fetches_failed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.answers[URL] = PA.signed(ROOTS, expires=None)
    await scene.anchors.start()
    scene.answers[URL] = 503
    assert not scene.anchors.stale
    scene.now += 2 * 21_600 + 301
    assert scene.anchors.stale


async def test_a_restart_begins_with_the_kept_list(tmp_path: Path) -> None:
    scene = Scene(tmp_path, by_root=True)
    await scene.anchors.start()
    scene.answers[URL] = FAILURES["server away"]
    scene.now += 3_600
    await scene.restarted().start()
    assert scene.anchors.in_force == (OWN, *ROOTS)
    assert scene.asked.count(URL) == 1
    assert scene.anchors.age == 3_600
    scene.now += 18_001
    await scene.anchors.look()
    assert scene.asked.count(URL) == 2
    assert scene.anchors.in_force == (OWN, *ROOTS)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"[]",
        b'{"fetched": 1, "jws": "a.b.c"}',
        b'{"fetched": 1, "jws": "\\u00e9"}',
        b'{"fetched": 1, "jws": "a.b.c", "chain": "\\u00e9"}',
        b'{"fetched": NaN, "jws": "a.b.c"}',
        b"\xff",
        b"[" * 9_999,
    ],
)
async def test_a_damaged_file_is_dropped_and_the_list_fetched(
    tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / NAME).write_bytes(damage)
    scene = Scene(tmp_path)
    with pytest.raises(TrustListRefused):
        load_list(tmp_path, scene.trusted)
    await scene.anchors.start()
    assert scene.anchors.in_force == (OWN, *ROOTS)


async def test_a_file_signed_by_somebody_else_is_dropped(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.anchors.start()
    other = Administrator(make_root("Other", NOW))
    with pytest.raises(TrustListRefused, match="chain_untrusted"):
        load_list(tmp_path, [other.certificate])


async def test_what_an_operator_imports_is_taken_without_a_restart(tmp_path: Path) -> None:
    giver = Scene(tmp_path)
    await giver.anchors.start()
    kept = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).unlink()
    scene = Scene(tmp_path, url=None)
    await scene.anchors.start()
    assert (scene.anchors.in_force, scene.asked) == ((OWN,), [])
    (tmp_path / NAME).write_bytes(kept)
    await scene.anchors.look()
    assert scene.anchors.in_force == (OWN, *ROOTS)


async def test_a_changed_bundle_is_read_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.anchors.start()
    scene.write(b"half a cert")
    await scene.anchors.look()
    assert scene.anchors.in_force == (OWN, *ROOTS)
    new = make_root("New", NOW).certificate
    scene.write(to_pem([new]))
    await scene.anchors.look()
    assert scene.anchors.in_force == (new, *ROOTS)


def test_a_running_service_trusts_the_new_anchors_and_no_others(world: StirWorld) -> None:
    service = VerificationService(VerificationPolicy(), (), None)

    def outcome() -> Reason | None:
        begun = service.begin([world.identity()], FACTS, NOW)
        found = dict.fromkeys(begun.needed, world.credential)
        return service.conclude(begun, found, NOW).reason

    assert outcome() is Reason.CHAIN_UNTRUSTED
    service.replace_anchors(world.root.certificates)
    assert outcome() is None
    service.replace_anchors([OWN])
    assert outcome() is Reason.CHAIN_UNTRUSTED


@pytest.fixture(scope="session")
def world() -> StirWorld:
    return StirWorld()
