"""Rich call data: each thing wrong with it gives exactly one Reason, in rcd and in shaken alike."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from stir.call_info import CallInfo
from stir.content_digest import digest_of
from stir.extensions.rcd_integrity import check_content, digest_input, links, links_in_card
from stir.reason import Reason
from stir.rich_call_data import RichCallData, rcd_claims, rich_call_data
from stir.strict_json import canonical
from stir.verdict import CallVerdict
from tests.support.stir_authority import DEST, FACTS, HEADER, NOW, ORIG, ORIGID, URL, StirWorld

ICON = "https://example.com/photos/q-256x256.png"
CARD_URL = "https://example.com/qbranch.json"
# the card of RFC 9796's examples
CARD = [
    "vcard",
    [
        ["version", {}, "text", "4.0"],
        ["fn", {}, "text", "Q Branch"],
        ["org", {}, "text", "MI6;Q Branch Spy Gadgets"],
        ["photo", {}, "uri", ICON],
        ["logo", {}, "uri", "https://example.com/logos/mi6-256x256.jpg"],
        ["logo", {}, "uri", "https://example.com/logos/mi6-64x64.jpg"],
    ],
]
NAME = "Q Branch Spy Gadgets"
SHOWN = replace(FACTS, method="INVITE", display_names=(NAME,), call_info=())


def identity(world: StirWorld, ppt: str, **changes: Any) -> str:
    base: dict[str, Any] = {"dest": {"tn": [DEST]}, "iat": int(NOW), "orig": {"tn": ORIG}}
    if ppt == "shaken":
        base.update(attest="A", origid=ORIGID)
    token = world.token({**HEADER, "ppt": ppt}, {**base, **changes})
    return f"{token};info=<{URL}>;alg=ES256;ppt={ppt}"


def only_reason(call: CallVerdict) -> Reason | None:
    (verdict,) = call.verdicts
    reasons = [check.reason for check in verdict.checks if check.reason is not None]
    assert reasons == ([] if verdict.reason is None else [verdict.reason])
    return verdict.reason


@pytest.fixture(params=["rcd", "shaken"])
def ppt(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_signed_name_is_valid(world: StirWorld, ppt: str) -> None:
    call = world.verify(identity(world, ppt, rcd={"nam": NAME}), facts=SHOWN)
    assert only_reason(call) is None
    assert call.verdicts[0].check("caller_name").outcome == "passed"


MALFORMED: dict[str, dict[str, Any]] = {
    "rcd is text": {"rcd": NAME},
    "no nam": {"rcd": {}},
    "nam is no text": {"rcd": {"nam": 7}},
    "apn is no number": {"rcd": {"nam": "", "apn": "Q"}},
    "icn by http": {"rcd": {"nam": "", "icn": "http://example.com/q.png"}},
    "icn with a bracket": {"rcd": {"nam": "", "icn": "https://example.com/>;q.png"}},
    "jcl is no URL": {"rcd": {"nam": "", "jcl": "card"}},
    "jcd is no card": {"rcd": {"nam": "", "jcd": ["card", []]}},
    "jcd has a bad property": {"rcd": {"nam": "", "jcd": ["vcard", [["fn"]]]}},
    "jcd and jcl": {"rcd": {"nam": "", "jcd": CARD, "jcl": CARD_URL}},
    "crn is no text": {"rcd": {"nam": ""}, "crn": ["Rendezvous"]},
    "rcdi is a list": {"rcd": {"nam": ""}, "rcdi": []},
    "rcdi is empty": {"rcd": {"nam": ""}, "rcdi": {}},
    "rcdi has no digest": {"rcd": {"nam": ""}, "rcdi": {"/nam": "sha1-AAAA"}},
    "rcdi points nowhere": {"rcd": {"nam": ""}, "rcdi": {"/icn": digest_of(b"")}},
    "rcdi is no pointer": {"rcd": {"nam": ""}, "rcdi": {"nam": digest_of(b"")}},
    "rcdi points beyond the card": {
        "rcd": {"nam": "", "jcd": CARD},
        "rcdi": {"/jcd/1/6/3": digest_of(b"")},
    },
    "rcdi has too many": {
        "rcd": {"nam": "", "jcl": CARD_URL},
        "rcdi": {f"/jcl/1/{n}/3": digest_of(b"") for n in range(33)},
    },
}


@pytest.mark.parametrize("case", MALFORMED)
def test_claims_of_another_form(world: StirWorld, ppt: str, case: str) -> None:
    call = world.verify(identity(world, ppt, **MALFORMED[case]), facts=SHOWN)
    assert only_reason(call) is Reason.CLAIM_MALFORMED


def test_digests_of_nothing(world: StirWorld, ppt: str) -> None:
    call = world.verify(identity(world, ppt, crn="x", rcdi={"/nam": digest_of(b"")}), facts=SHOWN)
    assert only_reason(call) is Reason.CLAIM_MISSING


def test_an_rcd_passport_says_something(world: StirWorld) -> None:
    assert only_reason(world.verify(identity(world, "rcd"), facts=SHOWN)) is Reason.CLAIM_MISSING
    assert only_reason(world.verify(identity(world, "rcd", crn="Rendezvous"), facts=SHOWN)) is None


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ((NAME,), None),
        (("Q  Branch Spy  Gadgets",), None),
        ((), None),
        (("Q", NAME), None),
        (("M",), Reason.CALLER_NAME_MISMATCH),
        (("q branch spy gadgets",), Reason.CALLER_NAME_MISMATCH),
    ],
)
def test_the_name_that_is_shown_is_the_signed_one(
    world: StirWorld, ppt: str, shown: tuple[str, ...], reason: Reason | None
) -> None:
    facts = replace(SHOWN, display_names=shown)
    assert only_reason(world.verify(identity(world, ppt, rcd={"nam": NAME}), facts=facts)) is reason


def data_uri(card: Any) -> str:
    return "data:application/json," + quote(canonical(card).decode())


@pytest.mark.parametrize(
    ("info", "right"),
    [
        (CallInfo(ICON, "icon"), True),
        (CallInfo("https://example.com/other.png", "icon"), False),
        (CallInfo("https://example.com/other.png", "info"), True),
        (CallInfo(data_uri(CARD), "jcard"), True),
        (CallInfo(data_uri(["vcard", []]), "jcard"), False),
        (CallInfo("data:application/json,%5B", "jcard"), False),
        (CallInfo("https://example.com/qbranch.json", "jcard"), False),
        (CallInfo("cid:12155551000@example.com", "jcard"), True),
        (CallInfo("data:", "jcard", "Rendezvous for Little Nellie"), True),
        (CallInfo("data:", "jcard", "Your parcel"), False),
    ],
)
def test_call_info_says_what_is_signed(
    world: StirWorld, ppt: str, info: CallInfo, right: bool
) -> None:
    rcd = {"nam": NAME, "icn": ICON, "jcd": CARD}
    value = identity(world, ppt, rcd=rcd, crn="Rendezvous for Little Nellie")
    call = world.verify(value, facts=replace(SHOWN, call_info=(info,)))
    assert only_reason(call) is (None if right else Reason.CALLER_NAME_MISMATCH)


def test_a_card_by_url_is_the_signed_url(world: StirWorld, ppt: str) -> None:
    value = identity(world, ppt, rcd={"nam": NAME, "jcl": CARD_URL})
    good = replace(SHOWN, call_info=(CallInfo(CARD_URL, "jcard"),))
    assert only_reason(world.verify(value, facts=good)) is None
    bad = replace(SHOWN, call_info=(CallInfo("https://example.com/other.json", "jcard"),))
    assert only_reason(world.verify(value, facts=bad)) is Reason.CALLER_NAME_MISMATCH


@pytest.mark.parametrize(
    ("pointer", "content", "right"),
    [
        ("/nam", b'"Q Branch Spy Gadgets"', True),
        ("/nam", b"Q Branch Spy Gadgets", True),
        ("/nam", b"M", False),
        ("/jcd", canonical(CARD), True),
        ("/jcd", b'["vcard",[]]', False),
        ("/jcd/1/1/3", b'"Q Branch"', True),
        ("/jcd/1/1/3", b'"M"', False),
    ],
)
def test_what_rcd_holds_has_its_digest(
    world: StirWorld, ppt: str, pointer: str, content: bytes, right: bool
) -> None:
    claims = {"rcd": {"nam": NAME, "jcd": CARD}, "rcdi": {pointer: digest_of(content, "sha384")}}
    call = world.verify(identity(world, ppt, **claims), facts=SHOWN)
    assert only_reason(call) is (None if right else Reason.CALLER_DATA_INTEGRITY)


def test_linked_content_does_not_change_what_the_passport_proves(
    world: StirWorld, ppt: str
) -> None:
    claims = rcd_claims(NAME, icon=ICON, contents={"/icn": b"picture"})
    call = world.verify(identity(world, ppt, **claims), world.identity(), facts=SHOWN)
    assert {verdict.outcome for verdict in call.verdicts} == {"valid"}
    data = rich_call_data(call)
    assert data is not None
    assert data.icon is not None
    assert (data.name, data.icon.url) == (NAME, ICON)
    assert check_content(data.icon, b"picture").outcome == "passed"
    assert check_content(data.icon, b"another").reason is Reason.CALLER_DATA_INTEGRITY
    assert check_content(data.icon, None).reason is Reason.CALLER_DATA_UNAVAILABLE
    assert check_content(data.icon._replace(digest=None), b"picture").outcome == "skipped"


def test_every_link_of_a_card_is_found_where_the_rfc_points() -> None:
    digests = {f"/jcd/1/{n}/3": digest_of(str(n).encode()) for n in (3, 4, 5)}
    found = links({"rcd": {"nam": NAME, "jcd": CARD}, "rcdi": digests})
    assert [link.pointer for link in found] == ["/jcd/1/3/3", "/jcd/1/4/3", "/jcd/1/5/3"]
    assert [link.digest for link in found] == list(digests.values())
    by_url = {
        "rcd": {"nam": NAME, "jcl": CARD_URL},
        "rcdi": {"/jcl": digest_of(canonical(CARD)), "/jcl/1/3/3": digest_of(b"3")},
    }
    (card,) = links(by_url)
    assert check_content(card, canonical(CARD)).outcome == "passed"
    assert check_content(card, json.dumps(CARD, indent=2).encode()).outcome == "passed"
    inside = links_in_card(by_url, canonical(CARD))
    assert [(link.pointer, link.digest is None) for link in inside] == [
        ("/jcl/1/3/3", False),
        ("/jcl/1/4/3", True),
        ("/jcl/1/5/3", True),
    ]
    assert links_in_card(by_url, b"<html>") == ()


def test_the_card_of_the_rfc_has_one_canonical_form() -> None:
    assert digest_of(digest_input(CARD)) == digest_of(
        b'["vcard",[["version",{},"text","4.0"],["fn",{},"text","Q Branch"],'
        b'["org",{},"text","MI6;Q Branch Spy Gadgets"],'
        b'["photo",{},"uri","https://example.com/photos/q-256x256.png"],'
        b'["logo",{},"uri","https://example.com/logos/mi6-256x256.jpg"],'
        b'["logo",{},"uri","https://example.com/logos/mi6-64x64.jpg"]]]'
    )


def test_only_what_is_verified_is_read(world: StirWorld) -> None:
    named = identity(world, "rcd", rcd={"nam": "M"})
    assert rich_call_data(world.verify(named, facts=SHOWN)) is None
    beside = world.verify(world.identity(), named, facts=SHOWN)
    assert beside.outcome == "valid"
    assert rich_call_data(beside) is None
    alone = world.verify(identity(world, "rcd", rcd={"nam": NAME}), facts=SHOWN)
    assert alone.outcome == "absent"
    assert rich_call_data(alone) is None
    both = world.verify(
        identity(world, "shaken", rcd={"nam": ""}),
        identity(world, "rcd", rcd={"nam": NAME, "apn": ORIG}, crn="Rendezvous"),
        facts=SHOWN,
    )
    data = rich_call_data(both)
    assert data is not None
    assert isinstance(data, RichCallData)
    assert (data.name, data.number, data.call_reason) == (NAME, ORIG, "Rendezvous")
