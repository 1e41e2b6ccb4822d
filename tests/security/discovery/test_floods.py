"""F4 of the security bar: floods of invitations cost little and change nothing for others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent import Agent, AgentPolicy, Candidate, Ignored
from discovery.spin.carriage import to_text
from discovery.spin.limits import RateLimit
from discovery.spin.reason import Refusal
from discovery.spin.reassembly import Partial, Reassembler, ReceivedPart, Shortfall
from discovery.spin.segments import Concatenation
from tests.support.spin_passports import ALICE, BOB, NOW, KeySigner, invitation_claims

SIGNER = KeySigner(ALICE)
POLICY = AgentPolicy(
    numbers=NumberRanges(["+12125550100-+12125550199"]), per_sender=RateLimit(20, 60)
)


def message(**changes: object) -> str:
    return to_text(SIGNER.sign("spin", invitation_claims(**changes)), ALICE, Service.VOICE)


def test_ten_thousand_invitations_from_one_peer_get_as_far_as_twenty() -> None:
    agent = Agent(replace(POLICY, per_target=RateLimit(100, 60)), bytes)
    text = message()
    seen = Counter(
        type(agent.examine(text, sender=ALICE, recipient=BOB, now=NOW)) for _ in range(10_000)
    )
    assert seen == {Candidate: 20, Ignored: 9_980}
    assert agent.ignored == {Refusal.RATE_LIMITED: 9_980}
    other = message(orig={"tn": "14155550101"})
    assert isinstance(agent.examine(other, sender="14155550101", recipient=BOB, now=NOW), Candidate)


def test_invented_senders_fill_no_memory_and_leave_other_numbers_alone() -> None:
    agent = Agent(POLICY, bytes, max_limit_keys=100)
    text = message()
    for sender in range(5_000):
        agent.examine(text, sender=f"spoof{sender}", recipient=BOB, now=NOW)
    other = message(dest={"tn": ["12125550199"]})
    decision = agent.examine(other, sender=ALICE, recipient="12125550199", now=NOW)
    assert isinstance(decision, Candidate)


def test_half_messages_without_end_stay_within_the_bound() -> None:
    reassembler = Reassembler[int](max_messages=100, max_per_sender=8, max_parts=16)
    for number in range(20_000):
        place = Concatenation(number % 256, 16, number % 15 + 1)
        part = ReceivedPart(f"spoof{number % 500}", BOB, "x" * 153, place, number)
        reassembler.add(part, float(number) / 1000)
        assert len(reassembler) <= 100


def test_parts_that_no_short_message_has_room_for_are_not_held() -> None:
    """A message_payload may have 65,535 octets: sixteen thousand of them would be a gigabyte."""
    reassembler = Reassembler[int]()
    for number in range(1_000):
        place = Concatenation(number % 256, 16, number % 15 + 1, wide=True)
        part = ReceivedPart(f"spoof{number}", BOB, "x" * 65_535, place, number)
        assert reassembler.add(part, 0.0) == [Partial(Shortfall.TOO_LONG, (part,))]
    assert len(reassembler) == 0


def test_an_endless_text_is_refused_by_its_length() -> None:
    agent = Agent(POLICY, bytes)
    for text in ("spin:1:" + "a" * 1_000_000, "spin:1:" * 200_000, " spin:1:" + "a." * 500_000):
        agent.examine(text, sender=ALICE, recipient=BOB, now=NOW)
    assert agent.ignored[Refusal.OVERSIZED] == 2


def test_a_rented_range_of_senders_is_cut_by_its_prefix_and_others_go_on() -> None:
    agent = Agent(replace(POLICY, per_prefix=RateLimit(5, 60)), bytes)
    text = message()
    for sender in range(50):
        recipient = f"121255501{sender:02}"
        agent.examine(text, sender=f"4420794601{sender:02}", recipient=recipient, now=NOW)
    assert agent.ignored[Refusal.RATE_LIMITED] == 45
    assert isinstance(agent.examine(text, sender=ALICE, recipient=BOB, now=NOW), Candidate)
