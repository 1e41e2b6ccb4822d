"""Twenty-three crafted INVITEs, of which a verifier that looks less closely lets most pass.

Kamailio's secsipid forwards 16 of these (14 with its chain check): wrong numbers, a replay, an
`iat` a day ahead, certificates without TNAuthList, a forged header beside a valid one. Each is sent
to a running gateway whose policy is `require`; each refusal has one Reason, in the call's record.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from stir.certificates.issuing import make_intermediate, make_root
from stir.certificates.tn_auth_list import One
from tests.support.stir_peer import Handset, Signer, alphas_signer, caller, signer_with
from tests.support.troubled_scene import TroubledScene, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

DIVERTING = "12125550177"
BUSY = 486  # what the handset answers: the call was let through
Identities = Callable[[TroubledScene], tuple[str, ...]]


class Crafted(NamedTuple):
    """One INVITE: its Identity values, and what has to become of it."""

    name: str
    identities: Identities
    status: int = BUSY
    reason: str | None = None


def _value(signer: Signer, token: str, parameters: str = ";alg=ES256;ppt=shaken") -> str:
    return f"{token};info=<{signer.x5u}>{parameters}"


def _typed(scene: TroubledScene, ppt: str | None, drop: tuple[str, ...] = (), **claims: Any) -> str:
    """A PASSporT of another type than shaken, by alpha's good key."""
    signer = alphas_signer(scene)
    header = {"alg": "ES256", "typ": "passport", "x5u": signer.x5u}
    parameters = ";alg=ES256"
    if ppt is not None:
        header["ppt"] = ppt
        parameters += f";ppt={ppt}"
    dropped: dict[str, Any] = dict.fromkeys(drop)
    return _value(signer, signer.token(header=header, **dropped, **claims), parameters)


def _good(scene: TroubledScene, **changes: Any) -> str:
    return alphas_signer(scene).identity(**changes)


def _forged(scene: TroubledScene) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(key, alphas_signer(scene).x5u).identity()


def _aged(scene: TroubledScene, seconds: int) -> str:
    return _good(scene, iat=int(time.time()) - seconds)


def _unknown_root(scene: TroubledScene) -> str:
    now = time.time()
    nobody = make_intermediate(make_root("Nobody's Root", now), "Nobody", now)
    return signer_with(scene, issuer=nobody).identity()


def _expired(scene: TroubledScene) -> str:
    now = time.time()
    return signer_with(scene, not_before=now - 7200, not_after=now - 3600).identity()


def _compact(scene: TroubledScene) -> str:
    signer = alphas_signer(scene)
    return _value(signer, ".." + signer.token().rpartition(".")[2])


def _other_fingerprint(scene: TroubledScene) -> str:
    return _good(scene, mky=[{"alg": "sha-256", "dig": ":".join(["CD"] * 32)}])


def _signed_div(scene: TroubledScene) -> str:
    """A diversion by the holder of the number that diverts, and nobody's PASSporT of the call."""
    signer = signer_with(scene, entries=(One(DIVERTING),))
    header = {"alg": "ES256", "ppt": "div", "typ": "passport", "x5u": signer.x5u}
    token = signer.token(header=header, div={"tn": DIVERTING}, attest=None, origid=None)
    return _value(signer, token, ";alg=ES256;ppt=div")


