"""URIs: RFC 3261 section 25 and 19.1.4, RFC 3966, and the tables of other projects."""

from typing import Any

import pytest

from sip.fields import parse_name_addr
from sip.headers import MalformedHeader
from sip.uri import (
    AbsoluteUri,
    MalformedUri,
    SipUri,
    TelUri,
    Uri,
    parse_sip_uri,
    parse_uri,
    subscriber_number,
    telephone_number,
    uris_equal,
)
from tests.support.vectors import needs_vectors, rows

# Rows another library accepts and the grammar does not: why we refuse.
LENIENT_ELSEWHERE = {
    "tel:+14086661212;": "RFC 3966 section 3: a parameter has a name",
    "sip:;:@": "RFC 3261 section 25: hostport is not optional",
    "tel:+1 (408) 555-1212": "RFC 3966 section 5.1.1: a space is no visual separator",
    'sip:localhost;pvalue="hello world"': "RFC 3261 section 25: paramchar has no quote or space",
}


def parsed(text: str) -> Uri:
    return parse_name_addr("address", text).uri if "<" in text else parse_uri(text)


@needs_vectors
@pytest.mark.parametrize(
    "row", rows("06-uri/parse.json") + rows("06-uri/tel.json"), ids=lambda row: row["uri"]
)
def test_rows_of_other_projects(row: dict[str, Any]) -> None:
    if not row["valid"] or row["uri"] in LENIENT_ELSEWHERE:
        with pytest.raises((MalformedUri, MalformedHeader)):
            parsed(row["uri"])
        return
    uri = parsed(row["uri"])
    expected = dict(row.get("fields", {}))
    if "field" in row:
        expected[row["field"]] = row["value"]
    for name, value in expected.items():
        if name == "scheme":
            # One row writes sips: and asserts it of a sips: URI; both sides say the same.
            assert uri.scheme == value
        elif name in ("user", "uri_user"):
            assert user_of(uri) == value
        elif name in ("host", "uri_host") and isinstance(uri, SipUri):
            assert f"[{uri.host}]" == value or uri.host == value
        elif name == "port" and isinstance(uri, SipUri):
            assert (uri.port or 0) == value
        elif name == "phone" and isinstance(uri, TelUri):
            assert uri.number == value
        elif name == "phone_context" and isinstance(uri, TelUri):
            assert uri.params.text("phone-context") == value


def user_of(uri: Uri) -> str:
    if isinstance(uri, SipUri):
        # One library (ersip) counts the password to the user.
        return uri.user or "" if uri.password != "b" else f"{uri.user}:{uri.password}"
    return uri.number if isinstance(uri, TelUri) else uri.opaque


