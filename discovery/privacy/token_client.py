"""The client's side of tokens: asking for them, and a purse to keep them in."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from discovery.privacy.blind_rsa import PSS_DETERMINISTIC, blind, finalize
from discovery.privacy.token import (
    NONCE_OCTETS,
    Token,
    TokenChallenge,
    TokenInput,
    TokenRequest,
)
from discovery.privacy.token_key import TokenKey


@dataclass(frozen=True, slots=True)
class PendingToken:
    """A token that was asked for; holds what unblinds it."""

    key: TokenKey
    request: TokenRequest
    signed: TokenInput = field(repr=False)
    inverse: int = field(repr=False)

    def finish(self, response: bytes) -> Token:
        """Make the token from `application/private-token-response` (RFC 9578 section 6.3).

        Raises PrivacyError: MALFORMED, FORGED for a signature by another key.
        """
        signed = self.signed.encode()
        signature = finalize(PSS_DETERMINISTIC, self.key.rsa, signed, response, self.inverse)
        return Token(self.signed, signature)


def ask_token(
    key: TokenKey,
    challenge: TokenChallenge,
    random: Callable[[int], bytes] = secrets.token_bytes,
    *,
    factor: tuple[int, int] | None = None,
) -> PendingToken:
    """Prepare a request for one token (RFC 9578 section 6.1); `factor` is for test vectors only."""
    signed = TokenInput(random(NONCE_OCTETS), challenge.digest(), key.key_id)
    blinded = blind(PSS_DETERMINISTIC, key.rsa, signed.encode(), random, factor=factor)
    request = TokenRequest(key.truncated_key_id, blinded.message)
    return PendingToken(key, request, signed, blinded.inverse)


class TokenPurse:
    """Tokens to spend, the ones that end soonest first; each is given out once.

    max_tokens bounds it; what does not fit is dropped, for it was only paid for with quota.
    """

    def __init__(self, *, max_tokens: int = 1_000) -> None:
        self._max_tokens = max_tokens
        self._tokens: deque[tuple[float, Token]] = deque()

    def __len__(self) -> int:
        return len(self._tokens)

    def put(self, token: Token, until: float) -> bool:
        """Add a token that is good until the given time; False where there is no room."""
        if len(self._tokens) >= self._max_tokens:
            return False
        self._tokens.append((until, token))
        if len(self._tokens) > 1 and self._tokens[-2][0] > until:
            self._tokens = deque(sorted(self._tokens, key=lambda held: held[0]))
        return True

    def keep(self, key_ids: Collection[bytes]) -> int:
        """Drop the tokens of all keys but these; return how many that were."""
        kept = [held for held in self._tokens if held[1].signed.key_id in key_ids]
        dropped = len(self._tokens) - len(kept)
        self._tokens = deque(kept)
        return dropped

    def expire(self, now: float) -> int:
        """Drop the tokens that are not good any more; return how many that were."""
        before = len(self._tokens)
        while self._tokens and self._tokens[0][0] <= now:
            self._tokens.popleft()
        return before - len(self._tokens)

    def take(self, now: float) -> Token | None:
        """Take a token out; None where none is left that is still good."""
        while self._tokens:
            until, token = self._tokens.popleft()
            if until > now:
                return token
        return None
