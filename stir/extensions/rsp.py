"""``rsp``: who answered, signed by the called side (draft-ietf-stir-rfc4916-update).

It repeats orig and dest of the call; its signer has the right to the number in dest. So it shows
that the call reached who was called, or, where it does not fit, that it did not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Problem
from stir.claims import malformed
from stir.extensions.extension import Extension
from stir.passport import Passport

RESPONSE: Final = "response"
"""What stands for the method in the facts of a response (`stir.verification.CallFacts`)."""


def called_number(passport: Passport) -> str | None:
    """Return the one number in dest, whose holder signs."""
    dest = passport.payload.get("dest")
    numbers = dest.get("tn") if isinstance(dest, dict) else None
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], str):
        return numbers[0]
    return None


def _claims(payload: Mapping[str, object]) -> Problem | None:
    dest = payload.get("dest")
    numbers = dest.get("tn") if isinstance(dest, dict) and len(dest) == 1 else None
    if isinstance(numbers, list) and len(numbers) == 1:
        return None
    return malformed("dest", dest, 'dest: {"tn":["12125550123"]}, the one number that was called')


RSP: Final = Extension(
    ppt="rsp",
    claims_problem=_claims,
    signer_number=called_number,
    methods=frozenset({RESPONSE}),
)
