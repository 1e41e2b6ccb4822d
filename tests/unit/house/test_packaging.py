"""What the wheel installs, and that our package names are ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import discovery
import gateway
import media
import sip
import stir

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("package", [gateway, sip, stir, media, discovery])
def test_a_package_name_means_our_package(package: object) -> None:
    assert Path(str(getattr(package, "__file__", ""))).is_relative_to(ROOT)


def test_the_wheel_holds_exactly_the_rooms_and_the_configurations(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    version = gateway.__version__
    rooms = {"gateway", "sip", "stir", "media", "discovery"}
    assert tops == rooms | {f"spingate-{version}.dist-info"}
    assert {f"{room}/py.typed" for room in rooms} <= set(names)
    assert "gateway/configs/edge.toml" in names
    steps = {
        f"gateway/directory/migrations/{name}" for name in ("env.py", "versions/v0001_first.py")
    }
    assert steps <= set(names)
