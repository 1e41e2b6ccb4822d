"""``msg``: the sender and the text of one message (RFC 9475 section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Problem
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import malformed
from stir.content_digest import is_digest_of, read_digest
from stir.extensions.extension import Extension
from stir.reason import Reason
from stir.verdict import Check


def _claims(payload: Mapping[str, object]) -> Problem | None:
    """The msgi claim may be left out; where it is there it is a digest."""
    if "msgi" in payload and read_digest(payload["msgi"]) is None:
        return malformed("msgi", payload["msgi"], "msgi: sha256-, sha384- or sha512- and base64")
    return None


def _message(inspection: Inspection) -> Check:
    """The body is the one that was signed: octet for octet, without header fields."""
    step, passport, body = "message", inspection.passport, inspection.facts.body
    if passport is None:
        return skipped(step, "the token could not be read")
    if "msgi" not in passport.payload:
        if inspection.policy.require_message_digest:
            return failed(
                step, Problem(Reason.MESSAGE_DIGEST_MISSING, "no msgi claim", "msgi required")
            )
        return skipped(step, "no msgi claim")
    if body is None:
        return skipped(step, "no request given to compare with")
    if is_digest_of(passport.payload["msgi"], body):
        return passed(step, f"{len(body)} octets")
    got = f"another digest of the body's {len(body)} octets"
    return failed(step, Problem(Reason.MESSAGE_DIGEST_MISMATCH, got, "the digest in msgi"))


MSG: Final = Extension(
    ppt="msg",
    claims_problem=_claims,
    proves_caller=True,
    methods=frozenset({"MESSAGE"}),
    steps=(("message", _message),),
)
