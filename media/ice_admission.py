"""Which Binding requests an ICE agent believes, and what the others are answered.

RFC 8445 section 7.3 and RFC 8489 section 9.1.3 (short-term credentials). A refusal is never
longer than the request and both kinds of answer are limited, so that a spoofed source gains
nothing from us.
"""

from __future__ import annotations

from media.ice_values import Address, IceCredentials, IceSettings
from media.request_limiter import RequestLimiter
from media.stun import BINDING, StunMessage, binding_error


class Admission:
    """Checks requests against the accepted generations of our credentials, newest first."""

    def __init__(self, credentials: IceCredentials, settings: IceSettings) -> None:
        self.accepted = [credentials]
        self.remote_ufrag: str | None = None
        self.refused = 0
        self._limiter = RequestLimiter(
            per_source=settings.requests_per_source,
            refusals=settings.refusals_per_second,
            max_sources=settings.max_sources,
        )

    def admit(
        self, request: StunMessage, source: Address, now: float
    ) -> tuple[IceCredentials | None, bytes | None]:
        """The credentials a request was made for, or None and the error response it earns.

        Both are None where nothing must be answered. Raises MalformedStun like the message.
        """
        if not self._limiter.answers(source[0], now):
            return None, None
        credentials, code = self._authenticate(request)
        if credentials is None:
            return None, self._refusal(request, code, now)
        unknown = request.unknown_required
        if unknown:
            return None, binding_error(request, 420, key=credentials.key, unknown=unknown)
        if request.priority is None or request.method != BINDING:
            return None, binding_error(request, 400, key=credentials.key)
        return credentials, None

    def made_for(self, request: StunMessage, remote_ufrag: str) -> bool:
        """Whether the request's USERNAME names this peer's ufrag."""
        return (request.username or "").partition(":")[2] == remote_ufrag

    def _authenticate(self, request: StunMessage) -> tuple[IceCredentials | None, int]:
        username = request.username
        if username is None:
            return None, 400
        ours = username.partition(":")[0]
        for generation, credentials in enumerate(self.accepted):
            if ours != credentials.ufrag:
                continue
            # An old generation's peer ufrag is not known here any more; its key suffices.
            known = self.remote_ufrag if generation == 0 else None
            if known is not None and not self.made_for(request, known):
                continue
            if request.integrity_valid(credentials.key):
                return credentials, 0
        return None, 401

    def _refusal(self, request: StunMessage, code: int, now: float) -> bytes | None:
        self.refused += 1
        answer = binding_error(request, code)
        if len(answer) > len(request.raw) or not self._limiter.refuses(now):
            return None
        return answer
