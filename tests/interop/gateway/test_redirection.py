"""A switch has its calls signed by a 302 and routes them itself, on the real gateways."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from sip.uri import SipUri
from stir.passport import parse_passport
from tests.support.raw_dialog import rtp_sdp
from tests.support.raw_phone import OutgoingCall
from tests.support.two_providers import TwoProviders

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

CALLER, BRANCH = "+14155550170", "+12125550130"


async def test_a_call_signed_by_redirection_is_verified_where_the_switch_sends_it(
    world: TwoProviders,
) -> None:
    switch, branch = await world.trunk(63, CALLER), await world.agent(80)
    peer = await world.peer(world.beta)
    media = rtp_sdp(switch.wire.local.host)
    asked = await switch.call(BRANCH, media)
    redirected = await asked.refused()
    assert redirected.status_code == 302
    identity, date = redirected.headers.get("Identity") or "", redirected.headers.get("Date") or ""
    contact = redirected.contacts[0].uri
    assert isinstance(contact, SipUri)
    assert (contact.user, contact.host, contact.port) == (BRANCH, "switch.example", 5080)
    assert {name: unquote(value) for name, value in contact.headers} == {
        "Identity": identity,
        "Date": date,
    }
    payload = parse_passport(identity.partition(";")[0]).payload
    assert payload["orig"] == {"tn": CALLER.lstrip("+")}
    assert payload["dest"] == {"tn": [BRANCH.lstrip("+")]}

    invite = peer.request(
        "INVITE",
        f"sip:{BRANCH}@{world.beta.domain};user=phone",
        ("Identity", identity),
        ("Date", date),
        from_=f"<sip:{CALLER}@{world.alpha.domain};user=phone>",
        media=media,
    )
    peer.send(invite)
    delivered = await branch.incoming()
    asserted = delivered.request.headers.get("P-Asserted-Identity") or ""
    assert f"{CALLER};verstat=TN-Validation-Passed" in asserted
    await delivered.decline(486)
    assert (await OutgoingCall(peer, invite).refused()).status_code == 486
    # Nothing is kept of a call that was signed and sent back.
    record = await world.record(world.alpha, asked.request.call_id)
    assert record["status"] == 302
