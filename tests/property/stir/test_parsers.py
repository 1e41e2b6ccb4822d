"""Whatever comes in: only the declared errors come out, and forms are stable."""

import contextlib

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from stir.certificates.certificate import MalformedCredential, load_certificates, load_credential
from stir.certificates.tn_auth_list import (
    MalformedTnAuthList,
    One,
    Range,
    Spc,
    TnAuthList,
    build_tn_auth_list,
    parse_tn_auth_list,
)
from stir.certificates.x5u import UrlRefused, check_url
from stir.checks.inspection import CallFacts
from stir.compact import CannotRebuild, rebuild
from stir.identity import Identity, MalformedIdentity, parse_identity
from stir.passport import MalformedPassport, encode_part, parse_passport, signing_input
from stir.strict_json import MalformedJson, canonical, parse_object
from stir.telephone_number import canonical_uri, canonicalise, number_in_uri
from stir.verification import VerificationPolicy, verify_token
from tests.support.stir_authority import NOW, StirWorld

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=6)
DIGITS = st.text("0123456789", min_size=1, max_size=15)
ENTRIES = st.one_of(
    st.builds(Spc, st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=8)),
    st.builds(One, DIGITS),
    st.builds(Range, st.text("012345678", min_size=4, max_size=15), st.integers(2, 1000)),
)
TOKENISH = st.text('abcXYZ019_-.=+/ \t;<>"info=alg,ppt\\:', max_size=80)


@given(OBJECTS)
def test_canonical_json_is_stable_and_sorted(value: dict[str, object]) -> None:
    octets = canonical(value)
    again = parse_object(octets)
    assert again == value
    assert canonical(again) == octets
    shuffled = dict(reversed(value.items()))
    assert canonical(shuffled) == octets


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_strict_json_raises_its_own_error_only(data: bytes) -> None:
    with contextlib.suppress(MalformedJson):
        assert isinstance(parse_object(data), dict)


@given(st.text(max_size=200) | TOKENISH)
def test_parsing_a_token_raises_malformed_passport_only(text: str) -> None:
    with contextlib.suppress(MalformedPassport):
        parse_passport(text)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3))
def test_any_octets_in_three_parts(parts: list[bytes]) -> None:
    with contextlib.suppress(MalformedPassport):
        parse_passport(".".join(encode_part(part) for part in parts))


@given(OBJECTS, OBJECTS, st.binary(min_size=1, max_size=64))
def test_what_is_encoded_is_parsed_back(
    header: dict[str, object], payload: dict[str, object], signature: bytes
) -> None:
    octets = signing_input(header, payload)
    passport = parse_passport(f"{octets.decode()}.{encode_part(signature)}")
    assert (passport.header, passport.payload) == (header, payload)
    assert (passport.signing_input, passport.signature) == (octets, signature)


@given(st.text(max_size=200) | TOKENISH | TOKENISH.map(lambda t: f"abc;info=<https://a/>{t}"))
def test_parsing_an_identity_raises_malformed_identity_only(text: str) -> None:
    try:
        identity = parse_identity(text)
    except MalformedIdentity:
        return
    assert parse_identity(str(identity)).info == identity.info


@given(TOKENISH)
def test_rebuilding_raises_cannot_rebuild_only(text: str) -> None:
    facts = CallFacts((text,), (text,), 1, (("sha-256", text),))
    with contextlib.suppress(CannotRebuild):
        rebuild(Identity("..sig", "https://a/"), facts)


@given(st.text(max_size=80))
def test_canonical_numbers_are_their_own_canonical_form(text: str) -> None:
    number = canonicalise(text)
    if number is not None:
        assert number.isascii()
        assert canonicalise(number) == number
        assert canonicalise(f"+{number}") == number


@given(DIGITS, st.lists(st.sampled_from(list(" -.()")), max_size=10))
def test_separators_do_not_change_a_number(digits: str, separators: list[str]) -> None:
    written = "".join(d + s for d, s in zip(digits, separators + [""] * 15, strict=False))
    assert canonicalise(f"+{written}") == digits
    assert number_in_uri(f"sip:+{digits}@host.example;user=phone") == digits
    assert number_in_uri(f"tel:+{digits}") == digits


