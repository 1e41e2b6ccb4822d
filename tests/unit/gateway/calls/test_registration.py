"""REGISTER of own users: for their own numbers, with their password, over a flow that is kept."""

from __future__ import annotations

import pytest

from sip.headers import Headers
from sip.message import Request
from tests.support.call_scene import (
    ALICE,
    CAROL,
    FROM_ALICE,
    FROM_BETA,
    FROM_CAROL,
    FROM_TRUNK,
    TRUNK_NUMBER,
    CallScene,
    Incoming,
    invite,
)


def register(
    number: str = ALICE,
    *,
    domain: str = "alpha.example",
    contact: str = "<sip:alice@198.51.100.7>",
    expires: str = "600",
    cseq: int = 1,
) -> Request:
    fields = [
        ("Max-Forwards", "70"),
        ("From", f"<sip:{number}@{domain}>;tag=r"),
        ("To", f"<sip:{number}@{domain}>"),
        ("Call-ID", "register@device"),
        ("CSeq", f"{cseq} REGISTER"),
        ("Expires", expires),
        ("Contact", contact),
    ]
    return Request("REGISTER", f"sip:{domain}", Headers.of(*fields))


def registered(scene: CallScene, request: Request | None = None) -> Incoming:
    request = scene.authorised(request or register(), FROM_ALICE)
    return scene.receive(request, FROM_ALICE)


def test_a_registration_without_credentials_is_challenged_with_401(scene: CallScene) -> None:
    answered = scene.receive(register(), FROM_ALICE)
    assert answered.statuses == [401]
    assert answered.last.headers.all("WWW-Authenticate")
    assert scene.bindings.held == {}


def test_a_registered_device_is_called_over_the_flow_it_registered_by(scene: CallScene) -> None:
    answered = registered(scene)
    assert answered.statuses == [200]
    assert "expires=600" in (answered.last.headers.get("Contact") or "")
    scene.called()
    assert scene.only.hops[0].flow == FROM_ALICE


def test_a_registration_ends_with_its_time(scene: CallScene) -> None:
    registered(scene)
    scene.advance(601)
    assert scene.receive(invite(ALICE, caller=TRUNK_NUMBER), FROM_TRUNK).statuses == [480]


def test_nobody_registers_another_users_number(scene: CallScene) -> None:
    assert registered(scene, register(CAROL)).statuses == [403]
    assert scene.bindings.held == {}


@pytest.mark.parametrize("number", ["+12125550199", "alice"])
def test_nobody_registers_what_is_not_theirs(scene: CallScene, number: str) -> None:
    assert registered(scene, register(number)).statuses == [403]


def test_a_foreign_domain_is_404(scene: CallScene) -> None:
    assert scene.receive(register(domain="beta.example"), FROM_ALICE).statuses == [404]


def test_a_registration_that_is_too_short_is_423(scene: CallScene) -> None:
    answered = registered(scene, register(expires="10"))
    assert answered.statuses == [423]
    assert answered.last.headers.get("Min-Expires") == "60"


def test_a_broken_database_is_503_with_a_time_to_try_again(scene: CallScene) -> None:
    scene.bindings.broken = True
    answered = registered(scene)
    assert answered.statuses == [503]
    assert answered.last.headers.get("Retry-After") == "10"


def test_peers_register_nothing(scene: CallScene) -> None:
    assert scene.receive(register(), FROM_BETA).statuses[0] in (403, 405)
    assert scene.bindings.held == {}


def test_who_guesses_passwords_is_slowed_down(scene: CallScene) -> None:
    right = scene.authorised(register(), FROM_CAROL)
    value = right.headers.get("Authorization") or ""
    wrong = right.with_headers(
        right.headers.replace("Authorization", value.replace('response="', 'response="00'))
    )
    statuses = [scene.receive(wrong, FROM_ALICE).statuses[0] for _ in range(4)]
    assert statuses == [401, 401, 401, 503]
