"""In which order the URIs of several sources are tried: what is best assured first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from discovery.model import Assurance, FoundUri, Service


def rank(
    found: Iterable[FoundUri], number: str, service: Service, required: Assurance
) -> tuple[FoundUri, ...]:
    """Return the URIs for a service that are assured well enough, best first, each once.

    They are ordered by assurance, then by the owner's own order (`prio`). What is still equal
    comes in an order that depends on number and URI alone: no source, and no provider, is
    preferred because it was asked first or is our own. What only a text message says is never
    enough.
    """
    best: dict[str, FoundUri] = {}
    for uri in found:
        if uri.service is not service or not is_enough(uri.assurance, required):
            continue
        held = best.get(uri.uri)
        if held is None or _key(uri, number) < _key(held, number):
            best[uri.uri] = uri
    if len(best) < 2:
        return tuple(best.values())
    return tuple(sorted(best.values(), key=lambda uri: _key(uri, number)))


def is_enough(assurance: Assurance, required: Assurance) -> bool:
    """Tell whether an assurance is at least the required one, and more than a text message."""
    return assurance is not Assurance.SMS and assurance.strength >= required.strength


def _key(uri: FoundUri, number: str) -> tuple[int, int, bytes]:
    chance = hashlib.sha256(f"{number} {uri.uri}".encode()).digest()
    return -uri.assurance.strength, uri.prio, chance
