"""`spingate sdp check`: the JSON scripts rely on, and exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli.main import app
from tests.unit.media.sdp_samples import BROWSER, KEY_A, PHONE, SECURE_PHONE


def run(*arguments: str, expected: int) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["sdp", "check", "--json", *arguments])
    assert result.exit_code == expected, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_file_gets_one_line_of_facts(tmp_path: Path) -> None:
    phone, browser = tmp_path / "phone.sdp", tmp_path / "browser.sdp"
    phone.write_text(PHONE.replace("k=prompt\n", ""), encoding="utf-8")
    browser.write_text(BROWSER, encoding="utf-8")
    first, second = run(str(phone), str(browser), expected=0)
    assert (first["file"], first["valid"], first["problems"]) == (str(phone), True, [])
    assert first["session"]["origin"]["session_id"] == "1251311173"
    assert first["session"]["timing"] == [{"start": 0, "stop": 0}]
    (audio,) = first["media"]
    assert (audio["kind"], audio["port"], audio["protocol"]) == ("audio", 2262, "RTP/AVP")
    assert audio["direction"] == "sendrecv"
    assert audio["rtcp"] == {
        "port": 2270,
        "net_type": "IN",
        "address_type": "IP4",
        "address": "192.0.2.46",
    }
    assert audio["ptime"] == 20
    assert audio["bandwidth"] == [{"type": "AS", "limit": 64}]
    assert audio["codecs"][0] == {
        "payload_type": 9,
        "encoding": "G722",
        "clock_rate": 8000,
        "parameters": None,
        "fmtp": None,
        "static": False,
    }
    webrtc = second["media"][0]
    assert webrtc["setup"] == "actpass"
    assert webrtc["ice_ufrag"] == "nWnq"
    assert webrtc["mid"] == "0"
    assert webrtc["candidates"][0]["address"] == "192.0.2.33"
    assert second["session"]["groups"] == [{"semantics": "BUNDLE", "mids": ["0", "1", "2"]}]


def test_an_invalid_file_makes_the_exit_status_1(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(PHONE, encoding="utf-8")
    bad.write_text(PHONE.replace("2262", "65536"), encoding="utf-8")
    lines = run(str(good), str(bad), expected=1)
    assert [line["valid"] for line in lines] == [True, False]
    assert lines[1]["problems"] == ["line 11: m= port is not a number from 0 to 65535"]
    assert lines[1]["media"] == []


def test_keys_and_passwords_are_not_printed(tmp_path: Path) -> None:
    for text, secret in ((SECURE_PHONE, KEY_A), (BROWSER, "DTdCVj00s9nGkNgWra0P30A2")):
        file = tmp_path / "secret"
        file.write_text(text, encoding="utf-8")
        for options in ([], ["--json"]):
            result = CliRunner().invoke(app, ["sdp", "check", *options, str(file)])
            assert result.exit_code == 0
            assert secret not in result.output


def test_octets_of_another_charset_can_be_printed(tmp_path: Path) -> None:
    file = tmp_path / "latin"
    file.write_bytes(PHONE.replace("Desk phone", "Caf\xe9").encode("latin-1"))
    assert run(str(file), expected=0)[0]["session"]["name"] == "Caf�"


def test_people_read_codecs_and_oddities(tmp_path: Path) -> None:
    file = tmp_path / "phone.sdp"
    file.write_text(PHONE, encoding="utf-8")
    result = CliRunner().invoke(app, ["sdp", "check", str(file)])
    assert result.exit_code == 0
    assert "0 PCMU/8000" in result.output
    assert "t= stands after k=" in result.output


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sdp", "check", "--json", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert result.stdout == ""
