"""Responses that the endpoint makes itself, without its transaction user (RFC 3261 8.2.7)."""

import hashlib
import random
import secrets
from collections.abc import Sequence

from sip.message import Request, Response, response_to
from sip.validate import Assessment


class OwnResponses:
    """Makes responses whose To tag is the same for each repetition of a request.

    `retry_after` is the range, in seconds, of what clients are told to wait when there is no room.
    """

    def __init__(self, retry_after: tuple[int, int]) -> None:
        self._retry_after = retry_after
        self._tag_key = secrets.token_bytes(16)

    def make(
        self,
        request: Request,
        status: int,
        phrase: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """Make a response with a tag."""
        seed = "".join(request.headers.get(name) or "" for name in ("Via", "Call-ID", "From"))
        digest = hashlib.blake2s(seed.encode("utf-8", "surrogateescape"), key=self._tag_key)
        tag = digest.hexdigest()[:16]
        return response_to(request, status, phrase, to_tag=tag, headers=headers)

    def refusal(self, request: Request, verdict: Assessment) -> Response:
        """Make the answer that validation asks for."""
        return self.make(request, verdict.status or 400, verdict.reason_phrase, verdict.headers)

    def overloaded(self, request: Request) -> Response:
        """Make a 503; waiting times are spread, so that clients do not come back all at once."""
        low, high = self._retry_after
        wait = str(random.randint(low, high))  # noqa: S311 - spreads clients, guards nothing
        return self.make(request, 503, None, (("Retry-After", wait),))
