"""PASSporTs of type msec stand and fall with their media keys (RFC 8862)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stir.authentication import CannotSign, SigningRequest
from stir.reason import Reason
from tests.support.stir_authority import (
    DEST,
    FACTS,
    FINGERPRINT,
    HEADER,
    NOW,
    ORIG,
    OTHER_FINGERPRINT,
    URL,
    StirWorld,
)


def signed(world: StirWorld, **changes: Any) -> str:
    request = SigningRequest(ORIG, (DEST,), int(NOW), ppt="msec", fingerprints=(FINGERPRINT,))
    return world.signer.sign(replace(request, **changes))


def test_the_keys_of_the_offer_prove_the_caller(world: StirWorld) -> None:
    facts = replace(FACTS, fingerprints=(FINGERPRINT,))
    call = world.verify(signed(world), facts=facts)
    assert call.outcome == "valid"
    assert call.attest is None


@pytest.mark.parametrize("offered", [(OTHER_FINGERPRINT,), ()])
def test_with_other_keys_it_proves_nothing(world: StirWorld, offered: tuple[Any, ...]) -> None:
    call = world.verify(signed(world), facts=replace(FACTS, fingerprints=offered))
    assert (call.outcome, call.reason) == ("invalid", Reason.MEDIA_KEYS_MISMATCH)


def test_without_keys_it_is_neither_signed_nor_believed(world: StirWorld) -> None:
    with pytest.raises(CannotSign):
        signed(world, fingerprints=())
    claims = {"dest": {"tn": [DEST]}, "iat": int(NOW), "orig": {"tn": ORIG}}
    token = world.token({**HEADER, "ppt": "msec"}, claims)
    call = world.verify(f"{token};info=<{URL}>;alg=ES256;ppt=msec")
    assert (call.outcome, call.reason) == ("invalid", Reason.CLAIM_MISSING)


def test_it_has_no_place_in_a_message(world: StirWorld) -> None:
    facts = replace(FACTS, method="MESSAGE", fingerprints=(FINGERPRINT,))
    assert world.verify(signed(world), facts=facts).reason is Reason.METHOD_MISMATCH


def test_an_attestation_is_for_shaken_only(world: StirWorld) -> None:
    with pytest.raises(CannotSign):
        signed(world, attest="A", origid=None)