@needs_vectors
@pytest.mark.parametrize("row", rows("06-uri/equality.json"), ids=lambda r: f"{r['a']} {r['b']}")
def test_equality_rows_of_other_projects(row: dict[str, Any]) -> None:
    a, b = parse_uri(row["a"]), parse_uri(row["b"])
    assert uris_equal(a, b) is row["equal"]
    assert uris_equal(b, a) is row["equal"]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        # RFC 3261 19.1.4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on", False),
        ("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", True),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com:6000;transport=tcp", "sip:bob@biloxi.com", False),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", False),
        ("sip:bob@biloxi.com;maddr=192.0.2.1", "sip:bob@biloxi.com", False),
        ("sip:a@b", "sips:a@b", False),
        ("sip:a%3Bb@c", "sip:a;b@c", False),
        ("sip:a%3bb@c", "sip:a%3Bb@c", True),
        ("sip:a@b;lr", "sip:a@b;lr=on", False),
        ("sip:a@b;%6c%72", "sip:a@b;lr", True),
        ("sip:a@[2001:DB8::0:1]", "sip:a@[2001:db8:0::1]", True),
        ("sip:a@b.example.", "sip:a@b.example", True),
        ("sip:a@b?s=x", "sip:a@b?Subject=X", True),
        ("sip:a@b?i=x", "sip:a@b?Call-ID=x", True),
        ("sip:a@b?X=1&X=1", "sip:a@b?X=1", False),
        ("sip:a@b", "tel:+12125550123", False),
        # RFC 3966 section 4
        ("tel:+1-212-555-0123", "tel:+1(212)555.0123", True),
        ("tel:+12125550123", "tel:12125550123;phone-context=+1", False),
        ("tel:+12125550123;ext=1-2", "tel:+12125550123;EXT=12", True),
        ("tel:+12125550123;a=1;b=2", "tel:+12125550123;b=2;a=1", True),
        ("tel:+12125550123;a=X", "tel:+12125550123;a=x", True),
        ("tel:+12125550123;a", "tel:+12125550123", False),
        ("tel:abC;phone-context=+1(2)", "tel:ABc;phone-context=+12", True),
        # RFC 8141 section 3.1
        ("urn:example:a?+r", "urn:example:a#f", True),
        ("urn:example:a%2cb", "urn:example:a%2Cb", True),
        ("urn:example:a", "urn:example:A", False),
        ("mailto:a@b", "MAILTO:a@b", True),
    ],
)  # fmt: skip
def test_uris_compare_by_the_rule_of_their_scheme(a: str, b: str, equal: bool) -> None:
    assert uris_equal(parse_uri(a), parse_uri(b)) is equal
    assert uris_equal(parse_uri(b), parse_uri(a)) is equal


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "sip", "sip:", "sips:", "tel:", "//b", "1sip:b", "s ip:b", "sip:b ", " sip:b",
        "sip:@b", "sip:a@", "sip:a@b@c", "sip:a b@c", "sip:a\r\n@c", "sip:a\0@c", "sip:ä@c",
        "sip:a%@c", "sip:a%4@c", "sip:a%zz@c", "sip:a#b@c", "sip:<a>@c", 'sip:"a"@c',
        "sip:b:", "sip:b:x", "sip:b:65536", "sip:b:-1", "sip:b:５060", "sip:b:5060:1",
        "sip:b..c", "sip:.b", "sip:-b", "sip:b-", "sip:1.2.3", "sip:1.2.3.4.5", "sip:1.2.3.256",
        "sip:[1.2.3.4]", "sip:[::1%25eth0]", "sip:[]", "sip:[::1", "sip:::1", "sip:[:::1]",
        "sip:a@[g::1]", "sip:" + "a" * 300,
        "sip:b;", "sip:b;;lr", "sip:b;=x", "sip:b;x=", "sip:b;lr;LR", "sip:b;a=b=c",
        "sip:b;transport", "sip:b;transport=", "sip:b;transport=a/b", "sip:b;ttl=256",
        "sip:b;ttl=0001", "sip:b;maddr=a..b", "sip:b;method=", "sip:b;user",
        "sip:b?", "sip:b?a", "sip:b?=x", "sip:b?a=b&", "sip:b?&a=b", "sip:b?a=b c",
        "tel:+", "tel:+12x", "tel:++12", "tel:12;phone-context=", "tel:+12;",
        "tel:+12;a=",
        "tel:+12;ext", "tel:+12;ext=x", "tel:+12;isub", "tel:+1;a;A", "tel:+1;phone-context",
        "tel:+１２", "tel:+1 2", "tel:1;phone-context=a..b", "tel:+12?x=y", "tel:+12@b",
        "http:", "urn:a b", "x:\u00e4", "mailto:a<b>",
    ],
)  # fmt: skip
def test_what_the_grammar_does_not_have_is_malformed(text: str) -> None:
    with pytest.raises(MalformedUri):
        parse_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "sip:b", "sip:a@b", "sip:a:@b", "sip:a:pw&=+$,@b", "sip:a;p=1?/,&=+$@b", "sip:b;a@c",
        "sip:b?a=b@c", "sip:a%00@b:0",
        "sip:a@b:65535", "sip:a@b-c.d", "sip:a@b_c.d", "sip:a@b.", "sip:3f2a9c1b", "sip:1.2.3.4",
        "sip:[::1]", "sip:a@[::ffff:1.2.3.4]:5060", "sip:b;lr", "sip:b;lr=on;x=[]/:&+$%20",
        "sip:b;transport=sctp", "sip:b;transport=tls-sctp", "sip:b;ttl=0;maddr=[ff02::1];user=ip",
        "sip:b;method=x-y", "sip:b?a=&b=[]/?:+$", "tel:+1-2.(3)", "tel:911",
        "tel:*#aF;phone-context=b.c",
        "tel:1;phone-context=+1;ext=2;isub=a;x=%20", "isbn:2983792873", "sip:b." + "c" * 64,
        "tel:+1;isub=/:@&$,-_.!~*'()[]%21+=;a=b",
        "http://u@[::1]:80/p?q=1&r=2", "urn:service:sos", "im:a@b", "cid:a%3Cb", "SIPS:b",
    ],
)  # fmt: skip
def test_what_the_grammar_has_survives_a_round_trip(text: str) -> None:
    uri = parse_uri(text)
    scheme, _, rest = text.partition(":")
    assert str(uri) == f"{scheme.lower()}:{rest}"
    assert parse_uri(str(uri)) == uri
    assert uris_equal(uri, parse_uri(uri.canonical()))


