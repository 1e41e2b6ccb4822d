"""Resources of evaluator and bucket store, and what fits one request."""

from __future__ import annotations

from typing import Final

OCTETS: Final = "application/octet-stream"
EVALUATIONS: Final = "/ev/v1/evaluations/"
EVALUATOR_WELL_KNOWN: Final = "/.well-known/spin-evaluator"
BUCKETS: Final = "/sb/v1/buckets/"
ENTRIES: Final = "/sb/v1/entries/"
GENERATIONS: Final = "/sb/v1/generations/"
BUCKETS_WELL_KNOWN: Final = "/.well-known/spin-buckets"
MAX_BATCH: Final = 16
"""Identifiers evaluated, entries put and labels removed by one request."""


def host_of(url: str) -> str:
    """Return the host of a URL, with the port where it is in there."""
    return url.split("/", 3)[2].lower()
