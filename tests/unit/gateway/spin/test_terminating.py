"""The answering side: ordinary messages pass untouched; nothing is sent on what is forged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
import structlog

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent import Agent, AgentPolicy
from discovery.spin.agent_store import Preferences
from discovery.spin.answer import parse_answer
from discovery.spin.carriage import to_parts, to_text
from discovery.spin.handlers import AuditEntry, Handler, StoreUnavailable
from discovery.spin.reason import Refusal
from discovery.spin.reassembly import Reassembler
from discovery.spin.rules import Contact, Rule
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused
from gateway.http.guard import RefusalReason
from gateway.sms.message import IncomingSms, esm_class, incoming_sms
from gateway.spin.terminating import SpinTerminator, TerminatingSettings
from tests.support.spin_passports import (
    ALICE,
    BOB,
    NOW,
    KeySigner,
    KeyVerifier,
    invitation_claims,
)

ALPHA, BETA = KeySigner(ALICE, "spin.alpha.example"), KeySigner(BOB)
HANDLER = Handler(
    "h1", "app", "1212555", (Service.VOICE,), "sip:{number}@beta.example", "beta.example", 1.0
)


class MemoryStore:
    """A PreferenceStore in memory that may fail."""

    def __init__(self, *handlers: Handler) -> None:
        self.held = list(handlers)
        self.rules: tuple[Rule, ...] = ()
        self.contact: Contact | None = None
        self.entries: list[AuditEntry] = []
        self.broken = False

    async def preferences(self, number: str, service: Service, caller: str) -> Preferences:
        if self.broken:
            raise StoreUnavailable("database sqlite: OperationalError")
        able = tuple(held for held in self.held if held.serves(number, service))
        contact = self.contact if self.contact and self.contact.number == caller else None
        return Preferences(able, None, self.rules, contact)

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class FakePoster:
    """Answers with each status or error in turn, the last one for ever."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.posted: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.documents: dict[str, bytes] = {}
        self.fetched: list[str] = []

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        self.fetched.append(url)
        body = self.documents.get(url)
        return Fetched(404, {}, b"") if body is None else Fetched(200, {}, body)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        self.posted.append((url, body, headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Fetched(answer, {}, b"")


class Scene:
    """Beta's side with everything around it in memory."""

    def __init__(
        self,
        *answers: int | Exception,
        handlers: tuple[Handler, ...] = (HANDLER,),
        settings: TerminatingSettings | None = None,
        timeout: float = 60.0,
        reference_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self.now = NOW
        self.agent = Agent(
            AgentPolicy(
                numbers=NumberRanges(["+12125550100-+12125550199"]),
                unknown_senders="answer",
                reference_hosts=reference_hosts,
            ),
            lambda count: b"\x07" * count,
        )
        self.store = MemoryStore(*handlers)
        self.verifier = KeyVerifier(ALPHA)
        self.poster = FakePoster(*(answers or (204,)))
        self.inbox: list[tuple[IncomingSms, ...]] = []
        self.side = SpinTerminator(
            self.agent,
            self.store,
            self.verifier,
            BETA,
            self.poster,
            self.inbox.append,
            wall_clock=lambda: self.now,
            reassembler=Reassembler(timeout=timeout),
            settings=settings or TerminatingSettings(pause=0.0),
        )

    async def receive(self, text: str, *, without: int = 0, twice: bool = False) -> None:
        for part in to_parts(text, 7):
            number = part.concatenation.number if part.concatenation else 1
            if number == without:
                continue
            for _ in range(2 if twice else 1):
                self.side.on_message(
                    incoming_sms(
                        source=ALICE,
                        destination=BOB,
                        short_message=part.octets,
                        esm_class=esm_class(part),
                        data_coding=0,
                        parameters=(),
                    )
                )
        for _ in range(20):
            await asyncio.sleep(0)


def text(signer: KeySigner = ALPHA, **changes: object) -> str:
    return to_text(signer.sign("spin", invitation_claims(**changes)), ALICE, Service.VOICE)


async def test_an_invitation_is_absorbed_and_answered_with_the_token_as_bearer() -> None:
    scene = Scene()
    await scene.receive(text())
    ((url, body, headers),) = scene.poster.posted
    assert url == "https://spin.alpha.example/s/9vTabcdefghijklmnopq22"
    assert headers == {
        "Authorization": "Bearer 0123456789abcdefghijkl",
        "Content-Type": "application/jose",
    }
    _, answer = parse_answer(body.decode())
    assert answer.uris[0].uri == f"sip:+{BOB}@beta.example;user=phone"
    assert scene.inbox == []
    (entry,) = scene.store.entries
    assert (entry.outcome, entry.handler_id, entry.caller) == ("ok", "h1", "+1415*****00")


async def test_the_smsc_delivering_everything_twice_gives_one_answer() -> None:
    scene = Scene()
    await scene.receive(text(), twice=True)
    assert len(scene.poster.posted) == 1


async def test_an_ordinary_message_passes_untouched_whole_and_in_order() -> None:
    scene = Scene()
    letter = "Dear Bob, " + "this is a long letter. " * 20
    await scene.receive(letter)
    (parts,) = scene.inbox
    assert [sms.octets[5] for sms in parts] == [1, 2, 3, 4]
    await scene.receive("short")
    assert scene.inbox[1][0].octets == b"short"
    assert scene.poster.posted == []


async def test_parts_of_a_letter_that_stay_alone_reach_the_person_after_all() -> None:
    scene = Scene(timeout=0.01)
    await scene.receive("Dear Bob, " + "this is a long letter. " * 20, without=2)
    assert scene.inbox == []
    await asyncio.sleep(0.05)
    assert [sms.octets[5] for sms in scene.inbox[0]] == [1, 3, 4]


async def test_parts_of_an_invitation_that_stay_alone_trouble_nobody() -> None:
    scene = Scene(timeout=0.01)
    await scene.receive(text(), without=2)
    await asyncio.sleep(0.05)
    assert scene.inbox == []
    assert scene.agent.ignored[Refusal.INCOMPLETE] == 1


async def test_closing_hands_over_what_was_waiting() -> None:
    scene = Scene()
    await scene.receive("Dear Bob, " + "this is a long letter. " * 20, without=2)
    await scene.side.close()
    assert len(scene.inbox) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (text(KeySigner("14155550100", "spin.alpha.example")), Refusal.FORGED),
        (text(orig={"tn": "14155550177"}), Refusal.UNTRUSTED_SIGNER),
        (text(cb="https://victim.example/s/9vTabcdefghijklmnopq22"), Refusal.CALLBACK_REFUSED),
        (text(cb="https://127.0.0.1/s/9vTabcdefghijklmnopq22"), Refusal.CALLBACK_REFUSED),
        (text(dest={"tn": ["12125550124"]}), Refusal.WRONG_NUMBER),
        (text(iat=int(NOW) - 100, exp=int(NOW) + 20), Refusal.NOT_FRESH),
        (text(exp=int(NOW) - 1, iat=int(NOW) - 50), Refusal.EXPIRED),
        ("x spin:1:" + "a" * 500, Refusal.MALFORMED),
    ],
)
async def test_what_is_not_genuine_is_ignored_logged_by_code_and_nothing_is_sent(
    message: str, reason: Refusal
) -> None:
    scene = Scene()
    # A forger signs with a key of their own and names our certificate.
    for signer in (ALPHA,):
        scene.verifier.signers[f"https://certificates.example/{ALICE}.pem"] = signer
    with structlog.testing.capture_logs() as logs:
        await scene.receive(message)
    assert scene.poster.posted == []
    assert scene.inbox == []
    assert scene.agent.ignored == {reason: 1}
    (line,) = [line for line in logs if line["event"] == "invitation ignored"]
    assert line["reason"] == reason.value
    for secret in (ALICE, BOB, "0123456789abcdefghijkl", "9vTabcdefghijklmnopq22"):
        assert secret not in str(logs)


async def test_a_replay_sends_nothing() -> None:
    scene = Scene()
    message = text()
    await scene.receive(message)
    scene.side = Scene().side  # a restart of the radio side forgets parts, not invitations
    scene2 = Scene()
    scene2.agent = scene.agent
    scene2.side = SpinTerminator(
        scene.agent,
        scene.store,
        scene.verifier,
        BETA,
        scene.poster,
        scene.inbox.append,
        wall_clock=lambda: NOW,
    )
    await scene2.receive(message)
    assert len(scene.poster.posted) == 1
    assert scene.agent.ignored == {Refusal.REPLAYED: 1}


async def test_a_busy_callback_is_tried_again_and_a_refusal_is_not() -> None:
    busy = Scene(429, 503, 204)
    await busy.receive(text())
    assert len(busy.poster.posted) == 3
    assert busy.store.entries[0].outcome == "ok"

    refusing = Scene(403)
    await refusing.receive(text())
    assert len(refusing.poster.posted) == 1
    assert refusing.store.entries[0].outcome == "not delivered: HTTP status 403"


@pytest.mark.parametrize(
    ("error", "attempts", "outcome"),
    [
        (
            FetchFailed("spin.alpha.example", FailureReason.TIMEOUT, "nothing within 2 s"),
            3,
            "not delivered: spin.alpha.example: timeout",
        ),
        (
            FetchRefused("spin.alpha.example", RefusalReason.ADDRESS, "a special-purpose address"),
            1,
            "not delivered: spin.alpha.example: refused (address)",
        ),
    ],
)
async def test_an_unreachable_callback_is_named(
    error: Exception, attempts: int, outcome: str
) -> None:
    scene = Scene(error)
    await scene.receive(text())
    assert len(scene.poster.posted) == attempts
    assert scene.store.entries[0].outcome == outcome


async def test_a_redirecting_callback_is_not_followed() -> None:
    scene = Scene(302)
    await scene.receive(text())
    assert len(scene.poster.posted) == 1
    assert scene.store.entries[0].outcome == "not delivered: HTTP status 302"


async def test_a_store_that_fails_costs_that_invitation_only() -> None:
    scene = Scene()
    scene.store.broken = True
    with structlog.testing.capture_logs() as logs:
        await scene.receive(text())
    assert [line["culprit"] for line in logs if line["event"] == "invitation not answered"] == [
        "database sqlite: OperationalError"
    ]
    scene.store.broken = False
    await scene.receive(text(jti="qrstuvwxyzabcdef"))
    assert len(scene.poster.posted) == 1


async def test_invitations_under_way_are_bounded() -> None:
    scene = Scene(settings=TerminatingSettings(max_under_way=0))
    await scene.receive(text())
    assert scene.agent.ignored == {Refusal.OVERLOADED: 1}
    assert scene.poster.posted == []
