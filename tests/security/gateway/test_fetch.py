"""D1 to D5 and G3 of the security bar: the guarded client against servers that mean harm."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import warnings
from pathlib import Path

import pytest

from gateway.http.fetch import (
    FailureReason,
    FetchFailed,
    FetchLimits,
    FetchRefused,
    GuardedClient,
)
from gateway.http.guard import GuardPolicy, RefusalReason
from sip.dns import DnsUnavailable
from tests.support.https import RawServer, TestAuthority, answer, raw_https

pytestmark = pytest.mark.real
HOST = "certificates.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nhello"


class FakeDns:
    """Answers from a table, one entry after the other where there are several."""

    def __init__(self, *answers: tuple[str, ...] | DnsUnavailable, delay: float = 0.0) -> None:
        self.answers = list(answers)
        self.delay = delay
        self.asked: list[str] = []

    async def addresses(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        await asyncio.sleep(self.delay)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, DnsUnavailable):
            raise found
        return found


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path)


def client(
    authority: TestAuthority,
    server: RawServer,
    *,
    dns: FakeDns | None = None,
    limits: FetchLimits | None = None,
    allow: tuple[str, ...] = ("127.0.0.1/32",),
) -> GuardedClient:
    return GuardedClient(
        dns or FakeDns(("127.0.0.1",)),
        policy=GuardPolicy(
            ports=frozenset({443, server.port}),
            allow_networks=tuple(ipaddress.ip_network(network) for network in allow),
        ),
        limits=limits or FetchLimits(timeout=0.6),
        trust_file=authority.trust_file,
    )


async def failure(guarded: GuardedClient, url: str) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await guarded.get(url)
    return caught.value


async def test_a_plain_answer_is_fetched_with_the_name_proven(authority: TestAuthority) -> None:
    async with raw_https(authority.server_context(HOST), answer(OK)) as server:
        fetched = await client(authority, server).get(server.url())
    assert (fetched.status, fetched.body) == (200, b"hello")
    assert fetched.headers["cache-control"] == "max-age=60"
    request = server.requests[0].lower()
    assert f"host: {HOST}:{server.port}".encode() in request
    assert b"accept-encoding: identity" in request
    assert b"cookie" not in request


async def test_a_body_is_posted(authority: TestAuthority) -> None:
    async with raw_https(authority.server_context(HOST), answer(OK)) as server:
        headers = {"Content-Type": "application/jose", "Authorization": "Bearer x"}
        fetched = await client(authority, server).post(server.url("/s/1"), b"body", headers)
    assert fetched.status == 200
    assert server.requests[0].startswith(b"POST /s/1 HTTP/1.1")
    assert b"content-length: 4" in server.requests[0].lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(
    authority: TestAuthority, status: int
) -> None:
    moved = f"HTTP/1.1 {status} Moved\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_https(authority.server_context(HOST), answer(moved)) as server:
        fetched = await client(authority, server).get(server.url())
    assert fetched.status == status
    assert server.connections == 1


async def test_environment_proxies_are_not_used(
    authority: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with raw_https(authority.server_context(HOST), answer(OK)) as server:
        assert (await client(authority, server).get(server.url())).status == 200


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answer(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 40, delay=0.1), FailureReason.TIMEOUT),
        (answer(b"", delay=5), FailureReason.TIMEOUT),
        (
            answer(b"HTTP/1.1 200 OK\r\n", *[b"X-Pad: " + b"y" * 900 + b"\r\n"] * 2000),
            FailureReason.PROTOCOL,
        ),
        (
            answer(b"HTTP/1.1 200 OK\r\n", *[b"X-P: y\r\n"] * 100, delay=0.02),
            FailureReason.TIMEOUT,
        ),
        (answer(b"HTTP/1.1 200 OK\r\nX-Pad: " + b"y" * 100_000), FailureReason.PROTOCOL),
        (
            answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", *[b"x" * 9999] * 99),
            FailureReason.OVERSIZED,
        ),
        (
            answer(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 9999] * 99),
            FailureReason.OVERSIZED,
        ),
        (
            answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n"),
            FailureReason.ENCODING,
        ),
        (answer(b"hello without a status line\r\n"), FailureReason.PROTOCOL),
        (answer(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), FailureReason.PROTOCOL),
        (
            answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            FailureReason.PROTOCOL,
        ),
        (
            answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"),
            FailureReason.PROTOCOL,
        ),
        (answer(b""), FailureReason.PROTOCOL),
        (
            answer(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 100, delay=0.02),
            FailureReason.TIMEOUT,
        ),
    ],
)
async def test_a_hostile_answer_is_cut_and_its_host_named(
    authority: TestAuthority, script: object, reason: FailureReason
) -> None:
    # What is to be cut by something else than time gets all the time of a busy machine.
    limits = FetchLimits(timeout=0.6 if reason is FailureReason.TIMEOUT else 20.0)
    async with raw_https(authority.server_context(HOST), script) as server:  # type: ignore[arg-type]
        failed = await failure(client(authority, server, limits=limits), server.url())
    assert failed.reason is reason
    assert failed.culprit == HOST


async def test_a_certificate_for_another_name_is_refused(authority: TestAuthority) -> None:
    async with raw_https(authority.server_context("other.example"), answer(OK)) as server:
        failed = await failure(client(authority, server), server.url())
    assert failed.reason is FailureReason.TLS
    assert server.requests == []


async def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: TestAuthority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = TestAuthority(tmp_path / "other")
    async with raw_https(stranger.server_context(HOST), answer(OK)) as server:
        failed = await failure(client(authority, server), server.url())
    assert failed.reason is FailureReason.TLS


async def test_tls_below_1_2_is_refused(authority: TestAuthority) -> None:
    context = authority.server_context(HOST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with raw_https(context, answer(OK)) as server:
        failed = await failure(client(authority, server), server.url())
    assert failed.reason in (FailureReason.TLS, FailureReason.CONNECT)
    assert server.requests == []


async def test_plain_http_on_the_port_is_refused(authority: TestAuthority) -> None:
    async with raw_https(None, answer(OK)) as server:
        failed = await failure(client(authority, server), server.url())
    assert failed.reason in (FailureReason.TLS, FailureReason.CONNECT, FailureReason.TIMEOUT)


async def test_a_closed_port_names_the_host(authority: TestAuthority) -> None:
    async with raw_https(None, answer(OK)) as server:
        guarded = client(authority, server)
        url = server.url()
    failed = await failure(guarded, url)
    assert (failed.culprit, failed.reason) == (HOST, FailureReason.CONNECT)


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("::ffff:127.0.0.1",),
        ("8.8.8.8", "127.0.0.1"),
        ("169.254.169.254",),
        ("64:ff9b::7f00:1",),
        ("2002:7f00:1::",),
        ("0.0.0.0",),
    ],
)
async def test_a_name_with_a_forbidden_address_gets_no_packet(
    authority: TestAuthority, addresses: tuple[str, ...]
) -> None:
    async with raw_https(authority.server_context(HOST), answer(OK)) as server:
        guarded = client(authority, server, dns=FakeDns(addresses), allow=())
        with pytest.raises(FetchRefused) as caught:
            await guarded.get(server.url())
    assert (caught.value.reason, caught.value.culprit) == (RefusalReason.ADDRESS, HOST)
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.0.1"])
async def test_an_address_in_the_url_is_checked_as_one(authority: TestAuthority, host: str) -> None:
    async with raw_https(authority.server_context(HOST, "127.0.0.1"), answer(OK)) as server:
        dns = FakeDns(("8.8.8.8",))
        guarded = client(authority, server, dns=dns, allow=())
        with pytest.raises(FetchRefused):
            await guarded.get(server.url(host=host))
    assert server.connections == 0
    assert dns.asked == []


async def test_an_allowed_address_in_the_url_needs_a_certificate_for_it(
    authority: TestAuthority,
) -> None:
    async with raw_https(authority.server_context(HOST, "127.0.0.1"), answer(OK)) as server:
        assert (await client(authority, server).get(server.url(host="127.0.0.1"))).status == 200


async def test_rebinding_changes_nothing_since_the_name_is_resolved_once(
    authority: TestAuthority,
) -> None:
    async with (
        raw_https(authority.server_context(HOST), answer(OK)) as good,
        raw_https(authority.server_context(HOST), answer(OK), address="127.0.0.66") as inner,
    ):
        dns = FakeDns(("127.0.0.1",), ("127.0.0.66",))
        guarded = client(authority, good, dns=dns)
        assert (await guarded.get(good.url())).status == 200
        assert dns.asked == [HOST]
        with pytest.raises(FetchRefused):
            await guarded.get(good.url())
    assert (good.connections, inner.connections) == (1, 0)


async def test_dns_that_does_not_answer_is_the_culprit(authority: TestAuthority) -> None:
    async with raw_https(authority.server_context(HOST), answer(OK)) as server:
        silent = FakeDns(DnsUnavailable(HOST, "nameserver 192.0.2.53:53", "no answer"))
        failed = await failure(client(authority, server, dns=silent), server.url())
        assert (failed.culprit, failed.reason) == ("nameserver 192.0.2.53:53", FailureReason.DNS)
        slow = FakeDns(("127.0.0.1",), delay=3)
        failed = await failure(client(authority, server, dns=slow), server.url())
        assert failed.reason is FailureReason.DNS
        failed = await failure(client(authority, server, dns=FakeDns(())), server.url())
        assert failed.detail == "has no address"


async def test_one_slow_host_takes_few_places_and_delays_nobody_else(
    authority: TestAuthority,
) -> None:
    hanging = answer(b"", delay=30)
    async with (
        raw_https(authority.server_context(HOST), hanging) as slow,
        raw_https(authority.server_context("quick.example"), answer(OK)) as quick,
    ):
        guarded = GuardedClient(
            FakeDns(("127.0.0.1",)),
            policy=GuardPolicy(
                ports=frozenset({slow.port, quick.port}),
                allow_networks=(ipaddress.ip_network("127.0.0.1"),),
            ),
            limits=FetchLimits(timeout=1.0, per_host=2, total=4, max_waiting=10),
            trust_file=authority.trust_file,
        )
        stuck = [asyncio.create_task(failure(guarded, slow.url())) for _ in range(10)]
        await asyncio.sleep(0.2)
        fetched = await guarded.get(quick.url(host="quick.example"))
        assert fetched.status == 200
        assert slow.connections <= 2
        failures = await asyncio.gather(*stuck)
    # Whoever waited may get a place in its last moment, and run out of time in any phase.
    reasons = [failed.reason for failed in failures]
    assert reasons.count(FailureReason.TIMEOUT) >= 2
    assert FailureReason.BUSY in reasons


async def test_too_many_requests_fail_at_once(authority: TestAuthority) -> None:
    async with raw_https(authority.server_context(HOST), answer(b"", delay=30)) as server:
        limits = FetchLimits(timeout=0.5, per_host=1, total=1, max_waiting=2)
        guarded = client(authority, server, limits=limits)
        failures = await asyncio.gather(*(failure(guarded, server.url()) for _ in range(6)))
    assert sum("under way" in failed.detail for failed in failures) == 3


async def test_a_thousand_hosts_get_no_more_than_the_places_there_are(
    authority: TestAuthority,
) -> None:
    async with raw_https(authority.server_context(HOST), answer(b"", delay=30)) as server:
        limits = FetchLimits(timeout=1.0, per_host=4, total=6, max_waiting=20)
        guarded = client(authority, server, limits=limits)
        urls = [server.url(host=f"h{number}.example") for number in range(1_000)]
        urls[:50] = [server.url(f"/{number}.pem") for number in range(50)]
        began = asyncio.get_running_loop().time()
        failures = await asyncio.gather(*(failure(guarded, url) for url in urls))
        assert asyncio.get_running_loop().time() - began < 2.5
    assert sum("under way" in failed.detail for failed in failures) == 1_000 - 26
    assert server.connections <= 26


async def test_requests_that_fail_at_once_are_spread_over_time(authority: TestAuthority) -> None:
    async with raw_https(None, answer(OK)) as server:
        guarded = client(authority, server, limits=FetchLimits(timeout=2.0, per_second=50.0))
        urls = [server.url(host=f"h{number}.example") for number in range(30)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    failures = await asyncio.gather(*(failure(guarded, url) for url in urls))
    assert {failed.reason for failed in failures} == {FailureReason.CONNECT}
    assert loop.time() - began >= 29 / 50


async def test_a_single_request_waits_for_nobody(authority: TestAuthority) -> None:
    async with raw_https(authority.server_context(HOST), answer(OK)) as server:
        guarded = client(authority, server, limits=FetchLimits(timeout=2.0, per_second=0.5))
        assert (await guarded.get(server.url())).status == 200


async def test_an_etag_is_sent_back_and_304_is_an_answer(authority: TestAuthority) -> None:
    unchanged = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'
    async with raw_https(authority.server_context(HOST), answer(unchanged)) as server:
        fetched = await client(authority, server).get(server.url(), if_none_match='"1"')
    assert (fetched.status, fetched.body) == (304, b"")
    assert b'if-none-match: "1"' in server.requests[0].lower()


@pytest.mark.parametrize("delay", [0.15, 1.5])
async def test_slow_dns_counts_into_the_time_of_the_request(
    authority: TestAuthority, delay: float
) -> None:
    """G3: whatever the name takes, the answer is there in time and is never a wrong one."""
    hanging = answer(b"", delay=30)
    async with raw_https(authority.server_context(HOST), hanging) as server:
        dns = FakeDns(("127.0.0.1",), delay=delay)
        guarded = client(authority, server, dns=dns, limits=FetchLimits(timeout=0.6))
        began = asyncio.get_running_loop().time()
        failed = await failure(guarded, server.url())
        took = asyncio.get_running_loop().time() - began
    assert 0.55 < took < 1.0
    assert failed.reason is (FailureReason.TIMEOUT if delay < 0.6 else FailureReason.DNS)
