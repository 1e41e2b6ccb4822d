"""The check that no certificate of the path is revoked."""

from __future__ import annotations

from typing import Final

from stir.certificates.certificate import Credential
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.verdict import Check

_NOT_ASKED: Final = skipped("revocation", "revocation is not asked for")
_NO_PATH: Final = skipped("revocation", "no path to a trust anchor")


def revocation(inspection: Inspection) -> Check:
    """(8b) No list or responder says that a certificate of the path is revoked (RFC 5280 6.3).

    What could not be found out fails or is skipped by policy; it is never *unavailable*: the lists
    of others being down is no reason to leave a call whose chain is trusted without a verdict.
    """
    records, path = inspection.revocation, inspection.path
    if records is None:
        return _NOT_ASKED
    found = inspection.credential
    if path is None or path.problem is not None or not isinstance(found, Credential):
        return _NO_PATH
    status = records.status(found, path, inspection.now)
    if status.problem is not None:
        return failed("revocation", status.problem)
    return (passed if status.checked else skipped)("revocation", status.got)
