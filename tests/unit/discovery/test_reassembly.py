"""Parts come late, twice, in any order, from liars; the collection stays small and correct."""

from __future__ import annotations

from discovery.spin.reassembly import Partial, Reassembler, ReceivedPart, Shortfall, Whole
from discovery.spin.segments import Concatenation


def part(
    number: int,
    total: int = 3,
    *,
    reference: int = 1,
    sender: str = "14155550100",
    text: str | None = None,
    wide: bool = False,
) -> ReceivedPart[str]:
    place = Concatenation(reference, total, number, wide)
    return ReceivedPart(sender, "12125550123", text or f"<{number}>", place, f"pdu {number}")


def test_a_message_of_one_part_is_whole_at_once() -> None:
    single: ReceivedPart[str] = ReceivedPart("1", "2", "hello", None, "pdu")
    assert Reassembler[str]().add(single, 0) == [Whole("1", "2", "hello", (single,))]


def test_parts_in_any_order_give_the_text_in_order() -> None:
    reassembler = Reassembler[str]()
    assert reassembler.add(part(3), 0) == []
    assert reassembler.add(part(1), 0) == []
    (whole,) = reassembler.add(part(2), 0)
    assert isinstance(whole, Whole)
    assert whole.text == "<1><2><3>"
    assert [each.original for each in whole.parts] == ["pdu 1", "pdu 2", "pdu 3"]
    assert len(reassembler) == 0


def test_parts_repeated_before_or_after_the_end_are_dropped() -> None:
    reassembler = Reassembler[str](timeout=10)
    for number in (1, 1, 2, 3):
        out = reassembler.add(part(number), 0)
    assert isinstance(out[0], Whole)
    assert reassembler.add(part(2), 1) == []
    assert reassembler.expire(11) == []
    assert reassembler.repetitions == 2
    assert len(reassembler) == 0


def test_a_new_message_under_the_same_reference_may_begin_like_the_old_one() -> None:
    reassembler = Reassembler[str]()
    for number in (1, 2, 3):
        reassembler.add(part(number), 0)
    assert reassembler.add(part(1), 1) == []
    assert reassembler.add(part(2, text="other"), 1) == []
    (whole,) = reassembler.add(part(3), 1)
    assert isinstance(whole, Whole)
    assert whole.text == "<1>other<3>"


def test_a_part_with_another_total_is_handed_back_and_changes_nothing() -> None:
    reassembler = Reassembler[str]()
    reassembler.add(part(1), 0)
    odd = part(2, total=2)
    assert reassembler.add(odd, 0) == [Partial(Shortfall.CONFLICTING, (odd,))]
    reassembler.add(part(2), 0)
    assert isinstance(reassembler.add(part(3), 0)[0], Whole)


def test_a_part_with_other_text_for_the_same_place_is_handed_back() -> None:
    reassembler = Reassembler[str]()
    reassembler.add(part(1), 0)
    other = part(1, text="other")
    assert reassembler.add(other, 0) == [Partial(Shortfall.CONFLICTING, (other,))]


def test_more_parts_than_we_wait_for_are_handed_back_one_by_one() -> None:
    reassembler = Reassembler[str](max_parts=4)
    big = part(1, total=200)
    assert reassembler.add(big, 0) == [Partial(Shortfall.TOO_MANY_PARTS, (big,))]
    assert len(reassembler) == 0


def test_what_never_becomes_whole_is_handed_back_in_order_when_its_time_is_over() -> None:
    reassembler = Reassembler[str](timeout=30)
    reassembler.add(part(3), 0)
    reassembler.add(part(1), 20)
    assert reassembler.next_deadline() == 30
    assert reassembler.expire(29) == []
    (partial,) = reassembler.expire(30)
    assert (partial.shortfall, partial.text) == (Shortfall.TIMED_OUT, "<1><3>")
    assert reassembler.next_deadline() is None


def test_one_sender_cannot_crowd_out_another() -> None:
    reassembler = Reassembler[str](max_per_sender=2)
    reassembler.add(part(1, sender="good"), 0)
    handed_back = [
        out for reference in range(50) for out in reassembler.add(part(1, reference=reference), 0)
    ]
    assert len(handed_back) == 48
    assert all(
        isinstance(out, Partial) and out.shortfall is Shortfall.CROWDED_OUT for out in handed_back
    )
    assert len(reassembler) == 3


def test_many_senders_stay_within_the_bound() -> None:
    reassembler = Reassembler[str](max_messages=10)
    for sender in range(500):
        reassembler.add(part(1, sender=str(sender)), 0)
    assert len(reassembler) == 10


def test_eight_and_sixteen_bit_references_do_not_meet() -> None:
    reassembler = Reassembler[str]()
    reassembler.add(part(1, 2), 0)
    assert reassembler.add(part(2, 2, wide=True), 0) == []
    assert len(reassembler) == 2
