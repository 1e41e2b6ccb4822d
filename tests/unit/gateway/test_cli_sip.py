"""`spingate sip`: the JSON scripts rely on, and exit statuses."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli.main import app

OPTIONS = (
    b"OPTIONS sip:b@beta.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"From: <sip:a@alpha.example>;tag=1\r\nTo: <sip:b@beta.example>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: %d\r\n\r\n"
)


def run(*arguments: str, expected: int) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["sip", *arguments])
    assert result.exit_code == expected, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_check_prints_a_verdict_a_file(tmp_path: Path) -> None:
    good, spent, junk = tmp_path / "good", tmp_path / "spent", tmp_path / "junk"
    good.write_bytes(OPTIONS % 70)
    spent.write_bytes(OPTIONS % 0)
    junk.write_bytes(b"\x16\x03\x01")
    assert run("check", "--json", str(good), expected=0) == [
        {"file": str(good), "kind": "request", "outcome": "forward", "status": None, "reason": ""}
    ]
    verdicts = run("check", "--json", str(good), str(spent), str(junk), expected=1)
    assert [(v["kind"], v["outcome"], v["status"]) for v in verdicts] == [
        ("request", "forward", None),
        ("request", "answer", 483),
        (None, "drop", None),
    ]


def test_check_over_tcp_wants_a_content_length(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_bytes(OPTIONS % 70)
    verdicts = run("check", "--transport", "tcp", "--json", str(good), expected=1)
    assert verdicts[0]["reason"] == "no Content-Length on a stream"


def test_a_missing_file_is_wrong_usage_and_one_line() -> None:
    result = CliRunner().invoke(app, ["sip", "check", "--json", "/nonexistent/[file]"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "[file]" in result.stderr


def test_uri_takes_a_uri_apart() -> None:
    given = "sip:+1-(212)-555-0123@[2001:db8::1]:5070;user=phone;lr?Subject=hi%20you"
    assert run("uri", "--json", given, expected=0) == [
        {
            "valid": True,
            "scheme": "sip",
            "user": "+1-(212)-555-0123",
            "host": "2001:db8::1",
            "port": 5070,
            "parameters": {"user": "phone", "lr": None},
            "headers": {"Subject": "hi%20you"},
            "canonical": "sip:+1-(212)-555-0123@[2001:db8::1]:5070;lr;user=phone?subject=hi%20you",
            "tn": "12125550123",
            "equal": None,
        }
    ]


def test_uri_compares_two() -> None:
    records = run("uri", "--json", "tel:+1-212-555-0123", "tel:+12125550123", expected=0)
    assert [record["equal"] for record in records] == [True, True]
    records = run("uri", "--json", "sip:a@b", "sips:a@b", expected=0)
    assert [record["equal"] for record in records] == [False, False]


def test_an_address_is_taken_for_the_uri_in_it() -> None:
    record = run("uri", "--json", ' "Al \\" A" <sip:a@b>;q="0.1"', expected=0)[0]
    assert (record["user"], record["host"]) == ("a", "b")


def test_an_invalid_uri_exits_with_1_and_says_why() -> None:
    record = run("uri", "--json", "sip:2001:db8::1", expected=1)[0]
    assert record["valid"] is False
    assert record["reason"] == "IPv6 address without brackets"


def test_a_bare_number_is_no_uri_but_a_number() -> None:
    record = run("uri", "--json", "1.212.555.0123", expected=1)[0]
    assert (record["valid"], record["tn"]) == (False, "12125550123")


def test_octets_that_are_not_text_are_escaped() -> None:
    result = CliRunner().invoke(app, ["sip", "uri", "sip:\udcff\x1b[31m@b"])
    assert result.exit_code == 1
    assert "\\udcff\\x1b[31m" in result.stdout


def test_people_get_one_line_a_file(tmp_path: Path) -> None:
    spent = tmp_path / "spent"
    spent.write_bytes(OPTIONS % 0)
    result = CliRunner().invoke(app, ["sip", "check", str(spent)])
    assert result.stdout == f"answer 483  request   {spent}  Max-Forwards is 0\n"
