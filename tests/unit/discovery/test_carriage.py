"""Carriage T: the text a person sees, and the token an agent finds in it."""

from __future__ import annotations

import pytest

from discovery.model import Service
from discovery.spin import carriage, gsm7
from tests.support.spin_passports import ALICE, KeySigner, invitation_claims

TOKEN = KeySigner(ALICE).sign("spin", invitation_claims())


@pytest.mark.parametrize("locale", sorted(carriage.LOCALES))
@pytest.mark.parametrize("service", list(Service))
def test_every_fallback_is_gsm_7_names_the_number_and_holds_no_link(
    locale: str, service: Service
) -> None:
    text = carriage.fallback_text(ALICE, service, locale)
    gsm7.encode(text)
    assert "+1 415-555-0100" in text
    assert "http" not in text
    assert "{" not in text


def test_an_unknown_locale_gets_english() -> None:
    assert carriage.fallback_text("33612345678", Service.VOICE, "xx") == (
        "+33 6 12 34 56 78 wants to voice-call you over the Internet. "
        "If you see this, call back normally."
    )


def test_a_number_that_no_country_has_is_shown_as_it_is() -> None:
    assert carriage.fallback_text("999", Service.IM).startswith("+999 wants to message you")


def test_an_invitation_fits_a_few_parts_and_is_found_again() -> None:
    text = carriage.to_text(TOKEN, ALICE, Service.VOICE)
    parts = carriage.to_parts(text, 5)
    assert len(parts) in (4, 5)
    received = "".join(gsm7.decode(part.septets) for part in parts)
    assert carriage.invitation_token(received) == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Dinner at eight?",
        "spin:1:",
        "Do you know what spin:1: means",
        "see spin:1:short",
        "glued" + carriage.MARK + "a" * 60,
        " spin:2:" + TOKEN,
        carriage.to_text(TOKEN, ALICE, Service.VOICE) + " and a word of mine",
    ],
)
def test_an_ordinary_message_is_left_alone(text: str) -> None:
    assert carriage.invitation_token(text) is None


def test_a_broken_token_after_the_mark_is_still_meant_for_the_agent() -> None:
    assert carriage.invitation_token("x spin:1:" + "a" * 60) == "a" * 60


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("+1 415-555-0100 wants ... spin:1:eyJhbGciOi", True),
        (TOKEN[100:253], True),
        ("Dear all, this is the second part of a long letter " * 3, False),
        ("https://example.com/" + "a" * 130, False),
    ],
)
def test_torn_parts_of_an_invitation_are_told_from_those_of_a_letter(text: str, torn: bool) -> None:
    assert carriage.looks_torn(text) is torn