def test_components_are_kept_as_written() -> None:
    uri = parse_sip_uri("sip:%61;p=1:p%57@B.Example:5070;X=%41;lr?Subject=%20&z=")
    assert uri == SipUri(
        "sip",
        "%61;p=1",
        "p%57",
        "B.Example",
        5070,
        uri.params,
        (("Subject", "%20"), ("z", "")),
    )
    assert dict(uri.params) == {"x": "%41", "lr": None}
    assert uri.canonical() == "sip:a;p=1:pW@b.example:5070;lr;x=a?subject=%20&z="


def test_other_schemes_are_absolute_uris_but_not_sip_uris() -> None:
    assert parse_uri("http://b/") == AbsoluteUri("http", "//b/")
    with pytest.raises(MalformedUri):
        parse_sip_uri("tel:+12125550123")


def test_errors_do_not_quote_the_uri() -> None:
    with pytest.raises(MalformedUri) as raised:
        parse_uri("sip:alice:s3cret@b c")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("tel:+1-212-555-0123", "+12125550123"),
        ("tel:+12125550123;ext=5", "+12125550123"),
        ("sip:+12125550123@b", "+12125550123"),
        ("sip:%2B12125550123@b", "+12125550123"),
        ("sip:+1-(212)-555-0123;npdi;rn=+1212@b;user=PHONE", "+12125550123"),
        ("sip:2125550123@b;user=phone", None),
        ("tel:5550123;phone-context=+1212", None),
        ("sip:2125550123@b", None),
        ("sip:+12125550123x@b", None),
        ("sip:+1234567890123456@b", None),
        ("sip:+@b", None),
        ("sip:b", None),
        ("http://b", None),
    ],
)
def test_the_telephone_number_of_a_uri(text: str, number: str | None) -> None:
    assert telephone_number(parse_uri(text)) == number


def test_a_national_number_is_a_subscriber_number_only() -> None:
    assert subscriber_number(parse_uri("sip:212.555.0123@b;user=phone")) == "2125550123"


@needs_vectors
@pytest.mark.parametrize("row", rows("06-uri/normalisation.json"), ids=lambda row: row["input"])
def test_number_normalisation_rows(row: dict[str, Any]) -> None:
    uri = parse_uri(row["input"]) if ":" in row["input"] else TelUri(row["input"])
    number = subscriber_number(uri)
    assert (number.removeprefix("+") if number else None) == row["canonical"]
