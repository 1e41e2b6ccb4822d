"""Which calls are published and looked up, and that nothing retrieved makes a call worse."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config.base import NumberSet
from gateway.config.oob import OutOfBand
from gateway.http.call_placement_client import CallPlacementClient, Placement
from gateway.http.credentials import CertificateSource
from gateway.identity import IdentityServices
from gateway.oob.keys import OutOfBandKeys
from gateway.oob.service import OutOfBandService
from sip.headers import Headers
from sip.message import Request
from sip.parser import parse_datagram
from stir.certificates.issuing import make_root
from stir.oob.encryption import Decryption, encrypt_passports
from stir.passport import parse_passport
from stir.replay import ReplayCache
from stir.verification import VerificationPolicy, VerificationService
from tests.support.call_placement_scene import DEST, ORIG, KnownCertificates, Provider

KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = make_root("Test STI Root", time.time())
ALPHA = Provider(ORIG, ROOT)
MKY = (("sha-256", ":".join(["AB"] * 32)),)


class FakeServices:
    """What a client would publish to and retrieve from."""

    def __init__(self) -> None:
        self.held: dict[Placement, tuple[str, ...]] = {}
        self.asked: list[Placement] = []
        self.up = True

    async def publish(self, where: Placement, items: tuple[str, ...]) -> int:
        self.asked.append(where)
        if self.up:
            self.held[where] = items
        return int(self.up)

    async def retrieve(self, where: Placement) -> tuple[str, ...]:
        self.asked.append(where)
        await asyncio.sleep(0)
        return self.held.get(where, ()) if self.up else ()

    async def close(self) -> None:
        pass


class Scene:
    """One gateway's client side with real services around it, and a fake CPS."""

    def __init__(self, *, sealed: bool = False, **settings: Any) -> None:
        self.services = FakeServices()
        certificates = KnownCertificates()
        certificates.add(ALPHA)
        self.identity = IdentityServices(
            ALPHA.signer,
            VerificationService(VerificationPolicy(), ROOT.certificates, ReplayCache()),
            cast(CertificateSource, certificates),
            time.time,
        )
        values = {"urls": ("https://cps.example",), "issuer": ORIG, **settings}
        recipients = ((NumberSet((f"+{DEST}",)), KEY.public_key()),) if sealed else ()
        self.service = OutOfBandService(
            OutOfBand(**values),
            OutOfBandKeys(recipients, (KEY,) if sealed else ()),
            cast(CallPlacementClient, self.services),
            ALPHA.signer,
            self.identity,
            wall_clock=time.time,
            keep=120.0,
        )

    async def publish(self, request: Request, *, loses_identity: bool = True) -> None:
        await self.service.publish(
            request, orig=f"+{ORIG}", dest=f"+{DEST}", loses_identity=loses_identity
        )

    async def outcome(self, request: Request, *, loses_identity: bool = True) -> str | None:
        verdict = await self.service.verify(request, dest=f"+{DEST}", loses_identity=loses_identity)
        return None if verdict is None else f"{verdict.outcome} {verdict.out_of_band}"


PLAIN = Placement(DEST, ORIG)
SEALED = Placement(DEST, None)


