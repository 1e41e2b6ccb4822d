"""Names, icons, reasons and priority: signed for own callers, shown where they are verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import ConfigError
from sip.headers import Headers
from sip.message import Request
from stir.authentication import SigningRequest, rph_claims
from stir.content_digest import digest_of
from stir.identity import parse_identity
from stir.passport import parse_passport
from stir.rich_call_data import rcd_claims
from tests.support.call_scene import (
    ALICE,
    BOB,
    FROM_ALICE,
    FROM_BETA,
    CallScene,
    from_beta,
    invite,
    within,
)
from tests.support.fake_media import sdp
from tests.support.stir_authority import NOW
from tests.unit.gateway.calls.conftest import MakeScene

ICON = "https://www.beta.example/icon.png"
PICTURE = b"\x89PNG a picture"


def named(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """The section that names alice."""
    (tmp_path / "icon.png").write_bytes(PICTURE)
    entry = {
        "users": ["alice"],
        "name": "Alpha Bank",
        "icon_url": "https://www.alpha.example/icon.png",
        "icon_file": str(tmp_path / "icon.png"),
        "call_reason": "Your card",
        **changes,
    }
    return stir(rich_call_data=[entry])


def stir(**sections: Any) -> dict[str, Any]:
    return {"verification": {"trust_anchors": ["root.pem"]}, **sections}


def payloads(request: Request) -> dict[str | None, dict[str, Any]]:
    passports = [
        parse_passport(parse_identity(value).token) for value in request.headers.all("Identity")
    ]
    return {passport.ppt: dict(passport.payload) for passport in passports}


# --- own callers -----------------------------------------------------------------------------


def test_an_own_caller_is_named_and_the_name_signed(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(stir=named(tmp_path))
    device = invite(extra=[("Call-Info", "<https://evil.example/i.png>;purpose=icon")])
    written = f'"Somebody Else" <sip:{ALICE}@alpha.example>;tag=caller'
    scene.dial(device.with_headers(device.headers.replace("From", written)))
    request = scene.only.request
    assert request.from_.display_name == "Alpha Bank"
    assert request.from_.tag == "caller"
    assert request.headers.all("Call-Info") == (
        '<https://www.alpha.example/icon.png>;purpose=icon;call-reason="Your card"',
    )
    signed = payloads(request)
    assert list(signed) == ["shaken", "rcd"]
    assert "rcd" not in signed["shaken"]
    assert signed["rcd"]["rcd"] == {
        "icn": "https://www.alpha.example/icon.png",
        "nam": "Alpha Bank",
    }
    assert signed["rcd"]["rcdi"] == {"/icn": digest_of(PICTURE)}
    assert signed["rcd"]["crn"] == "Your card"
    assert signed["rcd"]["mky"] == signed["shaken"]["mky"]


def test_the_name_may_ride_within_shaken(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(stir=named(tmp_path, passport="shaken"))
    scene.dial()
    signed = payloads(scene.only.request)
    assert list(signed) == ["shaken"]
    assert signed["shaken"]["rcd"]["nam"] == "Alpha Bank"


def test_who_asks_for_privacy_is_not_named(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(stir=named(tmp_path))
    scene.dial(invite(extra=[("Privacy", "id")]))
    request = scene.only.request
    assert request.from_.display_name is None
    assert "Call-Info" not in request.headers
    assert list(payloads(request)) == ["shaken"]


def test_others_go_as_they_are(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(stir=named(tmp_path, users=["carol"]))
    scene.dial()
    assert scene.only.request.from_.display_name is None
    assert list(payloads(scene.only.request)) == ["shaken"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"icon_file": "/nowhere/icon.png"}, "stir.rich_call_data[0].icon_file"),
        ({"users": ["nobody"]}, "stir.rich_call_data[0].users"),
        ({"trunks": ["nowhere"]}, "stir.rich_call_data[0].trunks"),
    ],
)
def test_what_is_not_there_is_said_before_anything_listens(
    make_scene: MakeScene, tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        make_scene(stir=named(tmp_path, **changes))
    assert raised.value.key == key


PRIORITY = [("Resource-Priority", "ets.0, wps.1"), ("Priority", "psap-callback")]


def test_nobody_asks_for_priority_without_leave(scene: CallScene) -> None:
    scene.dial(invite(extra=PRIORITY))
    request = scene.only.request
    assert "Resource-Priority" not in request.headers
    assert "Priority" not in request.headers
    assert list(payloads(request)) == ["shaken"]


def test_a_user_who_may_has_the_priority_signed(make_scene: MakeScene) -> None:
    scene = make_scene(stir=stir(priority={"users": ["alice"]}))
    scene.dial(invite(extra=PRIORITY))
    request = scene.only.request
    assert request.headers.get("Resource-Priority") == "ets.0, wps.1"
    signed = payloads(request)
    assert signed["rph"]["rph"] == {"EScallback": ["ets.0", "wps.1"]}
    assert signed["rph"]["sph"] == "psap-callback"


def test_another_priority_is_nobodys_business(scene: CallScene) -> None:
    scene.dial(invite(extra=[("Priority", "urgent")]))
    assert scene.only.request.headers.get("Priority") == "urgent"


# --- callers of other providers --------------------------------------------------------------


def call(
    scene: CallScene,
    claims: dict[str, Any] | None = None,
    *,
    ppt: str = "rcd",
    name: str | None = None,
    extra: tuple[tuple[str, str], ...] = (),
) -> Headers:
    """Let bob of beta.example call alice; return what her device gets."""
    scene.register(ALICE, FROM_ALICE)
    request = from_beta(extra=extra)
    if name is not None:
        written = f'"{name}" <sip:{BOB}@alpha.example>;tag=caller'
        request = request.with_headers(request.headers.replace("From", written))
    request = scene.signed(request)
    if claims is not None:
        plain = SigningRequest(BOB, (ALICE,), int(NOW), ppt=ppt, claims=claims)
        value = scene.world.signer.sign(plain)
        request = request.with_headers(request.headers.append("Identity", value))
    scene.called(request)
    return scene.only.request.headers


def shown_name(headers: Headers) -> str:
    return (headers.get("From") or "").partition("<")[0].strip()


def test_a_verified_name_is_shown(scene: CallScene) -> None:
    assert shown_name(call(scene, rcd_claims("Beta Bank"), name="Beta Bank")) == "Beta Bank"


def test_a_verified_name_is_shown_where_none_was_written(scene: CallScene) -> None:
    assert shown_name(call(scene, rcd_claims("Beta Bank"))) == "Beta Bank"


def test_a_forged_name_is_not(scene: CallScene) -> None:
    assert shown_name(call(scene, rcd_claims("Beta Bank"), name="Your Bank")) == ""


def test_a_name_that_nobody_signed_is_not(scene: CallScene) -> None:
    headers = call(scene, name="Your Bank")
    assert shown_name(headers) == ""
    assert "verstat=TN-Validation-Passed" in (headers.get("P-Asserted-Identity") or "")


def test_policy_may_show_it_all_the_same(make_scene: MakeScene) -> None:
    scene = make_scene(stir=stir(caller_display={"unverified_name": "pass"}))
    assert shown_name(call(scene, name="Your Bank")) == '"Your Bank"'


def test_an_observed_peer_is_not_touched(make_scene: MakeScene) -> None:
    scene = make_scene(peer=[{"domain": "beta.example", "identity": "observe"}])
    info = "<sip:x@beta.example>;answer-after=0"
    headers = call(scene, name="Bob", extra=(("Call-Info", info),))
    assert shown_name(headers) == '"Bob"'
    assert headers.get("Call-Info") == info


def test_nobody_makes_a_device_answer_by_itself(scene: CallScene) -> None:
    extra = (("Call-Info", "<sip:x@beta.example>;answer-after=0"),)
    assert "Call-Info" not in call(scene, extra=extra)


def test_what_passes_by_policy_still_claims_nothing(make_scene: MakeScene) -> None:
    scene = make_scene(stir=stir(caller_display={"unverified_call_info": "pass"}))
    extra = (
        ("Call-Info", "<https://beta.example/help>;purpose=info"),
        ("Call-Info", '<https://evil.example/i.png>;purpose=icon;verified="true"'),
        ("Call-Info", '<https://evil.example/i.html>;purpose=info;verified="true"'),
    )
    headers = call(scene, extra=extra)
    assert headers.all("Call-Info") == ("<https://beta.example/help>;purpose=info",)


def icon_claims(content: bytes = PICTURE) -> dict[str, Any]:
    return rcd_claims("Beta Bank", icon=ICON, call_reason="Hi", contents={"/icn": content})


def test_an_icon_is_not_fetched_unless_policy_says_so(scene: CallScene) -> None:
    scene.web.pages[ICON] = PICTURE
    headers = call(scene, icon_claims())
    assert scene.web.asked == []
    assert headers.all("Call-Info") == ('<data:>;purpose=jcard;call-reason="Hi";verified="true"',)


@pytest.fixture
def fetching(make_scene: MakeScene) -> CallScene:
    return make_scene(stir=stir(caller_display={"fetch": True}))


def test_an_icon_with_the_signed_digest_is_shown(fetching: CallScene) -> None:
    fetching.web.pages[ICON] = PICTURE
    headers = call(fetching, icon_claims())
    assert fetching.web.asked == [ICON]
    assert headers.all("Call-Info") == (
        f'<{ICON}>;purpose=icon;integrity="{digest_of(PICTURE)}";call-reason="Hi";verified="true"',
    )


@pytest.mark.parametrize("content", [b"another picture", None])
def test_another_icon_is_not_shown_and_the_name_is(
    fetching: CallScene, content: bytes | None
) -> None:
    if content is not None:
        fetching.web.pages[ICON] = content
    headers = call(fetching, icon_claims())
    assert ICON not in (headers.get("Call-Info") or "")
    assert shown_name(headers) == "Beta Bank"
    fetching.only.answer(486)
    (record,) = fetching.records.written
    assert record.verdict is not None
    reason = "caller_data_unavailable" if content is None else "caller_data_integrity"
    assert [check["reason"] for check in record.verdict["caller_data"]] == [reason]


def test_an_icon_without_a_digest_is_neither_fetched_nor_shown(fetching: CallScene) -> None:
    headers = call(fetching, rcd_claims("Beta Bank", icon=ICON))
    assert fetching.web.asked == []
    assert "Call-Info" not in headers


def test_nothing_is_fetched_for_a_call_that_is_not_verified(make_scene: MakeScene) -> None:
    scene = make_scene(
        peer=[{"domain": "beta.example", "identity": "mark"}],
        stir=stir(caller_display={"fetch": True}),
    )
    scene.register(ALICE, FROM_ALICE)
    value = scene.world.signer.sign(
        SigningRequest(BOB, (ALICE,), int(NOW), ppt="rcd", claims=icon_claims())
    )
    request = from_beta()
    scene.called(request.with_headers(request.headers.append("Identity", value)))
    assert scene.web.asked == []
    assert shown_name(scene.only.request.headers) == ""


CARD = ["vcard", [["fn", {}, "text", "Beta"], ["photo", {}, "uri", ICON]]]


def test_a_card_is_shown_when_all_it_links_to_is_verified(fetching: CallScene) -> None:
    fetching.web.pages[ICON] = PICTURE
    claims = rcd_claims("Beta Bank", card=CARD, contents={"/jcd/1/1/3": PICTURE})
    value = call(fetching, claims).get("Call-Info") or ""
    assert value.startswith("<data:application/json,%5B%22vcard%22")
    assert value.endswith('>;purpose=jcard;verified="true"')


def test_a_card_by_url_is_fetched_with_what_it_links_to(fetching: CallScene) -> None:
    url, card = "https://www.beta.example/card.json", json.dumps(CARD).encode()
    fetching.web.pages.update({url: card, ICON: PICTURE})
    good = rcd_claims("Beta Bank", card_url=url, contents={"/jcl": card, "/jcl/1/1/3": PICTURE})
    value = call(fetching, good).get("Call-Info") or ""
    assert value.startswith(f"<{url}>;purpose=jcard;integrity=")
    assert fetching.web.asked == [url, ICON]


def test_a_card_with_one_unverified_link_is_not_shown(fetching: CallScene) -> None:
    fetching.web.pages[ICON] = PICTURE
    assert "Call-Info" not in call(fetching, rcd_claims("Beta Bank", card=CARD))


def test_priority_from_a_stranger_needs_a_valid_signature(scene: CallScene) -> None:
    headers = call(scene, extra=tuple(PRIORITY))
    assert "Resource-Priority" not in headers
    assert "Priority" not in headers


def test_a_signed_priority_reaches_the_device(scene: CallScene) -> None:
    claims = rph_claims(["ets.0"], assertion="EScallback", psap_callback=True)
    headers = call(scene, claims, ppt="rph", extra=tuple(PRIORITY))
    assert headers.all("Resource-Priority") == ("ets.0",)
    assert headers.get("Priority") == "psap-callback"


# --- from one gateway to another -------------------------------------------------------------


def other_side(make_scene: MakeScene) -> CallScene:
    """A gateway of the called provider; it serves bob's number."""
    scene = make_scene(
        provider={
            "domain": "beta.example",
            "numbers": ["+12125550100-+12125550199"],
            "state_directory": "state",
        },
        user=[{"username": "bob", "password": "secret", "numbers": [BOB]}],
        trunk=[],
        route=[],
        stir=stir(caller_display={"fetch": True}),
    )
    scene.register(BOB, FROM_ALICE)
    return scene


