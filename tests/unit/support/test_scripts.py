import os
import shutil
import subprocess
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[2] / "support"


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SUPPORT / script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def bare_path(folder: Path, *names: str) -> str:
    """A PATH with nothing but these programs of this machine."""
    for name in names:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return str(folder)


def test_an_old_python_is_named_with_its_version_and_the_way_out(tmp_path: Path) -> None:
    old = program(tmp_path, "python3", 'case "$2" in *print*) echo 3.9.2 ;; *) exit 1 ;; esac')
    done = run("setup.sh", PYTHON=str(old), VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "is Python 3.9.2; 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_python_is_told_with_the_package_that_holds_it(tmp_path: Path) -> None:
    done = run("setup.sh", PYTHON="python-that-is-not-there", VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "apt-get install python3 python3-pip" in done.stderr


@pytest.mark.parametrize("present", [True, False], ids=["all there", "none there"])
def test_programs_are_only_installed_where_they_are_missing(tmp_path: Path, present: bool) -> None:
    path = bare_path(tmp_path, "sh", "env", "tail", "mktemp", "rm")
    program(tmp_path, "id", "echo 0")
    program(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/asked')
    programs = ("sipp", "baresip", "openssl", "kamailio", "delv", "unbound-host", "initdb")
    for name in programs if present else ():
        program(tmp_path, name, "")
    done = run("install-programs.sh", PATH=path)
    assert done.returncode == 0, done.stderr
    asked = tmp_path / "asked"
    assert asked.exists() is not present
    if not present:
        assert "sip-tester baresip-core openssl" in asked.read_text().splitlines()[-1]


def test_whoever_may_not_install_gets_the_exact_command(tmp_path: Path) -> None:
    path = bare_path(tmp_path, "sh")
    program(tmp_path, "id", "echo 1000")
    program(tmp_path, "apt-get", "exit 99")
    done = run("install-programs.sh", PATH=path)
    assert done.returncode == 1
    assert (
        "apt-get update && apt-get install -y --no-install-recommends "
        "sip-tester baresip-core openssl" in done.stderr
    )


def test_a_failed_installation_shows_what_apt_said(tmp_path: Path) -> None:
    path = bare_path(tmp_path, "sh", "env", "tail", "mktemp", "rm")
    program(tmp_path, "id", "echo 0")
    program(tmp_path, "apt-get", 'echo "E: no network"; exit 100')
    done = run("install-programs.sh", PATH=path)
    assert done.returncode == 1
    assert "E: no network" in done.stderr
