"""The asking side: what is sent, what is counted, and what the answer becomes (F3)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from discovery.model import FoundUri, Outcome, Service
from discovery.sources import About
from discovery.spin import gsm7
from discovery.spin.answer import Answer, parse_answer
from discovery.spin.breaker import BreakerPolicy
from discovery.spin.carriage import invitation_token
from discovery.spin.invitation import parse_invitation
from discovery.spin.limits import RateLimit
from discovery.spin.networks import Carriage, Network, Networks
from discovery.spin.passports import SigningImpossible
from discovery.spin.pending import PendingInvitations, Waiting
from discovery.spin.segments import TextPart
from gateway.sms.message import OutgoingMessage
from gateway.sms.transceiver import SmsFailed, SmsFailure
from gateway.spin.carriers import Carriers
from gateway.spin.originating import OriginatingSettings, SpinSource
from tests.support.spin_passports import ALICE, BOB, NOW, KeySigner, answer_claims

ALPHA, BETA = KeySigner(ALICE), KeySigner(BOB)


class FakeSms:
    """Takes messages, or fails."""

    def __init__(self, failure: SmsFailed | None = None) -> None:
        self.failure = failure
        self.sent: list[OutgoingMessage] = []

    async def send(self, message: OutgoingMessage) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)


class Scene:
    """The originating side with everything around it in memory."""

    def __init__(
        self, settings: OriginatingSettings | None = None, sms: FakeSms | None = None
    ) -> None:
        counter = itertools.count(1)
        self.pending = PendingInvitations(lambda count: next(counter).to_bytes(count, "big"))
        self.sms = sms or FakeSms()
        self.late: list[tuple[str, str, tuple[FoundUri, ...]]] = []
        self.source = SpinSource(
            settings or OriginatingSettings("https://spin.alpha.example:8443"),
            self.pending,
            ALPHA,
            Carriers(self.sms),
            wall_clock=lambda: NOW,
            on_late=lambda *late: self.late.append(late),
        )

    def token(self) -> str:
        parts = [part for part in self.sms.sent[-1].parts if isinstance(part, TextPart)]
        text = "".join(gsm7.decode(part.septets) for part in parts)
        token = invitation_token(text)
        assert token is not None
        return token

    def waiting(self) -> Waiting:
        _, invitation = parse_invitation(self.token())
        return self.pending.authorise(invitation.callback.rpartition("/")[2], invitation.token, NOW)

    def answer(self, **changes: object) -> Answer:
        passport, _ = parse_invitation(self.token())
        signed = BETA.sign("spin-ans", answer_claims(passport.digest(), **changes))
        return parse_answer(signed)[1]


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_is_taken_although_the_smsc_has_not_confirmed_the_message() -> None:
    class Unconfirmed(FakeSms):
        async def send(self, message: OutgoingMessage) -> None:
            await super().send(message)
            await asyncio.Event().wait()

    scene = Scene(sms=Unconfirmed())
    finding = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    scene.source.deliver(scene.waiting(), scene.answer())
    assert (await finding).outcome is Outcome.FOUND


async def test_an_invitation_goes_out_in_parts_and_its_answer_wakes_the_caller() -> None:
    scene = Scene()
    finding = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    (message,) = scene.sms.sent
    assert (message.source, message.destination) == (ALICE, BOB)
    assert len(message.parts) in (4, 5)
    _, invitation = parse_invitation(scene.token())
    assert invitation.callback.startswith("https://spin.alpha.example:8443/s/")
    assert invitation.expires_at - invitation.issued_at == 120
    scene.source.deliver(scene.waiting(), scene.answer())
    answer = await finding
    assert answer.outcome is Outcome.FOUND
    assert [uri.uri for uri in answer.uris] == [f"sip:+{BOB}@beta.example;user=phone"]
    assert answer.uris[0].expires_at == NOW + 86_400
    assert scene.source.outcomes == {Outcome.FOUND: 1}


async def test_a_mapping_ends_with_the_certificate_that_vouched_for_it() -> None:
    scene = Scene()
    finding = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    scene.source.deliver(scene.waiting(), replace(scene.answer(), vouched_until=NOW + 60))
    assert [uri.expires_at for uri in (await finding).uris] == [NOW + 60]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("declined", Outcome.DECLINED),
        ("nohandler", Outcome.NOT_FOUND),
        ("later", Outcome.NO_ANSWER),
        ("directory", Outcome.NOT_FOUND),
    ],
)
async def test_an_answer_without_uris_ends_the_wait_too(status: str, outcome: Outcome) -> None:
    scene = Scene()
    finding = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    scene.source.deliver(scene.waiting(), scene.answer(st=status, uris=[]))
    assert (await finding).outcome is outcome


async def test_an_answer_that_nobody_waits_for_is_passed_on() -> None:
    scene = Scene()
    finding = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    finding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finding
    scene.source.deliver(scene.waiting(), scene.answer())
    ((number, caller, uris),) = scene.late
    assert (number, caller, len(uris)) == (BOB, ALICE, 1)


async def test_an_smsc_that_fails_is_the_culprit_and_leaves_nothing_behind() -> None:
    failure = SmsFailed("SMSC 192.0.2.1:2775", SmsFailure.NOT_BOUND, "connection refused")
    scene = Scene(sms=FakeSms(failure))
    answer = await scene.source.find(BOB, Service.VOICE, caller=ALICE)
    assert (answer.outcome, answer.detail) == (
        Outcome.UNAVAILABLE,
        "SMSC 192.0.2.1:2775: not_bound",
    )
    assert len(scene.pending) == 0


async def outcomes(scene: Scene, questions: list[tuple[str, str]]) -> list[str]:
    """Ask each question without waiting for its answer; return what was refused, and why."""
    details = []
    for number, caller in questions:
        finding = asyncio.create_task(scene.source.find(number, Service.VOICE, caller=caller))
        await settle()
        if finding.done():
            details.append(finding.result().detail)
        else:
            finding.cancel()
            await settle()
            details.append("sent")
    return details


def limited(**limits: RateLimit) -> OriginatingSettings:
    return OriginatingSettings("https://spin.alpha.example", **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("carriage", [Carriage.TEXT, Carriage.MMS])
async def test_a_certificate_that_does_not_allow_invitations_is_the_culprit(
    carriage: Carriage,
) -> None:
    class Constrained(KeySigner):
        def sign(self, ppt: str, payload: Mapping[str, object], *, x5c: bool = False) -> str:
            raise SigningImpossible("its constraints do not permit a spin PASSporT")

    class NoMms:
        async def send(self, source: str, destination: str, text: str, token: str) -> None: ...

    scene = Scene()
    networks = Networks([Network("1", (carriage,))])
    scene.source._carriers = Carriers(scene.sms, networks, mms=NoMms())
    scene.source._signer = Constrained(ALICE)
    answer = await scene.source.find(BOB, Service.VOICE, caller=ALICE)
    assert answer.outcome is Outcome.UNAVAILABLE
    assert answer.detail == "our certificate does not allow invitations"
    assert len(scene.pending) == 0


async def test_one_number_gets_few_invitations_whoever_calls() -> None:
    scene = Scene(limited(per_number=RateLimit(3, 3600)))
    questions = [(BOB, f"1415555010{n}") for n in range(5)]
    assert await outcomes(scene, questions) == ["sent"] * 3 + ["rate limit (number)"] * 2
    assert len(scene.sms.sent) == 3


async def test_one_caller_sends_few_invitations_whomever_they_call() -> None:
    scene = Scene(limited(per_caller=RateLimit(2, 3600)))
    questions = [(f"1212555010{n}", ALICE) for n in range(4)]
    assert await outcomes(scene, questions) == ["sent"] * 2 + ["rate limit (caller)"] * 2


async def test_a_pumped_prefix_is_cut_and_others_go_on() -> None:
    scene = Scene(limited(per_prefix=RateLimit(2, 3600)))
    questions = [(f"1212555010{n}", f"1415555010{n}") for n in range(4)]
    refused = ["sent"] * 2 + ["rate limit (prefix)"] * 2
    assert await outcomes(scene, questions) == refused
    assert await outcomes(scene, [("442079460123", ALICE)]) == ["sent"]


async def test_all_together_are_limited() -> None:
    scene = Scene(limited(total=RateLimit(1, 60)))
    questions = [(BOB, ALICE), ("442079460123", "14155550101")]
    assert await outcomes(scene, questions) == ["sent", "rate limit (total)"]


async def test_destinations_outside_the_list_get_nothing() -> None:
    scene = Scene(OriginatingSettings("https://spin.alpha.example", allowed_prefixes=("1", "44")))
    questions = [("33612345678", ALICE), (BOB, ALICE), (BOB, "")]
    assert await outcomes(scene, questions) == [
        "destination not allowed",
        "sent",
        "no caller number to sign for",
    ]


async def test_a_full_waiting_room_is_said_so() -> None:
    scene = Scene()
    scene.pending = PendingInvitations(bytes, max_pending=0)
    scene.source = SpinSource(
        OriginatingSettings("https://spin.alpha.example"),
        scene.pending,
        ALPHA,
        Carriers(scene.sms),
        wall_clock=time.time,
    )
    assert (await scene.source.find(BOB, Service.VOICE, caller=ALICE)).outcome is (
        Outcome.UNAVAILABLE
    )


async def test_an_invitation_for_messages_may_be_answered_for_three_days() -> None:
    scene = Scene()
    finding = asyncio.create_task(scene.source.find(BOB, Service.IM, caller=ALICE))
    await settle()
    _, invitation = parse_invitation(scene.token())
    assert invitation.expires_at - invitation.issued_at == 72 * 3600
    finding.cancel()
    await settle()


async def test_several_services_are_asked_at_once_and_the_others_are_kept() -> None:
    scene = Scene(
        OriginatingSettings(
            "https://spin.alpha.example",
            together=(Service.VOICE, Service.IM),
            provider="alpha.example",
        )
    )
    finding = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    _, invitation = parse_invitation(scene.token())
    assert invitation.services == (Service.VOICE, Service.IM)
    assert invitation.provider == "alpha.example"
    chat = {"msp": "b.example", "svc": "im", "uri": "mimi://b.example/u/b"}
    call = {"msp": "b.example", "svc": "voice", "uri": "sip:b@b.example"}
    scene.source.deliver(scene.waiting(), scene.answer(uris=[chat, call]))
    assert (await finding).outcome is Outcome.FOUND
    ((number, caller, uris),) = scene.late
    assert (number, caller, [uri.uri for uri in uris]) == (BOB, ALICE, ["mimi://b.example/u/b"])


async def test_a_prefix_where_nobody_answers_is_left_alone_for_a_while() -> None:
    policy = BreakerPolicy(least_percent=20, sample=5, pause=60.0)
    scene = Scene(OriginatingSettings("https://spin.alpha.example", breaker=policy))
    questions = [(f"1212555010{n}", ALICE) for n in range(7)]
    refused = "breaker (hardly any invitation to this prefix is answered)"
    assert await outcomes(scene, questions) == ["sent"] * 5 + [refused] * 2
    assert await outcomes(scene, [("442079460123", ALICE)]) == ["sent"]


async def test_an_smsc_that_is_away_is_not_taken_for_silence() -> None:
    failure = SmsFailed("SMSC", SmsFailure.NOT_BOUND, "away")
    policy = BreakerPolicy(least_percent=20, sample=2, pause=60.0)
    scene = Scene(
        OriginatingSettings("https://spin.alpha.example", breaker=policy), FakeSms(failure)
    )
    for _ in range(5):
        answer = await scene.source.find(BOB, Service.VOICE, caller=ALICE)
        assert answer.outcome is Outcome.UNAVAILABLE


async def test_a_question_about_something_says_so_and_its_answer_is_for_it_alone() -> None:
    settings = OriginatingSettings(
        "https://spin.alpha.example:8443", provider="alpha.example", together=(Service.IM,)
    )
    scene = Scene(settings)
    described = scene.source.describing(About("wire.example", "business"))
    finding = asyncio.create_task(described.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    _, invitation = parse_invitation(scene.token())
    assert (invitation.provider, invitation.tag) == ("wire.example", "business")
    waiting = scene.waiting()
    assert waiting.described
    scene.source.deliver(waiting, scene.answer())
    assert (await finding).outcome is Outcome.FOUND
    scene.source.deliver(waiting, scene.answer())  # too late for the one who asked
    assert scene.late == []

    plain = asyncio.create_task(scene.source.find(BOB, Service.VOICE, caller=ALICE))
    await settle()
    _, invitation = parse_invitation(scene.token())
    assert (invitation.provider, invitation.tag) == ("alpha.example", None)
    plain.cancel()
    await asyncio.gather(plain, return_exceptions=True)
