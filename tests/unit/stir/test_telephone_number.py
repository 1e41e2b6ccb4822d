"""The one written rule by which numbers are compared."""

import pytest

from stir.telephone_number import canonical_uri, canonicalise, number_in_uri, number_of
from tests.support.vectors import needs_vectors, rows


@needs_vectors
@pytest.mark.parametrize("row", rows("06-uri/normalisation.json"), ids=lambda row: row["input"])
def test_other_projects_tables(row: dict[str, str | None]) -> None:
    assert row["input"] is not None
    assert number_of(row["input"]) == row["canonical"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+1 (415) 555-0100", "14155550100"),
        ("1.415.555.0100", "14155550100"),
        ("*67", "*67"),
        ("#31#", "#31#"),
        ("911", "911"),
        ("", None),
        ("+", None),
        ("*", None),
        ("++1", None),
        ("1+4", None),
        ("anonymous", None),
        ("1415555010O", None),
        ("14155550100\n", None),
        ("1\t4", None),
        ("١٢٣", None),
        ("\uff11\uff12\uff13", None),
        ("1" * 33, None),
    ],
)
def test_numbers(text: str, number: str | None) -> None:
    assert canonicalise(text) == number


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("tel:+1-415-555-0100", "14155550100"),
        ("TEL:+14155550100;isub=1", "14155550100"),
        ("tel:5550100;phone-context=+1415", "14155550100"),
        ("tel:5550100;phone-context=example.com", "5550100"),
        ("sip:+14155550100@a.example;user=phone", "14155550100"),
        ("<sip:14155550100@a.example>", "14155550100"),
        ("sips:%2B14155550100:secret@a.example:5061", "14155550100"),
        ("sip:+14155550100;verstat=TN-Validation-Passed@a.example", "14155550100"),
        ("sip:alice@a.example", None),
        ("sip:a.example", None),
        ("mailto:1@a.example", None),
        ("sip:" + "1" * 2000, None),
    ],
)
def test_uris(uri: str, number: str | None) -> None:
    assert number_in_uri(uri) == number


@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("SIP:Alice@Example.COM:5060;transport=tls?x=y", "sip:Alice@example.com"),
        ("sips:alice:pw@[2001:DB8::1]:5061", "sips:alice@[2001:db8::1]"),
        ("sip:example.com", "sip:example.com"),
        ("tel:+1-415", "tel:1415"),
        ("tel:x", None),
        ("http://a", None),
        ("sip:a@", None),
    ],
)
def test_canonical_uris(uri: str, canonical: str | None) -> None:
    assert canonical_uri(uri) == canonical
