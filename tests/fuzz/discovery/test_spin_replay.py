"""SPIN's fuzz targets, run over their seeds and over cut and flipped forms of them."""

from __future__ import annotations

import json
from random import Random

import pytest

from discovery.model import Service
from discovery.spin.binary import to_binary_parts
from discovery.spin.carriage import to_parts, to_text
from discovery.spin.mms import build_content
from discovery.spin.reference import to_reference_text
from tests.fuzz.discovery.spin_targets import TARGETS
from tests.support.spin_passports import ALICE, KeySigner, answer_claims, invitation_claims
from tests.unit.gateway.mms.test_mm7 import DELIVERY, delivered

SIGNER = KeySigner(ALICE)
TOKEN = SIGNER.sign("spin", invitation_claims(omsp="a.example", tag="business"))
RULES = {
    "rules": [
        {"if": {"from": ["+14155550123"], "tag": "x"}, "svc": ["im"], "use": "wire"},
        {"if": {"group": "soccer", "contact": True, "omsp": "same"}, "use": ["a", "b"]},
        {"use": "default"},
    ]
}
SEEDS: dict[str, list[bytes]] = {
    "text": [
        to_text(TOKEN, ALICE, Service.VOICE).encode(),
        to_reference_text("a.example", "abcdefgh", TOKEN, ALICE, Service.IM, "fr").encode(),
    ],
    "token": [
        TOKEN.encode(),
        SIGNER.sign("spin", invitation_claims(), x5c=True).encode(),
        SIGNER.sign("spin-ans", answer_claims("a" * 43)).encode(),
    ],
    "short_message": [
        to_parts(to_text(TOKEN, ALICE, Service.VOICE), 7)[0].octets,
        to_binary_parts(TOKEN, 7)[0].octets,
        b"id:7f3a sub:001 dlvrd:001 submit date:1 done date:1 stat:DELIVRD err:000 text:x",
    ],
    "multimedia": [build_content("call back", TOKEN, "bb"), delivered(), DELIVERY.encode()],
    "rules": [json.dumps(RULES).encode()],
    "events": [b': hello\n\nevent: done\ndata: {"id":"q"}\n\n'],
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for _ in range(300):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(4)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
