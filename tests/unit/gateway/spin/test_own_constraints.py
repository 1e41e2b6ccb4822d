"""Our own certificate may not allow what SPIN signs: that is one declared error."""

from __future__ import annotations

from typing import cast

import pytest

from discovery.spin.passports import SigningImpossible
from gateway.spin.passports import StirSigner
from stir.authentication import AuthenticationService
from stir.passport import MalformedPassport
from tests.support.spin_passports import ALICE


class Constrained:
    """A certificate whose claim constraints (RFC 8226 section 8) leave no room for SPIN."""

    def sign_passport(self, *_: object, x5c: bool = False) -> str:
        raise MalformedPassport(f"the certificate does not permit it: {ALICE}")


def test_a_constrained_certificate_is_a_declared_error_without_the_number() -> None:
    signer = StirSigner(cast(AuthenticationService, Constrained()))
    with pytest.raises(SigningImpossible, match="do not permit a spin PASSporT") as caught:
        signer.sign("spin", {})
    assert ALICE not in str(caught.value)
