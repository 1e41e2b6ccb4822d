"""What leaves signed, what an own device is shown, and what is written down of a verdict."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.asserted_headers import dialog_headers, marked_headers, own_headers
from gateway.config.attestation import Verstat
from gateway.http.credentials import CertificateSource
from gateway.identity import IdentityServices, verdict_record
from gateway.policy.verstat import Dialects, Mark
from gateway.refusal import CallRefused
from sip.headers import Headers
from sip.message import Request
from stir.verdict import CallVerdict
from tests.support.sip_messages import request
from tests.support.stir_authority import DEST, NOW, ORIG, StirWorld

WORLD = StirWorld()
ORIG_TN, DEST_TN = f"+{ORIG}", f"+{DEST}"
PASSED = "TN-Validation-Passed"
DIALECTS = Dialects((), "3gpp")
ORIGID = "123e4567-e89b-42d3-a456-426614174000"


def services(now: float = NOW) -> IdentityServices:
    source = cast(CertificateSource, None)
    return IdentityServices(WORLD.signer, WORLD.service(), source, lambda: now)


def sign(message: Request, now: float = NOW) -> Request:
    return services(now).sign(message, orig=ORIG_TN, dest=DEST_TN, attest="A", origid=ORIGID)[0]


def told(
    message: Request, verstat: str | None, orig: str | None, dialect: Verstat | None = None
) -> Headers:
    mark = None if verstat is None else Mark(verstat)
    return marked_headers(message, mark, orig, DIALECTS, dialect or DIALECTS.named(None))


def shown(value: str) -> Request:
    return request().with_headers(request().headers.replace("From", value))


# --- signing -------------------------------------------------------------------------------------


def test_a_request_without_date_gets_the_one_it_is_signed_at() -> None:
    signed = sign(request())
    assert signed.headers.get("Date") == "Wed, 18 Nov 2026 11:06:40 GMT"
    assert "Identity" in signed.headers


@pytest.mark.parametrize("skew", [-60, 0, 60])
def test_a_date_within_a_minute_is_kept(skew: int) -> None:
    signed = sign(request(extra=(("Date", "Wed, 18 Nov 2026 11:06:40 GMT"),)), NOW + skew)
    assert signed.headers.all("Date") == ("Wed, 18 Nov 2026 11:06:40 GMT",)


@pytest.mark.parametrize("date", ["Wed, 18 Nov 2026 11:05:39 GMT", "yesterday", ""])
def test_a_wrong_or_unreadable_date_is_refused(date: str) -> None:
    with pytest.raises(CallRefused) as refused:
        sign(request(extra=(("Date", date),)))
    assert (refused.value.status, refused.value.phrase) == (403, "Stale Date")


def test_what_was_signed_is_told_in_clear() -> None:
    _, passport = services().sign(request(), orig=ORIG_TN, dest=DEST_TN, attest="B", origid=ORIGID)
    assert passport is not None
    assert passport["payload"]["attest"] == "B"
    assert passport["header"]["ppt"] == "shaken"


def test_what_cannot_be_signed_is_our_fault() -> None:
    with pytest.raises(CallRefused) as refused:
        services().sign(request(), orig="nobody", dest=DEST_TN, attest="A", origid=ORIGID)
    assert refused.value.status == 500


# --- what leaves ---------------------------------------------------------------------------------


def test_who_calls_is_asserted_by_us_alone() -> None:
    given = Headers.of(
        ("From", "<sip:x@alpha.example;verstat=TN-Validation-Passed>;tag=a"),
        ("P-Asserted-Identity", "<sip:y@alpha.example>"),
        ("P-Preferred-Identity", "<sip:z@alpha.example>"),
        ("Remote-Party-ID", "<sip:z@alpha.example>"),
        ("Proxy-Authorization", "Digest response=secret"),
        ("Authorization", "Digest response=secret"),
        ("Identity", "forged"),
        ("Subject", "kept"),
    )
    left = own_headers(given, ORIG_TN, "alpha.example", DIALECTS)
    assert sorted(name for name, _ in left) == ["From", "P-Asserted-Identity", "Subject"]
    assert left.get("P-Asserted-Identity") == f"<sip:{ORIG_TN}@alpha.example;user=phone>"
    assert left.get("From") == "<sip:x@alpha.example>;tag=a"


# --- what an own device sees ---------------------------------------------------------------------


def test_the_mark_stands_beside_the_number_that_was_verified() -> None:
    headers = told(request(), PASSED, "+19005550199")
    assert headers.get("P-Asserted-Identity") == (
        f"<sip:+19005550199;verstat={PASSED}@alpha.example;user=phone>"
    )


def test_without_a_verified_number_the_mark_speaks_of_the_one_shown() -> None:
    headers = told(request(), "TN-Validation-Failed", None)
    assert f"{ORIG_TN};verstat=TN-Validation-Failed" in headers.get(
        "P-Asserted-Identity",
    )  # type: ignore[operator]


def test_a_caller_who_shows_no_number_gets_no_mark() -> None:
    headers = told(shown("<sip:anonymous@anonymous.invalid>;tag=a"), PASSED, None)
    assert "P-Asserted-Identity" not in headers


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (f"<tel:{ORIG_TN}>;tag=a", "anonymous.invalid"),
        (f"<sip:{ORIG_TN}@[2001:db8::1]>;tag=a", "[2001:db8::1]"),
    ],
)
def test_the_marked_uri_is_well_formed_whatever_the_host(value: str, host: str) -> None:
    marked = shown(value).with_headers(told(shown(value), PASSED, None))
    from sip.fields import parse_name_addrs

    (address,) = parse_name_addrs("P-Asserted-Identity", marked.headers.all("P-Asserted-Identity"))
    assert f"@{host};" in str(address.uri)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (f"<sip:{ORIG_TN};verstat={PASSED}@a.example>;tag=a", f"<sip:{ORIG_TN}@a.example>;tag=a"),
        (f"<sip:x@a.example;verstat={PASSED}>;tag=a", "<sip:x@a.example>;tag=a"),
        (f"<tel:{ORIG_TN};VerStat={PASSED}>;tag=a", f"<tel:{ORIG_TN}>;tag=a"),
        (f"<sip:x@a.example>;tag=a;verstat={PASSED}", "<sip:x@a.example>;tag=a"),
        (f"<sip:x@a.example>;tag=a; verstat = {PASSED}", "<sip:x@a.example>;tag=a"),
        (f'<sip:x@a.example>;verstat="{PASSED}";tag=a', "<sip:x@a.example>;tag=a"),
        ('<sip:x@a.example>;verstat="a\\"b";tag=a', "<sip:x@a.example>;tag=a"),
        ("<sip:x;verstat=TN%2DValidation%2DPassed@a.example>;tag=a", "<sip:x@a.example>;tag=a"),
        (f"<sip:x;%56erst%61t={PASSED}@a.example>;tag=a", "<sip:x@a.example>;tag=a"),
        ("<sip:x;verstat@a.example>;tag=a", "<sip:x@a.example>;tag=a"),
        ("<sip:x;verstatus=1@a.example>;tag=a", "<sip:x;verstatus=1@a.example>;tag=a"),
        (f"<sip:x;verstat={PASSED};verstat=y@a.example>;tag=a", "<sip:x@a.example>;tag=a"),
    ],
)
def test_nobodys_verstat_but_ours_is_shown(given: str, left: str) -> None:
    assert told(shown(given), None, None).get("From") == left
    assert dialog_headers(Headers.of(("From", given), ("To", given)), DIALECTS).all("To") == (left,)


# --- verdicts ------------------------------------------------------------------------------------


def test_a_verdict_is_written_down_with_every_check() -> None:
    record = verdict_record(WORLD.verify(WORLD.identity()))
    assert (record["outcome"], record["orig"], record["reason"]) == ("valid", ORIG_TN, None)
    assert all(
        set(check) == {"step", "outcome", "reason", "got", "expected"} for check in record["checks"]
    )


def test_the_record_of_a_call_without_identity_is_short() -> None:
    record = verdict_record(CallVerdict((), "absent", None, None))
    assert (record["checks"], record["passport"], record["orig"]) == ([], None, None)


@pytest.mark.parametrize("orig", ["nobody", {"uri": "sip:x@y"}, {"tn": 7}, None])
def test_an_orig_of_any_shape_breaks_no_record(orig: object) -> None:
    from tests.support.stir_authority import HEADER, identity_value, shaken_claims

    token = WORLD.token(HEADER, shaken_claims(orig=orig))
    assert verdict_record(WORLD.verify(identity_value(token)))["outcome"] == "invalid"


def test_a_number_signed_with_its_plus_sign_is_written_with_one() -> None:
    from tests.support.stir_authority import HEADER, identity_value, shaken_claims

    token = WORLD.token(HEADER, shaken_claims(orig={"tn": ORIG_TN}))
    assert verdict_record(WORLD.verify(identity_value(token)))["orig"] == ORIG_TN


async def test_without_a_verification_service_calls_are_refused() -> None:
    blind = IdentityServices(None, None, cast(CertificateSource, None), lambda: NOW)
    with pytest.raises(CallRefused) as refused:
        await blind.verify(request())
    assert refused.value.status == 501
    assert blind.sign(request(), orig=ORIG_TN, dest=DEST_TN, attest="A", origid=ORIGID) == (
        request(),
        None,
    )


@pytest.mark.parametrize("asked", ["id", "header; ID", "user;id;critical"])
def test_the_device_of_the_called_user_learns_nothing_of_a_caller_who_wants_privacy(
    asked: str,
) -> None:
    message = shown("<sip:anonymous@anonymous.invalid>;tag=a")
    headers = message.headers.append("Privacy", asked).append("Identity", "a.b.c;info=<x>")
    marked = told(message.with_headers(headers), PASSED, "+14155550100")
    assert "Identity" not in marked
    assert "P-Asserted-Identity" not in marked
    assert "4155550100" not in str(list(marked))


@pytest.mark.parametrize("asked", ["none", "none;id", "session"])
def test_other_kinds_of_privacy_hide_no_number(asked: str) -> None:
    message = shown("<sip:+14155550100@alpha.example>;tag=a")
    private = message.with_headers(message.headers.append("Privacy", asked))
    assert "P-Asserted-Identity" in told(private, PASSED, "+14155550100")


def test_credentials_for_another_realm_go_on_and_ours_stay_here() -> None:
    """RFC 3261 section 22.3: a callee's proxy may have challenged the user."""
    digest = (
        'Digest username="alice", nonce="n", uri="sip:x", qop=auth, nc=00000001, cnonce="c", '
        f'response="{"0" * 32}"'
    )
    ours, theirs = f'{digest}, realm="alpha.example"', f'{digest}, realm="beta.example"'
    given = Headers.of(("Proxy-Authorization", ours), ("Proxy-Authorization", theirs))
    left = own_headers(given, "+14155550100", "alpha.example", DIALECTS)
    assert left.all("Proxy-Authorization") == (theirs,)
