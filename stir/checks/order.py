"""The steps in the order of RFC 8224 section 6.2.

First those that need nothing but the request, so that a bad token is refused before a certificate
is fetched for it; then those that need the credential. A PASSporT type's own steps stand between
the media keys and replay.
"""

from __future__ import annotations

from typing import Final

from stir.checks.authority_step import authority
from stir.checks.constraints_step import constraints
from stir.checks.credential_steps import chain, credential, signature
from stir.checks.inspection import Inspection, Step
from stir.checks.request_steps import destination, media_keys, originator, replay
from stir.checks.revocation_step import revocation
from stir.checks.token_steps import algorithm, claims, freshness, info, syntax, type_
from stir.extensions.rcd import RCD, has_rich_call_data
from stir.extensions.registry import EXTENSIONS

Steps = tuple[tuple[str, Step], ...]

TOKEN_STEPS: Final[Steps] = (
    ("syntax", syntax),
    ("type", type_),
    ("algorithm", algorithm),
    ("info", info),
    ("claims", claims),
    ("freshness", freshness),
)
CREDENTIAL_STEPS: Final[Steps] = (
    ("credential", credential),
    ("chain", chain),
    ("revocation", revocation),
    ("authority", authority),
    ("constraints", constraints),
    ("signature", signature),
    ("originator", originator),
    ("destination", destination),
    ("media_keys", media_keys),
)
LAST_STEPS: Final[Steps] = (("replay", replay),)
_PLAIN: Final[Steps] = (*CREDENTIAL_STEPS, *LAST_STEPS)
_BY_TYPE: Final = {
    ppt: (*CREDENTIAL_STEPS, *extension.steps, *LAST_STEPS) for ppt, extension in EXTENSIONS.items()
}


def credential_steps(inspection: Inspection) -> Steps:
    """Return the steps after the credential was fetched, for a type or the plain one.

    Rich call data may ride in any type and is looked at there too (RFC 9795 section 8).
    """
    passport, ppt = inspection.passport, inspection.ppt
    steps = _BY_TYPE.get(ppt or "", _PLAIN)
    if passport is None or ppt == RCD.ppt or not has_rich_call_data(passport.payload):
        return steps
    return (*steps[: -len(LAST_STEPS)], *RCD.steps, *LAST_STEPS)
