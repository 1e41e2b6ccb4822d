"""A signing service behind the HTTP interface of ATIS-1000082 as target: what does it sign?"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from gateway.conformance.case import (
    Attempt,
    Case,
    Conduct,
    Expected,
    Observation,
    Outcome,
    Result,
)
from gateway.conformance.http_target import post_json
from stir.passport import MalformedPassport, Passport, parse_passport

_NOTHING: Final = Attempt(())
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Asked:
    """What the service was asked to sign, and what came of it."""

    request: Mapping[str, Any]
    status: int
    identity: str | None
    passport: Passport | None
    detail: str = ""


Check = Callable[[Asked], str | None]


def _claim(name: str) -> Check:
    def check(asked: Asked) -> str | None:
        signed = None if asked.passport is None else asked.passport.payload.get(name)
        wanted = asked.request[name]
        return None if signed == wanted else f"signed {signed!r:.60}, asked for {wanted!r:.60}"

    return check


def _header(name: str, wanted: str) -> Check:
    def check(asked: Asked) -> str | None:
        found = None if asked.passport is None else asked.passport.header.get(name)
        return None if found == wanted else f"{name} is {found!r:.60}"

    return check


def _signs(asked: Asked) -> str | None:
    if asked.identity is None:
        return f"HTTP {asked.status} without signingResponse.identity"
    return None if asked.passport is not None else "what it signed is no PASSporT"


def _https(asked: Asked) -> str | None:
    url = None if asked.passport is None else asked.passport.x5u
    return None if url is not None and url.startswith("https://") else "x5u is no https URL"


def _info(asked: Asked) -> str | None:
    url = None if asked.passport is None else asked.passport.x5u
    return (
        None if f";info=<{url}>" in (asked.identity or "").replace(" ", "") else "info is not x5u"
    )


def _canonical(asked: Asked) -> str | None:
    token = (asked.identity or "").partition(";")[0]
    return None if token.count(".") == 2 and "=" not in token else "padded, or not three parts"


GOOD: Final[tuple[tuple[str, str, str, Check], ...]] = (
    ("signs", "it signs what is right", "ATIS-1000082", _signs),
    ("alg", "algorithm ES256", "RFC 8588 5", _header("alg", "ES256")),
    ("ppt", "type shaken", "RFC 8588 3", _header("ppt", "shaken")),
    ("typ", "typ passport", "RFC 8225 4.1", _header("typ", "passport")),
    ("x5u", "x5u is an https URL", "RFC 8225 4.3", _https),
    ("info", "info is x5u", "RFC 8224 4.1", _info),
    ("attest", "the attestation asked for", "RFC 8588 4", _claim("attest")),
    ("orig", "the caller asked for", "RFC 8225 5.2.1", _claim("orig")),
    ("dest", "the destination asked for", "RFC 8225 5.2.1", _claim("dest")),
    ("origid", "the origid asked for", "RFC 8588 4", _claim("origid")),
    ("iat", "the time asked for", "RFC 8225 5.1.1", _claim("iat")),
    ("form", "full form in base64url without padding", "RFC 7515 2", _canonical),
)
# What a request is changed by so that it must not be signed; None leaves a member out.
BAD: Final[tuple[tuple[str, str, dict[str, Any], bool], ...]] = (
    ("no-orig", "no caller", {"orig": None}, False),
    ("no-dest", "no destination", {"dest": None}, False),
    ("bad-attest", "attestation Z", {"attest": "Z"}, False),
    ("bad-orig", "a caller that is no number", {"orig": {"tn": "nobody"}}, False),
    ("old-iat", "a time a day ago", {"iat": -_DAY}, True),
)


async def run_signing(
    session: aiohttp.ClientSession, url: str, orig: str, dest: str
) -> AsyncIterator[Outcome]:
    """Have one good request signed and looked at, then some that must not be signed."""
    good = {
        "attest": "A",
        "dest": {"tn": [dest]},
        "iat": int(time.time()),
        "orig": {"tn": orig},
        "origid": str(uuid.uuid4()),
    }
    asked = await _ask(session, url, good)
    for name, title, clause, check in GOOD:
        problem = asked.detail or check(asked)
        yield _outcome(name, title, clause, asked, "fail" if problem else "pass", problem or "")
    for name, title, changes, lenient in BAD:
        changed = {**good, **changes}
        if "iat" in changes:
            changed["iat"] = good["iat"] + changes["iat"]
        asked = await _ask(session, url, {k: v for k, v in changed.items() if v is not None})
        problem = asked.detail or ("" if asked.identity is None else "it was signed")
        result: Result = "pass" if not problem else "info" if lenient else "fail"
        yield _outcome(name, title, "ATIS-1000082", asked, result, problem)


async def _ask(session: aiohttp.ClientSession, url: str, request: dict[str, Any]) -> Asked:
    try:
        status, answer = await post_json(session, url, {"signingRequest": request})
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Asked(request, 0, None, None, str(error) or type(error).__name__)
    response = answer.get("signingResponse")
    identity = response.get("identity") if isinstance(response, dict) else None
    if not isinstance(identity, str):
        return Asked(request, status, None, None)
    try:
        return Asked(request, status, identity, parse_passport(identity.partition(";")[0]))
    except MalformedPassport:
        return Asked(request, status, identity, None)


def _outcome(
    name: str, title: str, clause: str, asked: Asked, result: Result, remark: str
) -> Outcome:
    good = any(name == each[0] for each in GOOD)
    expected: Expected = "accepted" if good else "refused"
    conduct: Conduct = "accepted" if asked.identity else "refused"
    if asked.detail:
        conduct = "silent"
    case = Case(name, title, clause, expected, lambda _: _NOTHING)
    seen = Observation(conduct, asked.status or None, detail=asked.detail)
    return Outcome(case, seen, result, remark)
