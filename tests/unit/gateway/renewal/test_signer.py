"""New key and certificate files are taken over if they are good; else the old ones sign on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError
from gateway.renewal.credential import Signer, authentication_service, own_credential
from gateway.renewal.own_certificate import OwnCertificate
from stir.authentication import SigningRequest
from stir.certificates.certificate import load_credential
from stir.certificates.issuing import DAY, Issued, issue_sti_certificate, issue_tls_certificate
from stir.certificates.tn_auth_list import Range, TnAuthList
from stir.verification import verify_token
from tests.support.call_scene import make_config
from tests.support.stir_authority import ORIG, ORIGID, StirWorld

WORLD = StirWorld()
LIST = TnAuthList((Range(ORIG, 100),))
URL = "https://certs.alpha.example/sti.pem"


def issue(*, lifetime: float = 30 * DAY) -> Issued:
    return issue_sti_certificate(WORLD.issuer, LIST, time.time(), lifetime=lifetime)


class Files:
    """The files of [stir.authentication], and a signer that follows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.put(issue())
        self.config = self.configured()
        credential = own_credential(self.config)
        assert credential is not None
        service = authentication_service(credential)
        self.service = service
        self.signer = Signer(self.config, service, time.time)

    def put(self, issued: Issued, *, chain: bytes | None = None) -> None:
        assert issued.key_pem is not None
        (self.folder / "sti.key").write_bytes(issued.key_pem)
        (self.folder / "sti.pem").write_bytes(chain or issued.chain_pem)

    def configured(self, x5u: str = URL, *, enabled: bool = True) -> Config:
        section = {
            "certificate": self.folder / "sti.pem",
            "key": self.folder / "sti.key",
            "x5u": x5u,
            "enabled": enabled,
        }
        return make_config(stir={"authentication": section}, provider=self._provider())

    def _provider(self) -> dict[str, object]:
        base = make_config().provider.model_dump()
        return {**base, "state_directory": self.folder / "state"}

    def signs_with(self, issued: Issued) -> bool:
        """Whether what is signed now verifies with a certificate."""
        now = int(time.time())
        value = self.service.sign(
            SigningRequest(ORIG, ("12125550123",), now, attest="A", origid=ORIGID)
        )
        verdict = verify_token(
            value.partition(";")[0],
            now=now,
            credential=load_credential(issued.chain_pem),
            anchors=WORLD.root.certificates,
            ppt="shaken",
        )
        signature = next(c for c in verdict.checks if c.step == "signature")
        return signature.outcome == "passed"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_changed_files_are_signed_with_after_a_reload(files: Files) -> None:
    new = issue(lifetime=40 * DAY)
    files.put(new)
    assert not files.signs_with(new)
    assert files.signer.reload()
    assert files.signs_with(new)
    assert 39 < files.signer.days_left < 41
    assert files.signer.reload()
    assert files.signer.reloads == {"same": 1, "switched": 1, "refused": 0}


def test_a_new_x5u_comes_with_a_configuration_read_again(files: Files) -> None:
    new = issue()
    files.put(new)
    assert files.signer.reload(files.configured("https://certs.alpha.example/new.pem"))
    assert files.signer.x5u == "https://certs.alpha.example/new.pem"
    assert files.signs_with(new)


def bad_files(case: str, folder: Path, files: Files) -> None:
    if case == "another certificate's key":
        files.put(issue(), chain=issue().chain_pem)
    elif case == "expired":
        files.put(issue(lifetime=-3600))
    elif case == "junk certificate":
        (folder / "sti.pem").write_bytes(b"junk")
    elif case == "junk key":
        (folder / "sti.key").write_bytes(b"junk")
    elif case == "empty":
        (folder / "sti.key").write_bytes(b"")
        (folder / "sti.pem").write_bytes(b"")
    elif case == "gone":
        (folder / "sti.key").unlink()
    else:
        files.put(issue_tls_certificate(WORLD.issuer, time.time(), dns_names=["alpha.example"]))


@pytest.mark.parametrize(
    "case",
    [
        "another certificate's key",
        "expired",
        "junk certificate",
        "junk key",
        "empty",
        "gone",
        "no TNAuthList",
    ],
)
def test_bad_files_leave_the_old_key_signing(
    files: Files, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = load_credential((files.folder / "sti.pem").read_bytes())
    bad_files(case, files.folder, files)
    assert not files.signer.reload()
    assert files.signer.reloads["refused"] == 1
    assert files.signs_with(Issued(old.pem, None))
    said = capsys.readouterr().out
    assert "the old one signs on" in said
    assert "PRIVATE" not in said
    good = issue()
    files.put(good)
    assert files.signer.reload()
    assert files.signs_with(good)


def test_signing_is_not_switched_off_by_a_reload(files: Files) -> None:
    assert not files.signer.reload(files.configured(enabled=False))
    assert own_credential(files.configured(enabled=False)) is None


def test_a_configuration_that_cannot_be_read_again_changes_nothing(files: Files) -> None:
    class NoDns:
        async def addresses(self, name: str) -> tuple[str, ...]:
            return ()

    def unreadable() -> Config:
        raise ConfigError("stir", "is not valid")

    own = OwnCertificate(files.config, files.service, (), NoDns(), time.time)
    new = issue()
    files.put(new)
    own.reload(unreadable)
    assert not files.signs_with(new)
    own.reload(files.configured)
    assert files.signs_with(new)
    silent = OwnCertificate(files.config, None, (), NoDns(), time.time)
    silent.reload(None)
    assert silent.signer is None
