"""A verification service behind the HTTP interface of ATIS-1000082 as target."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

import aiohttp

from gateway.conformance.case import Attempt, Observation

_MAX_ANSWER: Final = 65_536
_PASSED: Final = "TN-Validation-Passed"


class HttpTarget:
    """Posts a verificationRequest a case; numbers are digits."""

    def __init__(self, session: aiohttp.ClientSession, url: str, orig: str, dest: str) -> None:
        self._session = session
        self._url = url
        self._orig = orig
        self._dest = dest

    async def attempt(self, attempt: Attempt, now: float) -> Observation:
        """Ask for the verdict on a case; `now` in epoch seconds."""
        if len(attempt.identities) != 1:
            return Observation("untried", detail="the interface takes one Identity a request")
        if attempt.sdp:
            return Observation("untried", detail="the interface knows no media keys")
        body = {
            "verificationRequest": {
                "from": {"tn": self._orig},
                "to": {"tn": [self._dest]},
                "time": int(now),
                "identity": attempt.identities[0],
            }
        }
        if attempt.again:
            await self._post(body)
        return await self._post(body)

    async def learn(self, attempt: Attempt, now: float) -> None:
        """Nothing is to be learned: an answer here says what it means."""

    async def _post(self, body: dict[str, Any]) -> Observation:
        try:
            status, answer = await post_json(self._session, self._url, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Observation("silent", detail=str(error) or type(error).__name__)
        found = answer.get("verificationResponse")
        response = found if isinstance(found, dict) else {}
        if status >= 500:
            return Observation("unclear", status, "", (), None, "HTTP server error")
        verstat = _text(response.get("verstat"))
        code = _code(response.get("reasoncode"))
        reason = _text(response.get("reasondesc")) or _text(response.get("reasontext")) or ""
        if verstat == _PASSED and status < 300:
            return Observation("accepted", status, reason, (), verstat)
        return Observation("refused", code or status, reason, (), verstat)


async def post_json(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Post an object; returns the status and the object answered, empty where it is none.

    Raises aiohttp.ClientError, TimeoutError or OSError.
    """
    headers = {"X-RequestID": secrets.token_hex(8), "Accept": "application/json"}
    async with session.post(url, json=body, headers=headers, allow_redirects=False) as response:
        data = await response.content.read(_MAX_ANSWER)
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        return response.status, answer if isinstance(answer, dict) else {}


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _code(value: object) -> int | None:
    """A reason code, as a number or as text that is one."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None
