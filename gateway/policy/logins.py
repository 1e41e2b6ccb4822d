"""Who a request comes from, by digest; and how often a source may be wrong about it."""

from __future__ import annotations

from math import ceil

import structlog

from gateway.refusal import CallRefused
from sip.digest import Authenticated, Challenged, DigestAuthenticator
from sip.failure_throttle import FailureThrottle
from sip.message import Request

_log = structlog.get_logger("spingate.logins")


class Logins:
    """Authenticates requests of own users (RFC 3261 section 22, RFC 8760).

    A source that fails 20 times in a minute is refused for a minute, whatever it then sends, so
    that passwords cannot be guessed; users are never locked out elsewhere.
    """

    def __init__(self, digest: DigestAuthenticator, throttle: FailureThrottle) -> None:
        self._digest = digest
        self._throttle = throttle

    async def username(self, request: Request, source: str, now: float, *, proxy: bool) -> str:
        """Return the authenticated user name; `now` is in epoch seconds.

        Raises CallRefused: 401 or 407 with challenges, 400 for contradicting credentials, 503
        with Retry-After for a source that guessed too often.
        """
        blocked = self._throttle.blocked_for(source, now)
        if blocked:
            headers = (("Retry-After", str(ceil(blocked))),)
            raise CallRefused(503, "Too many wrong passwords", headers=headers)
        result = await self._digest.check(request, proxy=proxy, now=now)
        if isinstance(result, Authenticated):
            return result.username
        if isinstance(result, Challenged):
            if result.reason == "wrong":
                self._throttle.failed(source, now)
                _log.warning("wrong credentials", culprit=source, method=request.method)
            raise CallRefused(407 if proxy else 401, headers=result.headers)
        raise CallRefused(result.status, result.reason)
