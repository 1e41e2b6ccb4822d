"""`spingate cert` for delegates, constraints, lists by reference and the trust list."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.trust_list_file import NAME, load_list
from stir.certificates.certificate import load_certificates, load_credential
from stir.certificates.chain import PathBuilder
from stir.certificates.issuing import make_root, to_pem
from stir.reason import Reason
from tests.support.stir_authority import NOW
from tests.support.trust_lists import Administrator

FAR = 4_102_444_800
ROOT = make_root("STI-CA", NOW).certificate


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def record(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    [line] = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    assert run("cert", "authority", "--out", tmp_path / "tls").exit_code == 0
    names = ("--authority", tmp_path / "tls", "--tls", "--ip", "127.0.0.1")
    folder = tmp_path / "new" / "keys"
    files = ("--out", folder / "https.pem", "--key-out", folder / "https.key")
    assert run("cert", "issue", *names, *files).exit_code == 0
    assert (folder / "https.key").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    blocked = ("--out", tmp_path / "file" / "a.pem", "--key-out", tmp_path / "file" / "a.key")
    said = run("cert", "issue", *names, *blocked)
    assert said.exit_code == 2
    assert str(tmp_path / "file") in said.stderr.replace("\n", "")


def test_delegates_of_delegates(tmp_path: Path) -> None:
    top, customer, leaf = tmp_path / "top", tmp_path / "customer", tmp_path / "leaf.pem"
    assert run("cert", "authority", "--out", top, "--path-length", "1").exit_code == 0
    wide = ("--range", "+14155550100:100")
    below = ("cert", "authority", "--parent", top, "--out", customer, "--name", "Customer", *wide)
    assert set(record(*below)) == {"authority", "authority_key"}
    assert run(*below).exit_code == 2
    issue = ("cert", "issue", "--authority", customer, "--key-out", tmp_path / "key.pem")
    anchors = load_certificates((top / "root.pem").read_bytes())
    for number, reason in (("+14155550100", None), ("+1415555020", "not encompassed")):
        assert run(*issue, "--out", leaf, "--tn", number).exit_code == 0
        path = PathBuilder(anchors).find(load_credential(leaf.read_bytes()))
        assert path.problem is None
        problem = path.delegation_problem
        expected = Reason.AUTHORITY_NOT_ENCOMPASSED if reason else None
        assert (problem and problem.reason) is expected
        leaf.unlink()
        (tmp_path / "key.pem").unlink()


def test_constraints_and_references_are_issued_and_shown(tmp_path: Path) -> None:
    ca, leaf, key = tmp_path / "ca", tmp_path / "leaf.pem", tmp_path / "key.pem"
    url = "https://lists.alpha.example/1.der"
    assert run("cert", "authority", "--out", ca).exit_code == 0
    issue = ("cert", "issue", "--authority", ca, "--out", leaf, "--key-out", key)
    options = ["--must-include", "attest", "--permit", "attest=A", "--permit", "attest=B"]
    options += ["--must-exclude", "rcd", "--tn-auth-list-url", url]
    assert run(*issue, *options).exit_code == 0
    [shown, issuer] = [
        json.loads(line) for line in run("cert", "inspect", "--json", leaf).stdout.splitlines()
    ]
    assert shown["problems"] == []
    assert (shown["tn_auth_list"], shown["tn_auth_list_url"]) == ([], url)
    assert shown["claim_constraints"] == [
        {
            "must_include": ["attest"],
            "permitted_values": {"attest": ["A", "B"]},
            "must_exclude": ["rcd"],
        }
    ]
    assert issuer["claim_constraints"] == []
    text = run("cert", "inspect", leaf).stdout
    assert "constraints" in text
    assert url in text


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--tn", "1", "--permit", "attest"],
        ["--tn", "1", "--must-exclude", "iat"],
        ["--range", "x:5"],
        ["--range", "1000:x"],
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str]) -> None:
    ca = tmp_path / "ca"
    assert run("cert", "authority", "--out", ca).exit_code == 0
    issue = ("cert", "issue", "--authority", ca, "--out", tmp_path / "a", "--key-out")
    assert run(*issue, tmp_path / "b", *options).exit_code == 2
    assert not (tmp_path / "a").exists()


class TrustListScene:
    def __init__(self, folder: Path) -> None:
        self.pa = Administrator(make_root("PA", NOW))
        # this command asks the real clock
        certificate = self.pa.certified(not_before=0, not_after=FAR)
        self.certificate = folder / "pa.pem"
        self.certificate.write_bytes(to_pem([certificate]))
        self.anchors = [certificate]
        self.list = folder / "list"
        self.state = folder / "state"
        self.write()

    def write(self, **options: Any) -> None:
        self.list.write_bytes(self.pa.signed([ROOT], **{"expires": FAR, **options}))

    def take(self, *options: str | Path) -> Result:
        return run(
            *("cert", "trust-list", "import", self.list, "--pa-certificate", self.certificate),
            *options,
        )


def test_a_list_is_kept_for_the_gateway_and_written_as_a_bundle(tmp_path: Path) -> None:
    scene, bundle = TrustListScene(tmp_path), tmp_path / "roots.pem"
    result = scene.take("--state", scene.state, "--out", bundle, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["sequence"], found["expired"]) == (7, False)
    assert [anchor["subject"] for anchor in found["anchors"]] == ["CN=STI-CA"]
    assert load_certificates(bundle.read_bytes()) == (ROOT,)
    kept = load_list(scene.state, scene.anchors)
    assert kept is not None
    assert kept.trust_list.anchors == (ROOT,)
    show = ("cert", "trust-list", "show", "--pa-certificate", scene.certificate)
    assert record(*show, scene.state)["sequence"] == 7
    assert "CN=STI-CA" in run(*show, scene.list).stdout


def test_an_older_list_does_not_take_its_place(tmp_path: Path) -> None:
    scene = TrustListScene(tmp_path)
    assert scene.take("--state", scene.state).exit_code == 0
    scene.write(sequence=6)
    result = scene.take("--state", scene.state)
    assert result.exit_code == 1
    assert "older" in result.stderr


def test_what_is_not_taken(tmp_path: Path) -> None:
    scene = TrustListScene(tmp_path)
    scene.write(expires=1)
    assert scene.take().exit_code == 1
    shown = record("cert", "trust-list", "show", scene.list, "--pa-certificate", scene.certificate)
    assert shown["expired"] is True
    scene.list.write_bytes(Administrator(scene.pa.root).signed([ROOT]))
    assert scene.take().exit_code == 1
    scene.write()
    scene.state.mkdir()
    (scene.state / NAME).write_text("{}")
    assert scene.take("--state", scene.state).exit_code == 2
    show = ("cert", "trust-list", "show", "--pa-certificate", scene.certificate)
    assert run(*show, scene.state).exit_code == 1
    assert run(*show, tmp_path / "nowhere").exit_code == 2
    (scene.state / NAME).unlink()
    assert run(*show, scene.state).exit_code == 1
    scene.certificate.write_text("nothing")
    assert scene.take().exit_code == 2


def test_a_url_is_fetched_under_the_guard(tmp_path: Path) -> None:
    scene = TrustListScene(tmp_path)
    pa = ("--pa-certificate", scene.certificate)
    result = run("cert", "trust-list", "import", "https://127.0.0.1/list", *pa)
    assert result.exit_code == 1
    assert "127.0.0.1" in result.stderr
    roots = ("--tls-roots", scene.list)
    assert run("cert", "trust-list", "import", "https://a.example/", *pa, *roots).exit_code == 2
