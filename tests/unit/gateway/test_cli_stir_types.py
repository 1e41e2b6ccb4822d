"""`spingate stir sign` and `verify` with the types beyond shaken."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from stir.content_digest import digest_of
from tests.support.stir_authority import DEST, NOW, ORIG, URL, StirWorld, to_pem

AT = "2026-11-18T11:06:40Z"


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


@pytest.fixture
def folder(world: StirWorld, tmp_path: Path) -> Path:
    assert world.issued.key_pem is not None
    (tmp_path / "key.pem").write_bytes(world.issued.key_pem)
    (tmp_path / "chain.pem").write_bytes(world.issued.chain_pem)
    (tmp_path / "root.pem").write_bytes(to_pem(world.root.certificates))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ("stir", *arguments))


def sign(folder: Path, *arguments: str) -> Result:
    numbers = ("--orig", ORIG, "--dest", DEST, "--iat", str(int(NOW)))
    return run("sign", "--key", str(folder / "key.pem"), "--x5u", URL, *numbers, *arguments)


def verify(folder: Path, identity: str, *lines: str, method: str, body: bytes = b"") -> str:
    message = folder / "message.sip"
    head = [
        f"{method} sip:+{DEST}@beta.example SIP/2.0",
        "Via: SIP/2.0/TLS alpha.example;branch=z9hG4bK1",
        f"To: <sip:+{DEST}@beta.example>",
        "Call-ID: one@alpha.example",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        f"Identity: {identity.strip()}",
        f"Content-Length: {len(body)}",
        *lines,
    ]
    if not any(line.startswith("From:") for line in lines):
        head.append(f"From: <sip:+{ORIG}@alpha.example>;tag=1")
    message.write_bytes("\r\n".join((*head, "", "")).encode() + body)
    certificates = ("--cert", str(folder / "chain.pem"), "--trust-anchor", str(folder / "root.pem"))
    result = run("verify", "--json", "--at", AT, "--message", str(message), *certificates)
    record = json.loads(result.stdout)
    return str(record["reason"] or record["outcome"])


def test_rich_call_data_is_signed_from_a_file_of_claims(folder: Path) -> None:
    claims = folder / "claims.json"
    claims.write_text('{"rcd":{"nam":"Alpha Bank","icn":"https://alpha.example/i.png"}}')
    result = sign(folder, "--ppt", "rcd", "--claims", str(claims), "--json")
    record = json.loads(result.stdout)
    assert record["header"]["ppt"] == "rcd"
    assert record["payload"]["rcd"]["nam"] == "Alpha Bank"
    names = {
        "Alpha Bank": "valid",
        "Beta Bank": "caller_name_mismatch",
    }
    for name, found in names.items():
        shown = f'From: "{name}" <sip:+{ORIG}@alpha.example>;tag=1'
        assert verify(folder, record["identity"], shown, method="INVITE") == found
    other = "Call-Info: <https://evil.example/i.png>;purpose=icon"
    found = verify(folder, record["identity"], other, method="INVITE")
    assert found == "caller_name_mismatch"


def test_a_priority_is_signed_and_compared(folder: Path) -> None:
    claims = folder / "claims.json"
    claims.write_text('{"rph":{"auth":["ets.0"]}}')
    value = sign(folder, "--ppt", "rph", "--claims", str(claims)).stdout
    assert verify(folder, value, "Resource-Priority: ets.0", method="INVITE") == "valid"
    found = verify(folder, value, "Resource-Priority: ets.1", method="INVITE")
    assert found == "resource_priority_mismatch"


def test_a_message_is_signed_by_its_body(folder: Path) -> None:
    (folder / "body").write_bytes(b"Hello")
    result = sign(folder, "--ppt", "msg", "--body", str(folder / "body"), "--json")
    record = json.loads(result.stdout)
    assert record["payload"]["msgi"] == digest_of(b"Hello")
    assert verify(folder, record["identity"], method="MESSAGE", body=b"Hello") == "valid"
    found = verify(folder, record["identity"], method="MESSAGE", body=b"Hullo")
    assert found == "message_digest_mismatch"
    assert verify(folder, record["identity"], method="INVITE", body=b"Hello") == "method_mismatch"


def test_the_compact_form_is_verified_with_its_message(folder: Path) -> None:
    record = json.loads(sign(folder, "--compact", "--json").stdout)
    assert (record["header"], record["payload"]) == (None, None)
    dated = "Date: Wed, 18 Nov 2026 11:06:40 GMT"
    assert verify(folder, record["identity"], dated, method="INVITE") == "valid"
    assert verify(folder, record["identity"], method="INVITE") == "compact_form_unusable"


@pytest.mark.parametrize(
    ("claims", "ppt", "words"),
    [
        ("{}", "rcd", "the rcd claim"),
        ('{"rph":{"auth":[]}}', "rph", "rph"),
        ("[]", "rcd", "not a JSON object"),
        ('{"rcd":{"nam":"A"},"iat":1}', "rcd", "iat"),
    ],
)
def test_claims_that_cannot_be_signed_are_wrong_usage(
    folder: Path, claims: str, ppt: str, words: str
) -> None:
    (folder / "claims.json").write_text(claims)
    result = sign(folder, "--ppt", ppt, "--claims", str(folder / "claims.json"))
    assert result.exit_code == 2
    assert words in result.output


def test_a_passport_for_its_media_keys_needs_some(folder: Path) -> None:
    digest = ":".join(["AB"] * 32)
    value = sign(folder, "--ppt", "msec", "--mky", f"sha-256 {digest}").stdout
    sdp = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"a=fingerprint:sha-256 {digest}\r\nm=audio 4000 UDP/TLS/RTP/SAVP 0\r\n"
    )
    described = "Content-Type: application/sdp"
    assert verify(folder, value, described, method="INVITE", body=sdp.encode()) == "valid"
    assert sign(folder, "--ppt", "msec").exit_code == 2
