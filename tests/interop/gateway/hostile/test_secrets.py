"""No secret of a running gateway reaches a log, a trace, a record, the metrics or the state.

A verified call with SDES and DTLS keys is placed, every way to fail is taken, and then everything
the gateways wrote and show is searched.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

import aiohttp
import pytest

from gateway.config.files import read_secret
from gateway.demo.dns import Trouble
from gateway.demo.handset import read
from gateway.demo.provider import Provider
from gateway.demo.scene import ALICE, BOB
from sip.flow import Address
from tests.support.raw_phone import RawPhone
from tests.support.raw_wire import StreamWire
from tests.support.spin_stranger import Invited, answer, invitation, post, send_invitation
from tests.support.stir_peer import Handset, Signer, alphas_signer, caller, offer, pbx
from tests.support.troubled_scene import TroubledScene, admin_text, metrics_text
from tests.support.two_providers import hang_up, talking

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

STATES = ("calls", "media", "transactions")
LEAKS = {
    "a key for SRTP": r"inline:(?!\(removed\))",
    "a password for ICE": r"ice-pwd:(?!\(removed\))",
    "a digest response": r"response=\\*\"?[0-9a-f]{16}",
    "a digest nonce": r"nonce=",
    "a bearer token": r"(?i)bearer [A-Za-z0-9_-]",
    "a private key": r"PRIVATE KEY",
    "a sealed route": r";rt=(?!\(sealed\))",
}


async def test_what_is_kept_is_for_the_owner_only(scene: TroubledScene) -> None:
    for provider in (scene.alpha, scene.beta):
        state = provider.config.provider.state_directory
        kept = [state, *state.iterdir()]
        assert len(kept) > 3
        for path in kept:
            assert not path.stat().st_mode & 0o077, path


@pytest.fixture(scope="module")
def canaries() -> set[str]:
    """Secrets that show in no other way than by their value; tests add to them."""
    return set()


async def phone(scene: TroubledScene, provider: Provider, number: str) -> RawPhone:
    """A phone of the provider's first user, over TLS."""
    access = 11 if provider is scene.alpha else 21
    user = provider.config.user[0]
    wire = await StreamWire.open(
        Address(scene.address(access), 5061),
        scene.address(150 + access),
        tls=scene.tls,
        name=f"sip.{provider.domain}",
    )
    password = read_secret(user.password, user.password_file, "user.password")
    return RawPhone(wire, number, provider.domain, user.username, password)


async def shown(provider: Provider) -> dict[str, str]:
    """Everything a gateway wrote and shows."""
    log = provider.config.log
    assert log.trace_file is not None
    assert log.call_record_file is not None
    files = (provider.log_file, log.trace_file, log.call_record_file)
    texts = {path.name: path.read_text("utf-8") for path in files}
    texts["/metrics"] = await metrics_text(provider)
    for name in STATES:
        texts[f"/v1/{name}"] = await admin_text(provider, f"/v1/{name}")
    return texts


async def search(scene: TroubledScene, canaries: set[str]) -> None:
    for provider in (scene.alpha, scene.beta):
        hidden = canaries | _own_secrets(provider.config_file.parent / "keys")
        for where, text in (await shown(provider)).items():
            for what, pattern in LEAKS.items():
                found = re.search(pattern, text)
                assert found is None, f"{provider.name} {where}: {what}: {found}"
            for secret in hidden:
                assert secret not in text, f"{provider.name} {where}: {secret[:6]}..."


def _own_secrets(keys: Path) -> set[str]:
    """Passwords, tokens, and each line of the private keys."""
    found: set[str] = set()
    for path in (*keys.glob("*.password"), *keys.glob("*.token")):
        found.add(path.read_text().strip())
    for path in keys.glob("*.key"):
        found.update(line for line in path.read_text().splitlines() if len(line) > 40)
    assert len(found) > 6
    return found


