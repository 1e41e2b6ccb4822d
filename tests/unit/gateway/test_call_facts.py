"""What STIR is told of a request."""

from gateway.call_facts import call_facts, identity_values, live_facts
from sip.headers import Headers
from sip.message import Request
from stir.verification import CallFacts

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
    b"a=fingerprint:SHA-256 " + b":".join([b"ab"] * 32) + b"\r\nm=audio 9 RTP/AVP 0\r\n"
)


def request(*more: tuple[str, str], body: bytes = b"") -> Request:
    headers = Headers.of(
        ("From", "<sip:anonymous@anonymous.invalid>;tag=1"),
        ("To", "<sip:+12125550123@beta.example>"),
        ("Call-ID", "one@alpha.example"),
        *more,
    )
    return Request("INVITE", "sip:+12125550124@beta.example", headers, body)


def test_asserted_identities_come_before_from_and_to_before_the_request_uri() -> None:
    facts = call_facts(
        request(("P-Asserted-Identity", '"A, B" <sip:+14155550100@a.example>, <tel:+14155550101>'))
    )
    assert facts.orig_candidates == (
        "sip:+14155550100@a.example",
        "tel:+14155550101",
        "sip:anonymous@anonymous.invalid",
    )
    assert facts.dest_candidates == (
        "sip:+12125550123@beta.example",
        "sip:+12125550124@beta.example",
    )
    assert facts.call_id == "one@alpha.example"


def live(*more: tuple[str, str], shown: str, accept_asserted: bool = False) -> CallFacts:
    received = request(("P-Asserted-Identity", "<tel:+14155550100>"), *more)
    headers = received.headers.replace("From", f"<{shown}>;tag=1")
    return live_facts(received.with_headers(headers), accept_asserted=accept_asserted)


def test_the_number_that_devices_display_is_the_one_to_be_proven() -> None:
    bank = "sip:+14155559999@bank.example"
    assert live(shown=bank).orig_candidates == (bank,)
    assert live(shown="tel:+1-415-555-9999").orig_candidates == ("tel:+1-415-555-9999",)


def test_an_asserted_number_counts_where_from_shows_none() -> None:
    for shown in ("sip:anonymous@anonymous.invalid", "sip:alice@alpha.example"):
        assert live(shown=shown).orig_candidates == ("tel:+14155550100", shown)


def test_an_asserted_number_counts_where_from_shows_its_national_form() -> None:
    for shown in ("sip:4155550100@alpha.example", "sip:0(415)555-0100@alpha.example"):
        assert live(shown=shown).orig_candidates == ("tel:+14155550100", shown)
    for shown in ("sip:550100@alpha.example", "sip:4155559999@alpha.example"):
        assert live(shown=shown).orig_candidates == (shown,)


def test_an_asserted_number_counts_beside_another_only_where_that_is_accepted() -> None:
    shown = "sip:+14155559999@alpha.example"
    facts = live(shown=shown, accept_asserted=True)
    assert facts.orig_candidates == ("tel:+14155550100", shown)


def test_the_number_that_is_called_is_the_one_to_be_signed() -> None:
    facts = live(shown="sip:+14155550100@alpha.example")
    assert facts.dest_candidates == ("sip:+12125550124@beta.example",)


def test_the_date_is_epoch_seconds_or_unknown() -> None:
    dated = request(("Date", "Tue, 16 Aug 2016 19:23:38 GMT"))
    assert call_facts(dated).date == 1471375418
    assert call_facts(request(("Date", "yesterday"))).date is None
    assert call_facts(request()).date is None


def test_fingerprints_come_from_an_sdp_body_only() -> None:
    signed = call_facts(request(("Content-Type", "application/sdp"), body=SDP))
    assert signed.fingerprints == (("sha-256", ":".join(["AB"] * 32)),)
    for kind, body in (("text/plain", SDP), ("application/sdp", b"junk"), ("application/sdp", b"")):
        assert call_facts(request(("Content-Type", kind), body=body)).fingerprints == ()


def test_headers_that_cannot_be_read_match_nothing() -> None:
    broken = Request("INVITE", "sip:x@y", Headers.of(("From", "<<<"), ("To", "<sip:")), b"")
    facts = call_facts(broken)
    assert facts.orig_candidates == ()
    assert facts.dest_candidates == ("sip:x@y",)


def test_identity_values_are_kept_whole_and_in_order() -> None:
    values = identity_values(request(("Identity", "a;info=<b,c>"), ("y", "d")))
    assert values == ("a;info=<b,c>", "d")
