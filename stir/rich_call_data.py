"""What a verified request says of its caller beyond the number (RFC 9795)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stir.content_digest import HashName, digest_of
from stir.extensions.rcd import RCD, has_rich_call_data
from stir.extensions.rcd_integrity import Link, links
from stir.extensions.rph import CALLBACK, resource_priorities
from stir.verdict import CallVerdict, Verdict

EMPTY_NAME: Final = ""


@dataclass(frozen=True, slots=True)
class RichCallData:
    """Signed by whoever may use the number, which proves who says it, not that it is so.

    `name` is empty where there is none; `number` is the apn claim, digits as signed. `icon`, `card`
    (the jcl claim) and what a card names are links: their content is not verified before it was
    fetched and held against the digest.
    """

    name: str = EMPTY_NAME
    number: str | None = None
    icon: Link | None = None
    card: Link | None = None
    included_card: object = None
    call_reason: str | None = None
    payload: Mapping[str, object] | None = None

    @classmethod
    def of(cls, payload: Mapping[str, object]) -> RichCallData:
        """Read the claims of a PASSporT that was found valid."""
        rcd, reason = payload.get("rcd"), payload.get("crn")
        signed = rcd if isinstance(rcd, dict) else {}
        by_place = {link.pointer: link for link in links(payload)}
        name, number = signed.get("nam"), signed.get("apn")
        return cls(
            name=name if isinstance(name, str) else EMPTY_NAME,
            number=number if isinstance(number, str) else None,
            icon=by_place.get("/icn"),
            card=by_place.get("/jcl"),
            included_card=signed.get("jcd"),
            call_reason=reason if isinstance(reason, str) else None,
            payload=payload,
        )


def rich_call_data(call: CallVerdict) -> RichCallData | None:
    """Return the rich call data of a verified call: of its rcd PASSporT, else of a proving one.

    Where the call was diverted that is the original one. None where the call is not verified, or
    nothing valid says anything.
    """
    if call.outcome != "valid":
        return None
    own = [verdict for verdict in call.verdicts if _is_valid(verdict, RCD.ppt)]
    proving = [each for each in call.verdicts if each.outcome == "valid" and each.proves_caller]
    for verdict in (*own, *proving):
        passport = verdict.original
        if passport is not None and has_rich_call_data(passport.payload):
            return RichCallData.of(passport.payload)
    return None


def verified_priorities(call: CallVerdict) -> tuple[frozenset[str], bool]:
    """Return the Resource-Priority values that are verified, and whether a psap-callback is.

    Values in lower case. They stand for themselves: whether the caller is verified is another
    question (RFC 8443 section 4.2).
    """
    payloads = [
        verdict.passport.payload
        for verdict in call.verdicts
        if verdict.passport is not None and _is_valid(verdict, "rph")
    ]
    values = frozenset[str]().union(*map(resource_priorities, payloads))
    return values, any(payload.get("sph") == CALLBACK for payload in payloads)


def rcd_claims(
    name: str,
    *,
    number: str | None = None,
    icon: str | None = None,
    card: object = None,
    card_url: str | None = None,
    call_reason: str | None = None,
    contents: Mapping[str, bytes] | None = None,
    algorithm: HashName = "sha256",
) -> dict[str, object]:
    """Build the claims rcd, rcdi and crn for a SigningRequest (RFC 9795 sections 5 to 7).

    `contents` maps a JSON pointer into rcd, such as ``/icn``, to the octets that stand there at the
    URL; of each the digest goes into rcdi. What cannot be signed is found by `sign`.
    """
    rcd = {"nam": name, "apn": number, "icn": icon, "jcd": card, "jcl": card_url}
    claims: dict[str, object] = {
        "rcd": {key: value for key, value in rcd.items() if value is not None}
    }
    if contents:
        claims["rcdi"] = {where: digest_of(octets, algorithm) for where, octets in contents.items()}
    if call_reason is not None:
        claims["crn"] = call_reason
    return claims


def _is_valid(verdict: Verdict, ppt: str) -> bool:
    passport = verdict.passport
    return verdict.outcome == "valid" and passport is not None and passport.ppt == ppt