def invite(*identities: str, call_id: str = "one@pbx") -> Request:
    octets = (
        f"INVITE sip:+{DEST}@beta.example;user=phone SIP/2.0\r\n"
        "Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n"
        f"From: <sip:+{ORIG}@alpha.example;user=phone>;tag=1\r\n"
        f"To: <sip:+{DEST}@beta.example;user=phone>\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    request = parse_datagram(octets.encode())
    assert isinstance(request, Request)
    headers: Headers = request.headers
    for value in identities:
        headers = headers.append("Identity", value)
    return request.with_headers(headers)


def identity(**changes: Any) -> str:
    token = ALPHA.passport(**changes)
    return f"{token};info=<{ALPHA.signer.x5u}>;alg=ES256;ppt=shaken"


async def test_what_is_published_is_verified_where_the_header_is_lost() -> None:
    for sealed in (False, True):
        scene = Scene(sealed=sealed)
        await scene.publish(invite(identity()))
        assert list(scene.services.held) == [SEALED if sealed else PLAIN]
        assert await scene.outcome(invite()) == "valid True"


async def test_media_keys_are_not_published() -> None:
    scene = Scene()
    await scene.publish(invite(identity(fingerprints=MKY)))
    (token,) = scene.services.held[PLAIN]
    assert "mky" not in parse_passport(token).payload
    assert await scene.outcome(invite()) == "valid True"


@pytest.mark.parametrize(
    ("publish", "loses_identity", "published"),
    [
        ("never", True, False),
        ("peers", False, False),
        ("peers", True, True),
        ("always", False, True),
    ],
)
async def test_policy_says_which_calls_are_published_and_looked_up(
    publish: str, loses_identity: bool, published: bool
) -> None:
    scene = Scene(publish=publish, retrieve=publish)
    await scene.publish(invite(identity()), loses_identity=loses_identity)
    assert bool(scene.services.held) is published
    scene.services.held[PLAIN] = (ALPHA.passport(),)
    found = await scene.outcome(invite(), loses_identity=loses_identity)
    assert (found == "valid True") is published


async def test_a_call_with_identity_is_not_looked_up() -> None:
    scene = Scene()
    scene.services.held[PLAIN] = (ALPHA.passport(),)
    assert await scene.outcome(invite("rubbish")) is None
    assert scene.services.asked == []


async def test_the_encrypted_form_alone_never_shows_the_caller() -> None:
    scene = Scene(plain=False, sealed=True)
    await scene.publish(invite(identity()))
    await scene.outcome(invite())
    assert {place.orig for place in scene.services.asked} == {None}
    other = Scene(plain=False)
    await other.publish(invite(identity()))
    assert other.services.asked == []
    assert other.service.outcomes["publish", "no_key"] == 1


async def test_the_compact_form_and_nonsense_are_not_published() -> None:
    scene = Scene()
    await scene.publish(invite("..sig;info=<https://x.example/c.pem>", "rubbish"))
    assert scene.services.asked == []


async def test_what_does_not_verify_leaves_the_call_as_it_came() -> None:
    stranger = Provider(ORIG, make_root("Another root", time.time()))
    junk = {
        "stale": ALPHA.passport(iat=int(time.time()) - 120),
        "another number": ALPHA.passport(dest="12125550199"),
        "another caller": ALPHA.passport(orig_tn="14155550101"),
        "untrusted": stranger.passport(),
        "no token": "rubbish",
    }
    for name, token in junk.items():
        scene = Scene()
        scene.services.held[PLAIN] = (token,)
        assert await scene.outcome(invite()) is None, name


async def test_junk_beside_what_belongs_to_the_call_does_no_harm() -> None:
    scene = Scene(sealed=True)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    good, stale = ALPHA.passport(), ALPHA.passport(iat=int(time.time()) - 120)
    scene.services.held[SEALED] = (
        "rubbish",
        encrypt_passports((good,), other),
        encrypt_passports((stale,), KEY.public_key()),
        encrypt_passports((good,), KEY.public_key()),
    )
    assert await scene.outcome(invite()) == "valid True"
    assert scene.service.outcomes["retrieve", "other_key"] == 1
    assert scene.service.outcomes["retrieve", "undecipherable"] == 1


async def test_what_verified_one_call_verifies_no_other() -> None:
    scene = Scene()
    scene.services.held[PLAIN] = (ALPHA.passport(),)
    assert await scene.outcome(invite()) == "valid True"
    assert await scene.outcome(invite(call_id="two@mallory")) is None


async def test_what_came_in_the_header_does_not_lie_ready_for_a_second_call() -> None:
    scene = Scene()
    token = ALPHA.passport()
    # The same assertion in another token, as without media keys it is.
    other = {**parse_passport(token).payload, "note": "another token"}
    scene.services.held[PLAIN] = (ALPHA.signer.sign_passport({"ppt": "shaken"}, other),)
    value = f"{token};info=<{ALPHA.signer.x5u}>;alg=ES256;ppt=shaken"
    verdict = await scene.identity.verify(invite(value))
    assert scene.service.note(invite(value), verdict)
    assert await scene.outcome(invite(call_id="two@mallory")) is None


async def test_two_calls_between_the_same_numbers_use_one_each() -> None:
    scene = Scene()
    scene.services.held[PLAIN] = (ALPHA.passport(), ALPHA.passport())
    assert await scene.outcome(invite(call_id="one")) == "valid True"
    assert await scene.outcome(invite(call_id="two")) == "valid True"


async def test_a_dead_service_fails_nothing() -> None:
    scene = Scene()
    scene.services.up = False
    await scene.publish(invite(identity()))
    assert await scene.outcome(invite()) is None
    assert scene.service.outcomes == {("publish", "failed"): 1, ("retrieve", "nothing"): 1}


async def test_the_recipient_opens_what_was_published() -> None:
    scene = Scene(sealed=True)
    await scene.publish(invite(identity()))
    (sealed,) = scene.services.held[SEALED]
    (token,) = Decryption((KEY,)).decrypt(sealed)
    assert parse_passport(token).payload["orig"] == {"tn": ORIG}


async def test_junk_whose_certificates_never_come_holds_no_call_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A publisher may store eight for a number: their fetches must not be waited for in a row."""
    monkeypatch.setattr("gateway.oob.service.VERIFY_SECONDS", 0.02)
    scene = Scene()
    scene.services.held[PLAIN] = tuple(ALPHA.passport() for _ in range(8))

    async def never(_identities: Any, **_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(scene.identity, "verify", never)
    async with asyncio.timeout(1.0):
        assert await scene.outcome(invite()) is None
    assert scene.service.outcomes["retrieve", "too_slow"] == 1


def test_a_number_with_a_hash_stays_in_the_path() -> None:
    assert Placement("#31*1", "1#2").path == "/passports/%2331%2A1/1%232"
    assert Placement("1#2", None).path == "/encrypted/1%232"
