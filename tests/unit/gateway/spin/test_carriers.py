"""Which way an invitation goes, what is learnt of it, and how it arrives on the other side."""

from __future__ import annotations

import asyncio
import itertools

import pytest
import structlog

from discovery.model import Service
from discovery.spin import gsm7
from discovery.spin.networks import Carriage, Network, Networks
from discovery.spin.reason import Refusal
from discovery.spin.reference import References, read_reference
from discovery.spin.segments import BinaryPart, TextPart
from gateway.sms.message import OutgoingMessage, data_coding, esm_class, incoming_sms
from gateway.sms.transceiver import SmsFailed, SmsFailure
from gateway.spin.carriers import Carriers, Sending
from gateway.spin.keeping import KeptInMemory
from gateway.spin.kept_engines import KeptReferences
from tests.support.spin_passports import ALICE, BOB, NOW, invitation_claims
from tests.unit.gateway.spin.test_terminating import ALPHA, Scene

ALL = (Carriage.MMS, Carriage.REFERENCE, Carriage.BINARY, Carriage.TEXT)


class FakeSms:
    """Takes messages, or fails on those of a carriage."""

    def __init__(self, failures: dict[Carriage, SmsFailure] | None = None) -> None:
        self.failures = failures or {}
        self.sent: list[OutgoingMessage] = []

    async def send(self, message: OutgoingMessage) -> None:
        failure = self.failures.get(Carriage(message.label.partition(":")[0]))
        if failure is not None:
            raise SmsFailed("SMSC", failure, "")
        self.sent.append(message)


class FakeMms:
    def __init__(self, failure: SmsFailure | None = None) -> None:
        self.failure = failure
        self.sent: list[tuple[str, str, str, str]] = []

    async def send(self, source: str, destination: str, text: str, token: str) -> None:
        if self.failure is not None:
            raise SmsFailed("MMSC", self.failure, "")
        self.sent.append((source, destination, text, token))


async def sign(x5c: bool) -> str:
    return ALPHA.sign("spin", invitation_claims(), x5c=x5c)


def sending() -> Sending:
    return Sending(
        ALICE,
        BOB,
        ALICE,
        Service.VOICE,
        NOW + 120,
        sign,
    )


def carriers(
    sms: FakeSms, *order: Carriage, mms: FakeMms | None = None, x5c: bool = False
) -> Carriers:
    counter = itertools.count(1)
    return Carriers(
        sms,
        Networks([Network("1", order)] if order else [], failures=1),
        references=KeptReferences(
            References(lambda count: next(counter).to_bytes(count, "big")), KeptInMemory()
        ),
        reference_place="spin.alpha.example",
        mms=mms,
        mms_x5c=x5c,
    )


async def test_each_carriage_is_sent_in_its_own_form() -> None:
    sms, mms = FakeSms(), FakeMms()
    for carriage in ALL:
        assert await carriers(sms, carriage, mms=mms).send(sending(), NOW) is carriage
    (_, _, text, token) = mms.sent[0]
    assert "voice-call" in text
    assert token.count(".") == 2
    reference, binary, plain = (message.parts for message in sms.sent)
    assert len(reference) == 1
    assert all(isinstance(part, BinaryPart) for part in binary)
    assert all(isinstance(part, TextPart) for part in plain)
    assert [message.label for message in sms.sent] == [
        f"reference:{BOB}",
        f"binary:{BOB}",
        f"text:{BOB}",
    ]


async def test_what_is_refused_or_not_there_falls_back_and_is_remembered() -> None:
    sms = FakeSms({Carriage.BINARY: SmsFailure.REJECTED})
    ways = carriers(sms, Carriage.MMS, Carriage.BINARY, mms=FakeMms(SmsFailure.NOT_BOUND))
    assert await ways.send(sending(), NOW) is Carriage.TEXT
    sms.failures.clear()
    assert await ways.send(sending(), NOW) is Carriage.TEXT  # avoided for a while
    assert await carriers(sms, Carriage.MMS).send(sending(), NOW) is Carriage.TEXT


@pytest.mark.parametrize("failure", [SmsFailure.NOT_BOUND, SmsFailure.THROTTLED])
async def test_an_smsc_that_is_away_or_busy_is_not_asked_twice(failure: SmsFailure) -> None:
    ways = carriers(FakeSms({Carriage.BINARY: failure}), Carriage.BINARY)
    with pytest.raises(SmsFailed) as caught:
        await ways.send(sending(), NOW)
    assert caught.value.failure is failure


