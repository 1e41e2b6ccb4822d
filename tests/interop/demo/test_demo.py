"""The demo as a newcomer runs it: every part true, one object for a script, nothing left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.directory_scene import DirectoryScene
from gateway.demo.process import SceneError

pytestmark = pytest.mark.real


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", "--folder", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_every_part_of_the_demo_works_and_json_is_one_object(tmp_path: Path) -> None:
    done = run(tmp_path / "demo", "--json")
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert all(report["parts"].values()), report["parts"]
    assert done.returncode == 0
    assert done.stderr == ""
    assert report["discovery"]["uris"][0]["uri"] == "sip:+12125550123@beta.example;user=phone"
    assert [source["source"] for source in report["discovery"]["asked"]] == [
        "cache",
        "directory",
        "spin",
    ]
    assert report["discovery_again"]["asked"][0]["outcome"] == "found"
    assert report["passport"]["payload"]["orig"] == {"tn": "14155550100"}
    assert report["verdict"]["outcome"] == "valid"
    outcomes = {check["step"]: check["outcome"] for check in report["verdict"]["checks"]}
    # The demo's authority names no revocation list and writes into no transparency log.
    outside = {"revocation", "transparency"}
    assert {step for step, outcome in outcomes.items() if outcome != "passed"} <= outside
    assert {"authority", "media_keys", "replay"} <= set(outcomes)
    assert [result["protection"] for result in report["media"]] == ["SDES-SRTP", "RTP"]
    check_directory(report["directory"])


def check_directory(found: dict[str, Any]) -> None:
    assert [owner["state"] for owner in found["owners"]] == ["live"] * 3
    assert all("Code: ****-****." in owner["text"] for owner in found["owners"])
    asked = found["call"]["discovery"]["asked"]
    assert [(each["source"], each["outcome"]) for each in asked] == [
        ("cache", "not found"),
        ("directory", "found"),
    ]
    assert found["call"]["discovery"]["uris"][0]["assurance"] == "logged"
    assert found["way"] == found["call"]["way"] == "Oblivious HTTP"
    assert found["call"]["oblivious_lookups"] == 1
    assert found["call"]["relay"].startswith("https://relay.example")
    proof = found["proof"]
    assert proof["record"]["csi"] == "tel:+14155550100"
    assert proof["certificate"]["numbers"] == ["14155550100"]
    assert proof["logged"] is True
    assert proof["log"]["checkpoint"].startswith("dp.example:8446/log\n")
    assert proof["cosigned"] is True
    assert proof["log"]["witness"] == "witness.example/w1"
    assert found["opted_out"]["status"] == "optout"
    assert found["opted_out"]["discovery"]["uris"] == []
    maps = found["two_providers"]["maps"]
    assert [each["msp"] for each in maps] == ["gamma.example", "beta.example"]
    (chosen,) = found["two_providers"]["discovery"]["uris"]
    assert chosen["msp"] == "gamma.example"


def test_the_demo_tells_a_person_the_way_the_ladder_the_checks_and_the_media(
    tmp_path: Path,
) -> None:
    done = run(tmp_path / "demo")
    assert done.returncode == 0, done.stdout
    for part in (
        "How the number was found",
        "wants to voice-call you over the Internet",
        "sip:+12125550123@beta.example;user=phone",
        "180 Ringing",
        '"ppt": "shaken"',
        "media_keys",
        "620 Hz of 620 Hz",
        "every port free again",
        "Found in the directory https://dp.example:8446",
        "declined (opted out)",
        "beta.example asks over Oblivious HTTP: through relay.example",
        "checkpoint  dp.example:8446/log size",
        "cosigned by witness.example/w1",
        "preferred one of two providers chosen",
    ):
        assert part in done.stdout, part
    assert "Traceback" not in done.stdout + done.stderr
    for log in ("dp/directory.log", "relay/relay.log", "tokens/issuer.log"):
        assert "Traceback" not in (tmp_path / "demo" / log).read_text()
    assert "[[directory.peer]]\n" not in (tmp_path / "demo" / "dp" / "directory.toml").read_text()
    for key in (tmp_path / "demo" / "owners").iterdir():
        assert key.stat().st_mode & 0o077 == 0
    for name in ("alpha", "beta"):
        log = (tmp_path / "demo" / name / "gateway.log").read_text()
        assert "Traceback" not in log
        assert (tmp_path / "demo" / name / "state" / "secret").stat().st_mode & 0o077 == 0


async def test_a_process_that_does_not_start_is_named_with_its_last_words_and_its_file(
    tmp_path: Path,
) -> None:
    zone = 'suffix = "e164.dp.example"\naddress = "127.0.0.1"\nnameservers = ["ns1.dp.example"]\n'
    made = 'hostmaster = "hostmaster.dp.example"\nkey = "keys/absent.key"\n'
    broken = {"dp": f"\n[enum]\n{zone}{made}"}
    with pytest.raises(SceneError) as failed:
        async with DirectoryScene(tmp_path / "demo", lambda _: None, additions=broken):
            pass
    said = str(failed.value)
    assert said.startswith("directory https://dp.example:8446")
    assert "enum.key: " in said
    assert said.endswith(f"see {tmp_path / 'demo' / 'dp' / 'directory.log'}")


async def test_a_process_that_dies_in_between_is_named(tmp_path: Path) -> None:
    async with DirectoryScene(tmp_path / "demo", lambda _: None, with_phones=False) as scene:
        assert await scene.dead() == ""
        directory = next(each for each in scene.processes if each.called.startswith("directory"))
        assert directory.process_id is not None
        os.kill(directory.process_id, signal.SIGKILL)
        with pytest.raises(SceneError):
            await scene.register_owners()
        dead = await scene.dead()
        assert "ended with -9" in dead
        assert "directory.log" in dead
