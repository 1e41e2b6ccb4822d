"""Key configurations of a directory, believed where relay and directory say the same.

The relay alone could give out a key of its own and read everything; the directory alone could give
each asker another key and know them by it (RFC 9458 section 7). One that changes its key with each
of the relay's copies can still tell who came when; that is said aloud, and pinned keys end it. Both
are asked at times of our own: a directory that refused a request's key on purpose would otherwise
see who comes for another.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import time
from collections.abc import Callable
from typing import Final

import structlog

from discovery.privacy.ohttp import OhttpClient
from discovery.privacy.ohttp_keys import MEDIA_TYPE, parse_key_configurations
from discovery.privacy.reason import Fault, PrivacyError
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.fetch import FailureReason, FetchFailed
from gateway.http.service_client import Requester

_log = structlog.get_logger("ohttp_client")
_TIMEOUT: Final = 10.0
_PERIOD: Final = 3_600.0
_RETRY: Final = 60.0
# Keys stand for a day at least (`key_days`); the relay's copy and our period may lag by hours.
_LEAST_PERIOD: Final = 20 * 3_600.0
DIRECTORY_DESCRIPTION: Final = "/.well-known/spin-dp"


class ComparedKeys:
    """A `gateway.http.ohttp_client.KeySource`; `run` fetches for ever, `current` never does.

    relay: URL of the relay's resource for the directory; url: the directory's; description: where
    it is described. monotonic: seconds. `hasty` counts changes that came within a day of another.
    """

    def __init__(
        self,
        relay: str,
        url: str,
        through_relay: Requester,
        direct: Requester,
        *,
        description: str = DIRECTORY_DESCRIPTION,
        rand: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay = relay
        self._url = url
        self._through_relay = through_relay
        self._direct = direct
        self._description = description
        self._random = rand or random.SystemRandom()
        self._monotonic = monotonic
        self._client: OhttpClient | None = None
        self._copy_in_force: bytes | None = None
        self._changed_at = float("-inf")
        self.hasty = 0

    async def current(self) -> OhttpClient:
        if self._client is None:
            detail = "no key configurations yet that relay and directory agree on"
            raise FetchFailed(_host(self._relay), FailureReason.PROTOCOL, detail)
        return self._client

    def doubt(self) -> None:
        _log.warning("a key was refused; the next ones come in time", culprit=_host(self._url))

    async def run(self) -> None:
        """Keep the keys current, for ever."""
        while True:
            pause = _PERIOD if await self.fetch() else _RETRY
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.5))

    async def fetch(self) -> bool:
        """Fetch both copies; where they differ or fail, keep what there is and return False."""
        try:
            copy = await self._copy()
            published = await self._published()
        except FetchFailed as error:
            _log.warning("key configurations not renewed", culprit=error.culprit, error=str(error))
            return False
        except PrivacyError as error:
            _log.warning("key configurations are none", culprit=_host(self._url), error=str(error))
            return False
        if copy != published:
            # For a while after a key was replaced, or somebody wants to know or to read us.
            _log.error(
                "relay and directory name different keys: none of them is used",
                culprit=f"{_host(self._relay)} or {_host(self._url)}",
            )
            return False
        try:
            client = OhttpClient.choose(parse_key_configurations(copy))
        except PrivacyError as error:
            _log.warning("key configurations are none", culprit=_host(self._url), error=str(error))
            return False
        self._take(client, copy)
        return True

    def _take(self, client: OhttpClient, copy: bytes) -> None:
        """Use keys from now on; say so where they change more often than an honest gateway's do."""
        now = self._monotonic()
        if self._copy_in_force is not None and copy != self._copy_in_force:
            if now < self._changed_at + _LEAST_PERIOD:
                self.hasty += 1
                _log.error(
                    "keys change more than once a day: each asker could be known by the one it has",
                    culprit=_host(self._url),
                    hint="ask its operator, or pin the keys (keys_file)",
                )
            self._changed_at = now
        self._client, self._copy_in_force = client, copy

    async def _copy(self) -> bytes:
        answer = await self._through_relay.request(
            "GET", self._relay, timeout=_TIMEOUT, headers={"Accept": MEDIA_TYPE}
        )
        if answer.status != 200:
            detail = f"no key configurations but status {answer.status}"
            raise FetchFailed(_host(self._relay), FailureReason.PROTOCOL, detail)
        return answer.body

    async def _published(self) -> bytes:
        answer = await self._direct.request("GET", self._url + self._description, timeout=_TIMEOUT)
        if answer.status != 200:
            detail = f"no description but status {answer.status}"
            raise FetchFailed(_host(self._url), FailureReason.PROTOCOL, detail)
        try:
            described = parse_json_object(answer.body).get("ohttp")
        except MalformedJson as error:
            raise PrivacyError(Fault.MALFORMED, f"description: {error}") from None
        keys = described.get("keys") if isinstance(described, dict) else None
        if not isinstance(keys, str):
            raise PrivacyError(Fault.MALFORMED, "description has no ohttp.keys")
        return read_keys(keys)


def read_keys(text: str) -> bytes:
    """Decode key configurations from base64. Raises PrivacyError(MALFORMED)."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PrivacyError(Fault.MALFORMED, "key configurations are not base64") from None


def _host(url: str) -> str:
    return url.split("/", 3)[2]
