"""Fetching lists and answers: once, under the guard, cut off when too large (security case C9)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from cryptography.x509 import ocsp

from gateway.http.fetch import (
    FailureReason,
    Fetched,
    FetchFailed,
    FetchLimits,
    FetchRefused,
    GuardedClient,
)
from gateway.http.guard import GuardPolicy, RefusalReason
from gateway.revocation import RevocationService
from stir.certificates.certificate import Credential, CredentialUnavailable, load_credential
from stir.certificates.issuing import make_intermediate, make_root
from stir.certificates.revocation import RevocationPolicy, RevocationRecords, RevocationStatus
from stir.certificates.revocation_sources import PolicyAdministrator
from tests.support.https import TestAuthority, answer, raw_https
from tests.support.revocation import (
    ADMINISTRATOR_URL,
    DAY,
    LIST_URL,
    RESPONDER_URL,
    Added,
    ListMaker,
    RevocationWorld,
    list_of,
    ocsp_answer,
    points,
    responder,
)
from tests.support.stir_authority import NOW, StirWorld, make_certificate, to_pem

Answer = bytes | Exception | Fetched


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


class FakeClient:
    """Answers by URL; what is not there is a 404. With `gate`, only after it is open."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.gate = gate
        self.again = asyncio.Event()

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        self.asked.append(url)
        self.again.set()
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        found = self.answers.get(url.rpartition("/")[0] + "/", self.answers.get(url))
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Fetched):
            return found
        return Fetched(404 if found is None else 200, {}, found or b"")


class Scene:
    """A service whose world a test makes, and a clock it moves."""

    def __init__(
        self,
        world: StirWorld,
        *,
        policy: RevocationPolicy | None = None,
        administrators: tuple[PolicyAdministrator, ...] = (),
        gate: asyncio.Event | None = None,
        wait: float = 2.0,
        client: GuardedClient | None = None,
    ) -> None:
        self.now = NOW
        self.fake = FakeClient(gate)
        self.records = RevocationRecords(
            policy or RevocationPolicy(), administrators, rand=lambda: 1.0
        )
        self.there = RevocationWorld(world, self.records)
        chosen = client or cast(GuardedClient, self.fake)
        self.service = RevocationService(
            self.records, self.there.path, chosen, chosen, lambda: self.now, wait=wait
        )

    def status(self, credential: Credential) -> RevocationStatus:
        return self.records.peek(credential, self.there.path(credential), self.now)


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[Scene]:
    try:
        yield scene
    finally:
        await scene.service.stop()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def leaf(world: StirWorld) -> Credential:
    return world.leaf(extensions=[points(LIST_URL)], not_after=NOW + 9 * DAY)


async def test_a_list_is_fetched_once_for_many_calls(world: StirWorld) -> None:
    credential = leaf(world)
    async with running(Scene(world)) as scene:
        scene.fake.answers[LIST_URL] = list_of(world.issuer).der(credential.leaf)
        await asyncio.gather(*(scene.service.prepare([credential]) for _ in range(50)))
        assert scene.fake.asked == [LIST_URL]
        assert scene.status(credential).grade == "revoked"
        await scene.service.prepare([credential])
        assert scene.fake.asked == [LIST_URL]
        assert scene.service.fetches["list", "good"] == 1


async def test_nothing_is_fetched_that_a_strangers_certificate_names(world: StirWorld) -> None:
    root = make_root("Stranger", NOW)
    stranger = make_intermediate(root, "Stranger CA", NOW)
    expired = world.leaf(extensions=[points(LIST_URL)], not_before=NOW - 99, not_after=NOW - 9)
    strange = world.leaf(issuer=stranger, extensions=[points(LIST_URL)])
    unfit = world.leaf(usage=False, extensions=[points(LIST_URL)])
    async with running(Scene(world)) as scene:
        await scene.service.prepare([strange, expired, unfit, CredentialUnavailable("x", "y")])
        assert scene.fake.asked == []
        assert scene.records.sources.records() == []


async def test_the_way_that_counts_now_is_asked_about_beside_one_that_has_expired(
    world: StirWorld,
) -> None:
    """Else who was revoked would send an expired cross-certificate along, and be let in once."""
    name = world.issuer.certificate.subject.rfc4514_string().removeprefix("CN=")
    expired = make_certificate(
        world.root,
        key=world.issuer.key.public_key(),
        name=name,
        ca=True,
        usage=False,
        entries=None,
        not_after=NOW - 9,
    )
    signing = leaf(world).leaf
    chain = to_pem([signing, expired, *world.issuer.certificates])
    credential = load_credential(chain)
    async with running(Scene(world)) as scene:
        scene.fake.answers[LIST_URL] = list_of(world.issuer).der(signing)
        await scene.service.prepare([credential])
        way = scene.there.path(credential).at(NOW)
        assert scene.records.peek(credential, way, NOW).grade == "revoked"


