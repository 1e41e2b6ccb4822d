"""Rules for published URIs, signatures, and the answers of a zone."""

from __future__ import annotations

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from discovery.enum.naptr import select
from discovery.enum.publishing.rules import rules_for
from discovery.enum.publishing.signing import Signatures, SigningKey
from discovery.enum.publishing.zone import PublishedZone, ZoneSettings
from discovery.model import Service
from discovery.service_uri import MalformedServiceUri
from gateway.enum_server.response_rate import Allowance, ResponseRate
from tests.support.enum_server import BOB, KEY, TREE, zone

NOW = 1_795_000_000.0
DOMAIN = TREE.domain(BOB)


def _query(name: str, kind: str = "NAPTR") -> dns.message.Message:
    return dns.message.make_query(name, kind, want_dnssec=True)


def test_what_is_published_is_what_is_found() -> None:
    uris = [
        (Service.VOICE, "sip:bob!x@beta.example"),
        (Service.VIDEO, "sips:bob@video.example"),
        (Service.IM, "mimi://im.example/u/bob"),
        (Service.IM, "https://www.example/bob"),
    ]
    rules = rules_for(uris)
    assert len(rules) == 3
    for service, first in (
        (Service.VOICE, "sip:bob!x@beta.example"),
        (Service.IM, "sip:bob!x@beta.example"),
    ):
        assert select(rules, BOB, service).uris[0].text == first
    found = [uri.text for uri in select(rules, BOB, Service.IM).uris]
    assert "mimi://im.example/u/bob" in found


def test_at_most_eight_rules_and_only_acceptable_uris_are_published() -> None:
    assert len(rules_for([(Service.VOICE, f"sip:u{n}@b.example") for n in range(20)])) == 8
    with pytest.raises(MalformedServiceUri):
        rules_for([(Service.VOICE, "sip:bob@192.0.2.1")])


def test_signatures_are_renewed_after_half_their_time_or_when_records_change() -> None:
    kept = Signatures(KEY, dns.name.from_text(TREE.suffix), validity=1000.0, max_entries=2)
    one = dns.rrset.from_text(f"a.{TREE.suffix}.", 60, "IN", "TXT", "one")
    two = dns.rrset.from_text(f"a.{TREE.suffix}.", 60, "IN", "TXT", "two")
    first = kept.of(one, NOW)
    assert kept.of(one, NOW + 499) == first
    assert kept.of(one, NOW + 500) != first
    kept.of(two, NOW + 500)
    assert kept.made == 3
    for name in ("b", "c", "d"):
        kept.of(dns.rrset.from_text(f"{name}.{TREE.suffix}.", 60, "IN", "TXT", "x"), NOW)
    assert len(kept) == 2


def test_only_keys_on_p_256_sign() -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1()), b""):
        with pytest.raises(ValueError, match="P-256"):
            SigningKey(key)


def test_a_zone_needs_a_key_and_names() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        PublishedZone(TREE, (), ZoneSettings(("ns.example",), "h.example"))
    with pytest.raises(ValueError, match=r"zone e164\.test"):
        PublishedZone(TREE, (KEY,), ZoneSettings(("x" * 64,), "h.example"))


def test_a_second_key_is_published_before_it_signs() -> None:
    second = SigningKey(ec.generate_private_key(ec.SECP256R1()))
    published = PublishedZone(TREE, (KEY, second), ZoneSettings(("ns.example",), "h.example"))
    answer = published.answer(_query(TREE.suffix, "DNSKEY"), (), NOW)
    assert len(answer.answer[0]) == 2
    assert len(answer.answer[1]) == 1
    assert published.ds()[0] == KEY.ds(published.name)


@pytest.mark.parametrize(
    ("name", "number"),
    [(DOMAIN, BOB), (DOMAIN.upper(), BOB), (TREE.suffix, None), (f"x.{DOMAIN}", None),
     ("3.2.1.0.6.4.9.7.0.2.4.4.e164.test", None), ("elsewhere.example", None)],
)  # fmt: skip
def test_numbers_are_looked_up_only_where_they_are_the_trees(name: str, number: str | None) -> None:
    assert zone().number_asked(_query(name)) == number


def test_any_gets_a_short_answer() -> None:
    answer = zone().answer(_query(DOMAIN, "ANY"), rules_for([]), NOW)
    assert answer.answer[0].rdtype == dns.rdatatype.HINFO


def test_a_question_for_the_denial_itself_is_answered() -> None:
    answer = zone().answer(_query(DOMAIN, "NSEC"), (), NOW)
    assert answer.answer[0].rdtype == dns.rdatatype.NSEC


def test_strange_queries_are_refused() -> None:
    published = zone()
    for query, rcode in (
        (dns.message.make_query(DOMAIN, "NAPTR", "CH"), dns.rcode.REFUSED),
        (dns.message.make_query(DOMAIN, "NAPTR", use_edns=1), dns.rcode.BADVERS),
        (dns.message.make_query(".".join(["a" * 60] * 4) + ".e164.test", "A"), dns.rcode.REFUSED),
    ):
        assert published.answer(query, (), NOW).rcode() == rcode
    two = _query(DOMAIN)
    two.question.append(two.question[0])
    assert published.answer(two, (), NOW).rcode() == dns.rcode.FORMERR


def test_answers_to_a_network_are_counted_together() -> None:
    rate = ResponseRate(per_second=1.0, burst=2.0, max_networks=2)
    got = [rate.take(f"192.0.2.{host}", 0.0) for host in range(6)]
    assert got == [Allowance.ANSWER] * 2 + [Allowance.TRUNCATED, Allowance.NOTHING] * 2
    assert rate.take("198.51.100.1", 0.0) is Allowance.ANSWER
    assert rate.take("192.0.2.9", 5.0) is Allowance.ANSWER
    assert rate.take("2001:db8::1%lo", 5.0) is Allowance.ANSWER
    assert len(rate) == 2
