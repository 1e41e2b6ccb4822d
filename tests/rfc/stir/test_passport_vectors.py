"""RFC 8225's examples byte for byte, and other projects' tokens with their outcomes."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from stir.media_keys import media_keys_claim
from stir.passport import signing_input
from tests.support.vectors import VECTORS, needs_vectors, rows

FOLDER = "03-stir-vectors"
ENTRIES = {entry["id"]: entry for entry in rows(f"{FOLDER}/vectors.json")}

# Where the published expectation and a strict reading of the RFCs differ, the RFC decides.
DISPUTED = {
    "dsip-origid-absent": "RFC 8588 section 4 makes origid mandatory; that project accepts it",
    "draft-ietf-stir-passport-es256-example": (
        "RFC 8225 section 5.1.1 and RFC 7519 section 2: iat is a number, here it is text; "
        "only the signature is valid"
    ),
    "libstirshaken-01": (
        "RFC 8225 section 5.2.1: orig and dest are objects, here they are text; only the "
        "signature is valid"
    ),
    "libstirshaken-03": "RFC 8225 section 4.1: typ JWT is an SPC token, not a PASSporT",
    "libstirshaken-05": "RFC 8226 section 9: that certificate's TNAuthList is text, not a list",
    "oob-draft-authorization-jwt": "RFC 8225 section 4.1: without typ it is no PASSporT",
    "sems-identity-03": "RFC 8224 section 4: alg=ES25 in the header field; the signature holds",
    "draft-ietf-stir-passport-es256-example-compact-form": (
        "RFC 8225 section 7: rebuilt from the request, iat is a number, while the draft signed "
        "text; and the Identity header field that holds info is not in the vector"
    ),
}


def verify(entry: dict[str, Any], form: str, tmp_path: Path, **changes: str) -> dict[str, Any]:
    assert VECTORS is not None
    folder = VECTORS / FOLDER
    arguments = ["stir", "verify", "--json"]
    if form == "identity":
        file = tmp_path / "identity.txt"
        file.write_text(entry["identity_header"] + "\n")
        arguments += ["--identity", str(file)]
    else:
        arguments += ["--token", entry["token"]]
    key = changes.get("key", entry["key"])
    if key:
        arguments += ["--cert" if key.startswith("certs/") else "--key", str(folder / key)]
    for anchor in entry.get("trust_anchors", ()):
        arguments += ["--trust-anchor", str(folder / anchor)]
    if "now" in entry:
        at = datetime.datetime.fromtimestamp(entry["now"], datetime.UTC).isoformat()
        arguments += ["--at", at, "--orig", entry["from_tn"], "--dest", entry["to_tn"]]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 1), result.output
    record: dict[str, Any] = json.loads(result.stdout)
    assert (result.exit_code == 0) == (record["outcome"] == "valid")
    return record


def step(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in record["checks"] if check["step"] == name)


def forms(entry: dict[str, Any]) -> list[str]:
    return ["token", "identity"] if entry["identity_header"] else ["token"]


@needs_vectors
@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name, e in ENTRIES.items() for form in forms(e)]
)
def test_the_signature_check_agrees_with_the_computed_result(
    name: str, form: str, tmp_path: Path
) -> None:
    wanted = {"VALID": "passed", "INVALID": "failed", "NO-KEY": "skipped"}
    record = verify(ENTRIES[name], form, tmp_path)
    assert step(record, "signature")["outcome"] == wanted[ENTRIES[name]["signature_result"]]


@needs_vectors
@pytest.mark.parametrize("name", [n for n, e in ENTRIES.items() if "negative" in e])
def test_another_key_does_not_verify(name: str, tmp_path: Path) -> None:
    record = verify(ENTRIES[name], "token", tmp_path, key=ENTRIES[name]["negative"]["key"])
    assert step(record, "signature")["reason"] == "signature_invalid"


@needs_vectors
@pytest.mark.parametrize("name", [n for n, e in ENTRIES.items() if "verified" in e["expected"]])
def test_the_conformance_suite_of_dsip_agrees(name: str, tmp_path: Path) -> None:
    entry = ENTRIES[name]
    record = verify(entry, "identity", tmp_path)
    if name in DISPUTED:
        assert (record["outcome"], record["reason"]) == ("invalid", "claim_missing")
        return
    assert (record["outcome"] == "valid") is entry["expected"]["verified"]
    reason = {
        "not-authorized-for-tn": "authority_not_covered",
        "signature": "signature_invalid",
        "stale": "stale_date",
        "malformed": "claim_malformed",
        "x5u-mismatch": "info_mismatch",
        "dest-mismatch": "destination_mismatch",
        "unsupported": "ppt_mismatch",
        None: None,
    }
    assert record["reason"] == reason[entry["expected"].get("reason")]


@needs_vectors
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sems-identity-01", "identity_malformed"),
        ("sems-identity-03", "unsupported_algorithm"),
        ("sems-identity-09", "passport_malformed"),
        ("freeswitch-not-a-token", "identity_malformed"),
        ("portsip-missing-semicolon", "identity_malformed"),
        ("rfc8946-div-example", "stale_date"),
    ],
)
def test_malformed_and_stale_headers_have_one_reason(
    name: str, reason: str, tmp_path: Path
) -> None:
    record = verify(ENTRIES[name], "identity", tmp_path)
    assert (record["outcome"], record["reason"]) == ("invalid", reason)


@needs_vectors
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("draft-ietf-stir-passport-es256-example", "claim_malformed"),
        ("draft-ietf-stir-passport-es256-example-compact-form", "compact_form_unusable"),
        ("libstirshaken-01", "info_refused"),
        ("libstirshaken-03", "wrong_type"),
        ("libstirshaken-05", "stale_date"),
        ("oob-draft-authorization-jwt", "wrong_type"),
    ],
)
def test_a_good_signature_alone_makes_no_valid_passport(
    name: str, reason: str, tmp_path: Path
) -> None:
    assert name in DISPUTED
    record = verify(ENTRIES[name], "token", tmp_path)
    assert (record["outcome"], record["reason"]) == ("invalid", reason)


def test_rfc_8225_appendix_a_serialises_byte_for_byte() -> None:
    octets = signing_input(
        {"typ": "passport", "alg": "ES256", "x5u": "https://cert.example.org/passport.cer"},
        {
            "orig": {"tn": "12155551212"},
            "iat": 1471375418,
            "dest": {"uri": ["sip:alice@example.com"]},
        },
    )
    assert octets == (
        b"eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9j"
        b"ZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9"
        b".eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI"
        b"6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19"
    )


def test_rfc_8225_section_5_2_2_orders_media_keys_and_drops_colons() -> None:
    first = "4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3E:4B:65:2E:7D:46:3F:54"
    other = "02:1A:CC:54:27:AB:EB:9C:53:3F:3E:4B:65:2E:7D:46:3F:54:42:CD:54:F1:7A:03:A2:7D:F9:B0"
    assert media_keys_claim([("SHA-256", first + ":42:CD:54:F1"), ("sha-256", other)]) == [
        {"alg": "sha-256", "dig": other.replace(":", "")},
        {"alg": "sha-256", "dig": first.replace(":", "") + "42CD54F1"},
    ]


@needs_vectors
def test_the_div_example_of_rfc_8946_is_read_at_its_time(tmp_path: Path) -> None:
    signed = {"now": 1443208345, "from_tn": "12155551212", "to_tn": "12155551214"}
    record = verify({**ENTRIES["rfc8946-div-example"], **signed}, "identity", tmp_path)
    for name in ("syntax", "type", "claims", "freshness", "originator", "destination"):
        assert step(record, name)["outcome"] == "passed", name
    assert (record["outcome"], record["reason"]) == ("invalid", "diversion_without_original")
    assert step(record, "div")["outcome"] == "failed"
