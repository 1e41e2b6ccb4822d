"""The quick way to read a SHAKEN payload and the strict decoder never differ."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from stir.shaken_payload import read_shaken_payload
from stir.strict_json import MalformedJson, canonical, parse_object

GOOD = canonical(
    {
        "attest": "A",
        "dest": {"tn": ["12125550123"]},
        "iat": 1_795_000_000,
        "orig": {"tn": "14155550100"},
        "origid": "9f1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d",
    }
)
EDITS = st.tuples(
    st.integers(0, len(GOOD)),
    st.integers(0, 6),
    st.sampled_from([b"", b"0", b"-", b'"', b"\\", b" ", b",", b"]", b"}", b"1e9", b"\xd9\xa3"])
    | st.binary(max_size=3),
)


@given(st.lists(EDITS, max_size=3))
@example([(0, 0, b" ")])
@example([(len(GOOD), 0, b"\n")])
@example([(44, 0, b"0")])
def test_both_give_the_same_or_the_quick_way_gives_nothing(
    edits: list[tuple[int, int, bytes]],
) -> None:
    data = GOOD
    for position, length, octets in edits:
        data = data[:position] + octets + data[position + length :]
    quick = read_shaken_payload(data)
    if quick is not None:
        assert quick == parse_object(data)
        assert list(quick) == list(parse_object(data))


def test_the_common_form_is_read_the_quick_way() -> None:
    assert read_shaken_payload(GOOD) == parse_object(GOOD)


@given(st.binary(max_size=200))
def test_anything_else_is_left_to_the_decoder(data: bytes) -> None:
    try:
        strict = parse_object(data)
    except MalformedJson:
        strict = None
    quick = read_shaken_payload(data)
    assert quick is None or quick == strict
