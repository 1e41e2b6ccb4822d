"""The steps in the order of RFC 8224 section 6.2.

First those that need nothing but the request, so that a bad token is refused before a certificate
is fetched for it; then those that need the credential. A PASSporT type's own steps stand between
the media keys and replay. Each group is run for every Identity of the request before the next.
"""

from __future__ import annotations

from typing import Final

from stir.checks.authority_step import authority
from stir.checks.constraints_step import constraints
from stir.checks.credential_steps import chain, credential, signature
from stir.checks.diversion_step import diversion
from stir.checks.inspection import Inspection, Step
from stir.checks.request_steps import destination, media_keys, originator, replay
from stir.checks.revocation_step import revocation
from stir.checks.token_steps import algorithm, claims, freshness, info, syntax, type_
from stir.checks.transparency_step import transparency
from stir.diversion import DIV, DIV_O
from stir.extensions.rcd import RCD, has_rich_call_data
from stir.extensions.registry import EXTENSIONS

Steps = tuple[tuple[str, Step], ...]

TOKEN_STEPS: Final[Steps] = (
    ("syntax", syntax),
    ("type", type_),
    ("algorithm", algorithm),
    ("info", info),
    ("claims", claims),
)
# Once every Identity of the request was read: how old one may be depends on the others.
AGE_STEPS: Final[Steps] = (("freshness", freshness),)
CREDENTIAL_STEPS: Final[Steps] = (
    ("credential", credential),
    ("chain", chain),
    ("revocation", revocation),
    ("transparency", transparency),
    ("authority", authority),
    ("constraints", constraints),
    ("signature", signature),
    ("originator", originator),
)
# Once the signatures of every Identity were judged: an original may rest on its diversions.
REQUEST_STEPS: Final[Steps] = (
    ("destination", destination),
    ("media_keys", media_keys),
)
DIVERSION_STEPS: Final[Steps] = (("div", diversion),)
LAST_STEPS: Final[Steps] = (("replay", replay),)
_BY_TYPE: Final = {ppt: (*REQUEST_STEPS, *extension.steps) for ppt, extension in EXTENSIONS.items()}


def nested_steps(inspection: Inspection) -> Steps:
    """Return the steps of a PASSporT within a div-o that follow its signature."""
    if inspection.ppt in (DIV, DIV_O):
        return (("media_keys", media_keys),)
    return request_steps(inspection)[1:]


def request_steps(inspection: Inspection) -> Steps:
    """Return the steps that follow the signature, for a type or the plain one, before replay.

    Rich call data may ride in any type and is looked at there too (RFC 9795 section 8).
    """
    passport, ppt = inspection.passport, inspection.ppt
    steps = _BY_TYPE.get(ppt or "", REQUEST_STEPS)
    if passport is None or ppt == RCD.ppt or not has_rich_call_data(passport.payload):
        return steps
    return (*steps, *RCD.steps)
