"""Our STI-AS/VS interface (ATIS-1000082): good requests, bad ones, and nobody without a token."""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stir.authentication import msg_claims
from stir.oob.rate import Rate
from stir.passport import parse_passport
from tests.support.call_placement_scene import DEST, ORIG, Provider
from tests.support.signing_api_scene import (
    ORIGID,
    TOKEN,
    SigningApiScene,
    signing,
    signing_api_scene,
    verification,
)

pytestmark = pytest.mark.real


@pytest.fixture
async def scene() -> AsyncIterator[SigningApiScene]:
    async with signing_api_scene() as running:
        yield running


async def test_a_call_is_signed_and_then_verified(scene: SigningApiScene) -> None:
    signed = await scene.post("signing", signing(), X_RequestID="4250sidf")
    assert (signed.status, signed.headers["X-RequestID"]) == (200, "4250sidf")
    identity = signed.document["signingResponse"]["identity"]
    payload = parse_passport(identity.partition(";")[0]).payload
    assert (payload["attest"], payload["origid"]) == ("B", ORIGID)
    verified = await scene.post("verification", verification(identity=identity))
    assert verified.document == {
        "verificationResponse": {
            "verstat": "TN-Validation-Passed",
            "attest": "B",
            "origid": ORIGID,
            "ppt": "shaken",
        }
    }


async def test_who_diverts_a_call_attests_nothing_beside_its_div(scene: SigningApiScene) -> None:
    """What stands in a div-o is whoever signed it's, not the original's."""
    left = f"{DEST[:-2]}77"
    original = scene.provider.passport(left, attest="C")
    diverting = Provider(left, scene.provider.root)
    scene.certificates.add(diverting)
    claims = {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "div": {"tn": left},
        "iat": int(time.time()),
        "opt": original,
        "orig": {"tn": ORIG},
        "origid": str(uuid.uuid4()),
    }
    token = diverting.signer.sign_passport({"ppt": "div-o"}, claims)
    identity = f"{token};info=<{diverting.signer.x5u}>;alg=ES256;ppt=div-o"
    answer = await scene.post("verification", verification(identity=identity))
    content = answer.document["verificationResponse"]
    assert (content["verstat"], content["attest"]) == ("TN-Validation-Passed", "C")
    assert content["origid"] != claims["origid"]


@pytest.mark.parametrize("ppt", ["msg", "rsp"])
async def test_what_was_signed_for_something_else_verifies_no_call(
    scene: SigningApiScene, ppt: str
) -> None:
    """Who was sent a message could else call in its sender's name: there is no text to compare."""
    claims: dict[str, Any] = {
        "dest": {"tn": [DEST]},
        "iat": int(time.time()),
        "orig": {"tn": ORIG},
        **msg_claims(b"Dinner at eight?"),
    }
    signer = scene.provider.signer
    token = signer.sign_passport({"ppt": ppt}, claims)
    identity = f"{token};info=<{signer.x5u}>;alg=ES256;ppt={ppt}"
    answer = await scene.post("verification", verification(identity=identity))
    assert answer.document["verificationResponse"]["verstat"] != "TN-Validation-Passed"


async def test_the_names_of_3gpp_are_understood_and_answered() -> None:
    async with signing_api_scene(dialect="3gpp") as scene:
        signed = await scene.post("signing", signing())
        identity = signed.document["signingResponse"]["identityHeader"]
        for name, value in (("identityHeader", identity), ("identityHeaders", [identity])):
            verified = await scene.post("verification", verification(**{name: value}))
            content = verified.document["verificationResponse"]
            assert content["verstatValue"] == "TN-Validation-Passed"
            assert content["verifyResults"][0]["verifyResult"]["status"] == "pass"


