"""The fuzz targets of the privacy layer, run over their seeds and over cut and flipped forms."""

from __future__ import annotations

from base64 import b64encode
from random import Random

import pytest

from discovery.privacy.bhttp import (
    BinaryRequest,
    BinaryResponse,
    Informational,
    encode_request,
    encode_response,
)
from discovery.privacy.encapsulation import encapsulate_request
from discovery.privacy.ohttp import OhttpClient
from discovery.privacy.private_token import format_authorization, format_challenge
from discovery.privacy.split_storage import (
    RESPONSE_OCTETS,
    StorageQuestion,
    encode_bucket,
    encode_entries,
)
from discovery.privacy.token import Token
from discovery.privacy.token_client import ask_token
from discovery.privacy.token_issuer import DailyQuota, TokenIssuer
from tests.fuzz.discovery.privacy_targets import (
    CHALLENGE,
    KEY,
    NOW,
    SECRETS,
    SERVER_A,
    SMALLEST,
    TARGETS,
    issuer_key,
)

REQUEST = BinaryRequest("POST", "https", "dp.example", "/l", (("a", "b"),), b"x" * 70, (("t", ""),))
RESPONSE = BinaryResponse(200, (("a", "b"),), b"x" * 70, (), (Informational(103, (("l", "x"),)),))
# Of those whose every run costs milliseconds, fewer.
_RUNS = {"token_request": 60, "evaluation": 40, "bucket": 100, "entries": 100}


def forged() -> Token:
    return Token(ask_token(issuer_key().public, CHALLENGE).signed, bytes(256))


def seeds(name: str) -> list[bytes]:
    key = issuer_key().public
    messages = [
        message
        for kind in (False, True)
        for message in (
            encode_request(REQUEST, indeterminate=kind, truncate=False),
            encode_response(RESPONSE, indeterminate=kind, pad_to=300),
        )
    ]
    question = StorageQuestion("tel:+14155550123").request
    directory = TokenIssuer([issuer_key()], DailyQuota(1)).directory("/request", NOW)
    return {
        "bhttp": messages,
        "ohttp": [
            OhttpClient(KEY.configuration).seal(REQUEST, NOW)[0],
            encapsulate_request(KEY.configuration, b"")[0],
        ],
        "ohttp_inside": messages,
        "ohttp_response": messages,
        "ohttp_keys": [b"\0\x2d" + KEY.configuration.encode(), b"\0\x03\x01\xff\xff"],
        "token": [forged().encode()],
        "token_request": [ask_token(key, CHALLENGE).request.encode()],
        "token_fields": [
            format_authorization(forged()).encode(),
            f"Basic a==, {format_challenge(CHALLENGE, key, 10)}".encode(),
            CHALLENGE.encode(),
            key.spki,
            directory.encode(),
        ],
        "storage": [
            question,
            SERVER_A.evaluate(question),
            SECRETS.seal(b"record"),
            encode_bucket([(SECRETS.label, SECRETS.seal(b"record"))]),
        ],
        "evaluation_keys": [str(SERVER_A.public_keys).encode()],
        "evaluation": [question, b"", bytes(RESPONSE_OCTETS)],
        "entries": [
            encode_entries([(SECRETS.label, SECRETS.seal(b"record"))]),
            bytes(range(32)),
        ],
        "bucket": [SECRETS.label + b"\x0c", encode_entries([(SECRETS.label, bytes(SMALLEST))])],
        "issuer_directory": [directory.encode()],
        "key_copies": [
            b"\0\x2d" + KEY.configuration.encode(),
            b64encode(b"\0\x2d" + KEY.configuration.encode()),
        ],
    }[name]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in seeds(name):
        TARGETS[name](seed)
        for _ in range(_RUNS.get(name, 300)):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(4)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