async def test_a_call_waits_no_longer_than_told_and_the_fetch_goes_on(world: StirWorld) -> None:
    gate, credential = asyncio.Event(), leaf(world)
    async with running(Scene(world, gate=gate, wait=0.02)) as scene:
        scene.fake.answers[LIST_URL] = list_of(world.issuer).der(credential.leaf)
        await scene.service.prepare([credential])
        assert scene.status(credential).grade == "unknown"
        async with asyncio.timeout(0.01):  # those that come later do not wait at all
            await scene.service.prepare([credential])
        gate.set()
        await settled()
        assert scene.status(credential).grade == "revoked"
        assert scene.fake.asked == [LIST_URL]


FAILURES: dict[str, tuple[Answer, str]] = {
    "server down": (FetchFailed("crl.example", FailureReason.CONNECT, "refused"), "connect"),
    "too large": (FetchFailed("crl.example", FailureReason.OVERSIZED, "more than 9"), "oversized"),
    "not public": (FetchRefused("crl.example", RefusalReason.ADDRESS, "special"), "our guard"),
    "moved": (Fetched(302, {"location": "/x"}, b""), "HTTP status 302"),
    "a web page": (b"<html></html>", "not a certificate revocation list"),
    "unsigned": (b"", "not a certificate revocation list"),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_a_source_that_gives_nothing_is_left_alone_a_while(
    world: StirWorld, case: str
) -> None:
    credential = leaf(world)
    async with running(Scene(world)) as scene:
        scene.fake.answers[LIST_URL], text = FAILURES[case]
        await scene.service.prepare([credential])
        assert text in scene.status(credential).got
        await scene.service.prepare([credential])
        assert len(scene.fake.asked) == 1
        scene.now += 61
        await scene.service.prepare([credential])
        await settled()
        assert len(scene.fake.asked) == 2
        assert scene.service.fetches["list", "failed"] == 2
        assert scene.service.expired() == 1


async def test_a_list_is_renewed_in_the_background_and_calls_do_not_wait(world: StirWorld) -> None:
    gate, credential = asyncio.Event(), leaf(world)
    async with running(Scene(world, gate=gate)) as scene:
        gate.set()
        scene.fake.answers[LIST_URL] = list_of(world.issuer).der()
        await scene.service.prepare([credential])
        gate.clear()
        scene.now += 3700
        renewed = list_of(world.issuer).der(credential.leaf, this_update=scene.now - 1)
        scene.fake.answers[LIST_URL] = renewed
        async with asyncio.timeout(0.01):
            await scene.service.prepare([credential])
        assert scene.status(credential).grade == "unknown"  # that of the authority, nothing else
        gate.set()
        await settled()
        assert scene.status(credential).grade == "revoked"


async def test_lists_of_administrators_are_fetched_at_the_start_and_kept_fresh(
    world: StirWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.revocation._LOOK_SECONDS", 0.02)
    administrator = make_root("STI-PA CRL", NOW)
    whose = PolicyAdministrator(ADMINISTRATOR_URL, administrator.certificates)
    async with running(Scene(world, administrators=(whose,))) as scene:
        der = ListMaker(administrator.certificate.subject, administrator.key).der()
        scene.fake.answers[ADMINISTRATOR_URL] = der
        await scene.service.start()
        await settled()
        assert scene.fake.asked == [ADMINISTRATOR_URL]
        assert scene.status(world.credential).grade == "good"
        assert scene.service.known() == 1
        scene.now += 3700
        scene.fake.again.clear()
        async with asyncio.timeout(10):
            await scene.fake.again.wait()


async def test_a_long_list_is_read_beside_the_event_loop(world: StirWorld) -> None:
    credential = leaf(world)
    entries: list[tuple[int, list[Added]]] = [(number + 1, []) for number in range(2_000)]
    async with running(Scene(world)) as scene:
        der = list_of(world.issuer).der(credential.leaf, entries=entries)
        assert len(der) > 2 * 16_384
        scene.fake.answers[LIST_URL] = der
        await scene.service.prepare([credential])
        assert scene.status(credential).grade == "revoked"


@pytest.mark.parametrize("status", [ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED])
async def test_a_responder_is_asked_by_get(world: StirWorld, status: ocsp.OCSPCertStatus) -> None:
    credential = world.leaf(extensions=[responder(RESPONDER_URL)])
    issuer = world.issuer
    async with running(Scene(world)) as scene:
        scene.fake.answers[RESPONDER_URL] = ocsp_answer(
            credential.leaf, issuer.certificate, issuer.key, status=status
        )
        await scene.service.prepare([credential])
        [url] = scene.fake.asked
        assert url.startswith(RESPONDER_URL)
        assert not set("+/=") & set(url.removeprefix(RESPONDER_URL))
        revoked = scene.status(credential).grade == "revoked"
        assert revoked is (status is ocsp.OCSPCertStatus.REVOKED)
        assert scene.service.fetches["responder", "good"] == 1


async def test_a_forged_answer_is_as_if_there_were_none(world: StirWorld) -> None:
    credential = world.leaf(extensions=[responder(RESPONDER_URL)])
    namesake = make_root("Test STI Issuing CA", NOW)
    async with running(Scene(world)) as scene:
        scene.fake.answers[RESPONDER_URL] = ocsp_answer(
            credential.leaf,
            world.issuer.certificate,
            namesake.key,
            signer=namesake.certificate,
            by_name=True,
            status=ocsp.OCSPCertStatus.REVOKED,
        )
        await scene.service.prepare([credential])
        assert "its signature is not by" in scene.status(credential).got


async def test_the_operator_sees_every_source(world: StirWorld) -> None:
    listed, answered = leaf(world), world.leaf(extensions=[responder(RESPONDER_URL)])
    issuer = world.issuer
    async with running(Scene(world)) as scene:
        scene.fake.answers[LIST_URL] = list_of(issuer).der(listed.leaf)
        scene.fake.answers[RESPONDER_URL] = ocsp_answer(
            answered.leaf, issuer.certificate, issuer.key
        )
        down = world.leaf(extensions=[points(LIST_URL + "2")])
        await scene.service.prepare([listed, answered, down])
        by_url = {entry["url"]: entry for entry in scene.service.listing()}
        assert by_url[LIST_URL] == {
            "source": "list",
            "url": LIST_URL,
            "state": "current",
            "revoked": 1,
            "age_seconds": 600,
            "seconds_left": round(DAY),
        }
        assert by_url[RESPONDER_URL]["answer"] == "good"
        assert by_url[LIST_URL + "2"]["state"] == "HTTP status 404"
        scene.now += 2 * DAY
        assert {e["state"] for e in scene.service.listing()} == {"expired", "HTTP status 404"}


# --- with real sockets ---------------------------------------------------------------------------


class FixedDns:
    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


def guarded(authority: TestAuthority, port: int, **policy: object) -> GuardedClient:
    return GuardedClient(
        FixedDns(),
        policy=GuardPolicy(
            ports=frozenset({port}),
            allow_networks=(ipaddress.ip_network("127.0.0.1/32"),),
            plain_http=bool(policy.get("plain_http")),
        ),
        limits=FetchLimits(timeout=5.0, max_body=1_048_576),
        trust_file=authority.trust_file,
    )


@pytest.mark.real
@pytest.mark.parametrize("announced", [True, False])
async def test_fifty_megabytes_are_cut_off(
    world: StirWorld, tmp_path: Path, announced: bool
) -> None:
    authority, sent = TestAuthority(tmp_path), 0
    chunk = b"\x30" * 65_536

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
        head += f"Content-Length: {800 * len(chunk)}\r\n" if announced else ""
        writer.write(head.encode() + b"\r\n")
        while sent < 800 * len(chunk) and not writer.transport.is_closing():
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
            sent += len(chunk)

    context = authority.server_context("crl.example")
    async with raw_https(context, flood) as server:
        credential = world.leaf(extensions=[points(server.url("/a.crl", "crl.example"))])
        async with running(Scene(world, client=guarded(authority, server.port), wait=5)) as scene:
            await scene.service.prepare([credential])
            assert "oversized: more than 1048576 octets" in scene.status(credential).got
    assert sent < 16_000_000


@pytest.mark.real
@pytest.mark.parametrize("allowed", [True, False])
async def test_plain_http_is_asked_only_where_it_is_allowed(
    world: StirWorld, tmp_path: Path, allowed: bool
) -> None:
    authority = TestAuthority(tmp_path)
    body = list_of(world.issuer).der()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with raw_https(None, answer(head + body)) as server:
        url = f"http://crl.example:{server.port}/a.crl"
        client = guarded(authority, server.port, plain_http=allowed)
        if allowed:
            assert (await client.get(url)).body == body
        else:
            with pytest.raises(FetchRefused):
                await client.get(url)
        assert server.connections == int(allowed)
