"""rph with sph, and msg: each thing wrong with them gives exactly one Reason."""

from dataclasses import replace
from typing import Any

import pytest

from stir.content_digest import digest_of
from stir.reason import Reason
from stir.verdict import CallVerdict
from stir.verification import VerificationPolicy
from tests.support.stir_authority import DEST, FACTS, HEADER, NOW, ORIG, URL, StirWorld

URGENT = replace(FACTS, method="INVITE", resource_priority=("ets.0", "wps.0"), priority="")
GRANTED = VerificationPolicy(
    priority_authorities={"ets": frozenset({"TEST"}), "wps": frozenset({"TEST"})}
)
MESSAGE = replace(FACTS, method="MESSAGE", body=b"Hello")


def payload(**changes: Any) -> dict[str, Any]:
    base = {"dest": {"tn": [DEST]}, "iat": int(NOW), "orig": {"tn": ORIG}, **changes}
    return {name: value for name, value in base.items() if value is not None}


def identity(world: StirWorld, ppt: str, **changes: Any) -> str:
    token = world.token({**HEADER, "ppt": ppt}, payload(**changes))
    return f"{token};info=<{URL}>;alg=ES256;ppt={ppt}"


def only_reason(call: CallVerdict) -> Reason | None:
    (verdict,) = call.verdicts
    reasons = {check.reason for check in verdict.checks if check.reason is not None}
    assert len(reasons) <= 1
    return verdict.reason


def rph(world: StirWorld, claim: object = None, **changes: Any) -> str:
    signed = {"auth": ["ets.0", "wps.0"]} if claim is None else claim
    return identity(world, "rph", rph=signed, **changes)


def test_a_signed_priority_is_valid(world: StirWorld) -> None:
    call = world.verify(rph(world), facts=URGENT, policy=VerificationPolicy())
    assert only_reason(call) is None
    assert call.verdicts[0].check("resource_priority").outcome == "passed"


def test_the_right_to_a_namespace_comes_from_policy(world: StirWorld) -> None:
    leaf = world.leaf()
    call = world.verify(rph(world), facts=URGENT, policy=GRANTED, credential=leaf)
    assert only_reason(call) is None
    assert only_reason(world.verify(rph(world), facts=URGENT, policy=GRANTED)) is (
        Reason.PRIORITY_AUTHORITY
    )


def test_a_certificate_may_be_granted_a_namespace_by_its_fingerprint(world: StirWorld) -> None:
    names = frozenset({world.credential.fingerprint.hex()})
    policy = VerificationPolicy(priority_authorities={"ets": names, "wps": names})
    assert only_reason(world.verify(rph(world), facts=URGENT, policy=policy)) is None


@pytest.mark.parametrize("sent", [(), ("ets.0",), ("ets.1", "wps.0"), ("ets.0", "wps.0", "wps.1")])
def test_a_priority_that_is_not_the_signed_one(world: StirWorld, sent: tuple[str, ...]) -> None:
    facts = replace(URGENT, resource_priority=sent)
    assert only_reason(world.verify(rph(world), facts=facts)) is Reason.RESOURCE_PRIORITY_MISMATCH


def test_another_authority_may_have_signed_another_namespace(world: StirWorld) -> None:
    facts = replace(URGENT, resource_priority=("ETS.0", "wps.0", "esnet.1"))
    assert only_reason(world.verify(rph(world), facts=facts)) is None


@pytest.mark.parametrize(
    "claim",
    [
        [],
        {},
        "ets.0",
        {"auth": "ets.0"},
        {"auth": []},
        {"auth": ["ets"]},
        {"auth": ["ets.0"] * 33},
        {"auth": [7]},
        {"other": ["ets.0"]},
    ],
)
def test_a_priority_claim_of_another_form(world: StirWorld, claim: object) -> None:
    assert only_reason(world.verify(rph(world, claim), facts=URGENT)) is Reason.CLAIM_MALFORMED


def test_a_priority_passport_without_its_claim(world: StirWorld) -> None:
    assert only_reason(world.verify(identity(world, "rph"), facts=URGENT)) is Reason.CLAIM_MISSING


def test_an_emergency_call_goes_to_a_service_urn(world: StirWorld) -> None:
    facts = replace(
        URGENT, dest_candidates=("urn:service:sos",), resource_priority=("esnet.1",), priority=""
    )
    value = rph(world, {"ESorig": ["esnet.1"]}, dest={"uri": ["urn:service:sos"]})
    assert only_reason(world.verify(value, facts=facts)) is None


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("psap-callback", None),
        ("PSAP-Callback", None),
        ("urgent", Reason.PRIORITY_MISMATCH),
        ("", Reason.PRIORITY_MISMATCH),
    ],
)
def test_an_emergency_callback_has_the_priority_it_signs(
    world: StirWorld, sent: str, reason: Reason | None
) -> None:
    facts = replace(URGENT, resource_priority=("esnet.0",), priority=sent)
    value = rph(world, {"EScallback": ["esnet.0"]}, sph="psap-callback")
    assert only_reason(world.verify(value, facts=facts)) is reason


def test_no_other_priority_can_be_signed(world: StirWorld) -> None:
    value = rph(world, sph="urgent")
    assert only_reason(world.verify(value, facts=URGENT)) is Reason.CLAIM_MALFORMED


@pytest.mark.parametrize(
    ("body", "msgi", "reason"),
    [
        (b"Hello", digest_of(b"Hello"), None),
        (b"Hello", digest_of(b"Hello", "sha512"), None),
        (b"Hullo", digest_of(b"Hello"), Reason.MESSAGE_DIGEST_MISMATCH),
        (b"Hello\r\n", digest_of(b"Hello"), Reason.MESSAGE_DIGEST_MISMATCH),
        (b"", digest_of(b"Hello"), Reason.MESSAGE_DIGEST_MISMATCH),
        (b"Hello", "Hello", Reason.CLAIM_MALFORMED),
        (b"Hello", None, None),
    ],
)
def test_a_message_is_the_one_that_was_signed(
    world: StirWorld, body: bytes, msgi: str | None, reason: Reason | None
) -> None:
    call = world.verify(identity(world, "msg", msgi=msgi), facts=replace(MESSAGE, body=body))
    assert only_reason(call) is reason


def test_a_message_may_have_to_be_bound(world: StirWorld) -> None:
    policy = VerificationPolicy(require_message_digest=True)
    call = world.verify(identity(world, "msg"), facts=MESSAGE, policy=policy)
    assert only_reason(call) is Reason.MESSAGE_DIGEST_MISSING


def test_a_message_is_no_call(world: StirWorld) -> None:
    facts = replace(FACTS, method="INVITE")
    assert only_reason(world.verify(identity(world, "msg"), facts=facts)) is Reason.METHOD_MISMATCH


def test_shaken_signs_messages_too(world: StirWorld) -> None:
    assert world.verify(world.identity(), facts=MESSAGE).outcome == "valid"


def test_a_priority_passport_does_not_show_who_calls(world: StirWorld) -> None:
    alone = world.verify(rph(world), facts=URGENT)
    assert (alone.outcome, alone.reason) == ("absent", Reason.IDENTITY_MISSING)
    forged = world.identity(dest_tns=("12125550199",))
    call = world.verify(rph(world), forged, facts=URGENT)
    assert (call.outcome, call.reason) == ("invalid", Reason.DESTINATION_MISMATCH)
    assert world.verify(rph(world), world.identity(), facts=URGENT).outcome == "valid"
