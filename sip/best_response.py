"""Choosing the one final response a client gets from several branches (RFC 3261 section 16.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sip.message import Request, Response, response_to

# 16.7 item 6: prefer what tells the client how to try again, and what it can do at once. Of the
# rest, an answer of somebody who was reached beats one that says only that nobody was.
_PREFERENCE: Final = {
    401: 0,
    407: 0,
    415: 1,
    420: 1,
    484: 1,
    480: 3,
    404: 3,
    487: 4,
    408: 5,
    503: 9,
}
_ORDINARY: Final = 2
_CHALLENGES: Final = {401, 407}
_CHALLENGE_FIELDS: Final = ("WWW-Authenticate", "Proxy-Authenticate")


def best_response(
    request: Request, finals: Sequence[Response], *, cancelled: bool, to_tag: str
) -> Response:
    """Return the response to forward once every branch has ended without a 2xx.

    A 6xx wins, else the lowest class. A 401 or 407 carries the challenges of all (item 7), a 503
    becomes a 500 since it would say that this proxy can serve nothing (item 6), and a caller who
    cancelled hears 487 rather than any other 4xx. None at all is a 480 (16.5).
    """
    if not finals:
        return response_to(request, 487 if cancelled else 480, to_tag=to_tag)
    best = min(finals, key=_cancelled_rank if cancelled else _rank)
    if best.status_code in _CHALLENGES:
        return _with_all_challenges(best, finals)
    if cancelled and best.status_code in (408, 503):
        return response_to(request, 487, to_tag=to_tag)
    if best.status_code == 503:
        return response_to(request, 500, to_tag=to_tag)
    return best


def _rank(response: Response) -> tuple[int, int]:
    status = response.status_code
    return (0 if status >= 600 else status // 100), _PREFERENCE.get(status, _ORDINARY)


def _cancelled_rank(response: Response) -> tuple[int, int]:
    rank, preference = _rank(response)
    return rank, -1 if response.status_code == 487 else preference


def _with_all_challenges(best: Response, finals: Sequence[Response]) -> Response:
    headers = best.headers
    for other in finals:
        if other is best or other.status_code not in _CHALLENGES:
            continue
        for name in _CHALLENGE_FIELDS:
            for value in other.headers.all(name):
                headers = headers.append(name, value)
    return best.with_headers(headers) if headers is not best.headers else best
