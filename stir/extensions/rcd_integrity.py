"""The rcdi claim: digests of what rcd holds and of what it links to (RFC 9795 section 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from stir.certificates.certificate import Problem
from stir.checks.outcomes import failed, passed, skipped
from stir.content_digest import is_digest_of
from stir.json_pointer import NoSuchValue, resolve
from stir.reason import Reason
from stir.strict_json import MalformedJson, canonical, parse_value
from stir.verdict import Check

MAX_LINKS: Final = 16
CONTENT_STEP: Final = "caller_data_content"
_HTTPS_URL: Final = re.compile(r"https://[^\s<>\"\\^`{|}]{1,2040}", re.IGNORECASE | re.ASCII)


class Link(NamedTuple):
    """Content that rcd refers to: where it stands in rcd, its URL, its digest if rcdi has one."""

    pointer: str
    url: str
    digest: str | None


def is_https_url(value: object) -> bool:
    """Whether a claim's value is an https URL of printable characters."""
    return isinstance(value, str) and value.isascii() and _HTTPS_URL.fullmatch(value) is not None


def links(payload: Mapping[str, object]) -> tuple[Link, ...]:
    """Return what an rcd claim links to directly: icon, card, and what an included card names."""
    rcd = payload.get("rcd")
    if not isinstance(rcd, dict):
        return ()
    found = [(f"/{name}", rcd[name]) for name in ("icn", "jcl") if is_https_url(rcd.get(name))]
    found += _uris("/jcd", rcd.get("jcd"))
    return tuple(Link(where, url, _digest(payload, where)) for where, url in found[:MAX_LINKS])


def links_in_card(payload: Mapping[str, object], card: bytes) -> tuple[Link, ...]:
    """Return what a card names that was fetched from the jcl URL (RFC 9795 section 6.1.4).

    None of it where the card is no JSON.
    """
    try:
        found = _uris("/jcl", parse_value(card))
    except MalformedJson:
        return ()
    return tuple(Link(where, url, _digest(payload, where)) for where, url in found[:MAX_LINKS])


def check_content(link: Link, content: bytes | None) -> Check:
    """Hold content that was fetched against its digest; None is content that was not to be had.

    The outcome is about the content only: it does not change what the PASSporT proves (RFC 9795
    section 8.2).
    """
    if link.digest is None:
        return skipped(CONTENT_STEP, f"rcdi has no digest of {link.pointer}")
    if content is None:
        got = f"nothing from {link.url}"
        return Check(CONTENT_STEP, "unavailable", Reason.CALLER_DATA_UNAVAILABLE, got, link.digest)
    if is_digest_of(link.digest, content) or (
        link.pointer == "/jcl" and is_digest_of(link.digest, _compacted(content))
    ):
        return passed(CONTENT_STEP, link.pointer)
    got = f"{link.pointer}: {len(content)} octets of another digest"
    return failed(CONTENT_STEP, Problem(Reason.CALLER_DATA_INTEGRITY, got, link.digest))


def direct_problem(payload: Mapping[str, object]) -> Problem | None:
    """Return which value in rcd itself does not have its digest, None where each has."""
    digests = payload.get("rcdi")
    if not isinstance(digests, dict):
        return None
    elsewhere = {link.pointer for link in links(payload)}
    for pointer, written in digests.items():
        if pointer in elsewhere or pointer.startswith("/jcl/"):
            continue
        try:
            value = resolve(payload.get("rcd"), pointer)
        except NoSuchValue:
            return Problem(Reason.CALLER_DATA_INTEGRITY, f"{pointer}: nothing there", str(written))
        if not any(is_digest_of(written, octets) for octets in _inputs(value)):
            got = f"{pointer}: a value of another digest"
            return Problem(Reason.CALLER_DATA_INTEGRITY, got, str(written))
    return None


def digest_input(value: object) -> bytes:
    """Return the octets whose digest stands for a JSON value: its canonical form (RFC 8225 9)."""
    return canonical([value])[1:-1]


def _inputs(value: object) -> tuple[bytes, ...]:
    # Some signers take text as it is, without the quotes that its JSON form has.
    octets = digest_input(value)
    return (octets, value.encode("utf-8")) if isinstance(value, str) else (octets,)


def _compacted(content: bytes) -> bytes:
    """A card without its white space: section 6.1.4 speaks of the array, 6.1 of the body."""
    try:
        return digest_input(parse_value(content))
    except MalformedJson:
        return content


def _uris(prefix: str, card: object) -> list[tuple[str, str]]:
    """Where in a jCard the URIs stand that a device may fetch: properties of the type uri."""
    found: list[tuple[str, str]] = []
    properties = card[1] if isinstance(card, list) and len(card) == 2 else None
    for index, each in enumerate(properties if isinstance(properties, list) else ()):
        if isinstance(each, list) and len(each) >= 4 and each[2] == "uri":
            found += [
                (f"{prefix}/1/{index}/{place}", value)
                for place, value in enumerate(each[3:], start=3)
                if isinstance(value, str) and value.lower().startswith(("https:", "http:"))
            ]
    return found


def _digest(payload: Mapping[str, object], pointer: str) -> str | None:
    digests = payload.get("rcdi")
    written = digests.get(pointer) if isinstance(digests, dict) else None
    return written if isinstance(written, str) else None
