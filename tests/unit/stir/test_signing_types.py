"""Every type of PASSporT can be signed, and what is signed verifies; the rest is refused."""

from dataclasses import replace
from typing import Any

import pytest

from stir.authentication import CannotSign, SigningRequest, claims_of, msg_claims, rph_claims
from stir.call_info import CallInfo
from stir.content_digest import digest_of
from stir.passport import parse_passport
from stir.rich_call_data import rcd_claims, rich_call_data, verified_priorities
from stir.strict_json import canonical
from tests.support.stir_authority import DEST, FACTS, FINGERPRINT, NOW, ORIG, ORIGID, StirWorld

PLAIN = SigningRequest(ORIG, (DEST,), int(NOW))
ICON = "https://alpha.example/icon.png"


def test_a_name_with_its_icon(world: StirWorld) -> None:
    claims = rcd_claims(
        "Alpha Bank", icon=ICON, contents={"/icn": b"picture"}, call_reason="Your card"
    )
    value = world.signer.sign(replace(PLAIN, ppt="rcd", claims=claims))
    assert value.endswith(";ppt=rcd")
    facts = replace(
        FACTS,
        method="INVITE",
        display_names=("Alpha Bank",),
        call_info=(CallInfo(ICON, "icon", "Your card"),),
    )
    call = world.verify(world.identity(), value, facts=facts)
    data = rich_call_data(call)
    assert data is not None
    assert data.icon is not None
    assert data.icon.digest == digest_of(b"picture")
    assert [verdict.outcome for verdict in call.verdicts] == ["valid", "valid"]


def test_a_name_within_shaken(world: StirWorld) -> None:
    value = world.identity(claims=rcd_claims("Alpha Bank"))
    assert value.endswith(";ppt=shaken")
    data = rich_call_data(world.verify(value))
    assert data is not None
    assert data.name == "Alpha Bank"


def test_the_claims_of_rfc_8443() -> None:
    claims = claims_of(
        SigningRequest(
            "12155550112",
            ("12125550113",),
            1443208345,
            ppt="rph",
            claims=rph_claims(["ets.0", "wps.0"]),
        )
    )
    assert canonical(claims) == (
        b'{"dest":{"tn":["12125550113"]},"iat":1443208345,"orig":{"tn":"12155550112"},'
        b'"rph":{"auth":["ets.0","wps.0"]}}'
    )


def test_the_claims_of_rfc_9027_stand_in_its_order() -> None:
    request = SigningRequest(
        "12155550112",
        ("12155550113",),
        1615471428,
        ppt="rph",
        claims=rph_claims(["esnet.0"], assertion="EScallback", psap_callback=True),
    )
    assert canonical(claims_of(request)) == (
        b'{"dest":{"tn":["12155550113"]},"iat":1615471428,"orig":{"tn":"12155550112"},'
        b'"rph":{"EScallback":["esnet.0"]},"sph":"psap-callback"}'
    )


def test_a_priority_that_was_signed_is_known_as_such(world: StirWorld) -> None:
    claims = rph_claims(["esnet.0"], assertion="EScallback", psap_callback=True)
    value = world.signer.sign(replace(PLAIN, ppt="rph", claims=claims))
    facts = replace(FACTS, resource_priority=("esnet.0",), priority="psap-callback")
    assert verified_priorities(world.verify(value, facts=facts)) == (frozenset({"esnet.0"}), True)
    other = replace(facts, priority="urgent")
    assert verified_priorities(world.verify(value, facts=other)) == (frozenset(), False)


def test_a_message(world: StirWorld) -> None:
    value = world.signer.sign(replace(PLAIN, ppt="msg", claims=msg_claims(b"Hello", "sha384")))
    facts = replace(FACTS, method="MESSAGE", body=b"Hello")
    assert world.verify(value, facts=facts).outcome == "valid"


@pytest.mark.parametrize(
    "changes",
    [
        {"ppt": "rcd"},
        {"ppt": "rph"},
        {"ppt": "rph", "claims": {"rph": {"auth": ["urgent"]}}},
        {"ppt": "msg", "claims": {"msgi": "Hello"}},
        {"ppt": "x-unheard-of", "claims": {}},
        {"ppt": "rcd", "claims": rcd_claims("Alpha"), "attest": "A", "origid": ORIGID},
        {"ppt": "shaken"},
        {"claims": {"iat": 7}},
        {"claims": {"mky": []}},
        {"claims": {"attest": "A"}},
        {"claims": rcd_claims("Alpha", icon="http://alpha.example/icon.png")},
        {"claims": rcd_claims("Alpha", number="nobody")},
        {"claims": rcd_claims("Alpha", contents={"/icn": b""})},
        {"claims": {"rcd": {"nam": "Alpha"}, "rcdi": {"/nam": digest_of(b"Beta")}}},
        {"claims": rcd_claims("Alpha", card=["vcard", [["note", {}, "text", 1.5, float("nan")]]])},
    ],
)
def test_what_a_verifier_would_refuse_is_not_signed(
    world: StirWorld, changes: dict[str, Any]
) -> None:
    with pytest.raises(CannotSign):
        world.signer.sign(replace(PLAIN, **changes))


@pytest.mark.parametrize("fingerprints", [(), (FINGERPRINT,)])
def test_the_compact_form_is_the_signature_alone(world: StirWorld, fingerprints: Any) -> None:
    request = replace(PLAIN, fingerprints=fingerprints)
    full, compact = world.signer.sign(request), world.signer.sign(request, compact=True)
    assert compact.startswith("..")
    assert compact.partition(";")[2] == full.partition(";")[2]
    facts = replace(FACTS, date=int(NOW), fingerprints=fingerprints)
    call = world.verify(compact, facts=facts)
    assert call.outcome == "valid"
    assert call.best is not None
    assert call.best.passport is not None
    assert call.best.passport.payload == parse_passport(full.partition(";")[0]).payload
    assert world.verify(compact, facts=replace(facts, date=int(NOW) + 1)).outcome == "invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"attest": "A", "origid": ORIGID},
        {"ppt": "rcd", "claims": rcd_claims("Alpha")},
        {"claims": rcd_claims("Alpha")},
        {"dest_tns": (DEST, "12125550124")},
    ],
)
def test_only_a_plain_call_to_one_has_a_compact_form(
    world: StirWorld, changes: dict[str, Any]
) -> None:
    with pytest.raises(CannotSign):
        world.signer.sign(replace(PLAIN, **changes), compact=True)
