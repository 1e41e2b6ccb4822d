"""Orders from beginning to end, on a virtual clock, with an authority as awkward as it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stir.acme.actions import Answer, AskToken, Send
from stir.acme.authority_token import Dialect
from stir.acme.issued import UnfitCertificate, check_issued
from stir.acme.problem import AcmeError, Fault, Later, MalformedAnswer, OrderLost, Refused
from stir.certificates.certificate import load_private_key
from stir.certificates.issuing import issue_sti_certificate, new_key
from stir.certificates.tn_auth_list import Spc, TnAuthList
from tests.support.acme_driver import ASKED, BASE, WORLD, VirtualWorld, changed
from tests.support.acme_resources import Temper


def check(world: VirtualWorld, chain: bytes) -> None:
    credential = check_issued(chain, world.key, ASKED, world.now, WORLD.root.certificates)
    assert credential.tn_auth_list == ASKED


def test_a_certificate_is_obtained_step_by_step() -> None:
    world = VirtualWorld()
    check(world, world.obtain())
    kinds = [request.split()[1] for request in world.authority.requests]
    assert kinds == [
        "directory",
        "newNonce",
        "newAccount",
        "newAccount",
        "newOrder",
        "authorization",
        "challenge",
        "authorization",
        "authorization",
        "order",
        "finalize",
        "order",
        "certificate",
    ]
    assert world.remembered == list(world.authority.orders)
    assert world.waits == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bad_nonce", [0.05, 0.5])
def test_refused_nonces_are_replaced(seed: int, bad_nonce: float) -> None:
    world = VirtualWorld(Temper(bad_nonce=bad_nonce, reuse=0.5), seed)
    check(world, world.obtain())
    check(world, world.obtain())
    assert len(world.authority.accounts) == 1
    assert len(world.authority.orders) == 2


def test_a_server_that_refuses_every_nonce_is_given_up() -> None:
    world = VirtualWorld(Temper(bad_nonce=1.0))
    with pytest.raises(Refused) as refused:
        world.obtain()
    assert refused.value.problem.kind == "badNonce"
    assert refused.value.fault is Fault.AUTHORITY
    assert len(world.authority.requests) < 25


@pytest.mark.parametrize(
    ("temper", "waits"),
    [
        (Temper(bad_nonce=0, processing=0), []),
        (Temper(bad_nonce=0, processing=3, retry_after=7), [7.0] * 6),
        (Temper(bad_nonce=0, processing=2, retry_after=7, dates=True), [7.0] * 4),
        (Temper(bad_nonce=0, processing=4, retry_after=None), [1, 2, 4, 8, 16, 30, 30, 30]),
        (Temper(bad_nonce=0, processing=1, retry_after=0), [0.05] * 2),
    ],
)
def test_it_waits_as_long_as_it_is_told_else_longer_each_time(
    temper: Temper, waits: list[float]
) -> None:
    world = VirtualWorld(temper)
    check(world, world.obtain())
    assert world.waits == pytest.approx(waits)


def test_a_wait_beyond_its_patience_ends_the_run_and_the_order_goes_on_later() -> None:
    world = VirtualWorld(Temper(bad_nonce=0, processing=1, retry_after=900))
    with pytest.raises(Later) as later:
        world.obtain()
    assert later.value.seconds == 900
    assert world.waits == []
    world.now += 900
    world.temper.retry_after = 5
    check(world, world.obtain(world.remembered[0]))
    assert len(world.authority.orders) == 1


def test_a_rate_limit_is_told_with_its_time() -> None:
    world = VirtualWorld(Temper(bad_nonce=0, rate_limit=0))
    with pytest.raises(Later, match="rateLimited") as later:
        world.obtain()
    assert later.value.seconds == 30


@pytest.mark.parametrize("stop_at", range(5, 13))
def test_an_order_broken_off_anywhere_is_continued_and_not_duplicated(stop_at: int) -> None:
    world = VirtualWorld()

    class Crash(Exception):
        pass

    def crash(_: Send, answer: Answer) -> Answer:
        if len(world.authority.requests) > stop_at:
            raise Crash
        return answer

    world.answers = crash
    with pytest.raises(Crash):
        world.obtain()
    world.answers = lambda _, answer: answer
    check(world, world.obtain(world.remembered[0]))
    assert len(world.authority.orders) == 1


def test_an_order_the_server_forgot_is_lost() -> None:
    world = VirtualWorld()
    with pytest.raises(OrderLost, match="not known"):
        world.obtain(f"{BASE}/order/gone")


def test_a_reused_authorization_needs_no_token() -> None:
    world = VirtualWorld(Temper(bad_nonce=0, reuse=1.0))
    world.obtain()

    def none(_: AskToken) -> str:
        raise AssertionError("no token is needed")

    world.token_of = none
    check(world, world.obtain())


def test_another_dialect_is_spoken_where_it_is_configured() -> None:
    world = VirtualWorld(Temper(bad_nonce=0, member="atc"))
    dialect = Dialect(encoding="base64", response_member="atc")
    check(world, world.obtain(dialect=dialect))
    assert next(iter(world.authority.orders.values())).value.endswith("=")


def test_a_lifetime_is_asked_for_as_a_date() -> None:
    world = VirtualWorld()
    world.obtain(lifetime=7 * 86_400)
    order = next(iter(world.authority.orders.values()))
    assert order.not_after is not None
    assert order.not_after.endswith("Z")


# --- whose fault it is -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "detail"),
    [
        ({"fingerprint": "SHA256 " + ":".join(["AB"] * 32)}, "another account key"),
        ({"tkvalue": "MAigBhYEODE4SA"}, "another TNAuthList"),
    ],
)
def test_a_token_for_another_key_or_list_never_leaves(claim: dict[str, Any], detail: str) -> None:
    world = VirtualWorld()
    world.token_of = lambda ask: world.tokens.token({**ask.request.claim(), **claim})
    with pytest.raises(AcmeError, match=detail) as refused:
        world.obtain()
    assert refused.value.fault is Fault.TOKEN_AUTHORITY
    assert "POST challenge" not in world.authority.requests


def test_a_token_of_nobody_known_loses_the_order_with_the_servers_words() -> None:
    world = VirtualWorld()
    stranger = VirtualWorld()
    world.token_of = lambda ask: stranger.tokens.token(ask.request.claim())
    with pytest.raises(OrderLost, match="no token of a token authority that is trusted") as lost:
        world.obtain()
    assert lost.value.fault is Fault.TOKEN_AUTHORITY
    with pytest.raises(OrderLost, match="trusted"):
        world.obtain(world.remembered[0])


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("badCSR", Fault.CONFIGURATION),
        ("serverInternal", Fault.AUTHORITY),
        ("malformed", Fault.OURS),
        ("somethingNew", Fault.AUTHORITY),
    ],
)
def test_a_problem_document_is_shown_with_whose_fault_it_is(kind: str, fault: Fault) -> None:
    world = VirtualWorld(Temper(bad_nonce=0, finalize_error=kind))
    with pytest.raises(Refused, match=f"{kind}: not like this") as refused:
        world.obtain()
    assert refused.value.fault is fault
    assert refused.value.advice


# --- malformed answers -------------------------------------------------------------------------

_URL = f"{BASE}/x"
BROKEN: list[tuple[str, Any]] = [
    ("directory", changed(newOrder=None)),
    ("directory", changed(newNonce=7)),
    ("directory", changed(meta=[])),
    ("newOrder", changed(status="great")),
    ("newOrder", changed(status=None)),
    ("newOrder", changed(authorizations=[])),
    ("newOrder", changed(authorizations=[_URL] * 11)),
    ("newOrder", changed(authorizations=[7])),
    ("newOrder", changed(authorizations=None)),
    ("newOrder", changed(finalize=None)),
    ("newOrder", changed(finalize="x" * 3000)),
    ("newOrder", changed(identifiers=[{"type": "dns", "value": "alpha.example"}])),
    ("newOrder", changed(identifiers=[{"type": "TNAuthList", "value": "MAigBhYEODE4SA"}])),
    ("newOrder", changed(identifiers=[])),
    ("newOrder", changed(status="valid")),
    ("newOrder", lambda _: b'{"a": 1, "a": 2}'),
    ("newOrder", lambda _: b"[" * 50_000),
    ("authorization", changed(status="x")),
    ("authorization", changed(challenges={})),
    ("authorization", changed(challenges=[{}] * 21)),
    ("authorization", changed(challenges=[{"type": "tkauth-01", "url": 7}])),
    ("authorization", lambda _: b"\xff"),
    ("certificate", lambda _: b""),
    ("certificate", lambda _: b"x" * 70_000),
]


@pytest.mark.parametrize(("kind", "change"), BROKEN)
def test_a_malformed_answer_is_the_authoritys_fault_and_nothing_worse(
    kind: str, change: Any
) -> None:
    world = VirtualWorld()

    def broken(action: Send, answer: Answer) -> Answer:
        if f"/{kind}" not in action.url:
            return answer
        return Answer(answer.status, answer.headers, change(answer.body), answer.received_at)

    world.answers = broken
    with pytest.raises(MalformedAnswer) as wrong:
        world.obtain()
    assert wrong.value.fault is Fault.AUTHORITY


@pytest.mark.parametrize(
    ("kind", "status", "headers"),
    [
        ("newOrder", 302, {"location": "https://elsewhere.example/"}),
        ("directory", 204, {}),
        ("newNonce", 204, {}),
        ("newNonce", 204, {"replay-nonce": "not a nonce!"}),
        ("newOrder", 201, {}),
    ],
)
def test_wrong_status_and_missing_headers_are_malformed_answers(
    kind: str, status: int, headers: dict[str, str]
) -> None:
    world = VirtualWorld()

    def broken(action: Send, answer: Answer) -> Answer:
        if f"/{kind}" not in action.url:
            return answer
        return Answer(status, headers, answer.body, answer.received_at)

    world.answers = broken
    with pytest.raises(MalformedAnswer):
        world.obtain()


@pytest.mark.parametrize("seed", range(30))
def test_in_chaos_only_declared_errors_come_out(seed: int) -> None:
    world = VirtualWorld(Temper(bad_nonce=0.2, chaos=0.1), seed)
    order_url = None
    for _ in range(60):
        try:
            chain = world.obtain(order_url)
        except OrderLost:
            order_url = None
        except AcmeError:
            order_url = world.remembered[-1] if world.remembered else None
        else:
            check(world, chain)
            break
    else:
        pytest.fail("no certificate in 60 attempts")


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/order/1",
        "http://acme.sti-ca.example/order/1",
        "https://acme.sti-ca.example:8443/order/1",
        "https://acme.sti-ca.example@elsewhere.example/",
        "https://[::1/",
    ],
)
def test_a_server_cannot_send_us_elsewhere(url: str) -> None:
    world = VirtualWorld()
    asked: list[str] = []

    def elsewhere(action: Send, answer: Answer) -> Answer:
        asked.append(action.url)
        if "/newOrder" not in action.url:
            return answer
        body = changed(authorizations=[url])(answer.body)
        return Answer(answer.status, answer.headers, body, answer.received_at)

    world.answers = elsewhere
    with pytest.raises(AcmeError, match="outside its own hosts") as refused:
        world.obtain()
    assert refused.value.fault is Fault.CONFIGURATION
    assert url not in asked


def test_an_endless_conversation_is_ended() -> None:
    world = VirtualWorld()

    def never_ready(action: Send, answer: Answer) -> Answer:
        if "/order" not in action.url:
            return answer
        body = changed(status="pending")(answer.body)
        headers = {**answer.headers, "retry-after": "0"}
        return Answer(answer.status, headers, body, answer.received_at)

    world.answers = never_ready
    with pytest.raises(AcmeError):
        world.obtain()
    assert len(world.authority.requests) < 200


# --- what was issued ---------------------------------------------------------------------------


def test_a_chain_that_is_not_what_was_ordered_is_not_taken() -> None:
    world = VirtualWorld()
    chain = world.obtain()
    other = issue_sti_certificate(WORLD.issuer, TnAuthList((Spc("ELSE"),)), world.now)
    expired = world.now + 40 * 86_400
    cases: list[tuple[bytes, Any, float, Any, str]] = [
        (chain, new_key(), world.now, (), "not the certificate's"),
        (other.chain_pem, None, world.now, (), "not the one that was ordered"),
        (chain, world.key, expired, (), "credential_expired"),
        (b"junk", world.key, world.now, (), "not a PEM chain"),
        (chain, world.key, world.now, VirtualWorld.stranger_roots(), "chain_untrusted"),
    ]
    for octets, key, now, anchors, why in cases:
        if key is None:
            assert other.key_pem is not None
            key = load_private_key(other.key_pem)
        with pytest.raises(UnfitCertificate, match=why):
            check_issued(octets, key, ASKED, now, anchors)


def test_entries_in_another_order_are_the_same_list() -> None:
    listed = TnAuthList((Spc("A"), Spc("B")))
    issued = issue_sti_certificate(WORLD.issuer, TnAuthList((Spc("B"), Spc("A"))), 0.0)
    assert issued.key_pem is not None
    check_issued(issued.chain_pem, load_private_key(issued.key_pem), listed, 0.0)


def test_secrets_stay_out_of_every_repr() -> None:
    world = VirtualWorld()
    token = world.tokens.token({})
    send = Send("POST", BASE, json.dumps({"tkauth": token}).encode())
    assert token not in repr(send)
    assert token not in repr(Answer(200, {"location": token}, token.encode(), 0.0))
