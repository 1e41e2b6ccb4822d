"""What becomes of a call by its peer's policy: `require`, `mark` and `observe`."""

from __future__ import annotations

import base64
import re

import pytest

from gateway.demo.scene import ALICE, BOB
from sip.message import Request
from tests.support.stir_peer import Handset, Signer, alphas_signer, caller
from tests.support.troubled_scene import MARK, OBSERVE, REQUIRE, TroubledScene, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

LIE = "+14155559999"
CLAIMS = (
    f"P-Asserted-Identity: <sip:{ALICE};verstat=TN-Validation-Passed@alpha.example;user=phone>",
    f'P-Asserted-Identity: "Your Bank" <tel:{LIE};verstat=TN-Validation-Passed>',
    f"P-Preferred-Identity: <sip:{LIE}@alpha.example>",
)


async def delivered(
    scene: TroubledScene, bob: Handset, host: int, name: str, *identities: str, lies: bool = True
) -> tuple[Request, dict[str, object]]:
    """Place a call that has to be delivered; return what Bob got and beta's record."""
    call_id = f"{name}-{host}@stranger"
    async with caller(scene, host) as stranger:
        headers = CLAIMS if lies else ()
        response = await stranger.call(*identities, call_id=call_id, headers=headers)
    assert response.status_code == 486
    request = bob.got(call_id)
    assert request is not None
    return request, await record_of(scene.beta, call_id)


def asserted(request: Request) -> list[tuple[str, str]]:
    """The numbers that P-Asserted-Identity marks, with their verstat."""
    values = request.headers.all("P-Asserted-Identity")
    found = [re.fullmatch(r"<sip:(\+[0-9]+);verstat=([A-Za-z-]+)@.*>", value) for value in values]
    return [(each[1], each[2]) for each in found if each is not None]


def forged(scene: TroubledScene) -> str:
    identity = alphas_signer(scene).identity()
    token, _, params = identity.partition(";")
    head, payload, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[40] ^= 1
    return f"{head}.{payload}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')};{params}"


async def test_mark_tells_the_called_that_the_number_was_proven(
    scene: TroubledScene, bob: Handset
) -> None:
    identity = alphas_signer(scene).identity()
    request, record = await delivered(scene, bob, MARK, "proven", identity)
    assert asserted(request) == [(ALICE, "TN-Validation-Passed")]
    assert len(request.headers.all("P-Asserted-Identity")) == 1
    assert record["policy"] == "mark"


async def test_mark_delivers_a_forged_call_as_failed(scene: TroubledScene, bob: Handset) -> None:
    request, record = await delivered(scene, bob, MARK, "forged", forged(scene))
    assert asserted(request) == [(ALICE, "TN-Validation-Failed")]
    assert record["verdict"]["reason"] == "signature_invalid"  # type: ignore[index]


async def test_mark_delivers_an_unsigned_call_as_not_checked(
    scene: TroubledScene, bob: Handset
) -> None:
    request, _ = await delivered(scene, bob, MARK, "unsigned")
    assert asserted(request) == [(ALICE, "No-TN-Validation")]


async def test_mark_delivers_a_call_whose_certificate_is_not_to_be_had_as_not_checked(
    scene: TroubledScene, bob: Handset
) -> None:
    signer = Signer(alphas_signer(scene).key, "https://certs.sti-ca.example:8443/certs/none.pem")
    request, record = await delivered(scene, bob, MARK, "unavailable", signer.identity())
    assert asserted(request) == [(ALICE, "No-TN-Validation")]
    assert record["verdict"]["outcome"] == "unavailable"  # type: ignore[index]


@pytest.mark.parametrize("host", [REQUIRE, MARK, OBSERVE])
async def test_what_a_peer_asserts_of_itself_never_reaches_the_called(
    scene: TroubledScene, bob: Handset, host: int
) -> None:
    identity = alphas_signer(scene).identity()
    request, _ = await delivered(scene, bob, host, "asserting", identity)
    text = request.to_bytes().decode()
    assert LIE not in text
    assert "Your Bank" not in text
    assert text.count("verstat=") == (0 if host == OBSERVE else 1)


async def test_verstat_in_from_is_removed(scene: TroubledScene, bob: Handset) -> None:
    async with caller(scene, MARK) as stranger:
        invite = stranger.invite(call_id="from-verstat@stranger").replace(
            f"From: <sip:{ALICE}@".encode(),
            f"From: <sip:{ALICE};verstat=TN-Validation-Passed@".encode(),
        )
        assert (await stranger.send(invite)).status_code == 486
    request = bob.got("from-verstat@stranger")
    assert request is not None
    assert "TN-Validation-Passed" not in request.to_bytes().decode()


async def test_observe_delivers_unmarked_and_writes_down_what_would_have_happened(
    scene: TroubledScene, bob: Handset
) -> None:
    for name, identities in (("lied", (forged(scene),)), ("silent", ())):
        request, record = await delivered(scene, bob, OBSERVE, name, *identities)
        assert "verstat" not in request.to_bytes().decode()
        assert record["policy"] == "observe"
        verdict = record["verdict"]
        assert isinstance(verdict, dict)
        assert verdict["sip_status"] in (428, 438)
        assert verdict["outcome"] in ("invalid", "absent")


async def test_the_policy_goes_by_where_a_call_comes_from_not_by_what_it_says(
    scene: TroubledScene, bob: Handset
) -> None:
    async with caller(scene, REQUIRE) as stranger:
        marked = scene.address(MARK)
        invite = stranger.invite(call_id="elsewhere@stranger").replace(
            scene.address(REQUIRE).encode(), marked.encode()
        )
        assert marked.encode() in invite
        assert (await stranger.send(invite)).status_code == 428
    assert bob.got("elsewhere@stranger") is None


async def test_the_record_holds_every_check_of_a_verified_call(
    scene: TroubledScene, bob: Handset
) -> None:
    _, record = await delivered(
        scene, bob, REQUIRE, "checked", alphas_signer(scene).identity(), lies=False
    )
    verdict = record["verdict"]
    assert isinstance(verdict, dict)
    outcomes = {check["step"]: check["outcome"] for check in verdict["checks"]}
    assert [step for step, outcome in outcomes.items() if outcome == "passed"] == [
        "syntax", "type", "algorithm", "info", "claims", "freshness", "credential", "chain",
        "authority", "constraints", "signature", "originator", "destination", "replay",
    ]  # fmt: skip
    assert outcomes["media_keys"] == "skipped"
    assert (record["caller"], record["called"]) == (ALICE, BOB)