@pytest.mark.parametrize("failure", [SmsFailure.TIMEOUT, SmsFailure.LINK_LOST])
async def test_what_may_have_arrived_is_not_sent_another_way(failure: SmsFailure) -> None:
    sms = FakeSms()
    ways = carriers(sms, Carriage.MMS, mms=FakeMms(failure))
    with pytest.raises(SmsFailed) as caught:
        await ways.send(sending(), NOW)
    assert caught.value.failure is failure
    assert sms.sent == []


async def test_receipts_change_the_way_of_the_next_one() -> None:
    ways = carriers(FakeSms(), Carriage.REFERENCE)
    assert await ways.send(sending(), NOW) is Carriage.REFERENCE
    ways.delivered(f"reference:{BOB}", False, NOW)
    assert await ways.send(sending(), NOW) is Carriage.TEXT


# --- the other side --------------------------------------------------------------------------


async def deliver(scene: Scene, message: OutgoingMessage) -> None:
    for part in message.parts:
        scene.side.on_message(
            incoming_sms(
                source=ALICE,
                destination=BOB,
                short_message=part.octets,
                esm_class=esm_class(part),
                data_coding=data_coding(part),
                parameters=(),
            )
        )
    await scene.side.idle()


async def sent_by(carriage: Carriage) -> OutgoingMessage:
    sms = FakeSms()
    await carriers(sms, carriage).send(sending(), NOW)
    return sms.sent[0]


async def test_a_binary_invitation_is_answered() -> None:
    scene = Scene()
    await deliver(scene, await sent_by(Carriage.BINARY))
    assert len(scene.poster.posted) == 1
    assert scene.inbox == []


async def test_data_for_other_ports_goes_to_the_person() -> None:
    scene = Scene()
    part = BinaryPart(b"\x01\x02", 2948)
    await deliver(scene, OutgoingMessage(ALICE, BOB, (part,)))
    assert len(scene.inbox) == 1


async def test_an_invitation_by_reference_is_fetched_from_an_allowed_host_and_answered() -> None:
    token = ALPHA.sign("spin", invitation_claims())
    sms = FakeSms()

    async def signed(x5c: bool) -> str:
        return token

    once = Sending(ALICE, BOB, ALICE, Service.VOICE, NOW + 120, signed)
    await carriers(sms, Carriage.REFERENCE).send(once, NOW)
    scene = Scene(reference_hosts=frozenset({"spin.alpha.example"}))
    scene.poster.documents[f"https://spin.alpha.example/r/{'A' * 15}B"] = token.encode()
    await deliver(scene, sms.sent[0])
    assert len(scene.poster.posted) == 1

    elsewhere = Scene()
    await deliver(elsewhere, sms.sent[0])
    assert elsewhere.poster.fetched == []
    assert elsewhere.agent.ignored == {Refusal.NOT_ALLOWED: 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, Refusal.INCOMPLETE),
        (b"x" * 5000, Refusal.OVERSIZED),
        (b"another.signed.token", Refusal.FORGED),
    ],
)
async def test_a_reference_that_leads_to_something_else_is_ignored(
    body: bytes | None, reason: Refusal
) -> None:
    message = await sent_by(Carriage.REFERENCE)
    scene = Scene(reference_hosts=frozenset({"spin.alpha.example"}))
    septets = b"".join(part.septets for part in message.parts if isinstance(part, TextPart))
    reference = read_reference(gsm7.decode(septets))
    assert reference is not None
    if body is not None:
        scene.poster.documents[reference.url] = body
    with structlog.testing.capture_logs():
        await deliver(scene, message)
    assert scene.poster.posted == []
    assert scene.agent.ignored == {reason: 1}


async def test_an_attachment_is_held_to_the_same_checks() -> None:
    scene = Scene()
    token = ALPHA.sign("spin", invitation_claims())
    scene.side.on_attachment(token, sender=ALICE, recipient=BOB)
    scene.side.on_attachment("x", sender=ALICE, recipient=BOB)
    scene.side.on_attachment(token, sender=ALICE, recipient="13105550100")
    await asyncio.sleep(0)
    await scene.side.idle()
    assert len(scene.poster.posted) == 1
    assert scene.agent.ignored == {Refusal.MALFORMED: 1, Refusal.NOT_OURS: 1}
