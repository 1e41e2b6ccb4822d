"""A record is found with a proof, through Oblivious HTTP, for a token that names nobody."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from discovery.directory.answer import Status
from discovery.directory.client import AnswerChecker, CheckedAnswer, build_lookup
from discovery.log.logged import LogPolicy
from discovery.log.note import parse_verifier
from discovery.log.relying import TrustedLogs
from discovery.privacy.bhttp import BinaryRequest, BinaryResponse
from discovery.privacy.ohttp import OhttpClient, ResponseOpener
from discovery.privacy.ohttp_keys import parse_key_configurations
from discovery.privacy.private_token import format_authorization, parse_challenges
from discovery.privacy.token_client import ask_token
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from tests.support.directory_world import NUMBER, DirectoryClient, DirectoryWorld, running

pytestmark = pytest.mark.real
ISSUER = "tokens.alpha.example"


class Scene:
    """A directory with a log and Oblivious HTTP, and an issuer whose tokens it takes."""

    def __init__(self, folder: Path) -> None:
        key = IssuerKey.generate(
            not_before=0.0, issue_until=float("inf"), accept_until=float("inf")
        )
        self.issuer = TokenIssuer([key], DailyQuota(100))
        self.key = key.public
        (folder / "tokens.der").write_bytes(key.public.spki)
        issuer = {"name": ISSUER, "key_file": folder / "tokens.der"}
        self.world = DirectoryWorld(
            folder, transparency_log={"interval_seconds": 0.05}, oblivious={"issuer": (issuer,)}
        )

    async def authorization(self, client: DirectoryClient) -> str:
        """A token for the challenge that a refused lookup brings."""
        refused = await client.lookup(token=None)
        assert refused.status == 401
        (challenge,) = parse_challenges(refused.headers["WWW-Authenticate"])
        pending = ask_token(self.key, challenge.challenge)
        answer = self.issuer.issue(pending.request.encode(), "alice", self.world.clock.now)
        return format_authorization(pending.finish(answer))

    async def lookup(self, client: DirectoryClient, authorization: str) -> BinaryResponse:
        return await self.post(client, *await self.seal(client, authorization))

    async def seal(
        self, client: DirectoryClient, authorization: str
    ) -> tuple[bytes, ResponseOpener]:
        described = (await client.send("GET", "/.well-known/spin-dp")).document
        keys = base64.b64decode(described["ohttp"]["keys"])
        oblivious = OhttpClient.choose(parse_key_configurations(keys))
        request = BinaryRequest(
            "POST",
            "https",
            "dp.example",
            "/dp/v1/lookup",
            (("content-type", "application/json"), ("authorization", authorization)),
            build_lookup(self.world.owner().csi),
        )
        return oblivious.seal(request, self.world.clock.now)

    async def post(
        self, client: DirectoryClient, sealed: bytes, opener: ResponseOpener
    ) -> BinaryResponse:
        async with client.session.post(
            f"{client.url}/.well-known/ohttp-gateway",
            data=sealed,
            headers={"Content-Type": "message/ohttp-req"},
        ) as response:
            assert response.status == 200
            return opener.open(await response.read())

    async def check(self, client: DirectoryClient, body: bytes) -> CheckedAnswer:
        described = (await client.send("GET", "/.well-known/spin-dp")).document
        url = self.world.config.directory.url
        logs = TrustedLogs({url: LogPolicy((parse_verifier(described["log"]),), quorum=0)})
        checker = AnswerChecker(url, self.world.keys.signer.public, self.world.chains, logs)
        return checker.check(body, self.world.owner().csi, self.world.clock.now)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_a_lookup_is_oblivious_paid_and_proven(scene: Scene) -> None:
    async with running(scene.world) as client:
        kept = await client.register(scene.world.owner())
        assert kept.status == 200
        assert set(kept.document["receipt"]) == {"csi", "label", "label_proof", "known"}
        token = await scene.authorization(client)
        answer = await scene.lookup(client, token)
        assert answer.status == 200
        checked = await scene.check(client, answer.content)
        assert (checked.status, [each.logged for each in checked.records]) == (
            Status.MAPS,
            [True],
        )
        again = await scene.lookup(client, token)
        assert again.status == 401  # each token is worth one lookup
        assert client.service.access.outcomes["token", "admitted"] == 1


async def test_a_relay_that_sends_a_request_again_after_a_restart_learns_nothing(
    scene: Scene,
) -> None:
    async with running(scene.world) as client:
        await client.register(scene.world.owner())
        sealed = await scene.seal(client, await scene.authorization(client))
        assert (await scene.post(client, *sealed)).status == 200
        assert (await scene.post(client, *sealed)).status == 409
    async with running(scene.world) as client:
        # The new process has not seen the request, but its token is spent.
        assert (await scene.post(client, *sealed)).status == 401
        assert client.service.lookups.answered == 0


async def test_a_proof_of_another_record_does_not_hold(scene: Scene) -> None:
    async with running(scene.world) as client:
        await client.register(scene.world.owner())
        await client.register(scene.world.owner("tel:+14155550199"))
        found = json.loads((await client.lookup()).body)
        other = json.loads((await client.lookup("tel:+14155550199")).body)
        found["records"][0]["proof"] = other["records"][0]["proof"]
        found["pad"] = ""
        checked = await scene.check(client, json.dumps(found).encode())
        assert [each.logged for each in checked.records] == [False]


async def test_the_log_is_served_and_holds_no_number(scene: Scene) -> None:
    async with running(scene.world) as client:
        await client.register(scene.world.owner())
        checkpoint = await client.send("GET", "/log/checkpoint")
        assert checkpoint.body.startswith(b"dp.example/log\n1\n")
        entries = await client.send("GET", "/log/tile/entries/000.p/1")
        assert entries.status == 200
        assert NUMBER.removeprefix("tel:+").encode() not in entries.body


async def test_inside_only_lookups_with_a_token_are_answered(scene: Scene) -> None:
    async with running(scene.world) as client:
        for authorization in ("", "Bearer token-of-peer-alpha", "PrivateToken token=AAAA"):
            assert (await scene.lookup(client, authorization)).status == 401


async def test_keys_change_and_the_former_is_taken_for_a_day(scene: Scene) -> None:
    async with running(scene.world) as client:
        first = (await client.send("GET", "/.well-known/ohttp-gateway")).body
        scene.world.clock.now += 31 * 86_400
        await client.service.sweep()
        second = (await client.send("GET", "/.well-known/ohttp-gateway")).body
        assert first != second
