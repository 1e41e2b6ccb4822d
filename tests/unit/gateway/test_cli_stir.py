"""`spingate stir` and `spingate cert` as scripts and people use them."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from stir.certificates.tn_auth_list import Spc
from tests.support.stir_authority import (
    DEST,
    FINGERPRINT,
    HEADER,
    NOW,
    ORIG,
    StirWorld,
    shaken_claims,
    to_pem,
)

AT = "2026-11-18T11:06:40Z"


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


@pytest.fixture
def files(world: StirWorld, tmp_path: Path) -> dict[str, str]:
    assert world.issued.key_pem is not None
    contents = {
        "chain": world.issued.chain_pem,
        "root": to_pem(world.root.certificates),
        "key": world.issued.key_pem,
        "identity": world.identity().encode() + b"\r\n",
        "message": invite(world.identity(fingerprints=(FINGERPRINT,))),
        "unsigned": invite(),
        "two": invite(world.identity(), world.identity(dest_tns=("1",))),
        "garbage": b"<html>",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in contents}


def invite(*identities: str) -> bytes:
    sdp = f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=fingerprint:{FINGERPRINT[0]} "
    body = (sdp + FINGERPRINT[1] + "\r\nm=audio 9 UDP/TLS/RTP/SAVP 0\r\n").encode()
    lines = [
        f"INVITE sip:+{DEST}@beta.example SIP/2.0",
        "Via: SIP/2.0/TLS alpha.example;branch=z9hG4bK1",
        "From: <sip:anonymous@anonymous.invalid>;tag=1",
        f"P-Asserted-Identity: <sip:+{ORIG}@alpha.example>",
        f"To: <sip:+{DEST}@beta.example>",
        "Call-ID: one@alpha.example",
        "CSeq: 1 INVITE",
        "Max-Forwards: 70",
        "Content-Type: application/sdp",
        *(f"Identity: {value}" for value in identities),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join((*lines, "", "")).encode() + body


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def verify(*arguments: str) -> dict[str, Any]:
    result = run("stir", "verify", "--json", "--at", AT, *arguments)
    assert result.exit_code in (0, 1), result.output
    [line] = result.stdout.splitlines()
    record: dict[str, Any] = json.loads(line)
    assert result.exit_code == (0 if record["outcome"] == "valid" else 1)
    return record


def outcomes(record: dict[str, Any]) -> dict[str, str]:
    return {check["step"]: check["outcome"] for check in record["checks"]}


def test_the_steps_have_their_names_and_order(files: dict[str, str]) -> None:
    record = verify("--identity", files["identity"])
    assert list(outcomes(record)) == [
        "syntax",
        "type",
        "algorithm",
        "info",
        "claims",
        "freshness",
        "credential",
        "chain",
        "revocation",
        "transparency",
        "authority",
        "constraints",
        "signature",
        "originator",
        "destination",
        "media_keys",
        "replay",
    ]
    assert record["outcome"] == "unavailable"
    assert record["sip_status"] is None
    assert [s for s, o in outcomes(record).items() if o == "passed"] == [
        "syntax",
        "type",
        "algorithm",
        "info",
        "claims",
        "freshness",
    ]


def test_a_message_brings_everything_to_compare_with(files: dict[str, str]) -> None:
    record = verify(
        "--message", files["message"], "--cert", files["chain"], "--trust-anchor", files["root"]
    )
    assert (record["outcome"], record["verstat"]) == ("valid", "TN-Validation-Passed")
    assert outcomes(record)["media_keys"] == "passed"
    assert outcomes(record)["replay"] == "skipped"


def test_without_trust_anchor_the_chain_is_skipped(files: dict[str, str]) -> None:
    record = verify("--identity", files["identity"], "--cert", files["chain"])
    assert record["outcome"] == "valid"
    assert outcomes(record)["chain"] == "skipped"


def test_numbers_given_stand_for_the_message(files: dict[str, str]) -> None:
    base = ("--identity", files["identity"], "--cert", files["chain"], "--orig", f"+{ORIG}")
    assert verify(*base, "--dest", "+1 212 555 0123")["outcome"] == "valid"
    record = verify(*base, "--dest", "+12125550124")
    assert (record["reason"], record["sip_status"]) == ("destination_mismatch", 438)


def test_provider_codes_are_policy_on_the_command_line(
    world: StirWorld, files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "spc.pem").write_bytes(world.leaf(entries=[Spc("709J")]).pem)
    base = ("--identity", files["identity"], "--cert", str(tmp_path / "spc.pem"))
    assert verify(*base)["outcome"] == "valid"
    assert verify(*base, "--accept-spc", "1234")["reason"] == "authority_code_refused"
    assert verify(*base, "--spc-number", f"709J=+{ORIG}")["outcome"] == "valid"
    assert verify(*base, "--spc-number", "709J=+1")["reason"] == "authority_not_covered"
    assert run("stir", "verify", "--token", "x", "--spc-number", "709J").exit_code == 2


def test_a_message_without_identity_is_asked_for_one(files: dict[str, str]) -> None:
    record = verify("--message", files["unsigned"])
    assert (record["outcome"], record["sip_status"]) == ("invalid", 428)
    assert (record["verstat"], record["checks"]) == ("No-TN-Validation", [])


def test_several_identities_are_all_listed_and_the_best_decides(files: dict[str, str]) -> None:
    record = verify("--message", files["two"], "--cert", files["chain"])
    assert record["outcome"] == "valid"
    assert [one["outcome"] for one in record["identities"]] == ["valid", "invalid"]


def test_freshness_and_time_are_options(files: dict[str, str]) -> None:
    arguments = ("--identity", files["identity"], "--cert", files["chain"])
    late = run("stir", "verify", "--json", "--at", "2026-11-18T11:10:00Z", *arguments)
    assert json.loads(late.stdout)["sip_status"] == 403
    wide = ("--at", "2026-11-18T11:10:00Z", "--freshness", "300")
    assert run("stir", "verify", "--json", *wide, *arguments).exit_code == 0
    epoch = run("stir", "verify", "--json", "--at", str(int(NOW)), *arguments)
    assert epoch.exit_code == 0


def test_a_certificate_file_that_is_none_is_a_finding(files: dict[str, str]) -> None:
    record = verify("--identity", files["identity"], "--cert", files["garbage"])
    assert (record["reason"], record["sip_status"]) == ("credential_malformed", 437)


@pytest.mark.parametrize(
    "arguments",
    [
        ["stir", "verify"],
        ["stir", "verify", "--token", "a.b.c", "--at", "yesterday"],
        ["stir", "verify", "--token", "a.b.c", "--at", "2026-11-18T11:06:40"],
        ["stir", "verify", "--token", "a.b.c", "--freshness", "-1"],
        ["stir", "verify", "--token", "a.b.c", "--cert", "/nowhere"],
        ["stir", "verify", "--token", "a.b.c", "--key", "/dev/null"],
        ["stir", "verify", "--token", "a.b.c", "--trust-anchor", "/dev/null"],
        ["stir", "verify", "--message", "/dev/null"],
        ["stir", "frobnicate"],
        ["cert", "issue", "--authority", "/nowhere", "--out", "x", "--tn", "1"],
    ],
)
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == "" or "Usage" in result.stdout


def test_explain_says_what_why_and_how_to_mend_it(files: dict[str, str]) -> None:
    result = run("stir", "explain", files["two"], "--at", AT, "--dest", "+12125550199")
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    for words in (
        "The dest claim does not hold the called number.",
        "RFC 8224 6.2 step 3",
        "expected 12125550199",
        "probably The call was forwarded",
        "fix Sign after number translation",
    ):
        assert words in text


def test_explain_puts_the_likely_cause_first(world: StirWorld, files: dict[str, str]) -> None:
    value = world.identity(iat=1)
    arguments = ("--dest", "1", "--orig", "2", "--at", AT, "--cert", files["chain"], "--json")
    result = run("stir", "explain", value, *arguments)
    steps = [finding["step"] for finding in json.loads(result.stdout)["findings"]]
    assert steps == ["destination", "originator", "freshness"]
    text = run("stir", "explain", "abc").stdout
    assert "not a PASSporT" in text
    assert run("stir", "explain", files["unsigned"], "--json").exit_code == 1


def test_explain_takes_a_valid_one_too(world: StirWorld, files: dict[str, str]) -> None:
    token = world.identity().partition(";")[0]
    result = run("stir", "explain", token, "--at", AT, "--cert", files["chain"])
    assert result.exit_code == 0
    assert "Nothing failed. Not checked: chain" in " ".join(result.stdout.split())


def test_sign_and_verify_agree(files: dict[str, str], tmp_path: Path) -> None:
    arguments = ["stir", "sign", "--key", files["key"], "--cert", files["chain"], "--json"]
    arguments += ["--x5u", "https://certs.alpha.example/sti.pem", "--orig", f"+{ORIG}"]
    arguments += ["--dest", f"+{DEST}", "--attest", "A", "--iat", str(int(NOW))]
    arguments += ["--mky", f"sha-256 {FINGERPRINT[1]}"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["payload"]["mky"] == [{"alg": "sha-256", "dig": "AB" * 32}]
    assert "PRIVATE" not in result.output
    (tmp_path / "signed").write_text(f"Identity: {record['identity']}\n")
    assert verify("--identity", str(tmp_path / "signed"), "--cert", files["chain"])["outcome"] == (
        "valid"
    )


def test_a_key_that_is_not_the_certificates_does_not_sign(files: dict[str, str]) -> None:
    result = run(
        *("stir", "sign", "--key", files["key"], "--cert", files["root"], "--orig", "1"),
        *("--x5u", "https://a.example/", "--dest", "2"),
    )
    assert result.exit_code == 2
    assert "not the certificate's" in " ".join(result.stderr.split())


def inspect(path: str) -> tuple[int, list[dict[str, Any]]]:
    result = run("cert", "inspect", "--json", "--at", AT, path)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_inspect_shows_a_line_a_certificate(files: dict[str, str]) -> None:
    status, records = inspect(files["chain"])
    assert status == 0
    assert [record["is_ca"] for record in records] == [False, True]
    assert records[0]["tn_auth_list"] == [{"range": ORIG, "count": 100}]
    assert records[0]["key"] == "EC secp256r1"
    assert records[0]["problems"] == []
    assert records[0]["not_before"].endswith("Z")


def test_inspect_names_what_makes_it_unfit(world: StirWorld, tmp_path: Path) -> None:
    bad = world.leaf(entries=None, usage=False, not_after=NOW - 1)
    (tmp_path / "bad.pem").write_bytes(to_pem([bad.leaf]))
    status, records = inspect(str(tmp_path / "bad.pem"))
    assert status == 1
    assert records[0]["problems"] == [
        "credential_expired",
        "credential_key_usage",
        "authority_missing",
    ]
    assert "fix:" in run("cert", "inspect", str(tmp_path / "bad.pem")).stdout
    (tmp_path / "junk").write_bytes(b"junk")
    assert inspect(str(tmp_path / "junk"))[1][0]["problems"] == ["credential_malformed"]


def test_a_development_authority_from_nothing_to_a_verified_call(tmp_path: Path) -> None:
    ca, leaf, key = tmp_path / "ca", tmp_path / "leaf.pem", tmp_path / "leaf-key.pem"
    assert run("cert", "authority", "--out", str(ca), "--name", "Dev").exit_code == 0
    issue = ["cert", "issue", "--authority", str(ca), "--out", str(leaf), "--key-out", str(key)]
    assert run(*issue, "--range", "+14155550100:100", "--spc", "TEST").exit_code == 0
    for private in (key, ca / "root-key.pem", ca / "authority-key.pem"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    again = run(*issue, "--tn", "1")
    assert again.exit_code == 2, "nothing is overwritten"

    signed = run(
        *("stir", "sign", "--key", str(key), "--x5u", "https://a.example/l.pem", "--attest", "A"),
        *("--orig", "+14155550123", "--dest", "+12125550123", "--json"),
    )
    token = json.loads(signed.stdout)["token"]
    result = run(
        *("stir", "verify", "--json", "--token", token, "--cert", str(leaf)),
        *("--trust-anchor", str(ca / "root.pem")),
    )
    assert json.loads(result.stdout)["outcome"] == "valid"


def test_a_request_is_signed_for_its_key(tmp_path: Path) -> None:
    ca, csr, key, leaf = (tmp_path / name for name in ("ca", "r.csr", "r.key", "r.pem"))
    assert run("cert", "authority", "--out", str(ca)).exit_code == 0
    made = run("cert", "csr", "--out", str(csr), "--key-out", str(key), "--tn", "+14155550100")
    assert made.exit_code == 0
    issued = run("cert", "issue", "--authority", str(ca), "--csr", str(csr), "--out", str(leaf))
    assert issued.exit_code == 0, issued.output
    result = run("cert", "inspect", "--json", str(leaf))
    assert json.loads(result.stdout.splitlines()[0])["tn_auth_list"] == [{"one": "14155550100"}]
    tls = ["cert", "issue", "--tls", "--authority", str(ca), "--out", str(tmp_path / "t.pem")]
    assert run(*tls, "--key-out", str(tmp_path / "t.key"), "--dns", "a.example").exit_code == 0


def test_a_token_of_another_type_says_which_are_known(world: StirWorld) -> None:
    token = world.token({**HEADER, "ppt": "x-unheard-of"}, shaken_claims())
    record = verify("--token", token)
    assert (record["outcome"], record["reason"]) == ("invalid", "unsupported_ppt")
    assert (record["sip_status"], record["verstat"]) == (428, "No-TN-Validation")


def test_a_priority_passport_is_looked_at_for_its_own_sake(world: StirWorld) -> None:
    claims = {**shaken_claims(attest=None, origid=None), "rph": {"auth": ["ets.0"]}}
    record = verify("--token", world.token({**HEADER, "ppt": "rph"}, claims))
    assert (record["outcome"], record["reason"]) == ("unavailable", None)
