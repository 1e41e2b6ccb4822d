"""The issuer of tokens: signs what it cannot see, for those it knows, so many a day.

It learns which provider asked for how many tokens, and nothing of where they are spent. Keys are
rotated: tokens of a key end with it, and with them the memory of those spent.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from discovery.privacy.blind_rsa import blind_sign
from discovery.privacy.issuer_directory import IssuerDirectory
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.token import parse_token_request
from discovery.privacy.token_key import TokenKey

_DAY: Final = 86_400


class Quota(Protocol):
    """Counts what each client was given; an implementation may keep it in a database."""

    def take(self, client: str, now: float) -> None:
        """Count one. Raises PrivacyError: QUOTA_USED_UP, OVERLOADED."""


class DailyQuota:
    """So many a client and UTC day; max_clients bounds the memory of a day."""

    def __init__(self, limit: int, *, max_clients: int = 100_000) -> None:
        self._limit = limit
        self._max_clients = max_clients
        self._day = 0
        self._given: Counter[str] = Counter()

    def take(self, client: str, now: float) -> None:
        """Count one. Raises PrivacyError: QUOTA_USED_UP, OVERLOADED for one client too many."""
        day = int(now) // _DAY
        # A clock set back gives nobody a second quota for a day that is over.
        if day > self._day:
            self._day, self._given = day, Counter()
        if self._given[client] >= self._limit:
            raise PrivacyError(Fault.QUOTA_USED_UP, f"{self._limit} a day")
        if client not in self._given and len(self._given) >= self._max_clients:
            raise PrivacyError(Fault.OVERLOADED, f"{self._max_clients} clients a day")
        self._given[client] += 1

    def left(self, client: str, now: float) -> int:
        """Return how many a client may still have today."""
        today = int(now) // _DAY <= self._day
        return self._limit - (self._given[client] if today else 0)


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A private key and its time, in epoch seconds.

    Signs from `not_before` until `issue_until`; its tokens are taken until `accept_until`.
    """

    private: RsaPrivateKey
    not_before: float = 0.0
    issue_until: float = float("inf")
    accept_until: float = float("inf")
    public: TokenKey = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", TokenKey(self.private.public))

    @classmethod
    def generate(
        cls,
        *,
        not_before: float,
        issue_until: float,
        accept_until: float,
        avoid: Iterable[int] = (),
    ) -> IssuerKey:
        """Make a fresh key whose truncated identifier is none of those to avoid.

        So that no two keys in rotation are mistaken for each other (RFC 9578 section 6.5).
        """
        taken = frozenset(avoid)
        while True:
            key = cls(RsaPrivateKey.generate(), not_before, issue_until, accept_until)
            if key.public.truncated_key_id not in taken or len(taken) > 255:
                return key


class TokenIssuer:
    """Issues tokens of type 2 to clients that the caller has authenticated."""

    def __init__(
        self,
        keys: Iterable[IssuerKey],
        quota: Quota,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._quota = quota
        self._random = random
        self.replace_keys(keys)

    def replace_keys(self, keys: Iterable[IssuerKey]) -> None:
        """Sign with these keys from now on."""
        self._keys = sorted(keys, key=lambda key: key.not_before, reverse=True)

    def directory(self, request_uri: str, now: float) -> IssuerDirectory:
        """Return what clients need to know, the newest key first."""
        keys = ((key.public, key.not_before) for key in self._keys if now < key.issue_until)
        return IssuerDirectory(request_uri, tuple(keys))

    def issue(self, request: bytes, client: str, now: float) -> bytes:
        """Sign `application/private-token-request` for a client within its quota.

        Takes some 7 ms of the processor. Raises PrivacyError as `admit` does, SIGNING_FAILED.
        """
        key, blinded = self.admit(request, client, now)
        return blind_sign(key.private, blinded, self._random)

    def admit(self, request: bytes, client: str, now: float) -> tuple[IssuerKey, bytes]:
        """Count a request to the client's quota; return the key and what it is to sign blindly.

        For whoever signs elsewhere. Raises PrivacyError: MALFORMED, NOT_ACCEPTED (token type),
        KEY_UNKNOWN, all three to be answered 422 (RFC 9578 section 6.2); QUOTA_USED_UP, OVERLOADED.
        """
        parsed = parse_token_request(request)
        key = self._find(parsed.truncated_key_id, now)
        if int.from_bytes(parsed.blinded, "big") >= key.public.rsa.n:
            raise PrivacyError(Fault.MALFORMED, "blinded message is out of range")
        self._quota.take(client, now)
        return key, parsed.blinded

    def _find(self, truncated_key_id: int, now: float) -> IssuerKey:
        for key in self._keys:
            if key.public.truncated_key_id == truncated_key_id and (
                key.not_before <= now < key.issue_until
            ):
                return key
        raise PrivacyError(Fault.KEY_UNKNOWN, "no key of that identifier signs now")
