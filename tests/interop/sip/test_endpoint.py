"""Two endpoints over real sockets: transactions, fail-over and who is to blame."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sip.endpoint import ClientEvent, Endpoint, EndpointSettings, FailedEvent, ResponseEvent
from sip.flow import Address, Hop, Transport
from sip.timers import Timers
from sip.transport.receiver import SendFailed
from sip.transport.settings import TlsSettings
from tests.support.sip_endpoints import (
    Events,
    User,
    Watcher,
    eventually,
    hop_to,
    listener,
    request,
    running,
)
from tests.support.tls_certificates import Authority

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def tls_of(authority: Authority, *dns: str, uris: tuple[str, ...] = ()) -> TlsSettings:
    label = (dns or ("uri",))[0]
    certificate, key = authority.issue(label, dns=dns, uris=uris)
    return TlsSettings(certificate, key, authority.anchor_file, authority.anchor_file)


def is_final(event: ClientEvent) -> bool:
    return isinstance(event, FailedEvent) or event.response.status_code >= 200


def statuses(events: Events) -> list[int]:
    return [e.response.status_code for e in events.all if isinstance(e, ResponseEvent)]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.rfc("3261", "17")
async def test_an_invite_goes_there_and_its_answers_come_back(
    transport: Transport, authority: Authority
) -> None:
    tls = {"alpha": tls_of(authority, "alpha.example"), "beta": tls_of(authority, "beta.example")}
    a = listener(transport, "127.0.0.2", tls=tls["alpha"] if transport == "tls" else None)
    b = listener(transport, "127.0.0.3", tls=tls["beta"] if transport == "tls" else None)
    user, events = User(), Events()
    async with running(a) as alpha, running(b, user=user) as beta:
        hop = hop_to(beta, transport, "beta.example" if transport == "tls" else None)
        alpha.send(request(), [hop], events, branch_suffix="-suffix")
        final = await events.until(is_final)
        assert isinstance(final, ResponseEvent)
        assert statuses(events) == [180, 200]
        via = user.requests[0].top_via
        assert via.transport == transport.upper()
        assert (via.branch or "").startswith("z9hG4bK")
        assert (via.branch or "").endswith("-suffix")
        assert via.received == "127.0.0.2"
        assert via.rport == user.flows[0].remote.port
        assert user.flows[0].peer_names == (("alpha.example",) if transport == "tls" else ())
        alpha.send_stateless(request("ACK"), hop)
        await eventually(lambda: user.acks)


@pytest.mark.rfc("5922", "7.2")
async def test_a_server_with_another_name_in_its_certificate_is_refused(
    authority: Authority,
) -> None:
    user, events = User(), Events()
    a = listener("tls", tls=tls_of(authority, "alpha.example"))
    b = listener("tls", tls=tls_of(authority, "other.example"))
    async with running(a) as alpha, running(b, user=user) as beta:
        hop = hop_to(beta, "tls", "beta.example")
        alpha.send(request(), [hop], events)
        final = await events.until(is_final)
        assert isinstance(final, FailedEvent)
        assert final.cause == "tls"
        assert final.detail == (
            f"tls: certificate of {hop.address} is for other.example, expected beta.example"
        )
        assert user.requests == []
        assert alpha.transports.connection_count == 0


async def test_the_next_hop_is_tried_when_a_tls_target_is_dead_or_not_who_it_should_be(
    authority: Authority,
) -> None:
    user, events = User(), Events()
    a = listener("tls", tls=tls_of(authority, "alpha.example"))
    b = listener("tls", "127.0.0.3", tls=tls_of(authority, "beta.example"))
    wrong = listener("tls", "127.0.0.4", tls=tls_of(authority, "other.example"))
    async with running(a) as alpha, running(b, user=user) as beta, running(wrong) as impostor:
        dead = Hop("tls", Address("127.0.0.5", 9), tls_name="beta.example")
        hops = [dead, hop_to(impostor, "tls", "beta.example"), hop_to(beta, "tls", "beta.example")]
        transaction = alpha.send(request(), hops, events)
        await events.until(is_final)
        assert statuses(events) == [180, 200]
        assert transaction.hop == hops[2]
        assert len(user.requests) == 1


async def test_every_hop_that_failed_is_named(authority: Authority) -> None:
    events = Events()
    async with running(listener("tcp"), listener("udp")) as alpha:
        alpha.send(
            request(),
            [
                Hop("tcp", Address("127.0.0.5", 9)),
                Hop("tls", Address("127.0.0.6", 9), tls_name="x"),
            ],
            events,
        )
        assert events.all == [], "an event never comes before send has returned"
        final = await events.until(is_final)
        assert isinstance(final, FailedEvent)
        assert "127.0.0.5:9 refused the connection" in final.detail
        assert "no a listener for tls" in final.detail.replace("no listener", "no a listener")


async def test_nothing_to_send_to_is_a_failure_too() -> None:
    events = Events()
    async with running(listener("udp")) as alpha:
        alpha.send(request(), [], events)
        final = await events.until(is_final)
        assert isinstance(final, FailedEvent)
        assert final.cause == "unresolved"


@pytest.mark.rfc("3263", "4.3")
async def test_503_and_silence_make_room_for_the_next_hop() -> None:
    busy, well, events = User(status=503), User(), Events()
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=busy) as first,
        running(listener("udp", "127.0.0.4"), user=well) as second,
    ):
        silent = Hop("udp", Address("127.0.0.7", 9))
        busy.answer = None
        hops = [silent, hop_to(first, "udp"), hop_to(second, "udp")]
        alpha.send(request("OPTIONS"), hops, events)
        await events.until(is_final, timeout=8)
        assert statuses(events) == [200]
        branches = {r.top_via.branch for r in busy.requests + well.requests}
        assert len(branches) == 2, "each attempt has a branch of its own"


async def test_the_last_503_is_passed_on() -> None:
    events = Events()
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=User(status=503)) as beta,
    ):
        alpha.send(request("OPTIONS"), [hop_to(beta, "udp")], events)
        await events.until(is_final)
        assert statuses(events) == [503]


async def test_a_phone_that_rang_is_not_left_for_another_hop() -> None:
    well, events = User(), Events()
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=User(status=503)) as first,
        running(listener("udp", "127.0.0.4"), user=well) as second,
    ):
        alpha.send(request(), [hop_to(first, "udp"), hop_to(second, "udp")], events)
        await events.until(is_final)
        assert statuses(events) == [180, 503]
        assert well.requests == []


@pytest.mark.rfc("3261", "9.1")
async def test_cancel_waits_for_a_provisional_response_and_ends_with_487() -> None:
    user, events, watcher = User(ring_only=True), Events(), Watcher()
    async with (
        running(listener("udp"), observer=watcher) as alpha,
        running(listener("udp", "127.0.0.3"), user=user) as beta,
    ):
        transaction = alpha.send(request(), [hop_to(beta, "udp")], events)
        transaction.cancel([("Reason", 'SIP;cause=200;text="elsewhere"')])
        assert watcher.methods("out") == ["INVITE"]
        await events.until(is_final)
        assert statuses(events)[-1] == 487
        assert watcher.methods("out")[:3] == ["INVITE", "CANCEL", "ACK"]
        assert user.cancelled[0].headers.get("Reason") == 'SIP;cause=200;text="elsewhere"'
        cancel, invite = user.cancelled[0], user.requests[0]
        assert cancel.top_via.branch == invite.top_via.branch


async def test_cancelling_while_the_connection_is_made_sends_nothing() -> None:
    events, user = Events(), User()
    async with (
        running(listener("tcp")) as alpha,
        running(listener("tcp", "127.0.0.3"), user=user) as beta,
    ):
        transaction = alpha.send(request(), [hop_to(beta, "tcp")], events)
        transaction.cancel()
        final = await events.until(is_final)
        assert isinstance(final, ResponseEvent)
        assert final.response.status_code == 487
        assert final.flow is None
        assert final.response.top_via.transport == "TCP"
        await asyncio.sleep(0.05)
        assert user.requests == []


async def test_a_cancel_for_nothing_gets_481() -> None:
    events, user = Events(), User()
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=user) as beta,
    ):
        alpha.send(request("CANCEL"), [hop_to(beta, "udp")], events)
        await events.until(is_final)
        assert statuses(events) == [481]
        assert user.cancelled == []


async def test_a_connection_is_used_again_and_made_again_when_it_died() -> None:
    user, watcher = User(), Watcher()
    async with running(listener("tcp")) as alpha:
        async with running(listener("tcp", "127.0.0.3"), user=user, observer=watcher) as beta:
            hop = hop_to(beta, "tcp")
            for number in range(3):
                events = Events()
                alpha.send(request("OPTIONS", call_id=f"c{number}"), [hop], events)
                await events.until(is_final)
            assert len({flow.flow_id for flow in user.flows}) == 1
            port = hop.address.port
        await eventually(lambda: alpha.transports.connection_count == 0)
        async with running(listener("tcp", "127.0.0.3", port=port), user=user):
            events = Events()
            alpha.send(request("OPTIONS", call_id="again"), [hop], events)
            await events.until(is_final)
            assert statuses(events) == [200]


async def test_requests_of_the_callee_go_back_over_the_callers_connection() -> None:
    caller, callee, events = User(), User(), Events()
    async with (
        running(listener("tcp"), user=caller) as alpha,
        running(listener("tcp", "127.0.0.3"), user=callee) as beta,
    ):
        alpha.send(request("REGISTER"), [hop_to(beta, "tcp")], Events())
        await eventually(lambda: callee.flows)
        token = beta.transports.flow_token(callee.flows[0])
        flow = beta.transports.flow_of(token)
        assert flow == callee.flows[0]
        spaced = listener("udp", name="a | b")
        async with running(spaced) as other:
            datagrams = other.transports.flow_to(Hop("udp", Address("127.0.0.9", 5060)))
            assert other.transports.flow_of(other.transports.flow_token(datagrams)) == datagrams
        beta.send(request(call_id="back"), [Hop("tcp", flow.remote, flow=flow)], events)
        await events.until(is_final)
        assert statuses(events) == [180, 200]
        for wrong in (token.replace("|tcp", "0|tcp"), "tcp|127.0.0.1:1|1.x|tcp", "junk", ""):
            assert beta.transports.flow_of(wrong) is None


async def test_a_flow_of_before_a_restart_is_not_taken_for_another_peers_connection() -> None:
    callee = User()
    alphas, betas = listener("tcp", "127.0.0.9"), listener("tcp", "127.0.0.2")
    async with running(alphas) as alpha, running(betas, user=callee) as beta:
        alpha.send(request(), [hop_to(beta, "tcp")], Events())
        await eventually(lambda: callee.flows)
        flow = callee.flows[0]
        before = replace(flow, remote=Address(flow.remote.host, flow.remote.port ^ 1))
        assert beta.transports.is_open(flow)
        assert not beta.transports.is_open(before)
        with pytest.raises(SendFailed, match="is gone"):
            beta.transports.write(before, b"for somebody else")


@pytest.mark.rfc("3261", "18.1.1")
async def test_what_is_too_long_for_a_datagram_goes_by_tcp_where_that_is_taken() -> None:
    long = request("MESSAGE", body=b"x" * 1400)
    user, only_udp = User(), User()
    async with (
        running(listener("udp"), listener("tcp")) as alpha,
        running(listener("udp", "127.0.0.4"), user=only_udp) as gamma,
    ):
        async with running(listener("tcp", "127.0.0.3"), user=user) as probe:
            port = probe.transports.bound("tcp").port
        both = (listener("tcp", "127.0.0.3", port=port), listener("udp", "127.0.0.3", port=port))
        async with running(*both, user=user) as beta:
            for endpoint, seen, expected in ((beta, user, "TCP"), (gamma, only_udp, "UDP")):
                events = Events()
                alpha.send(long, [hop_to(endpoint, "udp")], events)
                await events.until(is_final)
                assert seen.requests[-1].top_via.transport == expected


async def test_draining_refuses_new_requests_and_finishes_old_ones() -> None:
    user, first, second = User(ring_only=True), Events(), Events()
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=user) as beta,
    ):
        hop = hop_to(beta, "udp")
        alpha.send(request(), [hop], first)
        await first.until(lambda event: True)
        stopping = asyncio.ensure_future(beta.stop(drain=5))
        await asyncio.sleep(0)
        alpha.send(request("OPTIONS", call_id="late"), [hop], second)
        refused = await second.until(is_final)
        assert isinstance(refused, ResponseEvent)
        assert refused.response.status_code == 503
        assert refused.response.headers.get("Retry-After")
        assert not stopping.done()
        user.status, user.ring_only = 200, False
        user.on_cancel(user.transactions[0], user.requests[0])
        await first.until(is_final)
        await asyncio.wait_for(stopping, 2)


async def test_a_user_that_fails_is_answered_for_with_500(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("our own fault")

    events = Events()
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=User(answer=fail)) as beta,
    ):
        alpha.send(request("OPTIONS"), [hop_to(beta, "udp")], events)
        await events.until(is_final)
        assert statuses(events) == [500]
    assert "a-call@test.example" in caplog.text


def test_a_listener_without_usable_certificate_is_not_made(tmp_path: Path) -> None:
    from sip.transport.transport_set import TransportSet

    async def make(tls: TlsSettings | None) -> None:
        TransportSet([listener("tls", tls=tls)], None)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="needs a certificate"):
        asyncio.run(make(None))
    with pytest.raises(OSError, match=r"PEM|No such file"):
        asyncio.run(make(TlsSettings(str(tmp_path / "none"), str(tmp_path / "none"))))


async def test_a_silent_hop_makes_room_before_timer_b_and_is_tried_last_next_time() -> None:
    settings = EndpointSettings(failover_after=0.2)
    user, first, second = User(), Events(), Events()
    async with (
        running(listener("udp"), settings=settings, timers=Timers()) as alpha,
        running(listener("udp", "127.0.0.3"), user=user) as beta,
    ):
        hops = [Hop("udp", Address("127.0.0.7", 9)), hop_to(beta, "udp")]
        alpha.send(request(), hops, first)
        await first.until(is_final, timeout=2)
        assert statuses(first) == [180, 200]
        again = alpha.send(request(call_id="next"), hops, second)
        assert again.hop == hops[1]
        await second.until(is_final, timeout=2)


async def test_a_hop_that_is_slow_but_alive_is_waited_for() -> None:
    settings = EndpointSettings(failover_after=0.2)
    slow, other, events = User(ring_only=True), User(), Events()
    async with (
        running(listener("udp"), settings=settings) as alpha,
        running(listener("udp", "127.0.0.3"), user=slow) as beta,
        running(listener("udp", "127.0.0.4"), user=other) as gamma,
    ):
        alpha.send(request(), [hop_to(beta, "udp"), hop_to(gamma, "udp")], events)
        await asyncio.sleep(0.5)
        assert statuses(events) == [180]
        assert other.requests == []


async def test_a_full_table_refuses_new_requests_and_says_when_to_come_back() -> None:
    settings = EndpointSettings(max_transactions=3, retry_after=(2, 4))
    user = User(silent=True)
    async with (
        running(listener("udp")) as alpha,
        running(listener("udp", "127.0.0.3"), user=user, settings=settings) as beta,
    ):
        results = [Events() for _ in range(5)]
        for number, events in enumerate(results):
            alpha.send(request(call_id=f"c{number}"), [hop_to(beta, "udp")], events)
        for events in results[3:]:
            refused = await events.until(is_final)
            assert isinstance(refused, ResponseEvent)
            assert refused.response.status_code == 503
            assert refused.response.headers.get("Retry-After") in ("2", "3", "4")
        assert len(user.requests) == 3


async def test_our_own_full_table_fails_requests_and_forgets_them() -> None:
    settings = EndpointSettings(max_transactions=2)
    async with running(listener("udp"), settings=settings) as alpha:
        nowhere = Hop("udp", Address("127.0.0.7", 9))
        results = [Events() for _ in range(3)]
        for number, events in enumerate(results):
            alpha.send(request(call_id=f"c{number}"), [nowhere], events)
        failed = await results[2].until(is_final)
        assert isinstance(failed, FailedEvent)
        assert "our own limit" in failed.detail


async def certificate_fault(
    authority: Authority, server: TlsSettings, name: str = "beta.example"
) -> str:
    """Send to a server with a certificate; gives why that failed, "" where it went well."""
    events = Events()
    a = listener("tls", tls=tls_of(authority, "alpha.example"))
    async with running(a) as alpha, running(listener("tls", tls=server)) as beta:
        hop = hop_to(beta, "tls", name)
        alpha.send(request("OPTIONS"), [hop], events)
        final = await events.until(is_final)
        return final.detail if isinstance(final, FailedEvent) else ""


@pytest.mark.rfc("5922", "7.1")
async def test_certificates_are_taken_for_what_rfc_5922_says(authority: Authority) -> None:
    def issued(label: str, **names: tuple[str, ...]) -> TlsSettings:
        certificate, key = authority.issue(label, common_name="beta.example", **names)  # type: ignore[arg-type]
        return TlsSettings(certificate, key)

    by_uri = issued("u", uris=("sip:beta.example",))
    assert await certificate_fault(authority, by_uri) == ""
    by_address = issued("i", addresses=("127.0.0.1",))
    assert await certificate_fault(authority, by_address, "127.0.0.1") == ""
    for refused in (
        issued("wild", dns=("*.example",)),
        issued("name-only"),
        issued("user", uris=("sip:someone@beta.example",)),
        issued("uri-first", uris=("sip:other.example",), dns=("beta.example",)),
    ):
        assert "expected beta.example" in await certificate_fault(authority, refused)


async def test_certificates_nobody_vouches_for_or_that_are_over_are_refused(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority.make(tmp_path / "stranger", "Somebody else")
    foreign = TlsSettings(*stranger.issue("beta", dns=("beta.example",)))
    over = TlsSettings(*authority.issue("over", dns=("beta.example",), days_left=-1))
    fault = await certificate_fault(authority, foreign)
    assert "is not trusted: unable to get local issuer" in fault
    fault = await certificate_fault(authority, over)
    assert "is not trusted: certificate has expired" in fault


async def test_a_server_that_does_not_speak_tls_or_nothing_at_all_is_named(
    authority: Authority,
) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        writer.close()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    hasty = listener("tls", tls=tls_of(authority, "alpha.example"), connect_timeout=0.3)
    async with running(hasty) as alpha:
        for behave, words in (
            (babble, "does not speak TLS as we do: wrong version number"),
            (keep_silent, "did not finish the handshake"),
        ):
            server = await asyncio.start_server(behave, "127.0.0.9", 0)
            name = server.sockets[0].getsockname()
            events = Events()
            hop = Hop("tls", Address(name[0], name[1]), tls_name="beta.example")
            alpha.send(request("OPTIONS"), [hop], events)
            final = await events.until(is_final, timeout=2)
            assert isinstance(final, FailedEvent)
            assert final.cause == "tls"
            assert words in final.detail
            assert str(hop.address) in final.detail
            server.close()
            await server.wait_closed()


async def test_a_client_certificate_nobody_vouches_for_is_refused_and_both_sides_say_so(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority.make(tmp_path / "stranger", "Somebody else")
    certificate, key = stranger.issue("alpha", dns=("alpha.example",))
    a = listener("tls", tls=TlsSettings(certificate, key, authority.anchor_file))
    b = listener("tls", "127.0.0.3", tls=tls_of(authority, "beta.example"))
    events, user, watcher = Events(), User(), Watcher()
    async with running(a) as alpha, running(b, user=user, observer=watcher) as beta:
        hop = hop_to(beta, "tls", "beta.example")
        alpha.send(request("OPTIONS"), [hop], events)
        final = await events.until(is_final)
        assert isinstance(final, FailedEvent)
        assert f"tls: {hop.address} " in final.detail
        assert user.requests == []
        assert "is not trusted: unable to get local issuer" in watcher.dropped_reasons[0]


async def test_nothing_is_left_over_of_requests_that_ended() -> None:
    user = User()
    timers = Timers(t1=0.01, t2=0.04, t4=0.05, timer_d=0.5)
    a, b = (listener("udp"), listener("tcp")), (listener("udp", "127.0.0.3"),)
    async with (
        running(*a, timers=timers) as alpha,
        running(*b, listener("tcp", "127.0.0.3"), user=user, timers=timers) as beta,
    ):
        for number in range(60):
            transport: Transport = "udp" if number % 2 else "tcp"
            hop = hop_to(beta, transport)
            if number % 3 == 0:
                hop = Hop(transport, Address("127.0.0.7", 9))
            method = "INVITE" if number % 4 else "OPTIONS"
            sent = alpha.send(request(method, call_id=f"c{number}"), [hop], Events())
            if number % 5 == 0:
                sent.cancel()
        for endpoint in (alpha, beta):
            await eventually(partial(is_empty, endpoint))


def is_empty(endpoint: Endpoint) -> bool:
    sending = endpoint._outgoing
    kept = (endpoint._servers, sending._sent, sending._keys_by_flow, endpoint._layer)
    return not any(len(table) for table in kept)