@given(st.text(max_size=120) | TEXT.map(lambda t: f"sip:{t}@{t}") | TEXT.map(lambda t: f"tel:{t}"))
def test_uris_never_raise(text: str) -> None:
    for found in (number_in_uri(text), canonical_uri(text)):
        assert found is None or isinstance(found, str)


@given(st.text(max_size=120) | TOKENISH.map(lambda t: f"https://{t}"))
def test_checking_a_url_raises_url_refused_only(text: str) -> None:
    try:
        check_url(text)
    except UrlRefused:
        return
    assert text.isascii()


@given(st.lists(ENTRIES, min_size=1, max_size=6))
def test_tn_auth_lists_survive_the_wire(entries: list[Spc | One | Range]) -> None:
    der = build_tn_auth_list(entries)
    assert parse_tn_auth_list(der) == TnAuthList(tuple(entries))


@given(st.binary(max_size=120))
def test_parsing_a_tn_auth_list_raises_its_own_error_only(data: bytes) -> None:
    with contextlib.suppress(MalformedTnAuthList):
        parse_tn_auth_list(data)


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_a_damaged_tn_auth_list_raises_its_own_error_only(
    entries: list[Spc | One | Range], data: st.DataObject
) -> None:
    der = bytearray(build_tn_auth_list(entries))
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedTnAuthList):
        parse_tn_auth_list(bytes(der))


@given(DIGITS, st.integers(2, 500), DIGITS)
def test_a_range_holds_what_counting_finds(start: str, count: int, number: str) -> None:
    entry = Range(start, count)
    counted = {str(int(start) + n).zfill(len(start)) for n in range(count)}
    counted = {text for text in counted if len(text) == len(start)}
    assert entry.holds(number) is (number in counted)


@given(st.binary(max_size=200), st.data())
def test_loading_a_credential_raises_malformed_credential_only(
    world: StirWorld, data: bytes, draw: st.DataObject
) -> None:
    der = bytearray(world.credential.leaf.public_bytes(Encoding.DER))
    for _ in range(draw.draw(st.integers(1, 3))):
        der[draw.draw(st.integers(0, len(der) - 1))] = draw.draw(st.integers(0, 255))
    for octets in (data, bytes(der)):
        try:
            load_credential(octets)
        except MalformedCredential:
            continue
        assert load_certificates(octets)


@given(OBJECTS, OBJECTS)
def test_verification_never_raises(
    world: StirWorld, header: dict[str, object], payload: dict[str, object]
) -> None:
    token = world.token({"alg": "ES256", "typ": "passport", **header}, payload)
    verdict = verify_token(
        token,
        now=NOW,
        credential=world.credential,
        anchors=world.root.certificates,
        facts=CallFacts(("+1",), ("+1",), None, ()),
        policy=VerificationPolicy(exhaustive=True),
    )
    assert verdict.outcome != "valid"


SHAPES = st.fixed_dictionaries(
    {},
    optional={
        "iat": VALUES,
        "orig": st.dictionaries(st.sampled_from(["tn", "uri", "x"]), VALUES, max_size=2),
        "dest": st.dictionaries(st.sampled_from(["tn", "uri", "x"]), VALUES, max_size=2),
        "attest": VALUES,
        "origid": VALUES,
        "mky": st.lists(
            st.dictionaries(st.sampled_from(["alg", "dig"]), VALUES, max_size=2), max_size=2
        )
        | VALUES,
        "exp": VALUES,
    },
)


@given(SHAPES)
def test_odd_claims_never_raise(world: StirWorld, payload: dict[str, object]) -> None:
    header = {"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": "https://a.example/"}
    verdict = verify_token(
        world.token(header, payload),
        now=NOW,
        credential=world.credential,
        anchors=(),
        facts=CallFacts(("+1",), ("+1",), None, ()),
        policy=VerificationPolicy(exhaustive=True),
    )
    assert verdict.outcome == "invalid"
