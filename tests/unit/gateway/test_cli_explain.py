"""`spingate stir explain` with captures, pasted messages and fetched certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import stir_explain
from gateway.cli.main import app
from stir.certificates.certificate import CredentialUnavailable
from tests.support.captures import TIME, ethernet, invite, pcap, pcapng, udp
from tests.support.stir_authority import URL, StirWorld, to_pem

IAT = int(TIME)


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


@pytest.fixture
def files(world: StirWorld, tmp_path: Path) -> dict[str, str]:
    good = udp(invite(world.identity(iat=IAT)))
    stale = udp(invite(world.identity(iat=IAT - 400, dest_tns=("12125550177",)), call_id="two@b"))
    contents = {
        "chain": world.issued.chain_pem,
        "root": to_pem(world.root.certificates),
        "capture": pcap(*map(ethernet, (good, good, stale, udp(invite())))),
        "good": pcapng(ethernet(good)),
        "quiet": pcap(ethernet(udp(invite()))),
        "broken": pcap()[:10],
        "gzip": b"\x1f\x8b\x08\x00",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in contents}


def explain(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["stir", "explain", *arguments], input=stdin)


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def words(result: Result) -> str:
    return " ".join(result.stdout.split())


def trusting(files: dict[str, str]) -> list[str]:
    return ["--cert", files["chain"], "--trust-anchor", files["root"]]


def test_every_signed_request_of_a_capture_is_judged_at_its_own_time(
    files: dict[str, str],
) -> None:
    result = explain(files["capture"], "--json", *trusting(files))
    first, second = records(result)
    assert result.exit_code == 1
    assert (first["call_id"], first["outcome"], first["times_seen"]) == (
        "one@alpha.example",
        "valid",
        2,
    )
    assert first["time"] == "2026-11-18T11:06:40.250000Z"
    assert (first["source"], first["method"]) == ("192.0.2.1:5060", "INVITE")
    assert second["reason"] == "stale_date"
    assert [each["step"] for each in second["findings"]] == ["destination", "freshness"]


def test_a_capture_of_good_requests_exits_well(files: dict[str, str]) -> None:
    assert explain(files["good"], *trusting(files)).exit_code == 0
    late = explain(files["good"], *trusting(files), "--at", "2026-11-18T12:00:00Z")
    assert late.exit_code == 1
    assert explain("-", *trusting(files), stdin=Path(files["good"]).read_bytes()).exit_code == 0


def test_a_capture_ends_with_a_summary(files: dict[str, str]) -> None:
    text = words(explain(files["capture"], *trusting(files)))
    for part in (
        "2026-11-18 11:06:40.250 UTC 192.0.2.1:5060 > 192.0.2.2:5060 udp INVITE, seen 2 times",
        "two@b 14155550100 > 12125550177 ✗ stale_date",
        "2 signed requests, 1 valid, 4 frames read",
        "1 INVITE or MESSAGE without Identity header field",
    ):
        assert part in text


def test_a_capture_without_signed_requests_says_so(files: dict[str, str]) -> None:
    result = explain(files["quiet"])
    assert result.exit_code == 1
    assert "0 signed requests" in result.stdout
    assert explain(files["quiet"], "--json").stdout == ""


@pytest.mark.parametrize(("name", "says"), [("broken", "file header"), ("gzip", "gunzip")])
def test_a_file_that_is_no_capture_is_wrong_usage(
    files: dict[str, str], name: str, says: str
) -> None:
    result = explain(files[name])
    assert result.exit_code == 2
    assert says in result.stderr


def test_the_certificate_is_shown_with_its_numbers_and_days(files: dict[str, str]) -> None:
    text = words(explain(files["good"], *trusting(files)))
    assert "numbers +14155550100 to +14155550199" in text
    assert "30 days left" in text
    [record] = records(explain(files["good"], "--json", *trusting(files)))
    [certificate] = record["certificates"]
    assert certificate["tn_auth_list"] == [{"range": "14155550100", "count": 100}]
    assert certificate["issuers"] == ["CN=Test STI Issuing CA"]


def test_a_message_may_be_pasted_indented_and_without_carriage_returns(world: StirWorld) -> None:
    message = invite(world.identity(iat=IAT)).decode().replace("\r\n", "\n    ")
    result = explain(f"\n    {message}", "--at", str(IAT), "--json")
    [record] = records(result)
    steps = {check["step"]: check["outcome"] for check in record["checks"]}
    assert (steps["originator"], steps["destination"], steps["freshness"]) == ("passed",) * 3


def test_what_was_not_given_is_asked_for(world: StirWorld, files: dict[str, str]) -> None:
    arguments = (world.identity(iat=IAT), "--at", str(IAT))
    assert "give the certificate with --cert FILE" in words(explain(*arguments))
    with_certificate = explain(*arguments, "--cert", files["chain"])
    assert "give the trusted root with --trust-anchor" in words(with_certificate)


def test_a_certificate_can_be_fetched(
    world: StirWorld, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str | None]] = []

    def fetch(urls: list[str | None], config: object) -> dict[str, object]:
        asked.append(urls)
        return {URL: world.credential}

    monkeypatch.setattr(stir_explain, "fetch_credentials", fetch)
    result = explain(files["good"], "--fetch", "--trust-anchor", files["root"])
    assert (result.exit_code, asked) == (0, [[URL]])
    down = CredentialUnavailable("timeout: nothing within 2 s", "certs.alpha.example")
    monkeypatch.setattr(stir_explain, "fetch_credentials", lambda urls, config: {URL: down})
    failed = explain(files["good"], "--fetch")
    assert "nothing within 2 s (certs.alpha.example)" in words(failed)


def test_what_may_not_be_fetched_is_not_asked_for(
    world: StirWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str | None]] = []

    def fetch(urls: list[str | None], config: object) -> dict[str, object]:
        asked.append(urls)
        return {}

    monkeypatch.setattr(stir_explain, "fetch_credentials", fetch)
    value = world.identity(iat=IAT).replace(URL, "https://elsewhere.example/")
    explain(value, "--fetch")
    assert asked == [[None]]
