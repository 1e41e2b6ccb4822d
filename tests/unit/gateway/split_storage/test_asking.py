"""What a gateway presents to the evaluator, when that takes it no more."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from discovery.privacy.private_token import format_challenge
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.split_storage import blind_evaluator
from discovery.privacy.token import Token, TokenChallenge, TokenInput
from discovery.privacy.token_key import TokenKey
from gateway.http.fetch import Fetched, FetchFailed
from gateway.split_storage.asking import Bearer, Bought, Credential, EvaluatorClient

EVALUATOR = blind_evaluator(b"x" * 32)
KEY = TokenKey(RsaPrivateKey.generate().public)
ASKS = f"Bearer, {format_challenge(TokenChallenge('tokens.example'), KEY)}"


class Evaluator:
    """Takes the second of two credentials, or none."""

    host = "evaluator.example"

    def __init__(self, *, takes: int) -> None:
        self.takes = takes
        self.bodies: list[bytes] = []

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Fetched:
        self.bodies.append(body)
        if len(self.bodies) != self.takes:
            return Fetched(401, {"www-authenticate": ASKS}, b"")
        return Fetched(200, {}, EVALUATOR.evaluate(body))


class Tokens:
    """Gives out tokens of a key that has ended, then others."""

    def __init__(self) -> None:
        self.heard: list[Collection[bytes]] = []

    async def take(self) -> Token:
        return Token(TokenInput(bytes(32), bytes(32), bytes(32)), bytes(256))

    def refused(self, token: Token, accepted: Collection[bytes]) -> bool:
        self.heard.append(accepted)
        return True


async def test_a_token_of_an_ended_key_is_followed_by_one_other_and_other_blinds() -> None:
    tokens, evaluator = Tokens(), Evaluator(takes=2)
    client = EvaluatorClient(evaluator, Bought(tokens))
    (secrets,) = await client.secrets(["tel:+14155550123"], EVALUATOR.public_keys, timeout=1.0)
    assert len(secrets.label) == 32
    assert tokens.heard == [{KEY.key_id}]
    assert len(set(evaluator.bodies)) == 2


@pytest.mark.parametrize(("credential", "asked"), [(Bearer("token"), 1), (Bought(Tokens()), 2)])
async def test_what_is_never_taken_is_not_tried_for_ever(
    credential: Credential, asked: int
) -> None:
    evaluator = Evaluator(takes=0)
    client = EvaluatorClient(evaluator, credential)
    with pytest.raises(FetchFailed):
        await client.secrets(["tel:+14155550123"], EVALUATOR.public_keys, timeout=1.0)
    assert len(evaluator.bodies) == asked
