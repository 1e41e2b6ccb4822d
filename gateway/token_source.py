"""Tokens bought ahead, so that no lookup waits for one and the issuer learns of no lookup.

The issuer knows us and the time we buy at; the directory knows the time of a lookup. So buying has
its own random times and whole batches, and nothing that a lookup or a directory does hastens it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

import structlog

from discovery.privacy.issuer_directory import IssuerDirectory, parse_issuer_directory
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token import (
    ISSUER_DIRECTORY_MEDIA_TYPE,
    ISSUER_DIRECTORY_PATH,
    REQUEST_MEDIA_TYPE,
    RESPONSE_MEDIA_TYPE,
    Token,
    TokenChallenge,
)
from discovery.privacy.token_client import TokenPurse, ask_token
from discovery.privacy.token_key import TokenKey
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.http.service_client import Requester

_log = structlog.get_logger("tokens")
_TIMEOUT: Final = 10.0
_AT_ONCE: Final = 4
_DIRECTORY_SECONDS: Final = 3_600.0
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 900.0
_LONGEST_RETRY: Final = 3_600


@dataclass(frozen=True, slots=True)
class BuyingSettings:
    """Where tokens are bought, for which directory, and how many.

    issuer: https URL without path; name: what the directory calls the issuer; origin: the
    directory's authority; keys: identifiers (SHA-256) of the issuer's keys that are believed;
    credential: Authorization value, None for a TLS client certificate. ready: kept; batch: bought
    in multiples of it. Times in seconds.
    """

    issuer: str
    name: str
    origin: str
    keys: frozenset[bytes]
    credential: str | None = field(default=None, repr=False)
    ready: int = 100
    batch: int = 10
    interval: float = 60.0
    lifetime: float = 604_800.0


class _Later(Exception):
    """The issuer wants to be left alone for so many seconds."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class BoughtTokens:
    """A `gateway.oblivious_way.TokenSource`; `run` buys for ever, `take` never waits.

    wall_clock: epoch seconds; rand: where the times of buying come from. `bought` counts tokens,
    `failed` rounds by their reason.
    """

    def __init__(
        self,
        settings: BuyingSettings,
        client: Requester,
        wall_clock: Callable[[], float],
        *,
        rand: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._challenge = TokenChallenge(settings.name, b"", (settings.origin,))
        self._client = client
        self._wall_clock = wall_clock
        self._random = rand or random.SystemRandom()
        self._purse = TokenPurse(max_tokens=settings.ready)
        self._directory: IssuerDirectory | None = None
        self._directory_until = 0.0
        self._failures = 0
        self.bought = 0
        self.failed: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many tokens are in hand."""
        return len(self._purse)

    async def take(self) -> Token:
        """Give a token out, once. Raises FetchFailed where none is in hand."""
        token = self._purse.take(self._wall_clock())
        if token is None:
            # Waiting for one just bought would show the issuer when a lookup is made.
            raise FetchFailed("ourselves", FailureReason.BUSY, "no token is in hand")
        return token

    def refused(self, token: Token, accepted: Collection[bytes]) -> bool:
        """Hear that the directory did not take a token, and by which keys it takes any.

        Tokens of other keys are dropped; return whether another token may be taken.
        """
        if not accepted or token.signed.key_id in accepted:
            return False
        dropped = self._purse.keep(accepted)
        _log.warning("directory takes no tokens of this key any more", dropped=dropped + 1)
        return len(self._purse) > 0

    async def run(self) -> None:
        """Buy, for ever."""
        while True:
            pause = await self.round()
            await asyncio.sleep(pause)

    async def round(self) -> float:
        """Bring the tokens in hand up to what is kept ready; return seconds to the next round."""
        host = _host(self._settings.issuer)
        try:
            await self._buy()
        except _Later as later:
            self.failed["quota"] += 1
            _log.warning("no tokens for now", culprit=host, detail=str(later), held=len(self))
            return later.seconds * self._random.uniform(1.0, 1.2)
        except FetchFailed as error:
            self._note(host, str(error.reason), error.detail)
        except PrivacyError as error:
            self._note(host, str(error.fault), error.detail)
        else:
            self._failures = 0
            return self._settings.interval * self._random.uniform(0.5, 1.5)
        pause = min(_FIRST_PAUSE * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)
        self._failures += 1
        return pause * self._random.uniform(0.5, 1.5)

    def _note(self, host: str, reason: str, detail: str) -> None:
        self.failed[reason] += 1
        self._directory_until = 0.0  # the issuer may have other keys by now
        _log.warning(
            "tokens not bought", culprit=host, reason=reason, detail=detail, held=len(self)
        )

    async def _buy(self) -> None:
        settings, now = self._settings, self._wall_clock()
        self._purse.expire(now)
        directory = await self._issuer_directory(now)
        missing = settings.ready - len(self._purse)
        wanted = missing - missing % settings.batch
        if not wanted:
            return
        key = _chosen(directory, settings.keys, now)
        url = _request_url(settings.issuer, directory.request_uri)
        while wanted > 0:
            count = min(wanted, _AT_ONCE)
            asked = [asyncio.ensure_future(self._one(url, key)) for _ in range(count)]
            try:
                for each in asyncio.as_completed(asked):
                    self._purse.put(await each, now + settings.lifetime)
                    self.bought += 1
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
            wanted -= count

    async def _one(self, url: str, key: TokenKey) -> Token:
        pending = ask_token(key, self._challenge)
        headers = {"Content-Type": REQUEST_MEDIA_TYPE, "Accept": RESPONSE_MEDIA_TYPE}
        if self._settings.credential is not None:
            headers["Authorization"] = self._settings.credential
        answer = await self._client.request(
            "POST", url, timeout=_TIMEOUT, headers=headers, body=pending.request.encode()
        )
        if answer.status == 429:
            raise _Later(_retry_after(answer))
        _check(answer, RESPONSE_MEDIA_TYPE, url)
        return pending.finish(answer.body)

    async def _issuer_directory(self, now: float) -> IssuerDirectory:
        """The issuer's keys, asked for once an hour; tokens of one that has gone are dropped."""
        held = self._directory
        # A clock set back does not make the copy any younger.
        if held is not None and now < self._directory_until <= now + _DIRECTORY_SECONDS:
            return held
        url = self._settings.issuer + ISSUER_DIRECTORY_PATH
        headers = {"Accept": ISSUER_DIRECTORY_MEDIA_TYPE}
        answer = await self._client.request("GET", url, timeout=_TIMEOUT, headers=headers)
        _check(answer, ISSUER_DIRECTORY_MEDIA_TYPE, url)
        found = parse_issuer_directory(answer.body)
        listed = {key.key_id for key, _ in found.keys} & self._settings.keys
        if listed:
            dropped = self._purse.keep(listed)
            if dropped:
                _log.info("the issuer's key has ended", dropped=dropped)
        self._directory, self._directory_until = found, now + _DIRECTORY_SECONDS
        return found


def read_key_id(text: str) -> bytes:
    """Decode a key identifier (base64url, 43 characters). Raises ValueError."""
    try:
        return base64.urlsafe_b64decode(text + "=")
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None


def _chosen(directory: IssuerDirectory, pinned: Collection[bytes], now: float) -> TokenKey:
    """Return the issuer's first key in its time that we believe; others might mark us."""
    believed = [(key, start) for key, start in directory.keys if key.key_id in pinned]
    if not believed:
        detail = "the issuer publishes no key that is pinned (issuer_keys)"
        raise PrivacyError(Fault.KEY_UNKNOWN, detail)
    return IssuerDirectory(directory.request_uri, tuple(believed)).key(now)


def _request_url(issuer: str, request_uri: str) -> str:
    """Resolve the URI; our credential goes to the issuer itself and nowhere else."""
    try:
        url = urljoin(issuer + ISSUER_DIRECTORY_PATH, request_uri)
        ours, theirs = urlsplit(issuer), urlsplit(url)
        same = (ours.hostname, ours.port) == (theirs.hostname, theirs.port)
    except ValueError:
        same = False
    if not same or theirs.scheme != "https" or theirs.username is not None or theirs.fragment:
        raise PrivacyError(Fault.MALFORMED, "issuer-request-uri leads to another server")
    return url


def _check(answer: Fetched, media_type: str, url: str) -> None:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status != 200:
        why = ": it does not take our token or certificate" if answer.status == 401 else ""
        detail = f"HTTP status {answer.status}{why}"
        raise FetchFailed(_host(url), FailureReason.PROTOCOL, detail)
    if kind != media_type:
        raise FetchFailed(_host(url), FailureReason.PROTOCOL, f"answer is no {media_type}")


def _retry_after(answer: Fetched) -> int:
    text = answer.headers.get("retry-after", "")
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 60
    return max(30, min(seconds, _LONGEST_RETRY))


def _host(url: str) -> str:
    return url.split("/", 3)[2]
