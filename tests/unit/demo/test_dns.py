import asyncio

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from gateway.demo.dns import NameServer, Record, Trouble, Zones, sip_records

ALPHA = [
    *sip_records(
        "alpha.example",
        [("sip1.alpha.example", "127.20.1.1", 5061), ("sip2.alpha.example", "127.20.1.2", 5061)],
    ),
    Record("alpha.example", "A", "127.20.1.1"),
    Record("www.alpha.example", "CNAME", "sip1.alpha.example."),
    Record("six.alpha.example", "AAAA", "::1"),
    Record("far.alpha.example", "CNAME", "host.elsewhere.example."),
    Record("round.alpha.example", "CNAME", "again.alpha.example."),
    Record("again.alpha.example", "CNAME", "round.alpha.example."),
]


def zones() -> Zones:
    return Zones(["alpha.example"], ALPHA)


def ask(name: str, kind: str, known: Zones | None = None) -> dns.message.Message:
    return (known or zones()).answer(dns.message.make_query(name, kind))


def test_naptr_leads_to_srv_and_its_addresses_in_one_answer() -> None:
    response = ask("alpha.example", "NAPTR")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert '"SIPS+D2T"' in response.answer[0].to_text()
    assert "_sips._tcp.alpha.example." in response.additional[0].to_text()
    services = ask("_sips._tcp.alpha.example", "SRV")
    assert [rdata.priority for rdata in services.answer[0]] == [10, 11]
    assert {rrset.name.to_text() for rrset in services.additional} == {
        "sip1.alpha.example.",
        "sip2.alpha.example.",
    }


def test_names_are_compared_without_regard_to_case() -> None:
    assert ask("SIP1.Alpha.EXAMPLE", "A").answer[0][0].address == "127.20.1.1"


def test_a_cname_is_followed_inside_the_zone_and_left_at_its_edge() -> None:
    inside = ask("www.alpha.example", "A")
    assert [rrset.rdtype.name for rrset in inside.answer] == ["CNAME", "A"]
    outside = ask("far.alpha.example", "A")
    assert [rrset.rdtype.name for rrset in outside.answer] == ["CNAME"]
    assert len(ask("round.alpha.example", "A").answer) <= 8


def test_a_name_that_is_not_there_gets_nxdomain_with_the_soa() -> None:
    response = ask("nobody.alpha.example", "A")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.authority[0].rdtype.name == "SOA"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sip1.alpha.example", "AAAA"), ("_tcp.alpha.example", "A"), ("alpha.example", "TXT")],
    ids=["another type", "an empty non-terminal", "the origin"],
)
def test_a_name_without_that_type_gets_no_data_with_the_soa(name: str, kind: str) -> None:
    response = ask(name, kind)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer
    assert response.authority[0].rdtype.name == "SOA"


def test_foreign_names_are_refused() -> None:
    assert ask("beta.example", "A").rcode() == dns.rcode.REFUSED
    assert ask("notalpha.example", "A").rcode() == dns.rcode.REFUSED


def test_records_may_come_and_go() -> None:
    known = zones()
    known.remove("sip1.alpha.example", "A")
    assert ask("sip1.alpha.example", "A", known).rcode() == dns.rcode.NXDOMAIN
    known.add(Record("sip1.alpha.example", "A", "127.20.1.9"))
    assert ask("sip1.alpha.example", "A", known).answer[0][0].address == "127.20.1.9"


@pytest.mark.parametrize(
    "record",
    [
        Record("beta.example", "A", "127.0.0.1"),
        Record("alpha.example", "A", "not an address"),
        Record("alpha.example", "NOTATYPE", "1"),
    ],
    ids=["outside", "bad data", "bad type"],
)
def test_a_record_that_cannot_be_served_is_refused_by_name(record: Record) -> None:
    with pytest.raises(ValueError, match=record.name):
        zones().add(record)


def test_rubbish_and_responses_get_no_answer() -> None:
    server = NameServer(zones(), "127.0.0.1", 0)
    assert server.respond(b"rubbish") is None
    response = dns.message.make_response(dns.message.make_query("alpha.example", "A"))
    assert server.respond(response.to_wire()) is None


def test_an_answer_too_long_for_udp_is_truncated_and_whole_over_tcp() -> None:
    records = [Record("many.alpha.example", "A", f"127.1.2.{i}") for i in range(100)]
    server = NameServer(Zones(["alpha.example"], records), "127.0.0.1", 0)
    query = dns.message.make_query("many.alpha.example", "A").to_wire()
    short = dns.message.from_wire(server.respond(query, limit=512) or b"")
    assert short.flags & dns.flags.TC
    whole = dns.message.from_wire(server.respond(query) or b"")
    assert len(whole.answer[0]) == 100


def test_trouble_drops_and_fails_the_share_asked_for() -> None:
    server = NameServer(zones(), "127.0.0.1", 0, trouble=Trouble(drop=0.5))
    query = dns.message.make_query("alpha.example", "A").to_wire()
    answered = sum(server.respond(query) is not None for _ in range(200))
    assert 70 < answered < 130
    server.trouble = Trouble(servfail=1.0)
    failed = dns.message.from_wire(server.respond(query) or b"")
    assert failed.rcode() == dns.rcode.SERVFAIL


@pytest.mark.real
async def test_the_same_port_answers_over_udp_and_tcp_and_counts_the_queries() -> None:
    server = NameServer(zones(), "127.0.0.1", 0)
    await server.start()
    try:
        query = dns.message.make_query("alpha.example", "A")
        over_udp = await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=3)
        over_tcp = await dns.asyncquery.tcp(query, "127.0.0.1", port=server.port, timeout=3)
        assert over_udp.answer == over_tcp.answer
        assert server.queries == {"alpha.example. A": 2}
    finally:
        await server.stop()


@pytest.mark.real
async def test_a_late_answer_comes_late_and_a_stopped_server_not_at_all() -> None:
    server = NameServer(zones(), "127.0.0.1", 0, trouble=Trouble(delay=0.2))
    await server.start()
    loop = asyncio.get_running_loop()
    query = dns.message.make_query("alpha.example", "A")
    began = loop.time()
    await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=3)
    assert loop.time() - began >= 0.2
    await server.stop()
    await server.stop()
    with pytest.raises((dns.exception.Timeout, OSError)):
        await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=0.2)
