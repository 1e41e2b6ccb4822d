"""The agent's decisions: what is answered, what is left in silence, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent import (
    Accepted,
    Agent,
    AgentPolicy,
    AnswerPlan,
    Candidate,
    Ignored,
    Ordinary,
)
from discovery.spin.answer import AnswerStatus
from discovery.spin.callback_url import CallbackPolicy
from discovery.spin.carriage import to_text
from discovery.spin.handlers import Handler, check_handler, choose_handler
from discovery.spin.limits import RateLimit
from discovery.spin.passports import Rejected, VerifiedPassport
from discovery.spin.reason import Refusal
from discovery.spin.rules import Choice
from tests.support.spin_passports import ALICE, BOB, NOW, KeySigner, invitation_claims

SIGNER = KeySigner(ALICE, "spin.alpha.example")
GENUINE = VerifiedPassport(("spin.alpha.example",))
HANDLER = Handler(
    "h1", "app", "1212555", (Service.VOICE,), "sip:{number}@beta.example", "beta.example", 1.0
)
OURS = NumberRanges(["+12125550100-+12125550199"])
POLICY = AgentPolicy(numbers=OURS, unknown_senders="answer")


def agent(policy: AgentPolicy = POLICY) -> Agent:
    return Agent(policy, lambda count: b"\x07" * count)


def text(**changes: object) -> str:
    return to_text(SIGNER.sign("spin", invitation_claims(**changes)), ALICE, Service.VOICE)


def examine(to: Agent, message: str, *, recipient: str = BOB, now: float = NOW) -> object:
    return to.examine(message, sender=ALICE, recipient=recipient, now=now)


def accepted(to: Agent, message: str | None = None) -> Accepted:
    candidate = examine(to, message or text())
    assert isinstance(candidate, Candidate)
    decision = to.accept(candidate, GENUINE, NOW)
    assert isinstance(decision, Accepted)
    return decision


def test_a_genuine_invitation_gets_the_uri_of_the_handler() -> None:
    beta = agent()
    plan = beta.answer(accepted(beta), {Service.VOICE: Choice((HANDLER,))}, NOW)
    assert isinstance(plan, AnswerPlan)
    claims = plan.answer.claims()
    assert claims["st"] == "ok"
    assert claims["orig"] == {"tn": BOB}
    assert claims["dest"] == {"tn": [ALICE]}
    assert claims["uris"] == [
        {
            "msp": "beta.example",
            "prio": 10,
            "svc": "voice",
            "uri": "sip:+12125550123@beta.example;user=phone",
        }
    ]
    assert plan.handlers == ("h1",)
    assert plan.callback.startswith("https://spin.alpha.example/s/")
    assert plan.token not in repr(plan)
    assert beta.answered == 1


def test_an_ordinary_message_is_none_of_our_business() -> None:
    assert examine(agent(), "Dinner at eight?") == Ordinary()


@pytest.mark.parametrize(
    ("changes", "recipient", "now", "reason"),
    [
        ({}, "13105550123", NOW, Refusal.NOT_OURS),
        ({}, "not a number", NOW, Refusal.NOT_OURS),
        ({"dest": {"tn": ["12125550124"]}}, BOB, NOW, Refusal.WRONG_NUMBER),
        ({}, BOB, NOW + 61, Refusal.NOT_FRESH),
        ({}, BOB, NOW + 120, Refusal.EXPIRED),
        ({"svc": ["fax"]}, BOB, NOW, Refusal.SERVICE_UNKNOWN),
        ({"jti": None}, BOB, NOW, Refusal.MALFORMED),
        ({"cb": "https://127.0.0.1/s/1"}, BOB, NOW, Refusal.CALLBACK_REFUSED),
    ],
)
def test_a_bad_invitation_is_ignored_with_its_reason_and_counted(
    changes: dict[str, object], recipient: str, now: float, reason: Refusal
) -> None:
    beta = agent()
    decision = examine(beta, text(**changes), recipient=recipient, now=now)
    assert isinstance(decision, Ignored)
    assert decision.reason is reason
    assert beta.ignored == {reason: 1}
    assert ALICE not in repr(decision)
    assert BOB not in repr(decision)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Rejected(Refusal.FORGED), Refusal.FORGED),
        (Rejected(Refusal.UNTRUSTED_SIGNER), Refusal.UNTRUSTED_SIGNER),
        (Rejected(Refusal.CREDENTIAL_UNAVAILABLE, "ca.example"), Refusal.CREDENTIAL_UNAVAILABLE),
        (VerifiedPassport(("spin.gamma.example",)), Refusal.CALLBACK_REFUSED),
        (VerifiedPassport(()), Refusal.CALLBACK_REFUSED),
    ],
)
def test_what_the_signature_does_not_prove_is_ignored(
    verdict: Rejected | VerifiedPassport, reason: Refusal
) -> None:
    beta = agent()
    candidate = examine(beta, text())
    assert isinstance(candidate, Candidate)
    decision = beta.accept(candidate, verdict, NOW)
    assert isinstance(decision, Ignored)
    assert decision.reason is reason


def test_a_refused_invitation_does_not_use_up_the_genuine_one() -> None:
    beta = agent()
    candidate = examine(beta, text())
    assert isinstance(candidate, Candidate)
    beta.accept(candidate, Rejected(Refusal.FORGED), NOW)
    assert isinstance(beta.accept(candidate, GENUINE, NOW), Accepted)


def test_an_invitation_counts_once_whatever_its_signature_looks_like() -> None:
    beta = agent()
    first, second = text(), text()
    assert first != second  # the same claims, signed twice
    accepted(beta, first)
    again = examine(beta, second)
    assert isinstance(again, Ignored)
    assert again.reason is Refusal.REPLAYED


def test_two_copies_checked_side_by_side_give_one_answer() -> None:
    beta = agent()
    one, two = examine(beta, text()), examine(beta, text())
    assert isinstance(one, Candidate)
    assert isinstance(two, Candidate)
    assert isinstance(beta.accept(one, GENUINE, NOW), Accepted)
    late = beta.accept(two, GENUINE, NOW)
    assert isinstance(late, Ignored)
    assert late.reason is Refusal.REPLAYED


def test_a_fetch_that_took_too_long_leaves_the_invitation_stale() -> None:
    beta = agent()
    candidate = examine(beta, text())
    assert isinstance(candidate, Candidate)
    late = beta.accept(candidate, GENUINE, NOW + 90)
    assert isinstance(late, Ignored)
    assert late.reason is Refusal.NOT_FRESH


def test_unknown_senders_are_left_in_silence_unless_policy_says_otherwise() -> None:
    silent = agent(AgentPolicy(numbers=OURS))
    decision = silent.answer(accepted(silent), {Service.VOICE: Choice((HANDLER,))}, NOW)
    assert isinstance(decision, Ignored)
    assert decision.reason is Refusal.SENDER_UNKNOWN

    declining = agent(AgentPolicy(numbers=OURS, unknown_senders="declined"))
    plan = declining.answer(accepted(declining), {Service.VOICE: Choice((HANDLER,))}, NOW)
    assert isinstance(plan, AnswerPlan)
    assert plan.answer.status is AnswerStatus.DECLINED
    assert plan.answer.uris == ()
    assert plan.handlers == ()


def test_a_known_sender_is_answered_by_a_silent_agent() -> None:
    beta = agent(AgentPolicy(numbers=OURS, known_senders=NumberRanges([ALICE])))
    assert isinstance(
        beta.answer(accepted(beta), {Service.VOICE: Choice((HANDLER,))}, NOW), AnswerPlan
    )


def test_without_a_handler_the_answer_says_so() -> None:
    beta = agent()
    plan = beta.answer(accepted(beta), {}, NOW)
    assert isinstance(plan, AnswerPlan)
    assert plan.answer.status is AnswerStatus.NO_HANDLER


def test_a_handler_altered_behind_our_back_answers_nothing() -> None:
    beta = agent()
    altered = replace(HANDLER, template="sip:{number}@evil.example")
    plan = beta.answer(accepted(beta), {Service.VOICE: Choice((altered,))}, NOW)
    assert isinstance(plan, AnswerPlan)
    assert plan.answer.status is AnswerStatus.NO_HANDLER


def test_several_services_get_a_uri_each_where_there_is_a_handler() -> None:
    beta = agent()
    chat = replace(HANDLER, handler_id="h2", template="mimi://beta.example/u/{tn}")
    message = text(svc=["im", "voice", "video"])
    plan = beta.answer(
        accepted(beta, message),
        {Service.VOICE: Choice((HANDLER,)), Service.IM: Choice((chat,))},
        NOW,
    )
    assert isinstance(plan, AnswerPlan)
    assert [uri.service for uri in plan.answer.uris] == [Service.IM, Service.VOICE]


def test_a_flood_from_one_sender_is_cut_before_anything_is_read() -> None:
    beta = agent(replace(POLICY, per_sender=RateLimit(3, 60), per_target=RateLimit(99, 60)))
    decisions = [examine(beta, "spin:1:" + "a" * 60) for _ in range(10)]
    reasons = [d.reason for d in decisions if isinstance(d, Ignored)]
    assert reasons == [Refusal.MALFORMED] * 3 + [Refusal.RATE_LIMITED] * 7


def test_a_flood_to_one_number_is_cut_whoever_sends_it() -> None:
    beta = agent(replace(POLICY, per_target=RateLimit(2, 60)))
    reasons = [
        decision.reason
        for sender in range(5)
        for decision in [
            beta.examine("spin:1:" + "a" * 60, sender=f"1415555{sender:04}", recipient=BOB, now=NOW)
        ]
        if isinstance(decision, Ignored)
    ]
    assert reasons == [Refusal.MALFORMED] * 2 + [Refusal.RATE_LIMITED] * 3


def test_a_full_replay_memory_refuses_instead_of_forgetting() -> None:
    beta = Agent(POLICY, lambda count: b"\x07" * count, max_replay_entries=1)
    accepted(beta)
    candidate = examine(beta, text(jti="qrstuvwxyzabcdef"))
    assert isinstance(candidate, Candidate)
    decision = beta.accept(candidate, GENUINE, NOW)
    assert isinstance(decision, Ignored)
    assert decision.reason is Refusal.OVERLOADED


def test_a_signer_who_invents_senders_takes_little_of_the_replay_memory() -> None:
    beta = agent(replace(POLICY, per_sender=RateLimit(3, 60), per_target=RateLimit(99, 60)))
    reasons: list[Refusal | None] = []
    for place in range(6):
        candidate = beta.examine(
            text(jti=f"qrstuvwxyzabcde{place}"),
            sender=f"1415555{place:04}",
            recipient=BOB,
            now=NOW,
        )
        assert isinstance(candidate, Candidate)
        decision = beta.accept(candidate, GENUINE, NOW)
        reasons.append(decision.reason if isinstance(decision, Ignored) else None)
    assert reasons == [None] * 3 + [Refusal.RATE_LIMITED] * 3


def test_torn_invitations_are_counted() -> None:
    beta = agent()
    assert beta.count_torn(ALICE, BOB).reason is Refusal.INCOMPLETE
    assert beta.ignored[Refusal.INCOMPLETE] == 1


def handler(handler_id: str, prefix: str, at: float) -> Handler:
    return replace(HANDLER, handler_id=handler_id, prefix=prefix, registered_at=at)


def test_the_default_beats_the_specific_which_beats_the_first() -> None:
    wide, narrow = handler("wide", "1", 1.0), handler("narrow", BOB, 3.0)
    late = handler("late", "1", 2.0)
    assert choose_handler([late, wide], BOB, Service.VOICE, None) == wide
    assert choose_handler([late, wide, narrow], BOB, Service.VOICE, None) == narrow
    assert choose_handler([late, wide, narrow], BOB, Service.VOICE, "late") == late
    assert choose_handler([late, wide], BOB, Service.VOICE, "gone") == wide
    assert choose_handler([wide], BOB, Service.IM, "wide") is None
    assert choose_handler([narrow], ALICE, Service.VOICE, None) is None


@pytest.mark.parametrize(
    ("change", "text_of_error"),
    [
        ({"app_id": ""}, "app_id"),
        ({"app_id": "a b"}, "app_id"),
        ({"prefix": "+1212"}, "number"),
        ({"prefix": ""}, "number"),
        ({"services": ()}, "svc"),
        ({"msp": "Beta.example"}, "msp"),
        ({"msp": "gamma.example"}, "msp is not a domain of this agent"),
        ({"template": "sip:{number}@gamma.example"}, "host"),
        ({"template": "x" * 300}, "uri"),
    ],
)
def test_a_registration_out_of_shape_is_refused(
    change: dict[str, object], text_of_error: str
) -> None:
    check_handler(HANDLER, frozenset({"beta.example"}))
    altered = replace(HANDLER, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=text_of_error):
        check_handler(altered, frozenset({"beta.example"}))


@pytest.mark.parametrize(
    ("claimed", "trusted", "believed"),
    [
        ("alpha.example", frozenset[str](), "alpha.example"),
        ("wire.example", frozenset[str](), None),
        ("wire.example", frozenset({"spin.beta.example"}), None),
        ("wire.example", frozenset({"spin.alpha.example"}), "wire.example"),
    ],
)
def test_an_application_is_believed_of_its_own_provider_or_an_agent_we_trust(
    claimed: str, trusted: frozenset[str], believed: str | None
) -> None:
    beta = agent(replace(POLICY, callback=CallbackPolicy(trusted_hosts=trusted)))
    assert accepted(beta, text(omsp=claimed)).provider == believed
