"""Beta's PBX forwards a call from alpha back to another user of alpha, on the real gateways."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from gateway.demo.scene import ALICE
from stir.passport import parse_passport
from tests.support.raw_dialog import Media, rtp_sdp, sdes_sdp
from tests.support.raw_phone import IncomingCall, OutgoingCall, RawPhone
from tests.support.two_providers import CAROL, TwoProviders

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

BRANCH, EXCHANGE = "+12125550130", "+12125550140"


def forwarded(
    pbx: RawPhone,
    received: IncomingCall,
    to: str,
    *extra: tuple[str, str],
    media: Media = None,
    identities: tuple[str, ...] | None = None,
) -> OutgoingCall:
    """Let the PBX call somebody in the name of whoever called it, as one that forwards does."""
    request = received.request
    shown = request.headers.get("From") or ""
    values = request.headers.all("Identity") if identities is None else identities
    invite = pbx.request(
        "INVITE",
        f"sip:{to}@{pbx.domain};user=phone",
        *(("Identity", value) for value in values),
        *extra,
        from_=shown.partition(";tag=")[0],
        media=media or request.body,
    )
    pbx.send(invite)
    return OutgoingCall(pbx, invite)


def payloads(call: IncomingCall) -> list[dict[str, Any]]:
    values = call.request.headers.all("Identity")
    return [dict(parse_passport(value.partition(";")[0]).payload) for value in values]


@pytest_asyncio.fixture(loop_scope="session")
async def reachable(world: TwoProviders) -> TwoProviders:
    """Both providers, where the PBXs' numbers and carol's can be found."""
    await world.beta.register_handler("branch", BRANCH)
    await world.beta.register_handler("exchange", EXCHANGE)
    await world.alpha.register_handler("carol", CAROL)
    return world


async def test_a_forwarded_call_is_verified_by_its_original_and_the_div(
    reachable: TwoProviders,
) -> None:
    alice, carol, pbx = await reachable.alice(), await reachable.carol(), await reachable.agent(80)
    await carol.register()
    first = await alice.call(BRANCH, sdes_sdp(alice.wire.local.host))
    at_pbx = await pbx.incoming()
    second = forwarded(pbx, at_pbx, CAROL, ("Diversion", f"<sip:{BRANCH}@pbx.example>"))
    at_carol = await carol.incoming()
    original, div = payloads(at_carol)
    assert original["orig"] == div["orig"] == {"tn": ALICE.lstrip("+")}
    assert original["dest"] == {"tn": [BRANCH.lstrip("+")]}
    assert div["div"] == {"tn": BRANCH.lstrip("+")}
    assert div["dest"] == {"tn": [CAROL.lstrip("+")]}
    (asserted,) = at_carol.request.headers.all("P-Asserted-Identity")
    assert f"{ALICE};verstat=TN-Validation-Passed" in asserted
    await at_carol.decline(486)
    assert (await second.refused()).status_code == 486
    await at_pbx.decline(486)
    await first.refused()
    at_beta = await reachable.record(reachable.beta, second.request.call_id)
    assert (at_beta["diverted_from"], at_beta["caller"]) == (BRANCH, ALICE)
    at_alpha = await reachable.record(reachable.alpha, second.request.call_id)
    assert at_alpha["verdict"]["outcome"] == "valid"
    steps = {check["step"]: check["outcome"] for check in at_alpha["verdict"]["checks"]}
    assert (steps["destination"], steps["div"]) == ("passed", "passed")


async def test_a_pbx_whose_media_is_bridged_forwards_with_keys_of_its_own(
    reachable: TwoProviders,
) -> None:
    alice, carol = await reachable.alice(), await reachable.carol()
    agent, pbx = await reachable.agent(80), await reachable.exchange()
    await carol.register()
    first = await alice.call(EXCHANGE, sdes_sdp(alice.wire.local.host))
    at_pbx = await agent.incoming()
    second = forwarded(pbx, at_pbx, CAROL, media=rtp_sdp(pbx.wire.local.host))
    at_carol = await carol.incoming()
    original, div = payloads(at_carol)
    assert original["mky"] != div["mky"]
    await at_carol.decline(486)
    await second.refused()
    await at_pbx.decline(486)
    await first.refused()
    record = await reachable.record(reachable.alpha, second.request.call_id)
    assert record["verdict"]["outcome"] == "valid"


async def test_nothing_is_signed_on_top_of_a_forged_identity(reachable: TwoProviders) -> None:
    alice, pbx = await reachable.alice(), await reachable.agent(80)
    first = await alice.call(BRANCH, sdes_sdp(alice.wire.local.host))
    at_pbx = await pbx.incoming()
    refused = await forwarded(pbx, at_pbx, ALICE, identities=("not an identity",)).refused()
    assert refused.status_code == 403
    (value,) = at_pbx.request.headers.all("Identity")
    token, _, params = value.partition(";")
    forged = f"{token[:-8]}AAAAAAAA;{params}"
    refused = await forwarded(pbx, at_pbx, CAROL, identities=(forged,)).refused()
    assert refused.status_code == 438
    assert (refused.headers.get("Reason") or "").startswith("STIR;cause=438")
    await at_pbx.decline(486)
    await first.refused()


async def test_the_original_alone_is_refused_at_another_number(reachable: TwoProviders) -> None:
    alice, pbx, peer = (
        await reachable.alice(),
        await reachable.agent(80),
        await reachable.peer(reachable.alpha),
    )
    first = await alice.call(BRANCH, sdes_sdp(alice.wire.local.host))
    at_pbx = await pbx.incoming()
    peer.domain = reachable.alpha.domain
    refused = await forwarded(peer, at_pbx, CAROL).refused()
    assert refused.status_code == 438
    await at_pbx.decline(486)
    await first.refused()
    record = await reachable.record(reachable.alpha, refused.headers.get("Call-ID") or "")
    assert record["verdict"]["reason"] == "destination_mismatch"
