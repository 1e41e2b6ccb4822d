"""PASSporTs encrypted to the called provider: opened by its key, and by nothing else."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from stir.oob.encryption import (
    MAX_ENCRYPTED,
    CannotDecrypt,
    Decryption,
    encrypt_passports,
    key_id,
    split_encrypted,
)
from stir.oob.tokens import MalformedTokens
from stir.passport import decode_part, encode_part
from tests.support.stir_authority import HEADER, StirWorld, shaken_claims

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def token() -> str:
    return StirWorld().token(HEADER, shaken_claims())


@pytest.fixture(scope="module")
def sealed(token: str) -> str:
    return encrypt_passports((token,), KEY.public_key())


def changed(sealed: str, part: int, text: str) -> str:
    parts = sealed.split(".")
    parts[part] = text
    return ".".join(parts)


def header_with(sealed: str, **changes: object) -> str:
    header = json.loads(decode_part(sealed.split(".")[0], "header")) | changes
    return changed(sealed, 0, encode_part(json.dumps(header).encode()))


def test_the_recipient_reads_what_was_encrypted_to_it(token: str, sealed: str) -> None:
    assert Decryption((OTHER, KEY)).decrypt(sealed) == (token,)


def test_the_key_is_named_by_its_rfc_7638_thumbprint(sealed: str) -> None:
    header = json.loads(decode_part(sealed.split(".")[0], "header"))
    algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
    assert header["kid"] == key_id(KEY.public_key())
    assert algorithm.from_jwk(json.dumps(header["epk"])) is not None


def test_nothing_of_the_token_can_be_read_on_the_way(token: str, sealed: str) -> None:
    clear = b"".join(decode_part(part, "part") for part in sealed.split(".") if part)
    assert b"14155550100" not in clear
    assert token.split(".")[1] not in sealed


def test_the_length_says_little_about_what_is_inside() -> None:
    world = StirWorld()
    short = world.token(HEADER, shaken_claims())
    longer = world.token(HEADER, shaken_claims(origid="9f1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d-1234"))
    key = KEY.public_key()
    assert len(encrypt_passports((short,), key)) == len(encrypt_passports((longer,), key))


def test_another_key_does_not_open_it(sealed: str) -> None:
    with pytest.raises(CannotDecrypt) as error:
        Decryption((OTHER,)).decrypt(sealed)
    assert error.value.other_key


def test_another_key_of_the_same_name_does_not_open_it_either(sealed: str) -> None:
    forged = header_with(sealed, kid=key_id(OTHER.public_key()))
    with pytest.raises(CannotDecrypt, match="changed"):
        Decryption((OTHER,)).decrypt(forged)


@pytest.mark.parametrize("part", [0, 2, 3, 4])
def test_a_changed_octet_is_noticed_in_every_part(sealed: str, part: int) -> None:
    text = sealed.split(".")[part]
    flipped = ("B" if text[20 % len(text)] != "B" else "C").join(
        (text[: 20 % len(text)], text[20 % len(text) + 1 :])
    )
    with pytest.raises(CannotDecrypt):
        Decryption((KEY,)).decrypt(changed(sealed, part, flipped))


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "dir"},
        {"alg": "ECDH-ES+A128KW"},
        {"enc": "A128CBC-HS256"},
        {"zip": "DEF"},
        {"crit": ["exp"]},
        {"epk": None},
        {"epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
        {"epk": {"kty": "EC", "crv": "P-256", "x": encode_part(bytes(32)), "y": "A" * 43}},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": "A" * 43}},
        {"kid": 5},
    ],
)
def test_other_algorithms_and_bad_ephemeral_keys_are_refused(
    sealed: str, changes: dict[str, object]
) -> None:
    with pytest.raises(CannotDecrypt):
        Decryption((KEY,)).decrypt(header_with(sealed, **changes))


@pytest.mark.parametrize(
    "text",
    ["", "a.b.c", "a..b.c.d.e", "é..a.b.c", "....", "x" * (MAX_ENCRYPTED + 1), "a.b.c.d.e"],
)
def test_what_is_no_jwe_is_refused_without_a_key(text: str) -> None:
    with pytest.raises(CannotDecrypt):
        split_encrypted(text)


def test_only_passports_are_encrypted() -> None:
    with pytest.raises(MalformedTokens):
        encrypt_passports(("not a token",), KEY.public_key())
    with pytest.raises(ValueError, match="P-256"):
        encrypt_passports(("x",), ec.generate_private_key(ec.SECP384R1()).public_key())
