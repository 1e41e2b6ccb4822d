"""F2 for the signing interface and the call placement service: only what they describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.http.call_placement_openapi import DESCRIPTION as PLACEMENT
from gateway.http.signing_openapi import DESCRIPTION as SIGNING
from stir.oob.access import Asked
from stir.oob.rate import Rate
from stir.oob.tokens import digest_of
from tests.support.call_placement_scene import CallPlacementScene, call_placement_scene
from tests.support.openapi_contract import Contract, Mode, Reply, Request, Send, over
from tests.support.signing_api_scene import TOKEN, signing, signing_api_scene, verification

pytestmark = pytest.mark.real
MANY = Rate(1e6, 1e6)


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(SIGNING).cases()))
async def test_signing_and_verification_keep_to_their_description(
    method: str, path: str, mode: Mode
) -> None:
    async with signing_api_scene(rate=MANY) as scene:
        send = over(scene.session, scene.url, f"Bearer {TOKEN}")
        contract = Contract(SIGNING)
        await contract.hold(method, path, mode, send)
        for name, good in (("signing", signing()), ("verification", verification())):
            reply = await send(
                Request(
                    "POST",
                    f"/stir/v1/{name}",
                    {"Content-Type": "application/json"},
                    json.dumps(good).encode(),
                )
            )
            contract.check("post", f"/stir/v1/{name}", reply)
            assert reply.status == 200


def permitted(scene: CallPlacementScene) -> Send:
    """Send with a permission for just what is asked, where it is something to ask."""

    async def send(request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        token = None
        if len(parts) > 1:
            publishing = request.method == "POST"
            asked = Asked(
                cast(Any, "publish" if publishing else "retrieve"),
                parts[1],
                parts[2] if len(parts) > 2 else None,
                digest_of(_passports(request.body)) if publishing else None,
            )
            token = scene.alpha.permission(asked)
        if request.body is not None:
            answer = await scene.post(
                request.path, None, token, body=request.body, headers=request.headers
            )
        else:
            answer = await scene.get(request.path, token)
        return Reply(answer.status, answer.headers.get("content-type", ""), answer.body)

    return send


def _passports(body: bytes | None) -> tuple[str, ...]:
    try:
        return tuple(json.loads(body or b"")["passports"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(PLACEMENT).cases()))
async def test_call_placement_keeps_to_its_description(
    tmp_path: Path, method: str, path: str, mode: Mode
) -> None:
    async with call_placement_scene(tmp_path, per_certificate=MANY, per_source=MANY) as scene:
        await Contract(PLACEMENT).hold(method, path, mode, permitted(scene))
