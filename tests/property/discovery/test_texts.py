"""Whatever arrives as text or octets, reading it gives a value or the declared error."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from discovery.number import NumberRanges, masked
from discovery.service_uri import MalformedServiceUri, parse_service_uri
from discovery.spin import carriage, gsm7
from discovery.spin.agent import Agent, AgentPolicy, Candidate, Ignored, Ordinary
from discovery.spin.answer import parse_answer
from discovery.spin.invitation import parse_invitation
from discovery.spin.reason import Refused
from discovery.spin.reassembly import Reassembler, ReceivedPart
from discovery.spin.segments import Concatenation, MalformedUserData, split_header, split_text
from tests.support.spin_passports import base64url

GSM_TEXT = st.text(
    alphabet=st.sampled_from(
        "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
        "ABCXYZÄÖÑÜ§¿abcxyzäöñüà\f^{}\\[~]|€"
    ),
    max_size=1200,
)
TOKENISH = st.one_of(
    st.text(),
    st.tuples(st.binary(max_size=200), st.binary(max_size=400), st.binary(max_size=70)).map(
        lambda parts: ".".join(base64url(part) for part in parts)
    ),
)


@given(GSM_TEXT)
def test_text_of_the_alphabet_survives_coding_packing_and_splitting(text: str) -> None:
    septets = gsm7.encode(text)
    assert gsm7.decode(septets) == text
    for fill_bits in (0, 1, 6):
        packed = gsm7.pack(septets, fill_bits=fill_bits)
        assert gsm7.unpack(packed, len(septets), fill_bits=fill_bits) == septets
    assert "".join(gsm7.decode(part.septets) for part in split_text(text, 9)) == text


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 6))
def test_any_octets_decode_to_some_text(octets: bytes, count: int, fill_bits: int) -> None:
    gsm7.decode(octets)
    assert len(gsm7.unpack(octets, count, fill_bits=fill_bits)) <= count


@given(st.binary(max_size=300))
def test_any_user_data_has_a_header_or_is_malformed(octets: bytes) -> None:
    with contextlib.suppress(MalformedUserData):
        place, rest = split_header(octets)
        assert octets.endswith(rest)
        assert place is None or 0 < place.number <= place.total


@given(TOKENISH)
def test_any_text_is_an_invitation_or_refused(token: str) -> None:
    for parse in (parse_invitation, parse_answer):
        with contextlib.suppress(Refused):
            parse(token)


@given(TOKENISH, st.booleans(), st.text(max_size=20), st.text(max_size=20))
def test_any_message_gets_one_of_three_decisions(
    token: str, marked: bool, sender: str, recipient: str
) -> None:
    agent = Agent(AgentPolicy(numbers=NumberRanges(["100-999"])), bytes)
    text = f"hello {carriage.MARK}{token}" if marked else token
    carriage.looks_torn(text)
    masked(sender)
    decision = agent.examine(text, sender=sender, recipient=recipient, now=0)
    assert isinstance(decision, (Ordinary, Ignored, Candidate))


@given(st.text(max_size=300))
def test_any_text_is_a_service_uri_or_malformed(text: str) -> None:
    with contextlib.suppress(MalformedServiceUri):
        assert parse_service_uri(text).text == text


PARTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 4), st.integers(0, 1)),
    max_size=60,
)


@given(PARTS)
def test_no_part_is_lost_or_doubled_however_they_arrive(
    arrivals: list[tuple[int, int, int, int]],
) -> None:
    reassembler = Reassembler[int](max_messages=3, max_per_sender=2, timeout=15)
    given_in, given_out = 0, []
    for now, (reference, number, total, variant) in enumerate(arrivals):
        if number > total:
            continue
        given_in += 1
        place = Concatenation(reference, total, number)
        part = ReceivedPart("s", "r", f"{number}/{variant}", place, now)
        given_out += [one.original for out in reassembler.add(part, now) for one in out.parts]
        given_out += [one.original for out in reassembler.expire(now) for one in out.parts]
        assert len(reassembler) <= 2
    given_out += [one.original for out in reassembler.expire(1e9) for one in out.parts]
    assert len(set(given_out)) == len(given_out)
    assert len(given_out) + reassembler.repetitions == given_in
