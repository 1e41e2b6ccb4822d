"""Dialects of verstat: what a device is told, and where in the request."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.asserted_headers import dialog_headers, marked_headers, own_headers
from gateway.config.attestation import Verstat
from gateway.policy.verstat import Dialects, Mark, stated
from sip.headers import Headers
from sip.message import Request
from tests.support.sip_messages import request

CALLER = "+14155550100"
ORIGID = "123e4567-e89b-42d3-a456-426614174000"
PASSED = "TN-Validation-Passed"


def seen(mark: Mark | None, message: Request | None = None, **dialect: Any) -> Headers:
    """The header fields a device gets of a verified call, in a dialect."""
    chosen = Verstat(name="pbx", **dialect)
    dialects = Dialects([chosen], "pbx")
    return marked_headers(message or request(), mark, CALLER, dialects, dialects.named("pbx"))


def from_(value: str, *extra: tuple[str, str]) -> Request:
    given = request(extra=extra)
    return given.with_headers(given.headers.replace("From", value))


@pytest.mark.parametrize(
    ("place", "asserted"),
    [
        ("user", f"<sip:{CALLER};verstat={PASSED}@alpha.example;user=phone>"),
        ("uri", f"<sip:{CALLER}@alpha.example;user=phone;verstat={PASSED}>"),
        ("header", f"<sip:{CALLER}@alpha.example;user=phone>;verstat={PASSED}"),
    ],
)
def test_the_parameter_stands_where_the_dialect_wants_it(place: str, asserted: str) -> None:
    headers = seen(Mark(PASSED, "A"), place=place)
    assert headers.all("P-Asserted-Identity") == (asserted,)
    assert "verstat" not in (headers.get("From") or "")


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ("none", ["", "", ""]),
        ("lower", ["", "-B", "-C"]),
        ("all", ["-A", "-B", "-C"]),
    ],
)
def test_levels_are_shown_as_the_dialect_spells_them(levels: str, shown: list[str]) -> None:
    for attest, suffix in zip("ABC", shown, strict=True):
        (value,) = seen(Mark(PASSED, attest), levels=levels).all("P-Asserted-Identity")
        assert f";verstat={PASSED}{suffix}@" in value


@pytest.mark.parametrize("verstat", ["TN-Validation-Failed", "No-TN-Validation"])
def test_what_did_not_pass_has_no_level_and_no_further_fields(verstat: str) -> None:
    headers = seen(
        Mark(verstat, "A", ORIGID),
        levels="all",
        attestation_headers=("Attestation-Info",),
        origid_headers=("P-Origination-Id",),
    )
    assert f";verstat={verstat}@" in (headers.get("P-Asserted-Identity") or "")
    assert "Attestation-Info" not in headers
    assert "P-Origination-Id" not in headers


def test_from_carries_the_mark_and_keeps_name_and_tag() -> None:
    message = from_(f'"Alice" <sip:{CALLER}@alpha.example>;tag=a1')
    headers = seen(Mark(PASSED), message, header="From")
    assert headers.get("From") == f"Alice <sip:{CALLER};verstat={PASSED}@alpha.example>;tag=a1"
    assert "P-Asserted-Identity" not in headers


def test_both_fields_carry_it_where_that_is_asked_for() -> None:
    headers = seen(Mark(PASSED), header="both")
    assert PASSED in (headers.get("From") or "")
    assert PASSED in (headers.get("P-Asserted-Identity") or "")


def test_level_and_origid_have_fields_of_their_own() -> None:
    headers = seen(
        Mark(PASSED, "B", ORIGID),
        header="neither",
        attestation_headers=("Attestation-Info", "X-Attestation-Info"),
        origid_headers=("P-Origination-Id",),
    )
    assert headers.all("Attestation-Info") == headers.all("X-Attestation-Info") == ("B",)
    assert headers.get("P-Origination-Id") == ORIGID
    assert "P-Asserted-Identity" not in headers


def test_a_device_may_be_spared_the_identity() -> None:
    message = request(extra=(("Identity", "a.b.c;info=<x>"),))
    assert "Identity" in seen(Mark(PASSED), message)
    assert "Identity" not in seen(Mark(PASSED), message, pass_identity=False)


def test_a_caller_who_wants_privacy_is_marked_without_being_named() -> None:
    message = from_("<sip:anonymous@anonymous.invalid>;tag=a", ("Privacy", "id"))
    headers = seen(Mark(PASSED, "A", ORIGID), message, header="both", origid_headers=("X-Origid",))
    assert headers.get("From") == (f"<sip:anonymous;verstat={PASSED}@anonymous.invalid>;tag=a")
    assert "P-Asserted-Identity" not in headers
    assert "X-Origid" not in headers


@pytest.mark.parametrize(
    "name",
    [
        "Attestation-Info",
        "X-Attestation-Info",
        "P-Attestation-Info",
        "P-Origination-Id",
        "X-Level-Attest",
    ],
)
def test_what_a_stranger_says_of_attestation_is_removed_on_every_way_in(name: str) -> None:
    chosen = Verstat(name="pbx", attestation_headers=("X-Level-Attest",))
    dialects = Dialects([chosen], "3gpp")
    forged = request(extra=((name, "A"),))
    assert name not in marked_headers(forged, None, None, dialects, dialects.named(None))
    assert name not in own_headers(forged.headers, CALLER, "alpha.example", dialects)
    assert name not in dialog_headers(forged.headers, dialects)


@pytest.mark.parametrize(
    "name", ["Via", "Contact", "Route", "X-Anything", "", "X-Attest: a", "é-attest"]
)
def test_a_verdict_is_not_written_into_any_field(name: str) -> None:
    with pytest.raises(ValidationError):
        Verstat(name="pbx", attestation_headers=(name,))


@pytest.mark.parametrize(
    ("name", "value", "mark"),
    [
        ("P-Asserted-Identity", "<sip:1;verstat=TN-Validation-Passed@a.example>", Mark(PASSED)),
        ("P-Asserted-Identity", "<tel:+1;verstat=TN-Validation-Passed-B>", Mark(PASSED, "B")),
        (
            "P-Asserted-Identity",
            "<sip:1@a.example>;verstat=no-tn-validation",
            Mark("No-TN-Validation"),
        ),
        ("From", "<sip:1;verstat=TN-Validation-Failed-A@a.example>", Mark("TN-Validation-Failed")),
        ("From", "<sip:1;verstat=TN-Validation-Passed-D@a.example>", None),
        ("From", "<sip:1@a.example>;tag=a", None),
        ("Contact", "<sip:1;verstat=TN-Validation-Passed@a.example>", None),
    ],
)
def test_a_stated_verdict_is_read_in_every_dialect(
    name: str, value: str, mark: Mark | None
) -> None:
    assert stated(Headers.of((name, value))) == mark
