"""How long a fetched certificate is kept, by its Cache-Control field (RFC 9111, RFC 5861)."""

from __future__ import annotations

import re
from typing import Final

MIN_LIFETIME: Final = 300.0
MAX_LIFETIME: Final = 86_400.0
NEGATIVE_LIFETIME: Final = 30.0
_MAX_FIELD: Final = 1_024
_SECONDS: Final = r"\s*=\s*\"?(-?[0-9]{1,20})\"?(?=$|[,\s])"
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age" + _SECONDS)
_STALE_IF_ERROR: Final = re.compile(r"(?:^|[,\s])stale-if-error" + _SECONDS)
_NO_STALE: Final = re.compile(
    r"(?:^|[,\s])(?:must-revalidate|proxy-revalidate|no-cache|no-store)(?=$|[,=\s])"
)


def lifetime(cache_control: str | None, not_after: float, now: float) -> float:
    """Seconds to keep a credential: max-age within 5 minutes to 24 hours, never past `not_after`.

    Without a max-age the minimum: a rotated certificate is seen soon, and a repository that
    forbids caching is still not asked at every call. Times in epoch seconds. The result is not
    below 30 s, so that an expired certificate is not fetched again for each call.
    """
    asked = _seconds(_MAX_AGE, cache_control)
    kept = min(max(MIN_LIFETIME if asked is None else asked, MIN_LIFETIME), MAX_LIFETIME)
    return max(min(kept, not_after - now), NEGATIVE_LIFETIME)


def stale_lifetime(cache_control: str | None, policy: float) -> float:
    """Seconds a credential may serve after its lifetime while its server is out of order.

    At most `policy`, less where the server's stale-if-error says so (RFC 5861 section 4), nothing
    where it forbids stale use (RFC 9111 sections 4.2.4 and 5.2.2).
    """
    if _NO_STALE.search(_text(cache_control)):
        return 0.0
    asked = _seconds(_STALE_IF_ERROR, cache_control)
    return policy if asked is None else min(max(asked, 0.0), policy)


def _seconds(directive: re.Pattern[str], cache_control: str | None) -> float | None:
    match = directive.search(_text(cache_control))
    return float(int(match[1])) if match else None


def _text(cache_control: str | None) -> str:
    return (cache_control or "")[:_MAX_FIELD].lower()
