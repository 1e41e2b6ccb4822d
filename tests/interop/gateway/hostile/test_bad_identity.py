"""Calls to beta whose Identity header proves nothing: refused with code and Reason.

The policy is `require`; the codes are RFC 8224 section 6.2.2's, the Reason is RFC 9410's.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.demo.scene import ALICE, BOB
from sip.message import Response
from stir.certificates.issuing import make_intermediate, make_root
from stir.certificates.tn_auth_list import One, Spc
from tests.support.stir_peer import Handset, Signer, alphas_signer, caller, offer, signer_with
from tests.support.troubled_scene import TroubledScene, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

ORIG = ALICE.lstrip("+")
Identity = Callable[[TroubledScene], str]


def stir_reasons(response: Response) -> list[str]:
    return [value for value in response.headers.all("Reason") if value.startswith("STIR;")]


async def refused(
    scene: TroubledScene, bob: Handset, status: int, reason: str, *identities: str, **options: str
) -> Response:
    """Call beta and assert the refusal, its Reason, its record, and that nobody was rung."""
    call_id = options.pop("call_id", f"{reason}-{time.monotonic_ns()}@stranger")
    async with caller(scene) as stranger:
        response = await stranger.call(*identities, call_id=call_id, **options)
    assert response.status_code == status
    assert [re.match(r"STIR;cause=([0-9]+);", value)[1] for value in stir_reasons(response)] == [  # type: ignore[index]
        str(status)
    ] * max(1, len(identities))
    assert bob.got(call_id) is None
    record = await record_of(scene.beta, call_id)
    assert record["verdict"]["reason"] == reason
    return response


async def test_a_call_whose_identity_proves_its_caller_is_delivered(
    scene: TroubledScene, bob: Handset
) -> None:
    async with caller(scene) as stranger:
        response = await stranger.call(alphas_signer(scene).identity(), call_id="good@stranger")
    assert response.status_code == 486
    delivered = bob.got("good@stranger")
    assert delivered is not None
    asserted = delivered.headers.get("P-Asserted-Identity") or ""
    assert asserted.startswith(f"<sip:{ALICE};verstat=TN-Validation-Passed@")


async def test_a_call_without_identity_is_told_to_use_one(
    scene: TroubledScene, bob: Handset
) -> None:
    response = await refused(scene, bob, 428, "identity_missing")
    assert response.reason_phrase == "Use Identity Header"


def _expired(scene: TroubledScene) -> str:
    now = time.time()
    return signer_with(scene, not_before=now - 7200, not_after=now - 3600).identity()


def _unknown_root(scene: TroubledScene) -> str:
    stranger = make_intermediate(make_root("Nobody's Root", time.time()), "Nobody", time.time())
    return signer_with(scene, issuer=stranger).identity()


def _rsa(scene: TroubledScene) -> str:
    return signer_with(scene, key=rsa.generate_private_key(65537, 2048).public_key()).identity()


def _p384(scene: TroubledScene) -> str:
    return signer_with(scene, key=ec.generate_private_key(ec.SECP384R1()).public_key()).identity()


@pytest.mark.parametrize(
    ("reason", "identity"),
    [
        pytest.param("chain_untrusted", _unknown_root, id="a root nobody trusts"),
        pytest.param("credential_expired", _expired, id="expired"),
        pytest.param(
            "credential_not_yet_valid",
            lambda scene: signer_with(scene, not_before=time.time() + 600).identity(),
            id="not yet valid",
        ),
        pytest.param(
            "authority_missing",
            lambda scene: signer_with(scene, entries=None).identity(),
            id="no TNAuthList",
        ),
        pytest.param(
            "authority_malformed",
            lambda scene: signer_with(scene, raw_list=b"\x30\x03\x02\x01").identity(),
            id="a TNAuthList that is no DER",
        ),
        pytest.param(
            "authority_not_covered",
            lambda scene: signer_with(scene, entries=(One("14155550177"),)).identity(),
            id="another number",
        ),
        pytest.param(
            "authority_code_refused",
            lambda scene: signer_with(scene, entries=(Spc("9999"),)).identity(),
            id="a provider code nobody accepts",
        ),
        pytest.param("credential_key", _rsa, id="an RSA key"),
        pytest.param("credential_key", _p384, id="a P-384 key"),
        pytest.param(
            "credential_key_usage",
            lambda scene: signer_with(scene, usage=False).identity(),
            id="a key that may not sign",
        ),
    ],
)
async def test_a_credential_that_gives_no_right_to_the_number_is_437(
    scene: TroubledScene, bob: Handset, reason: str, identity: Identity
) -> None:
    await refused(scene, bob, 437, reason, identity(scene))


def _tampered(scene: TroubledScene) -> str:
    header, payload, signature = alphas_signer(scene).token().split(".")
    claims = base64.urlsafe_b64decode(payload + "==").replace(b'"attest":"A"', b'"attest":"B"')
    changed = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    return _value(scene, f"{header}.{changed}.{signature}")


def _value(scene: TroubledScene, token: str) -> str:
    return f"{token};info=<{alphas_signer(scene).x5u}>;alg=ES256;ppt=shaken"


def _headed(scene: TroubledScene, **changes: object) -> str:
    signer = alphas_signer(scene)
    header = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": signer.x5u, **changes}
    return _value(scene, signer.token(header=header))


@pytest.mark.parametrize(
    ("reason", "identity"),
    [
        pytest.param("signature_invalid", _tampered, id="a claim changed after signing"),
        pytest.param(
            "signature_invalid",
            lambda scene: Signer(
                ec.generate_private_key(ec.SECP256R1()), alphas_signer(scene).x5u
            ).identity(),
            id="somebody else's key",
        ),
        pytest.param(
            "originator_mismatch",
            lambda scene: alphas_signer(scene).identity(orig={"tn": "14155550101"}),
            id="another caller",
        ),
        pytest.param(
            "destination_mismatch",
            lambda scene: alphas_signer(scene).identity(dest="+12125550124"),
            id="another called number",
        ),
        pytest.param(
            "passport_malformed", lambda scene: _value(scene, "abc.def.ghi"), id="no token"
        ),
        pytest.param(
            "identity_malformed",
            lambda scene: alphas_signer(scene).token(),
            id="a token without parameters",
        ),
        pytest.param("wrong_type", lambda scene: _headed(scene, typ="JWT"), id="another JWT"),
        pytest.param(
            "embedded_key", lambda scene: _headed(scene, jwk={"kty": "EC"}), id="its own key"
        ),
        pytest.param(
            "critical_header", lambda scene: _headed(scene, crit=["x"]), id="critical headers"
        ),
        pytest.param(
            "info_mismatch",
            lambda scene: alphas_signer(scene).identity(
                info="https://certs.sti-ca.example:8443/certs/beta.pem"
            ),
            id="info is not x5u",
        ),
        pytest.param(
            "claim_malformed",
            lambda scene: alphas_signer(scene).identity(iat="yesterday"),
            id="iat in words",
        ),
    ],
)
async def test_a_passport_that_is_not_this_call_is_438(
    scene: TroubledScene, bob: Handset, reason: str, identity: Identity
) -> None:
    await refused(scene, bob, 438, reason, identity(scene))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES384"])
async def test_only_es256_is_a_signature(
    scene: TroubledScene, bob: Handset, algorithm: str
) -> None:
    await refused(scene, bob, 437, "unsupported_algorithm", _headed(scene, alg=algorithm))


async def test_a_fingerprint_that_was_not_signed_is_refused(
    scene: TroubledScene, bob: Handset
) -> None:
    signed = [{"alg": "sha-256", "dig": ":".join(["CD"] * 32)}]
    identity = alphas_signer(scene).identity(mky=signed)
    address = scene.address(70)
    await refused(scene, bob, 438, "media_keys_mismatch", identity, sdp=offer(address))
    await refused(scene, bob, 438, "media_keys_mismatch", alphas_signer(scene).identity(mky=signed))


@pytest.mark.parametrize("seconds", [-90, 90, -86_400])
async def test_a_passport_of_another_time_is_403_stale_date(
    scene: TroubledScene, bob: Handset, seconds: int
) -> None:
    identity = alphas_signer(scene).identity(iat=int(time.time()) + seconds)
    response = await refused(scene, bob, 403, "stale_date", identity)
    assert response.reason_phrase == "Stale Date"


async def test_a_passport_is_good_for_one_call_only(scene: TroubledScene, bob: Handset) -> None:
    identity = alphas_signer(scene).identity()
    async with caller(scene) as stranger:
        assert (await stranger.call(identity, call_id="once@stranger")).status_code == 486
    await refused(scene, bob, 438, "replayed", identity, call_id="twice@stranger")
    # The other signature that holds for the same octets (r, n - s) makes no new PASSporT of it.
    await refused(scene, bob, 438, "replayed", _other_signature(identity), call_id="again@stranger")


def _other_signature(identity: str) -> str:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    token, _, params = identity.partition(";")
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    return f"{signed}.{base64.urlsafe_b64encode(other).decode().rstrip('=')};{params}"


async def test_a_repeated_invite_gets_the_same_answer(scene: TroubledScene, bob: Handset) -> None:
    async with caller(scene) as stranger:
        for identities in ((), (alphas_signer(scene).identity(),)):
            invite = stranger.invite(*identities)
            first = await stranger.final(invite)
            again = await stranger.final(invite)
            stranger.acknowledge(invite, again)
            assert again.to_bytes() == first.to_bytes()
    delivered = [each for each in bob.invites if each.call_id == first.call_id]
    assert len(delivered) == 1


async def test_a_caller_who_tries_again_within_the_call_is_no_replay(
    scene: TroubledScene, bob: Handset
) -> None:
    identity = alphas_signer(scene).identity()
    async with caller(scene) as stranger:
        for _ in range(2):
            response = await stranger.call(identity, call_id="forked@stranger")
            assert response.status_code == 486


async def test_a_forged_identity_beside_a_valid_one_does_no_harm(
    scene: TroubledScene, bob: Handset
) -> None:
    forged, valid = _tampered(scene), alphas_signer(scene).identity()
    async with caller(scene) as stranger:
        for number, identities in enumerate([(forged, valid), (valid, forged)]):
            call_id = f"beside-{number}@stranger"
            if number:
                identities = (alphas_signer(scene).identity(), forged)
            assert (await stranger.call(*identities, call_id=call_id)).status_code == 486
            assert bob.got(call_id) is not None


async def test_every_bad_identity_has_its_own_reason(scene: TroubledScene, bob: Handset) -> None:
    response = await refused(
        scene, bob, 438, "signature_invalid", _tampered(scene), _tampered(scene)
    )
    assert len(stir_reasons(response)) == 2


async def test_a_number_that_beta_does_not_serve_is_not_relayed(scene: TroubledScene) -> None:
    async with caller(scene) as stranger:
        away = await stranger.call(alphas_signer(scene).identity(), domain="gamma.example")
        unknown = await stranger.call(alphas_signer(scene).identity(), to="+13105550123")
    assert (away.status_code, unknown.status_code) == (403, 404)
    assert BOB not in str(away.headers.get("Reason"))