TABLE = [
    Crafted("valid", lambda s: (_good(s),)),
    Crafted("no Identity header field", lambda s: (), 428, "identity_missing"),
    Crafted("signature of another key", lambda s: (_forged(s),), 438, "signature_invalid"),
    Crafted("iat ten minutes old", lambda s: (_aged(s, 600),), 403, "stale_date"),
    Crafted("iat four minutes old", lambda s: (_aged(s, 240),), 403, "stale_date"),
    Crafted("iat a day ahead", lambda s: (_aged(s, -86_400),), 403, "stale_date"),
    Crafted(
        "orig is another number of the certificate",
        lambda s: (_good(s, orig={"tn": "14155550101"}),),
        438,
        "originator_mismatch",
    ),
    Crafted(
        "orig is nobody's number",
        lambda s: (_good(s, orig={"tn": "13035550177"}),),
        437,
        "authority_not_covered",
    ),
    Crafted(
        "dest is not the called number",
        lambda s: (_good(s, dest="+13035550177"),),
        438,
        "destination_mismatch",
    ),
    Crafted("unknown root", lambda s: (_unknown_root(s),), 437, "chain_untrusted"),
    Crafted("expired certificate", lambda s: (_expired(s),), 437, "credential_expired"),
    Crafted(
        "no TNAuthList",
        lambda s: (signer_with(s, entries=None).identity(),),
        437,
        "authority_missing",
    ),
    Crafted(
        "TNAuthList of another number",
        lambda s: (signer_with(s, entries=(One("13035550177"),)).identity(),),
        437,
        "authority_not_covered",
    ),
    Crafted(
        "info differs from x5u",
        lambda s: (_good(s, info="https://certs.sti-ca.example:8443/certs/x.pem"),),
        438,
        "info_mismatch",
    ),
    Crafted("plain, without ppt", lambda s: (_typed(s, None, ("attest", "origid")),)),
    Crafted(
        "plain, with the claims of shaken left in",
        lambda s: (_typed(s, None),),
    ),
    Crafted("valid, then forged", lambda s: (_good(s), _forged(s))),
    Crafted("forged, then valid", lambda s: (_forged(s), _good(s))),
    Crafted("a div without its claim, then valid", lambda s: (_typed(s, "div"), _good(s))),
    Crafted(
        "ppt in quotes",
        lambda s: (_value(alphas_signer(s), alphas_signer(s).token(), ';alg=ES256;ppt="shaken"'),),
    ),
    Crafted("compact form of shaken", lambda s: (_compact(s),), 438, "compact_form_unusable"),
    Crafted(
        "mky of another fingerprint",
        lambda s: (_other_fingerprint(s),),
        438,
        "media_keys_mismatch",
    ),
]


@pytest.mark.parametrize("crafted", TABLE, ids=lambda crafted: crafted.name)
async def test_each_gets_its_verdict(scene: TroubledScene, bob: Handset, crafted: Crafted) -> None:
    call_id = f"{secrets.token_hex(8)}@crafted"
    async with caller(scene) as stranger:
        response = await stranger.call(*crafted.identities(scene), call_id=call_id)
    assert response.status_code == crafted.status
    assert (bob.got(call_id) is not None) == (crafted.status == BUSY)
    record = await record_of(scene.beta, call_id)
    assert record["verdict"]["reason"] == crafted.reason


async def test_a_passport_is_not_good_for_a_second_call(scene: TroubledScene, bob: Handset) -> None:
    identity = _good(scene)
    async with caller(scene) as stranger:
        assert (await stranger.call(identity, call_id="first@crafted")).status_code == BUSY
        response = await stranger.call(identity, call_id="second@crafted")
    assert response.status_code == 438
    assert (await record_of(scene.beta, "second@crafted"))["verdict"]["reason"] == "replayed"


@pytest.mark.parametrize(
    ("identity", "status", "reason"),
    [
        pytest.param(_signed_div, 438, "diversion_without_original", id="div alone"),
        pytest.param(
            lambda s: _typed(s, "div", div={"tn": DIVERTING}),
            437,
            "authority_not_covered",
            id="div alone, by somebody who has not the number",
        ),
        pytest.param(
            lambda s: _typed(s, "rcd", rcd={"nam": "X"}), 428, "identity_missing", id="rcd alone"
        ),
    ],
)
async def test_what_proves_no_caller_is_refused(
    scene: TroubledScene,
    bob: Handset,
    identity: Callable[[TroubledScene], str],
    status: int,
    reason: str,
) -> None:
    call_id = f"{secrets.token_hex(8)}@crafted"
    async with caller(scene) as stranger:
        response = await stranger.call(identity(scene), call_id=call_id)
    record = await record_of(scene.beta, call_id)
    assert (response.status_code, record["verdict"]["reason"]) == (status, reason)
    assert bob.got(call_id) is None
