"""Redeeming tokens: each is checked by its issuer's public key and taken once (RFC 9577 2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from discovery.privacy.blind_rsa import PSS_DETERMINISTIC, verify
from discovery.privacy.once import Once
from discovery.privacy.private_token import parse_authorization
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token import Token, TokenChallenge
from discovery.privacy.token_key import TokenKey

_EPOCH: Final = 86_400.0


class SpentTokens(Protocol):
    """Remembers the nonces of tokens until their key ends; several processes have to share one."""

    def take(self, value: bytes, until: float, now: float) -> None:
        """Spend a nonce. Raises PrivacyError: REPLAYED, OVERLOADED."""


@dataclass(frozen=True, slots=True)
class AcceptedKey:
    """A key whose tokens are taken for a challenge until a time in epoch seconds."""

    key: TokenKey
    challenge: TokenChallenge
    accept_until: float = float("inf")


@dataclass(frozen=True, slots=True)
class GoodToken:
    """A token that was checked and not spent yet: its nonce, until when to remember that, and the
    identifier of the key that made it."""

    nonce: bytes
    until: float
    key_id: bytes


class TokenVerifier:
    """Takes tokens of type 2 made with the keys it was given, each once.

    origin: our own name, which every challenge has to allow. spent: where nonces are remembered;
    in memory for max_spent tokens where None. Raises ValueError for a challenge not for us.
    """

    def __init__(
        self,
        keys: Iterable[AcceptedKey],
        origin: str,
        *,
        spent: SpentTokens | None = None,
        max_spent: int = 500_000,
    ) -> None:
        self._keys = {accepted.key.key_id: accepted for accepted in keys}
        self._digests = {key_id: one.challenge.digest() for key_id, one in self._keys.items()}
        self._spent = spent or Once(slot=_EPOCH, max_entries=max_spent)
        if not all(one.challenge.is_for(origin) for one in self._keys.values()):
            raise ValueError(f"a challenge does not allow the origin {origin}")

    def check(self, token: Token, now: float) -> GoodToken:
        """Check a token without spending it; some 30 us.

        Raises PrivacyError: KEY_UNKNOWN, NOT_FRESH for a key that has ended, WRONG_CHALLENGE,
        FORGED.
        """
        signed = token.signed
        accepted = self._keys.get(signed.key_id)
        if accepted is None:
            raise PrivacyError(Fault.KEY_UNKNOWN, "token key")
        if now >= accepted.accept_until:
            raise PrivacyError(Fault.NOT_FRESH, "token key has ended")
        if signed.challenge_digest != self._digests[signed.key_id]:
            raise PrivacyError(Fault.WRONG_CHALLENGE)
        verify(PSS_DETERMINISTIC, accepted.key.rsa, signed.encode(), token.authenticator)
        return GoodToken(signed.nonce, accepted.accept_until, signed.key_id)

    def redeem(self, token: Token, now: float) -> None:
        """Check a token and spend it.

        Only good tokens are remembered, so the memory is bounded by what was issued. Raises
        PrivacyError as check does, REPLAYED for one spent before, OVERLOADED.
        """
        good = self.check(token, now)
        self._spent.take(good.nonce, good.until, now)

    def redeem_header(self, authorization: str | None, now: float) -> None:
        """Redeem the token of an Authorization field.

        Raises PrivacyError as redeem does; NOT_ACCEPTED for no token at all, MALFORMED, OVERSIZED.
        """
        if authorization is None:
            raise PrivacyError(Fault.NOT_ACCEPTED, "no private token")
        self.redeem(parse_authorization(authorization), now)
