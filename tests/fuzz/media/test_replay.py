"""The fuzz targets, run over their seeds and over cut and flipped forms of them."""

from __future__ import annotations

from random import Random

import pytest

from media.stun import AttributeType, binding_request
from tests.fuzz.media.targets import TARGETS
from tests.unit.media.sdp_samples import BROWSER, PHONE, PHONE_ANSWER, SECURE_PHONE

CHECK = binding_request(
    bytes(range(12)),
    [
        (AttributeType.USERNAME, b"bob:eve"),
        (AttributeType.PRIORITY, b"1234"),
        (AttributeType.ICE_CONTROLLING, bytes(8)),
        (AttributeType.USE_CANDIDATE, b""),
    ],
    b"guessed",
)
SEEDS = {
    "sdp": [text.encode() for text in (BROWSER, PHONE, PHONE_ANSWER, SECURE_PHONE)],
    "stun": [CHECK],
    "ice": [CHECK],
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for _ in range(200):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(4)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
