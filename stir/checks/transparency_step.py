"""The check that the certificate was shown to transparency logs."""

from __future__ import annotations

from typing import Final

from stir.certificates.certificate import Credential
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.verdict import Check

_NOT_ASKED: Final = skipped("transparency", "no transparency log is configured")
_NO_PATH: Final = skipped("transparency", "no path to a trust anchor")


def transparency(inspection: Inspection) -> Check:
    """(8c) Every timestamp of a known log holds, and there are enough of them.

    As draft-ietf-stir-certificate-transparency has the verification service do it; timestamps of
    unknown logs neither help nor harm (RFC 6962 section 3.3).
    """
    checked, path = inspection.transparency, inspection.path
    if checked is None:
        return _NOT_ASKED
    found = inspection.credential
    if path is None or path.problem is not None or not isinstance(found, Credential):
        return _NO_PATH
    status = checked.status(found, path, inspection.now)
    if status.problem is not None:
        return failed("transparency", status.problem)
    return (passed if status.logs else skipped)("transparency", status.got)
