"""Asking directories: one connection each, its key, the way a lookup goes, the answer checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from discovery.directory.client import (
    AnswerChecker,
    Chains,
    CheckedAnswer,
    LogProofs,
    build_lookup,
)
from discovery.directory.identifier import Identifier
from discovery.directory.jws import decode
from discovery.directory.orders import PublicPoint
from discovery.directory.reason import Refusal, Refused
from discovery.model import Service
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.directory.keys import EcKey, PointKeys
from gateway.http.fetch import Fetched, FetchFailed
from gateway.http.service_client import Requester

_log = structlog.get_logger("directories")
_KEY_LIFETIME: Final = 3_600.0
_ASKED_AGAIN: Final = 60.0
_MAX_KEYS: Final = 8


class DirectoryFailed(Exception):
    """A directory gave no answer that counts; `culprit` is its URL, `detail` holds no number."""

    def __init__(self, culprit: str, detail: str) -> None:
        super().__init__(f"{culprit}: {detail}")
        self.culprit = culprit
        self.detail = detail


class Way(Protocol):
    """How a lookup reaches a directory: plainly, or encapsulated through a relay."""

    async def lookup(self, url: str, body: bytes, *, timeout: float) -> Fetched:
        """Send a lookup; raises FetchFailed."""
        ...


@dataclass(frozen=True, slots=True)
class PlainWay:
    """Straight over HTTPS, with a bearer token where there is one."""

    client: Requester
    token: str | None = field(default=None, repr=False)

    async def lookup(self, url: str, body: bytes, *, timeout: float) -> Fetched:
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return await self.client.request(
            "POST", f"{url}/dp/v1/lookup", timeout=timeout, headers=headers, body=body
        )


class DirectoryConnection:
    """One directory, by its URL.

    pinned: thumbprint of the key that signs its answers, or None for those it publishes; `client`
    is for its description, which goes no other way than lookups: it is asked for at their time.
    wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        url: str,
        pinned: str | None,
        way: Way,
        client: Requester,
        chains: Chains,
        wall_clock: Callable[[], float],
        *,
        logs: LogProofs | None = None,
    ) -> None:
        self.url = url
        self._pinned = pinned
        self._way = way
        self._client = client
        self._chains = chains
        self._wall_clock = wall_clock
        self._logs = logs
        self._keys: tuple[EcKey, ...] = ()
        self._keys_until = 0.0
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def ask(
        self, csi: Identifier, service: Service | None, *, timeout: float
    ) -> CheckedAnswer:
        """Look an identifier up within `timeout` seconds. Raises DirectoryFailed."""
        try:
            async with asyncio.timeout(timeout):
                keys = await self._current_keys(timeout)
                reply = await self._way.lookup(
                    self.url, build_lookup(csi, service), timeout=timeout
                )
                if reply.status != 200:
                    raise DirectoryFailed(self.url, _status(reply.status))
                return await self._checked(keys, reply.body, csi, timeout)
        except TimeoutError:
            raise DirectoryFailed(self.url, f"nothing within {timeout:g} s") from None
        except FetchFailed as failed:
            raise DirectoryFailed(self.url, f"{failed.reason}: {failed.detail}") from None
        except Refused as refused:
            _log.warning(
                "answer refused",
                culprit=self.url,
                reason=str(refused.reason),
                detail=refused.detail,
            )
            raise DirectoryFailed(self.url, f"answer refused: {refused.reason}") from None

    async def prepare(self, *, timeout: float) -> None:
        """Fetch its keys now, before a lookup needs them. Raises DirectoryFailed."""
        try:
            async with asyncio.timeout(timeout):
                await self._fetch_keys(timeout)
        except TimeoutError:
            raise DirectoryFailed(self.url, f"nothing within {timeout:g} s") from None
        except FetchFailed as failed:
            raise DirectoryFailed(self.url, f"{failed.reason}: {failed.detail}") from None
        except Refused as refused:
            raise DirectoryFailed(self.url, f"description refused: {refused.reason}") from None

    async def _checked(
        self, keys: tuple[EcKey, ...], body: bytes, csi: Identifier, timeout: float
    ) -> CheckedAnswer:
        try:
            return self._check(keys, body, csi)
        except Refused as refused:
            if refused.reason is not Refusal.BAD_SIGNATURE:
                raise
        # The directory may have another key by now; a directory is asked so once a minute.
        self._keys_until = 0.0
        return self._check(await self._current_keys(timeout), body, csi)

    def _check(self, keys: tuple[EcKey, ...], body: bytes, csi: Identifier) -> CheckedAnswer:
        last = Refused(Refusal.BAD_SIGNATURE, "the directory has no key")
        for key in keys:
            checker = AnswerChecker(self.url, key, self._chains, self._logs)
            try:
                return self._judge(checker, body, csi)
            except Refused as refused:
                if refused.reason is not Refusal.BAD_SIGNATURE:
                    raise
                last = refused
        raise last

    def _judge(self, checker: AnswerChecker, body: bytes, csi: Identifier) -> CheckedAnswer:
        """Check what the way brought."""
        return checker.check(body, csi, self._wall_clock())

    async def _current_keys(self, timeout: float) -> tuple[EcKey, ...]:
        now = self._wall_clock()
        if now < self._keys_until:
            return self._keys
        async with self._lock:
            if now < self._keys_until or (self._keys and now < self._asked_at + _ASKED_AGAIN):
                return self._keys
            return await self._fetch_keys(timeout)

    async def _fetch_keys(self, timeout: float) -> tuple[EcKey, ...]:
        now = self._asked_at = self._wall_clock()
        reply = await self._client.request(
            "GET", f"{self.url}/.well-known/spin-dp", timeout=timeout
        )
        if reply.status != 200:
            raise DirectoryFailed(self.url, f"description: HTTP status {reply.status}")
        keys = read_keys(reply.body)
        if self._pinned is not None:
            keys = tuple(key for key in keys if key.thumbprint == self._pinned)
        if not keys:
            raise DirectoryFailed(self.url, "does not publish the key that is pinned")
        self._keys, self._keys_until = keys, now + _KEY_LIFETIME
        return keys


def _status(status: int) -> str:
    # Why, the directory tells nobody: it is the credential that the configuration names, or none.
    why = ": it wants a token, and one that it takes" if status == 401 else ""
    return f"HTTP status {status}{why}"


def read_keys(body: bytes) -> tuple[EcKey, ...]:
    """Read the keys of a directory's description; raises Refused(MALFORMED)."""
    try:
        document = parse_json_object(body)
    except MalformedJson as error:
        raise Refused(Refusal.MALFORMED, f"description: {error}") from None
    values = document.get("keys")
    if not isinstance(values, list) or not 0 < len(values) <= _MAX_KEYS:
        raise Refused(Refusal.MALFORMED, f"description: keys is not a list of 1 to {_MAX_KEYS}")
    return tuple(_key(value) for value in values)


def _key(value: object) -> EcKey:
    if not isinstance(value, dict) or (value.get("kty"), value.get("crv")) != ("EC", "P-256"):
        raise Refused(Refusal.MALFORMED, "description: a key is not on P-256")
    x, y = value.get("x"), value.get("y")
    if not isinstance(x, str) or not isinstance(y, str):
        raise Refused(Refusal.MALFORMED, "description: a key has no coordinates")
    return PointKeys().key(PublicPoint(decode(x), decode(y)))
