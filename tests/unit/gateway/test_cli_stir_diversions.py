"""`spingate stir verify` of requests with several Identity header fields that belong together."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.support.diversions import NUMBERS, Forwarders
from tests.support.stir_authority import NOW, ORIG, to_pem

A, B, C = NUMBERS[:3]


@pytest.fixture(scope="module")
def calls() -> Forwarders:
    return Forwarders()


def verify(calls: Forwarders, folder: Path, to: str, *values: str) -> dict[str, Any]:
    lines = [
        f"INVITE sip:+{to}@gamma.example;user=phone SIP/2.0",
        "Via: SIP/2.0/TLS beta.example;branch=z9hG4bK1",
        f"From: <sip:+{ORIG}@alpha.example>;tag=1",
        f"To: <sip:+{A}@beta.example>",
        "Call-ID: one@alpha.example",
        "CSeq: 1 INVITE",
        *(f"Identity: {value}" for value in values),
    ]
    message, chain, root = folder / "call.sip", folder / "chain.pem", folder / "root.pem"
    message.write_bytes("\r\n".join([*lines, "", ""]).encode())
    chain.write_bytes(calls.credential.pem)
    root.write_bytes(to_pem(calls.world.root.certificates))
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC).isoformat()
    options = ["--cert", str(chain), "--trust-anchor", str(root), "--at", at]
    arguments = ["stir", "verify", "--json", "--message", str(message), *options]
    result = CliRunner().invoke(app, arguments)
    record: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if record["outcome"] == "valid" else 1)
    return record


def steps(record: dict[str, Any]) -> dict[str, str]:
    return {check["step"]: check["outcome"] for check in record["checks"]}


def test_a_diverted_call_shows_the_step_div_everywhere(calls: Forwarders, tmp_path: Path) -> None:
    record = verify(calls, tmp_path, C, *calls.chain(2))
    assert record["outcome"] == "valid", record
    assert steps(record)["div"] == "passed"
    assert [steps(each)["div"] for each in record["identities"]] == ["passed"] * 3
    assert (steps(record)["destination"], record["sip_status"]) == ("passed", None)


def test_a_div_without_its_original_is_438(calls: Forwarders, tmp_path: Path) -> None:
    record = verify(calls, tmp_path, B, calls.div(A, B))
    assert (record["outcome"], record["sip_status"]) == ("invalid", 438)
    assert record["reason"] == "diversion_without_original"
    assert steps(record)["div"] == "failed"


def test_a_broken_link_is_438_although_to_is_the_originals_destination(
    calls: Forwarders, tmp_path: Path
) -> None:
    record = verify(calls, tmp_path, C, calls.original(), calls.div(B, C))
    assert (record["sip_status"], record["reason"]) == (438, "diversion_broken")


def test_a_div_o_is_judged_with_what_it_holds(calls: Forwarders, tmp_path: Path) -> None:
    record = verify(calls, tmp_path, C, calls.nested(2))
    assert (record["outcome"], steps(record)["div"]) == ("valid", "passed")


def test_a_call_that_was_not_diverted_has_no_such_step(calls: Forwarders, tmp_path: Path) -> None:
    record = verify(calls, tmp_path, A, calls.original())
    assert record["outcome"] == "valid"
    assert "div" not in steps(record)
