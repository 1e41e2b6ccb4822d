"""The fuzz targets, run over their seeds and over cut and flipped forms of them."""

from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificates.claim_constraints import ClaimConstraints, build_claim_constraints
from stir.certificates.issuing import make_csr, new_key, to_pem
from stir.certificates.tn_auth_list import One, Range, Spc, TnAuthList, build_tn_auth_list
from stir.strict_json import canonical
from tests.fuzz.stir.targets import TARGETS, world
from tests.support.revocation import list_of
from tests.support.revocation import ocsp_answer as answer_of
from tests.support.stir_authority import raw_token, shaken_claims
from tests.support.transparency import TestLog, encoded, timestamp_list

LIMITS = ClaimConstraints(("rcd",), (("attest", ("A", "B")), ("x", ("[1]",))), ("mky",))
ENTRIES = (Spc("709J"), One("14155550100"), Range("14155550110", 10))


def seeds(name: str) -> list[bytes]:
    good = world()
    roots = {"sequence": 1, "trustList": [to_pem(good.root.certificates).decode()]}
    trusted = raw_token(good.key, b'{"alg":"ES256"}', canonical(roots))
    return {
        "identity": [good.identity().encode(), b"..sig;info=<https://a.example/>"],
        "payload": [canonical(shaken_claims(mky=[{"alg": "sha-256", "dig": "AB" * 32}]))],
        "credential": [
            good.issued.chain_pem,
            *(c.public_bytes(Encoding.DER) for c in good.credential.certificates),
        ],
        "revocation_list": [list_of(good.issuer).der(good.credential.leaf)],
        "ocsp_answer": [answer_of(good.credential.leaf, good.issuer.certificate, good.issuer.key)],
        "timestamps": [timestamp_list(encoded(TestLog().sign(b"entry")))],
        "request": [make_csr(new_key(), "x", TnAuthList(ENTRIES), ["a.example"])],
        "tn_auth_list": [build_tn_auth_list(ENTRIES)],
        "claim_constraints": [build_claim_constraints(LIMITS, enhanced=True)],
        "trust_list": [trusted.encode(), canonical({"caList": trusted})],
    }[name]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in seeds(name):
        TARGETS[name](seed)
        for _ in range(300):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(4)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