@pytest.mark.parametrize(
    ("changes", "reasoncode", "verstat"),
    [
        ({}, 428, "No-TN-Validation"),
        ({"from": {"tn": "14155550199"}}, 438, "TN-Validation-Failed"),
        ({"to": {"tn": ["12125550199"]}}, 438, "TN-Validation-Failed"),
        ({"identity": "rubbish"}, 438, "TN-Validation-Failed"),
        ({"identity": "a.b.c;info=<https://x.example/c.pem>"}, 438, "TN-Validation-Failed"),
    ],
)
async def test_what_does_not_verify_is_an_answer_with_its_reason(
    scene: SigningApiScene, changes: dict[str, Any], reasoncode: int, verstat: str
) -> None:
    token = scene.provider.passport()
    identity = f"{token};info=<{scene.provider.signer.x5u}>;alg=ES256;ppt=shaken"
    given = {} if not changes else {"identity": identity, **changes}
    answer = await scene.post("verification", verification(**given))
    content = answer.document["verificationResponse"]
    assert (answer.status, content["verstat"]) == (200, verstat)
    assert content["reasoncode"] == reasoncode
    assert content["reasontext"]
    assert content["reasondesc"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "SVC4000"),
        (b"   ", "SVC4000"),
        (b"{", "SVC4006"),
        (b"[]", "SVC4006"),
        (b'{"a":1,"a":2}', "SVC4006"),
        ({}, "SVC4001"),
        ({"signingRequest": 5}, "SVC4005"),
        (signing(attest=None), "SVC4001"),
        (signing(attest="D"), "SVC4005"),
        (signing(attest=["A"]), "SVC4005"),
        (signing(dest=None), "SVC4001"),
        (signing(dest={"tn": []}), "SVC4005"),
        (signing(dest={"tn": "12125550123"}), "SVC4005"),
        (signing(dest={"tn": ["nobody"]}), "SVC4005"),
        (signing(dest={"tn": [DEST] * 11}), "SVC4005"),
        (signing(dest={"uri": ["sip:a@b.example"]}), "SVC4001"),
        (signing(orig={"tn": [ORIG]}), "SVC4005"),
        (signing(orig=ORIG), "SVC4005"),
        (signing(iat=None), "SVC4001"),
        (signing(iat="now"), "SVC4005"),
        (signing(iat=-1), "SVC4005"),
        (signing(iat=1_500_000_000), "SVC4005"),
        (signing(iat=int(time.time()) + 90_000), "SVC4005"),
        (signing(origid=None), "SVC4001"),
        (signing(origid="not a uuid"), "SVC4005"),
        (signing(origid="x" * 36), "SVC4005"),
        (signing(ppt="div"), "SVC4005"),
        (signing(attest="A"), "POL4030"),
        (signing(orig={"tn": "13035550100"}), "POL4030"),
    ],
)
async def test_a_bad_signing_request_has_one_error(
    scene: SigningApiScene, body: Any, error: str
) -> None:
    answer = await scene.post("signing", body)
    assert answer.error == error
    assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"time": None}, "SVC4001"),
        ({"time": True}, "SVC4005"),
        ({"from": None}, "SVC4001"),
        ({"from": {"tn": "x"}}, "SVC4005"),
        ({"from": {"uri": "mailto:x@y"}}, "SVC4005"),
        ({"from": {}}, "SVC4001"),
        ({"to": {"tn": "12125550123", "uri": "x"}, "identity": 5}, "SVC4005"),
        ({"identity": ["x"] * 9}, "SVC4005"),
        ({"identityHeaders": [None]}, "SVC4005"),
    ],
)
async def test_a_bad_verification_request_has_one_error(
    scene: SigningApiScene, changes: dict[str, Any], error: str
) -> None:
    assert (await scene.post("verification", verification(**changes))).error == error


async def test_uris_may_stand_for_numbers(scene: SigningApiScene) -> None:
    token = scene.provider.passport()
    identity = f"{token};info=<{scene.provider.signer.x5u}>;alg=ES256;ppt=shaken"
    parties = {
        "from": {"uri": f"sip:+{ORIG}@alpha.example"},
        "to": {"uri": [f"tel:+{DEST}"]},
    }
    answer = await scene.post("verification", verification(identity=identity, **parties))
    assert answer.document["verificationResponse"]["verstat"] == "TN-Validation-Passed"


async def test_nobody_is_served_without_the_token(scene: SigningApiScene) -> None:
    for token in (None, "", "another token, 16 long", TOKEN + "x"):
        for resource, body in (("signing", signing()), ("verification", verification())):
            answer = await scene.post(resource, body, token=token)
            assert (answer.status, answer.error) == (401, "POL4010")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_guessing_tokens_is_slowed_down(scene: SigningApiScene) -> None:
    answers = [await scene.post("signing", b"", token=f"guess {n}") for n in range(25)]
    assert answers[0].status == 401
    assert answers[-1].error == "POL4290"
    assert (await scene.post("signing", signing())).status == 200


async def test_a_client_has_its_rate_and_its_rights() -> None:
    async with signing_api_scene(rate=Rate(0.001, 2)) as scene:
        statuses = [(await scene.post("signing", signing())).status for _ in range(3)]
        assert statuses == [200, 200, 429]
    async with signing_api_scene(verify=False, max_attest="A") as scene:
        assert (await scene.post("verification", verification())).error == "POL4030"
        assert (await scene.post("signing", signing(attest="A"))).status == 200


async def test_methods_paths_types_and_sizes_have_their_errors(scene: SigningApiScene) -> None:
    good = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    answer = await scene.ask("GET", "/stir/v1/signing", good)
    assert (answer.status, answer.error) == (405, "POL4050")
    assert "POST" in answer.headers["Allow"]
    assert (await scene.ask("POST", "/stir/v1/nothing", good, b"{}")).error == "SVC4003"
    text = await scene.post("signing", signing(), Content_Type="text/plain")
    assert (text.status, text.error) == (415, "SVC4004")
    zipped = await scene.post("signing", signing(), Content_Encoding="gzip")
    assert zipped.error == "SVC4004"
    html = await scene.post("signing", signing(), Accept="text/html")
    assert (html.status, html.error) == (406, "SVC4002")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    unsized = await scene.ask("POST", "/stir/v1/signing", good, chunks())
    assert (unsized.status, unsized.error) == (411, "SVC4007")
    large = await scene.post("signing", b"x" * 140_000)
    assert (large.status, large.error) == (413, "POL4130")
    described = await scene.ask("GET", "/stir/v1/openapi.json", {})
    assert set(described.document["paths"]) == {"/stir/v1/signing", "/stir/v1/verification"}


async def test_a_request_id_that_is_none_is_replaced(scene: SigningApiScene) -> None:
    answer = await scene.post("signing", signing(), X_RequestID="with a space")
    assert len(answer.headers["X-RequestID"]) == 36


async def test_no_body_whatever_is_answered_with_a_server_error(scene: SigningApiScene) -> None:
    chance = random.Random(82)
    samples = [json.dumps(signing()).encode(), json.dumps(verification(identity="x")).encode()]
    for _ in range(150):
        octets = bytearray(chance.choice(samples))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(octets))
            octets[at : at + chance.randint(0, 4)] = os.urandom(chance.randint(0, 4))
        for resource in ("signing", "verification"):
            answer = await scene.post(resource, bytes(octets))
            assert answer.status < 500, bytes(octets)
