"""Canonical JSON and records over any values: round trips, and only the declared refusal."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from discovery.directory.canonical_json import MAX_INTEGER, canonical, parse_canonical
from discovery.directory.client import AnswerChecker
from discovery.directory.identifier import parse_identifier
from discovery.directory.jws import Kind, encode, read, sign
from discovery.directory.orders import read_order
from discovery.directory.prefix_map import read_prefix_map
from discovery.directory.reason import Refused
from discovery.directory.record import parse_record
from discovery.directory.statements import parse_release, parse_removal
from gateway.directory.keys import EcSigner, PointKeys, TrustedChains
from stir.certificates.issuing import new_key

SIGNER = EcSigner(new_key())
NAMES = st.text(st.characters(codec="ascii"), max_size=8)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, LEAVES | st.lists(LEAVES, max_size=3), max_size=5)
RECORD_MEMBERS = ["v", "csi", "seq", "new", "iat", "exp", "sel", "maps", "sealed", "x5u"]


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_canonical_json_is_what_another_implementation_writes(value: dict[str, Any]) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(OBJECTS)
def test_canonical_json_is_read_back(value: dict[str, Any]) -> None:
    assert parse_canonical(canonical(value)) == value


@pytest.mark.parametrize(
    "value",
    [{"a": 1.5}, {"a": 2**53}, {"ä": 1}, {"a": "\ud800"}, {"a": [float("nan")]}],
)
def test_what_has_no_canonical_form_here_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        canonical(value)


@given(st.binary(max_size=200))
def test_any_octets_are_canonical_json_or_refused(octets: bytes) -> None:
    try:
        value = parse_canonical(octets)
    except Refused:
        return
    assert canonical(value) == octets


@given(st.text(max_size=60))
def test_any_text_is_an_identifier_or_refused(text: str) -> None:
    try:
        assert str(parse_identifier(text)) == text
    except Refused:
        return


@given(
    st.dictionaries(st.sampled_from(RECORD_MEMBERS), LEAVES | st.lists(OBJECTS, max_size=2)),
    st.sampled_from(list(Kind)),
)
def test_any_signed_claims_are_read_or_refused(claims: dict[str, Any], kind: Kind) -> None:
    token = sign(kind, claims, SIGNER)
    assert read(token, kind, max_length=100_000).claims == claims
    for parse in (parse_record, parse_removal, parse_release):
        try:
            parse(token)
        except Refused:
            continue
    for attempt in (
        lambda: read_order(token, PointKeys(), audience="https://dp.example", now=0.0),
        lambda: read_prefix_map(token, SIGNER.public, 0.0),
    ):
        with pytest.raises(Refused):
            attempt()


@given(st.text(max_size=80), st.binary(max_size=80))
def test_any_token_and_any_answer_is_refused_in_the_declared_way(text: str, octets: bytes) -> None:
    checker = AnswerChecker("https://dp.example", SIGNER.public, TrustedChains(()))
    for body in (octets, b'{"answer":' + octets + b',"records":[],"pad":""}'):
        with pytest.raises(Refused):
            checker.check(body, parse_identifier("tel:+14155550123"), 0.0)
    for token in (text, f"{text}.{encode(octets)}.{text}"):
        with pytest.raises(Refused):
            parse_record(token)
