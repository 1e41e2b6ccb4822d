"""``msec``: a PASSporT that exists for its media keys (RFC 8862).

The IANA registry names it with RFC 8862 as its source. What it asks beyond the base is taken to be
what it is for: the mky claim, and that the SDP's keys are those. A plain PASSporT may carry mky as
well; with this type a verifier that does not know it leaves the header field aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Problem
from stir.claims import missing
from stir.extensions.extension import Extension


def _claims(payload: Mapping[str, object]) -> Problem | None:
    return None if "mky" in payload else missing("mky")


MSEC: Final = Extension(
    ppt="msec",
    claims_problem=_claims,
    proves_caller=True,
    methods=frozenset({"INVITE", "UPDATE"}),
)
