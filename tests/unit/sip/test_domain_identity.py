"""RFC 5922 section 7 in tables: which names a certificate proves."""

import pytest

from sip.transport.domain_identity import domain_identities, proves


def certificate(*names: tuple[str, str]) -> dict[str, object]:
    return {"subject": ((("commonName", "cn.example"),),), "subjectAltName": names}


@pytest.mark.rfc("5922", "7.1")
@pytest.mark.parametrize(
    ("names", "identities"),
    [
        ([("DNS", "Beta.Example")], ("beta.example",)),
        ([("URI", "sip:beta.example")], ("beta.example",)),
        ([("URI", "SIP:Beta.Example;transport=tls")], ("beta.example",)),
        # A URI of SIP makes DNS names count no more.
        ([("DNS", "host.example"), ("URI", "sip:beta.example")], ("beta.example",)),
        # A user part speaks for a user, not for a domain; sips is not the scheme of 7.1.
        ([("URI", "sip:user@beta.example"), ("DNS", "host.example")], ("host.example",)),
        ([("URI", "sips:beta.example"), ("URI", "https://beta.example")], ()),
        ([("DNS", "a.example"), ("DNS", "b.example")], ("a.example", "b.example")),
        ([("IP Address", "192.0.2.1")], ("192.0.2.1",)),
        ([("IP Address", "2001:DB8:0:0:0:0:0:1")], ("2001:db8::1",)),
        ([("email", "x@beta.example")], ()),
        ([], ()),  # the common name is never looked at
    ],
)
def test_a_certificate_proves_its_alternative_names_only(
    names: list[tuple[str, str]], identities: tuple[str, ...]
) -> None:
    assert domain_identities(certificate(*names)) == identities


def test_no_certificate_proves_nothing() -> None:
    assert domain_identities(None) == ()
    assert domain_identities({}) == ()


@pytest.mark.rfc("5922", "7.2")
@pytest.mark.parametrize(
    ("identity", "domain", "proven"),
    [
        ("beta.example", "beta.example", True),
        ("beta.example", "BETA.example.", True),
        ("*.beta.example", "sip.beta.example", False),
        ("*.beta.example", "*.beta.example", False),
        ("beta.example", "sip.beta.example", False),
        ("sip.beta.example", "beta.example", False),
        ("beta.example.evil.example", "beta.example", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "[2001:DB8::1]", True),
        ("", "", False),
    ],
)
def test_names_match_whole_and_without_wildcards(identity: str, domain: str, proven: bool) -> None:
    assert proves((identity,) if identity else (), domain) is proven
