"""A switch that redirects gets its call back in a 302, signed, and nothing is kept of it."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from gateway.config.sip import Trunk
from sip.fields import parse_date
from sip.message import Response
from sip.uri import SipUri, parse_uri
from stir.identity import parse_identity
from stir.passport import parse_passport
from tests.support.call_scene import BOB, DAVE, FROM_TRUNK, TRUNK_NUMBER, CallScene, invite
from tests.unit.gateway.calls.conftest import MakeScene
from tests.unit.gateway.calls.test_outbound import TRUNK

SWITCH = {**TRUNK, "mode": "redirect"}


def redirected(scene: CallScene, number: str = BOB) -> Response:
    transaction = scene.receive(invite(number, caller=TRUNK_NUMBER), FROM_TRUNK)
    assert transaction.statuses == [302]
    assert len(scene.calls) == len(scene.control) == 0
    response: Response = transaction.responses[-1]
    return response


def test_the_identity_stands_in_the_302_with_a_date_in_step(make_scene: MakeScene) -> None:
    response = redirected(make_scene(trunk=[SWITCH]))
    (value,) = response.headers.all("Identity")
    payload = parse_passport(parse_identity(value).token).payload
    assert payload["orig"] == {"tn": TRUNK_NUMBER.lstrip("+")}
    assert payload["dest"] == {"tn": [BOB.lstrip("+")]}
    assert parse_date(response.headers.get("Date") or "") == payload["iat"]
    contact = response.headers.get("Contact") or ""
    assert contact.startswith(f"<sip:{BOB}@")
    assert "Identity" not in contact


@pytest.mark.parametrize("where", ["contact", "both"])
def test_the_identity_may_stand_in_the_contact_uri(make_scene: MakeScene, where: str) -> None:
    switch = {**SWITCH, "redirect_identity": where, "redirect_host": "switch.example:5080"}
    response = redirected(make_scene(trunk=[switch]))
    uri = parse_uri((response.headers.get("Contact") or "").strip("<>"))
    assert isinstance(uri, SipUri)
    assert (uri.host, uri.port) == ("switch.example", 5080)
    found = {name: unquote(value) for name, value in uri.headers}
    assert parse_identity(found["Identity"]).ppt == "shaken"
    assert parse_date(found["Date"]) is not None
    assert ("Identity" in response.headers) is (where == "both")


def test_calls_to_own_numbers_are_redirected_too(make_scene: MakeScene) -> None:
    assert "Identity" in redirected(make_scene(trunk=[SWITCH]), DAVE).headers


def test_a_flood_of_redirected_calls_leaves_nothing_behind(make_scene: MakeScene) -> None:
    scene = make_scene(trunk=[{**SWITCH, "max_calls": 1}])
    for _ in range(50):
        redirected(scene)
    assert scene.resolver.asked == []


def test_numbers_that_are_not_the_switchs_are_still_403(make_scene: MakeScene) -> None:
    scene = make_scene(trunk=[SWITCH])
    assert scene.receive(invite(caller="+13035550100"), FROM_TRUNK).statuses == [403]


@pytest.mark.parametrize(
    "changes", [{"may_divert": True}, {"redirect_host": "a b"}, {"redirect_host": "a:b"}]
)
def test_a_trunk_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Trunk.model_validate({**SWITCH, **changes})