async def test_a_call_leaves_no_key_password_or_token_anywhere(
    scene: TroubledScene, canaries: set[str]
) -> None:
    alice, bob = await phone(scene, scene.alpha, ALICE), await phone(scene, scene.beta, BOB)
    await alice.register()
    await bob.register()
    at_alice, at_bob = await talking(alice, bob, BOB, srtp=True)
    await search(scene, canaries)
    await hang_up(at_alice, at_bob)
    await bob.unregister()
    await alice.close()
    await bob.close()
    text = "".join(read(message)[1] for message in scene.smsc.history)
    token = text.partition("spin:1:")[2]
    assert token.count(".") == 2
    canaries.add(token.split(".")[1][-60:])
    trace = scene.alpha.config.log.trace_file
    assert trace is not None
    for needed in ("a=crypto:", "ice-pwd:(removed)", "Proxy-Authorization: (removed)"):
        assert needed in trace.read_text(), f"the call had no {needed}, so nothing was shown"
    await search(scene, canaries)


async def test_refused_users_leave_no_credentials(scene: TroubledScene, canaries: set[str]) -> None:
    alice = await phone(scene, scene.alpha, ALICE)
    alice.password = "canary-wrong-password"
    canaries.add(alice.password)
    await alice.ask_as_user(alice.registration())
    basic = "Y2FuYXJ5OnNlY3JldHNlY3JldA=="
    folded = f'Digest username="alice",\r\n realm="alpha.example",\r\n response="{"c0ffee" * 6}"'
    canaries.update((basic, "c0ffee" * 6))
    for value in (f"Basic {basic}", folded, f"Bearer {basic}", f"\t{basic}"):
        async with caller(scene, 90, gateway=11, name="sip.alpha.example") as stranger:
            for name in ("Authorization", "proxy-authorization", "Proxy-Authorization "):
                octets = stranger.invite(headers=(f"{name}: {value}",), domain="alpha.example")
                stranger.writer.write(octets)
                stranger.writer.write(octets.replace(b"Max-Forwards: 70", b"Max-Forwards: x"))
            await stranger.writer.drain()
            await asyncio.sleep(0.05)
    await alice.close()
    await search(scene, canaries)


async def test_hostile_identities_invitations_and_answers_leave_no_tokens(
    scene: TroubledScene, bob: Handset, canaries: set[str]
) -> None:
    signer = alphas_signer(scene)
    lost = Signer(signer.key, "https://nowhere.sti-ca.example:8443/c.pem")
    async with caller(scene) as stranger:
        sdp = offer(stranger.host).replace("0123456789abcdefghijkl", "canaryicepasswordcanary")
        canaries.add("canaryicepasswordcanary")
        for identity in (signer.identity(), signer.identity(iat=1), lost.identity(), "x", ""):
            await stranger.call(identity, sdp=sdp)
    bearer = secrets.token_urlsafe(16)
    canaries.add(bearer)
    for changes in ({"tok": bearer}, {"tok": bearer, "exp": 1}, {"tok": bearer, "svc": ["x"]}):
        callback = "https://spin.alpha.example:8443/s/abcdefgh"
        send_invitation(scene, BOB, invitation(signer, BOB, callback, **changes))
    url = f"https://spin.alpha.example:8443/s/{bearer}"
    to = Invited(BOB, "token", url, bearer)
    await post(scene, url, answer(signer, to, BOB), bearer)
    await post(scene, f"{url}?tok={bearer}", "x" * 9000, bearer)
    await asyncio.sleep(0.3)
    await search(scene, canaries)


async def test_a_world_in_trouble_brings_no_secret_to_light(
    scene: TroubledScene, bob: Handset, canaries: set[str]
) -> None:
    await asyncio.sleep(1.1)
    scene.dns.trouble = Trouble(servfail=1.0)
    async with pbx(scene) as trunk:
        await trunk.call(to=BOB, domain="alpha.example")
        await scene.smsc.stop()
        await trunk.call(to="+12125550177", domain="alpha.example")
    await search(scene, canaries)


async def test_nobody_sees_the_state_without_the_operators_token(scene: TroubledScene) -> None:
    admin = scene.beta.config.admin
    assert admin is not None
    base = f"http://{admin.address}:{admin.port}"
    async with aiohttp.ClientSession() as session:
        for path in ("/metrics", *(f"/v1/{name}" for name in STATES)):
            for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp4"}):
                async with session.get(base + path, headers=headers) as refused:
                    assert refused.status == 401
                    assert await refused.text() == ""


async def test_nothing_was_found_although_every_kind_of_secret_was_in_use(
    scene: TroubledScene, canaries: set[str]
) -> None:
    assert len(canaries) >= 5
    await search(scene, canaries)
