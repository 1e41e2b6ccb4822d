"""``rcd``: rich call data, and the claims rcd, rcdi and crn in any PASSporT (RFC 9795)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from stir.call_info import CARD, ICON, CallInfo
from stir.certificates.certificate import Problem
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import malformed, missing
from stir.content_digest import read_digest
from stir.extensions.extension import Extension
from stir.extensions.rcd_integrity import direct_problem, is_https_url
from stir.json_pointer import NoSuchValue, resolve
from stir.reason import Reason
from stir.strict_json import MalformedJson, parse_value
from stir.telephone_number import canonicalise
from stir.verdict import Check

CLAIMS: Final = ("rcd", "rcdi", "crn")
MAX_DIGESTS: Final = 32


def has_rich_call_data(payload: Mapping[str, object]) -> bool:
    """Whether a payload of any type carries one of the three claims."""
    return any(name in payload for name in CLAIMS)


def rich_call_data_problem(payload: Mapping[str, object]) -> Problem | None:
    """Return what is wrong with the form of the claims that are there (RFC 9795 5 to 7)."""
    if "crn" in payload:
        reason = payload["crn"]
        if not isinstance(reason, str):
            return malformed("crn", reason, "crn: text")
    if "rcd" in payload:
        problem = _rcd_problem(payload["rcd"])
        if problem is not None:
            return problem
    elif "rcdi" in payload:
        return missing("rcd")
    return _rcdi_problem(payload) if "rcdi" in payload else None


def _rcd_problem(rcd: object) -> Problem | None:
    if not isinstance(rcd, dict):
        return malformed("rcd", rcd, 'rcd: {"nam":"..."}')
    if not isinstance(rcd.get("nam"), str):
        return malformed("rcd.nam", rcd.get("nam"), "nam: the display name, empty if there is none")
    if "apn" in rcd:
        number = rcd["apn"]
        if not isinstance(number, str) or canonicalise(number) is None:
            return malformed("rcd.apn", number, "apn: a telephone number")
    for name in ("icn", "jcl"):
        if name in rcd and not is_https_url(rcd[name]):
            return malformed(f"rcd.{name}", rcd[name], f"{name}: an https URL")
    if "jcd" in rcd:
        if "jcl" in rcd:
            return malformed("rcd", rcd, "rcd: jcd or jcl, not both")
        if not is_card(rcd["jcd"]):
            return malformed("rcd.jcd", rcd["jcd"], 'jcd: a jCard, ["vcard",[...]]')
    return None


def _rcdi_problem(payload: Mapping[str, object]) -> Problem | None:
    digests = payload["rcdi"]
    if not isinstance(digests, dict) or not 0 < len(digests) <= MAX_DIGESTS:
        return malformed("rcdi", digests, 'rcdi: {"/icn":"sha256-..."}')
    for pointer, written in digests.items():
        if read_digest(written) is None:
            return malformed("rcdi", written, "rcdi: sha256-, sha384- or sha512- and base64")
        try:
            # the rest of a pointer into a linked card can be followed when the card is there
            resolve(payload["rcd"], "/jcl" if pointer.startswith("/jcl/") else pointer)
        except NoSuchValue as problem:
            got = f"a key of rcdi: {problem}"
            return Problem(Reason.CLAIM_MALFORMED, got, "a JSON pointer into rcd")
    return None


def is_card(value: object) -> bool:
    """Whether a JSON value has the form of a jCard (RFC 7095 section 3.2)."""
    if not isinstance(value, list) or len(value) != 2 or value[0] != "vcard":
        return False
    return isinstance(value[1], list) and all(
        isinstance(each, list) and len(each) >= 4 and isinstance(each[0], str) for each in value[1]
    )


def _claims(payload: Mapping[str, object]) -> Problem | None:
    if "rcd" not in payload and "crn" not in payload:
        return missing("rcd")
    return None  # their form is checked in every type of PASSporT


def _caller_name(inspection: Inspection) -> Check:
    """The name that is shown is the one that is signed (RFC 9795 section 5.1.1)."""
    step, passport, shown = "caller_name", inspection.passport, inspection.facts.display_names
    if passport is None:
        return skipped(step, "the token could not be read")
    rcd = passport.payload.get("rcd")
    name = rcd.get("nam") if isinstance(rcd, dict) else None
    if not isinstance(name, str) or not name:
        return skipped(step, "no name is signed")
    if shown is None:
        return skipped(step, "no request given to compare with")
    if not shown or _words(name) in map(_words, shown):
        return passed(step, name if shown else "no name is shown")
    return failed(step, Problem(Reason.CALLER_NAME_MISMATCH, shown[0], name))


def _words(name: str) -> str:
    return " ".join(name.split())


def _call_info(inspection: Inspection) -> Check:
    """Icon, card and reason in Call-Info are those that are signed (RFC 9795 5.1, RFC 9796)."""
    step, passport, shown = "call_info", inspection.passport, inspection.facts.call_info
    if passport is None:
        return skipped(step, "the token could not be read")
    if shown is None:
        return skipped(step, "no request given to compare with")
    for info in shown:
        problem = _contradiction(passport.payload, info)
        if problem is not None:
            return failed(step, problem)
    return passed(step)


def _contradiction(payload: Mapping[str, object], info: CallInfo) -> Problem | None:
    rcd, reason = payload.get("rcd"), payload.get("crn")
    signed = rcd if isinstance(rcd, dict) else {}
    if isinstance(reason, str) and info.call_reason not in (None, reason):
        return Problem(Reason.CALLER_NAME_MISMATCH, f"call-reason {info.call_reason}", reason)
    if info.purpose == ICON and "icn" in signed and info.uri != signed["icn"]:
        return Problem(Reason.CALLER_NAME_MISMATCH, f"icon {info.uri}", str(signed["icn"]))
    scheme = info.uri.partition(":")[0].lower()
    if info.purpose != CARD or scheme == "cid" or info.uri == "data:":
        return None
    if "jcl" in signed and info.uri != signed["jcl"]:
        return Problem(Reason.CALLER_NAME_MISMATCH, f"jcard {info.uri}", str(signed["jcl"]))
    if "jcd" in signed and (scheme != "data" or _card_in(info.uri) != signed["jcd"]):
        return Problem(Reason.CALLER_NAME_MISMATCH, "another jcard", "the jCard in jcd")
    return None


def _card_in(uri: str) -> object:
    """The JSON value a ``data:`` URI holds, None where it holds none (RFC 2397)."""
    try:
        return parse_value(unquote_to_bytes(uri.partition(",")[2]))
    except MalformedJson:
        return None


def _integrity(inspection: Inspection) -> Check:
    """What rcd holds itself has the digest rcdi gives; linked content is looked at when fetched."""
    step, passport = "caller_data_integrity", inspection.passport
    if passport is None:
        return skipped(step, "the token could not be read")
    if not isinstance(passport.payload.get("rcdi"), dict):
        return skipped(step, "no rcdi claim")
    problem = direct_problem(passport.payload)
    return failed(step, problem) if problem else passed(step)


RCD: Final = Extension(
    ppt="rcd",
    claims_problem=_claims,
    methods=frozenset({"INVITE", "MESSAGE"}),
    steps=(
        ("caller_name", _caller_name),
        ("call_info", _call_info),
        ("caller_data_integrity", _integrity),
    ),
)
