"""RFC 9578 Appendix A.2 and RFC 9577 Appendix A: tokens of type 2, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from discovery.privacy.private_token import (
    format_authorization,
    format_challenge,
    parse_authorization,
    parse_challenges,
)
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.token import (
    TokenChallenge,
    TokenInput,
    parse_token,
    parse_token_challenge,
)
from discovery.privacy.token_client import ask_token
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from discovery.privacy.token_key import parse_token_key
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier
from tests.rfc.discovery import rfc9578_vectors as given
from tests.rfc.discovery.rfc9578_vectors import Vector

KEY = parse_token_key(given.PUBLIC)
CONTEXT = bytes.fromhex("476ac2c935f458e9b2d7af32dacfbd22dd6023ef5887a789f1abe004e79bb5bb")
NONCE = bytes.fromhex("e01978182c469e5e026d66558ee186568614f235e41ef7e2378e6f202688abab")
KEY_ID = bytes.fromhex("ca572f8982a9ca248a3056186322d93ca147266121ddeb5632c07f1f71cd2708")
PRIVATE_TOKEN_1 = (
    'PrivateToken challenge="AAEADmlzc3Vlci5leGFtcGxlIIo-g6M9mABdLzC-9Bn6a_TNXGAF42sShbu0zNQPp'
    'LODAA5vcmlnaW4uZXhhbXBsZQ==", token-key="67H-0zgxA2HAjQx1dpaWcSluBemaF9eSbfwopT-r1In6wPgryo'
    'YkmmaPOlv6s3TJ",unknownChallengeAttribute="ignore-me", max-age="10"'
)
CHALLENGE_2 = (
    'PrivateToken challenge="AAIADmlzc3Vlci5leGFtcGxlIIo-g6M9mABdLzC-9Bn6a_TNXGAF42sShbu0zNQPpLOD'
    'AA5vcmlnaW4uZXhhbXBsZQ==", token-key="MIIBUjA9BgkqhkiG9w0BAQowMKANMAsGCWCGSAFlAwQCAqEaMBgGCS'
    "qGSIb3DQEBCDALBglghkgBZQMEAgKiAwIBMAOCAQ8AMIIBCgKCAQEAyxrta2qV9bHOATpM_KsluUsuZKIwNOQlCn6rQ8"
    "DfOowSmTrxKxEZCNS0cb7DHUtsmtnN2pBhKi7pA1I-beWiJNawLwnlw3TQz-Adj1KcUAp4ovZ5CPpoK1orQwyB6vGvct"
    "e155T8mKMTknaHl1fORTtSbvm_bOuZl5uEI7kPRGGiKvN6qwz1cz91l6vkTTHHMttooYHGy75gfYwOUuBlX9mZbcWE7K"
    "C-h6-814ozfRex26noKLvYHikTFxROf_ifVWGXCbCWy7nqR0zq0mTCBz_kl0DAHwDhCRBgZpg9IeX4PwhuLoI8h5zUPO"
    '9wDSo1Kpur1hLQPK0C2xNLfiJaXwIDAQAB",unknownChallengeAttribute="ignore-me", max-age="10"'
)
GREASE = (
    'Basic realm="grease", PrivateToken challenge="AACsw7JXlcY2_Z3YsSmCOUq7qHd9NZeOh3_IhIiSohcjME'
    'WsJaPVXAfFTv5jcpc_7gBz53_GG_GauIDyDt9dYnUC",token-key="hW3jxxC4kufMoa5esSGvQsqOd5E3oRIkIoybm'
    "bBym_hNUFfQMAADCbjw0GzP-hdWH56s1MMS6YWmvGD_vqBhAmTcsXJiVTE9qB1mVpJoah2GRPFRa_YSzqAJ5t_22ampW"
    'ftTjhtbI0PAkpkpQjgr3eItWzJLHkYY7SHXgGKGws4=",'
)


def in_turn(*chances: bytes) -> Callable[[int], bytes]:
    left = list(chances)
    return lambda _: left.pop(0)


@pytest.mark.rfc(9578, "6")
@pytest.mark.parametrize("vector", given.VECTORS)
def test_issuance_gives_the_octets_of_the_appendix(vector: Vector) -> None:
    factor = int.from_bytes(vector.blind, "big")
    pending = ask_token(
        KEY,
        parse_token_challenge(vector.challenge),
        in_turn(vector.nonce, vector.salt),
        factor=(factor, pow(factor, -1, KEY.rsa.n)),
    )
    assert pending.request.encode() == vector.request
    issuer = TokenIssuer([IssuerKey(RsaPrivateKey.from_pem(given.PRIVATE))], DailyQuota(9))
    assert issuer.issue(vector.request, "b.example", 0.0) == vector.response
    assert pending.finish(vector.response).encode() == vector.token


@pytest.mark.rfc(9578, "6.4")
@pytest.mark.parametrize("vector", given.VECTORS)
def test_the_tokens_of_the_appendix_are_good(vector: Vector) -> None:
    challenge = parse_token_challenge(vector.challenge)
    assert challenge.encode() == vector.challenge
    verifier = TokenVerifier([AcceptedKey(KEY, challenge)], "origin.example")
    token = parse_token(vector.token)
    assert token.encode() == vector.token
    assert parse_authorization(format_authorization(token)) == token
    verifier.redeem(token, 0.0)


@pytest.mark.rfc(9578, "6.5")
def test_the_key_is_encoded_as_in_the_appendix() -> None:
    assert KEY.spki == given.PUBLIC
    assert KEY.key_id == KEY_ID
    private = RsaPrivateKey.from_pem(given.PRIVATE)
    assert private.public == KEY.rsa
    assert RsaPrivateKey.from_pem(private.to_pem()) == private


@pytest.mark.rfc(9577, "A.1")
@pytest.mark.parametrize(
    ("context", "origins", "digest"),
    [
        (
            CONTEXT,
            ("origin.example",),
            "8e1d5518ec82964255526efd8f9db88205a8ddd3ffb1db298fcc3ad36c42388f",
        ),
        (
            b"",
            ("origin.example",),
            "11e15c91a7c2ad02abd66645802373db1d823bea80f08d452541fb2b62b5898b",
        ),
        (b"", (), "b741ec1b6fd05f1e95f8982906aec1612896d9ca97d53eef94ad3c9fe023f7a4"),
        (CONTEXT, (), "b85fb5bc06edeb0e8e8bdb5b3bea8c4fa40837c82e8bcaf5882c81e14817ea18"),
        (
            CONTEXT,
            ("foo.example", "bar.example"),
            "a2a775866b6ae0f98944910c8f48728d8a2735b9157762ddbf803f70e2e8ba3e",
        ),
    ],
)
def test_challenges_are_bound_into_what_is_signed(
    context: bytes, origins: tuple[str, ...], digest: str
) -> None:
    challenge = TokenChallenge("issuer.example", context, origins)
    signed = TokenInput(NONCE, challenge.digest(), KEY_ID).encode()
    assert signed.hex() == "0002" + NONCE.hex() + digest + KEY_ID.hex()
    assert parse_token_challenge(challenge.encode()) == challenge


@pytest.mark.rfc(9577, "A.2")
def test_challenges_are_read_from_the_field_others_and_grease_passed_over() -> None:
    context = bytes.fromhex("8a3e83a33d98005d2f30bef419fa6bf4cd5c6005e36b1285bbb4ccd40fa4b383")
    expected = TokenChallenge("issuer.example", context, ("origin.example",))
    (found,) = parse_challenges(CHALLENGE_2)
    assert (found.challenge, found.token_key, found.max_age) == (expected, given.PUBLIC, 10)
    assert parse_challenges(format_challenge(expected, KEY, 10)) == (found,)

    both = parse_challenges(f"{CHALLENGE_2}, {PRIVATE_TOKEN_1}")
    assert [one.challenge.token_type for one in both] == [2, 1]
    (left,) = parse_challenges(f"{GREASE} {PRIVATE_TOKEN_1}")
    assert left.challenge.token_type == 1
    assert (left.token_key or b"").hex().startswith("ebb1fed338310361c08d0c75")
