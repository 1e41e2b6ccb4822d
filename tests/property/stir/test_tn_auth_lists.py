"""Lists of numbers behave as the sets of numbers they stand for."""

import contextlib
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import char, namedtype, tag, univ

from stir.certificates.tn_auth_list import (
    Entry,
    MalformedTnAuthList,
    One,
    Range,
    Spc,
    TnAuthList,
    build_tn_auth_list,
    parse_tn_auth_list,
)

# All numbers of one and two digits, and some that cannot be counted.
UNIVERSE = [*map("".join, (*product("0123456789"), *product("0123456789", repeat=2))), "*1", "#1"]


def _range(start: str, count: int) -> Range:
    return Range(start, min(count, 10 ** len(start) - int(start)))


SMALL: st.SearchStrategy[Entry] = st.one_of(
    st.sampled_from(UNIVERSE).map(One),
    st.builds(_range, st.text("012345678", min_size=1, max_size=2), st.integers(2, 30)).filter(
        lambda entry: entry.count >= 2
    ),
)
LISTS = st.lists(SMALL, min_size=1, max_size=6).map(lambda entries: TnAuthList(tuple(entries)))
CODED = st.lists(SMALL | st.sampled_from("ABC").map(Spc), min_size=1, max_size=6).map(
    lambda entries: TnAuthList(tuple(entries))
)


def numbers(granted: TnAuthList) -> set[str]:
    """Count the numbers of a list entry by entry, the slow way."""
    found = set()
    for entry in granted.entries:
        if isinstance(entry, One):
            found.add(entry.number)
        elif isinstance(entry, Range):
            width = len(entry.start)
            found |= {f"{int(entry.start) + step:0{width}d}" for step in range(entry.count)}
    return found


@given(LISTS)
def test_a_list_covers_its_numbers_and_no_other(granted: TnAuthList) -> None:
    assert {number for number in UNIVERSE if granted.covers(number)} == numbers(granted)


@given(LISTS, LISTS)
def test_encompassing_is_set_inclusion(wide: TnAuthList, narrow: TnAuthList) -> None:
    assert wide.encompasses(narrow) is (numbers(narrow) <= numbers(wide))
    assert wide.union(narrow).encompasses(narrow)
    assert wide.encompasses(wide)


@given(CODED, CODED)
def test_codes_are_held_one_by_one_and_alone_they_hold_any_number(
    wide: TnAuthList, narrow: TnAuthList
) -> None:
    inside = narrow.codes <= wide.codes
    if wide.names_numbers:
        inside = inside and numbers(narrow) <= numbers(wide)
    assert wide.encompasses(narrow) is inside


@given(LISTS)
def test_however_numbers_are_cut_into_entries_the_list_is_the_same(granted: TnAuthList) -> None:
    singly = TnAuthList(tuple(One(number) for number in sorted(numbers(granted))))
    assert granted.encompasses(singly)
    assert singly.encompasses(granted)


def _tagged(number: int) -> tag.Tag:
    return tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number)


class _Range(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("start", char.IA5String()),
        namedtype.NamedType("count", univ.Integer()),
    )


class _Entry(univ.Choice):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("spc", char.IA5String().subtype(explicitTag=_tagged(0))),
        namedtype.NamedType("range", _Range().subtype(explicitTag=_tagged(1))),
        namedtype.NamedType("one", char.IA5String().subtype(explicitTag=_tagged(2))),
    )


class _List(univ.SequenceOf):  # type: ignore[misc]
    componentType = _Entry()  # noqa: N815


@given(CODED, st.data())
def test_another_asn1_decoder_reads_the_same(granted: TnAuthList, data: st.DataObject) -> None:
    octets = bytearray(build_tn_auth_list(granted.entries))
    if data.draw(st.booleans()):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedTnAuthList):
        found = parse_tn_auth_list(bytes(octets))
        value, rest = decoder.decode(bytes(octets), asn1Spec=_List())
        assert not rest
        assert encoder.encode(value) == octets
        assert [_plain(item) for item in value] == list(found.entries)
        return
    with contextlib.suppress(PyAsn1Error, UnicodeDecodeError):
        value, rest = decoder.decode(bytes(octets), asn1Spec=_List())
        assert rest or encoder.encode(value) != octets or not _sensible(value)


def _plain(item: _Entry) -> Entry:
    name = item.getName()
    if name == "range":
        return Range(str(item["range"]["start"]), int(item["range"]["count"]))
    return Spc(str(item["spc"])) if name == "spc" else One(str(item["one"]))


def _sensible(value: _List) -> bool:
    try:
        build_tn_auth_list([_plain(item) for item in value])
    except MalformedTnAuthList:
        return False
    return True
