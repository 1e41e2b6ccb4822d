"""The number a called person sees is the one that was proven, and the one called was signed for."""

from __future__ import annotations

import pytest

from gateway.demo.scene import ALICE, BOB
from tests.support.stir_peer import Handset, alphas_signer, caller, pbx
from tests.support.troubled_scene import MARK, REQUIRE, TroubledScene

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

BANK = "+14155559999"
OWN = f"P-Asserted-Identity: <sip:{ALICE}@alpha.example>"


async def test_an_own_number_asserted_beside_anothers_in_from_proves_nothing(
    scene: TroubledScene, bob: Handset
) -> None:
    async with caller(scene, REQUIRE) as stranger:
        identity = alphas_signer(scene).identity()
        response = await stranger.call(identity, caller=BANK, headers=[OWN], call_id="bank")
    assert response.status_code == 438
    assert bob.got("bank") is None


async def test_an_anonymous_caller_is_proven_by_what_is_asserted(
    scene: TroubledScene, bob: Handset
) -> None:
    async with caller(scene, REQUIRE) as stranger:
        identity = alphas_signer(scene).identity()
        await stranger.call(
            identity,
            caller="anonymous",
            caller_domain="anonymous.invalid",
            headers=[OWN],
            call_id="anonymous",
        )
    assert bob.got("anonymous") is not None


async def test_a_token_signed_for_a_call_to_one_number_is_not_good_for_another(
    scene: TroubledScene, bob: Handset
) -> None:
    elsewhere = "+12125550177"
    async with caller(scene, REQUIRE) as stranger:
        identity = alphas_signer(scene).identity(dest=elsewhere)
        invite = stranger.invite(identity, call_id="cut-and-pasted")
        invite = invite.replace(f"To: <sip:{BOB}".encode(), f"To: <sip:{elsewhere}".encode())
        response = await stranger.send(invite)
    assert response.status_code == 438
    assert bob.got("cut-and-pasted") is None


async def test_a_remote_party_id_of_a_stranger_reaches_nobody(
    scene: TroubledScene, bob: Handset
) -> None:
    async with caller(scene, MARK) as stranger:
        claim = f"Remote-Party-ID: <sip:{BANK}@beta.example>;party=calling;screen=yes"
        await stranger.call(call_id="remote-party", headers=[claim])
    delivered = bob.got("remote-party")
    assert delivered is not None
    assert "Remote-Party-ID" not in delivered.headers


@pytest.mark.parametrize(
    "shown", [BANK, "+1-415-555-9999", "%2B14155559999", "4155559999", "+1(415)5559999"]
)
async def test_a_trunk_shows_no_number_but_its_own_whatever_it_prefers(
    scene: TroubledScene, bob: Handset, shown: str
) -> None:
    async with pbx(scene) as line:
        preferred = f"P-Preferred-Identity: <sip:{ALICE}@alpha.example>"
        response = await line.call(caller=shown, headers=[preferred])
    assert response.status_code == 403


@pytest.mark.parametrize("shown", [ALICE, "+1-415-555-0100", "4155550100", "anonymous"])
async def test_an_own_number_may_be_written_in_any_way(
    scene: TroubledScene, bob: Handset, shown: str
) -> None:
    call_id = f"own-{shown}"
    async with pbx(scene) as line:
        preferred = f"P-Preferred-Identity: <sip:{ALICE}@alpha.example>"
        await line.call(caller=shown, headers=[preferred], call_id=call_id)
    delivered = bob.got(call_id)
    assert delivered is not None
    assert f"sip:{ALICE};verstat=TN-Validation-Passed@" in str(
        delivered.headers.get("P-Asserted-Identity")
    )