@pytest.mark.parametrize("passport", ["rcd", "shaken"])
def test_name_icon_and_reason_arrive_verified_at_another_gateway(
    make_scene: MakeScene, tmp_path: Path, passport: str
) -> None:
    alpha, beta = make_scene(stir=named(tmp_path, passport=passport)), other_side(make_scene)
    beta.web.pages["https://www.alpha.example/icon.png"] = PICTURE
    alpha.dial()
    beta.receive(alpha.only.request, FROM_BETA)
    headers = beta.only.request.headers
    assert shown_name(headers) == "Alpha Bank"
    assert headers.all("Call-Info") == (
        "<https://www.alpha.example/icon.png>;purpose=icon;integrity="
        f'"{digest_of(PICTURE)}";call-reason="Your card";verified="true"',
    )


def test_a_name_changed_on_the_way_does_not(make_scene: MakeScene, tmp_path: Path) -> None:
    alpha, beta = make_scene(stir=named(tmp_path)), other_side(make_scene)
    alpha.dial()
    sent = alpha.only.request
    forged = sent.with_headers(
        sent.headers.replace("From", (sent.headers.get("From") or "").replace("Alpha", "Beta"))
    )
    assert forged.from_.display_name == "Beta Bank"
    beta.receive(forged, FROM_BETA)
    assert shown_name(beta.only.request.headers) == ""
    assert "Call-Info" not in beta.only.request.headers


def test_nothing_is_slipped_in_within_the_dialog(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    incoming = scene.called()
    scene.only.answer(200, body=sdp("answer"))
    extra = [*PRIORITY, ("Call-Info", "<sip:x@beta.example>;answer-after=0")]
    scene.receive(within("INFO", incoming, "caller", extra=extra), FROM_BETA)
    (sent,) = scene.sent("INFO")
    for name in ("Resource-Priority", "Priority", "Call-Info"):
        assert name not in sent.request.headers
