"""Chains from a pinned DS to signed numbers: what is secure, insecure, bogus, indeterminate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import dns.dnssec
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.dnssec.chain import KeyStore
from discovery.enum.dnssec.limits import Limits
from discovery.enum.dnssec.outcome import Fault, Status, Verdict
from tests.support.signed_zones import (
    DAY,
    NOW,
    SignedWorld,
    SignedZone,
    Tamper,
    rrsigs,
    zone_key,
)

TREE = "e164.test"
NUMBER = "3.2.1.0.5.5.5.2.1.2.1.e164.test"
CHILD = "2.1.2.1.e164.test"
NAPTR = '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@beta.example!" .'


def flat(denial: str = "nsec", **options: object) -> SignedWorld:
    zone = SignedZone(TREE, denial=denial, **options)  # type: ignore[arg-type]
    zone.add(NUMBER, "NAPTR", NAPTR)
    return SignedWorld([zone])


def deep(denial: str = "nsec", *, ds: bool = True, **options: object) -> SignedWorld:
    """A tree that delegates +1212, and that in turn +1212555."""
    top = SignedZone(TREE, denial=denial, **options)  # type: ignore[arg-type]
    area = SignedZone(CHILD, [zone_key(15)], denial)
    office = SignedZone(f"5.5.5.{CHILD}", [zone_key(14)], denial, signed=ds)
    office.add(NUMBER, "NAPTR", NAPTR)
    area.delegate(office, ds=ds)
    top.delegate(area)
    return SignedWorld([top, area, office])


def ends(verdict: Verdict, status: Status, fault: Fault | None) -> None:
    assert (verdict.status, verdict.fault) == (status, fault)
    if status is not Status.SECURE:
        assert verdict.records is None


# --- secure -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [8, 13, 14, 15])
def test_a_signed_number_is_secure(algorithm: int) -> None:
    world = flat(keys=[zone_key(algorithm)])
    verdict = world.validate(NUMBER)
    ends(verdict, Status.SECURE, None)
    assert verdict.records is not None
    assert verdict.expires_at == NOW + 300
    assert world.asked == [f"{NUMBER} NAPTR", f"{TREE} DNSKEY"]


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
def test_delegations_are_followed_by_their_ds(denial: str) -> None:
    world = deep(denial)
    verdict = world.validate(NUMBER)
    ends(verdict, Status.SECURE, None)
    assert verdict.records is not None
    assert len(world.asked) == 6


def test_keys_are_asked_for_once() -> None:
    world, store = deep(), KeyStore()
    world.validate(NUMBER, store=store)
    world.asked.clear()
    ends(world.validate(NUMBER, store=store), Status.SECURE, None)
    assert world.asked == [f"{NUMBER} NAPTR"]
    world.asked.clear()
    world.validate(NUMBER, store=store, now=NOW + 301)
    assert len(world.asked) == 6


def test_a_store_holds_so_many_zones() -> None:
    world, store = deep(), KeyStore(max_zones=1)
    ends(world.validate(NUMBER, store=store), Status.SECURE, None)
    assert store.get(dns.name.from_text(TREE), NOW) is None


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
@pytest.mark.parametrize(
    "name",
    [
        "4.2.1.0.5.5.5.2.1.2.1.e164.test",  # a number beside the known one
        "9.9.9.9.9.9.9.9.9.9.1.e164.test",
        f"9.{NUMBER}",
        "0.5.5.5.2.1.2.1.e164.test",  # there are names below it, but no records
    ],
)
def test_absence_is_proven(name: str, denial: str) -> None:
    verdict = flat(denial, salt=b"\xab", iterations=2).validate(name)
    ends(verdict, Status.SECURE, None)
    assert verdict.records is None
    assert verdict.expires_at == NOW + 60


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
def test_another_type_is_proven_absent(denial: str) -> None:
    verdict = flat(denial).validate(NUMBER, "TXT")
    ends(verdict, Status.SECURE, None)
    assert verdict.records is None


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
def test_a_wildcard_serves_numbers_that_do_not_exist(denial: str) -> None:
    world = flat(denial)
    world.top.add("*.5.5.5.2.1.2.1.e164.test", "NAPTR", NAPTR)
    verdict = world.validate("9.9.9.9.5.5.5.2.1.2.1.e164.test")
    ends(verdict, Status.SECURE, None)
    assert verdict.records is not None
    absent = world.validate("9.9.9.9.5.5.5.2.1.2.1.e164.test", "TXT")
    ends(absent, Status.SECURE, None)
    assert absent.records is None


def test_a_wildcard_within_an_opt_out_span_is_insecure() -> None:
    """A delegation without DS may be there, whose numbers the wildcard would answer for."""
    world = flat("nsec3", opt_out=True)
    world.top.add("*.5.5.5.2.1.2.1.e164.test", "NAPTR", NAPTR)
    verdict = world.validate("9.9.9.9.5.5.5.2.1.2.1.e164.test")
    ends(verdict, Status.INSECURE, Fault.OPT_OUT)


def test_an_alias_within_the_tree_is_followed() -> None:
    world = flat()
    world.top.add("1.1.1.e164.test", "CNAME", f"{NUMBER}.")
    verdict = world.validate("1.1.1.e164.test")
    ends(verdict, Status.SECURE, None)
    assert verdict.records is not None
    assert verdict.records.name.to_text(omit_final_dot=True) == NUMBER


def test_a_second_key_or_a_second_signature_does_no_harm() -> None:
    ends(flat(keys=[zone_key(13), zone_key(15)]).validate(NUMBER), Status.SECURE, None)
    world = flat(keys=[zone_key(13), zone_key(5)])
    anchor = trust_anchor(TREE, [ds for ds in world.top.ds() if ds.split()[1] == "13"])
    ends(world.validate(NUMBER, anchor=anchor), Status.SECURE, None)


def test_the_earliest_end_counts() -> None:
    world = flat(expiration=NOW + 30)
    assert world.validate(NUMBER).expires_at == NOW + 30


# --- insecure, indeterminate --------------------------------------------------------------------


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
def test_a_delegation_without_ds_is_insecure(denial: str) -> None:
    verdict = deep(denial, ds=False).validate(NUMBER)
    ends(verdict, Status.INSECURE, Fault.UNSIGNED_DELEGATION)


def test_a_delegation_in_an_opt_out_span_is_insecure() -> None:
    top = SignedZone(TREE, denial="nsec3", opt_out=True)
    child = SignedZone(CHILD, signed=False)
    child.add(NUMBER, "NAPTR", NAPTR)
    top.delegate(child, ds=False)
    world = SignedWorld([top, child])
    ends(world.validate(NUMBER), Status.INSECURE, Fault.OPT_OUT)


def test_a_ds_of_algorithms_not_allowed_is_no_ds() -> None:
    top, child = SignedZone(TREE), SignedZone(CHILD, [zone_key(5)])
    child.add(NUMBER, "NAPTR", NAPTR)
    top.delegate(child)
    ends(SignedWorld([top, child]).validate(NUMBER), Status.INSECURE, Fault.ALGORITHM)


def test_an_alias_out_of_the_tree_is_indeterminate() -> None:
    world = flat()
    world.top.add("1.1.1.e164.test", "CNAME", "elsewhere.example.")
    ends(world.validate("1.1.1.e164.test"), Status.INDETERMINATE, Fault.ALIAS_LEAVES)


def test_a_server_that_fails_is_indeterminate() -> None:
    world = flat()
    world.tamper[NUMBER, "NAPTR"] = lambda message: message.set_rcode(dns.rcode.SERVFAIL)
    ends(world.validate(NUMBER), Status.INDETERMINATE, Fault.RCODE)


# The number 12125550123 is below 2.1.e164.test, which a DNAME leads to another part of the tree.
SOURCE, TARGET = "2.1.e164.test", "moved.e164.test"
MOVED = NUMBER.removesuffix(SOURCE) + TARGET


def redirected(*, target: str = TARGET, owner: str = SOURCE) -> SignedWorld:
    """An answer with a DNAME and the alias made from it, as servers give it (RFC 6672 3.1)."""
    top = SignedZone("e164.test")
    top.add(MOVED, "NAPTR", NAPTR)
    world = SignedWorld([top])

    def synthesised(message: dns.message.Message) -> None:
        message.answer.clear()
        message.authority.clear()
        message.set_rcode(dns.rcode.NOERROR)
        dname = dns.rrset.from_text(f"{owner}.", 60, "IN", "DNAME", f"{target}.")
        message.answer += [dname, top.signatures(dname)]
        message.answer.append(dns.rrset.from_text(f"{NUMBER}.", 60, "IN", "CNAME", "x.evil.test."))

    world.tamper[NUMBER, "NAPTR"] = synthesised
    return world


def test_a_dname_is_followed_by_its_signature_and_the_alias_beside_it_is_not() -> None:
    verdict = redirected().validate(NUMBER)
    assert verdict.status is Status.SECURE
    assert verdict.records is not None
    assert verdict.records.name == dns.name.from_text(MOVED)
    assert verdict.expires_at == NOW + 60


def test_a_dname_out_of_the_tree_in_a_circle_or_too_long_leads_nowhere() -> None:
    away = redirected(target="elsewhere.test")
    ends(away.validate(NUMBER), Status.INDETERMINATE, Fault.ALIAS_LEAVES)
    ends(redirected(target=SOURCE).validate(NUMBER), Status.BOGUS, Fault.ALIASES)
    long = ".".join(["l" * 60] * 3 + ["k" * 50, "e164.test"])
    ends(redirected(target=long).validate(NUMBER), Status.BOGUS, Fault.DNAME)


def test_a_dname_that_is_not_signed_or_not_above_the_name_is_bogus() -> None:
    world = redirected()
    tamper = world.tamper[NUMBER, "NAPTR"]

    def unsigned(message: dns.message.Message) -> None:
        tamper(message)
        del message.answer[1]

    world.tamper[NUMBER, "NAPTR"] = unsigned
    assert world.validate(NUMBER).status is Status.BOGUS
    beside = redirected(owner="3.1.e164.test")
    assert beside.validate(NUMBER).status is Status.BOGUS


# --- bogus --------------------------------------------------------------------------------------


def _changed_record(message: dns.message.Message) -> None:
    message.answer[0] = dns.rrset.from_text(
        NUMBER + ".", 300, "IN", "NAPTR", NAPTR.replace("beta", "evil")
    )


def _no_signatures(message: dns.message.Message) -> None:
    for section in (message.answer, message.authority):
        section[:] = [each for each in section if each.rdtype != dns.rdatatype.RRSIG]


def _no_proof(message: dns.message.Message) -> None:
    message.authority[:] = [
        each
        for each in message.authority
        if each.rdtype not in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)
    ]


def _flipped_signature(message: dns.message.Message) -> None:
    for index, rrset in enumerate(message.answer):
        if rrset.rdtype == dns.rdatatype.RRSIG:
            old = rrset[0]
            new = old.replace(signature=bytes([old.signature[0] ^ 1]) + old.signature[1:])
            message.answer[index] = dns.rrset.from_rdata(rrset.name, rrset.ttl, new)


def _foreign_signer(message: dns.message.Message) -> None:
    evil = SignedZone("test", [zone_key(13, 7)])
    message.answer[1] = evil.signatures(message.answer[0])


def _own_key_of_a_stranger(message: dns.message.Message) -> None:
    evil = SignedZone(TREE, [zone_key(13, 7)])
    message.answer[1] = evil.signatures(message.answer[0])


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (_changed_record, Fault.SIGNATURE),
        (_flipped_signature, Fault.SIGNATURE),
        (_no_signatures, Fault.DENIAL),
        (_foreign_signer, Fault.DENIAL),
        (_own_key_of_a_stranger, Fault.NO_KEY),
    ],
)
def test_a_tampered_answer_is_bogus(tamper: Tamper, fault: Fault) -> None:
    world = flat()
    world.tamper[NUMBER, "NAPTR"] = tamper
    verdict = world.validate(NUMBER)
    assert verdict.status is Status.BOGUS
    assert verdict.fault in (fault, Fault.NO_SIGNATURE)


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
@pytest.mark.parametrize("tamper", [_no_signatures, _no_proof])
def test_an_unproven_absence_is_bogus(tamper: Tamper, denial: str) -> None:
    world, missing = flat(denial), "4.2.1.0.5.5.5.2.1.2.1.e164.test"
    world.tamper[missing, "NAPTR"] = tamper
    assert world.validate(missing).status is Status.BOGUS


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
def test_a_number_cannot_be_denied_with_the_proof_for_another(denial: str) -> None:
    world, missing = flat(denial), "4.2.1.0.5.5.5.2.1.2.1.e164.test"

    def denied(message: dns.message.Message) -> None:
        other = world.reply(dns.name.from_text(missing), dns.rdatatype.NAPTR)
        message.answer.clear()
        message.authority[:] = other.authority
        message.set_rcode(dns.rcode.NXDOMAIN)

    world.tamper[NUMBER, "NAPTR"] = denied
    ends(world.validate(NUMBER), Status.BOGUS, Fault.DENIAL)


@pytest.mark.parametrize("below", ["", "9."])
def test_the_link_that_leads_to_a_number_does_not_deny_it(below: str) -> None:
    """Whoever is on the way has the record before every number: it is in the answer for a gap."""
    world = flat()
    if below:
        world.top.add(f"{below}{NUMBER}", "NAPTR", NAPTR)

    def denied(message: dns.message.Message) -> None:
        message.answer.clear()
        proof = world.top.nsec(world.top.name)
        message.authority[:] = [proof, world.top.signatures(proof)]

    world.tamper[NUMBER, "NAPTR"] = denied
    ends(world.validate(NUMBER), Status.BOGUS, Fault.DENIAL)


@pytest.mark.parametrize("denial", ["nsec", "nsec3"])
def test_a_wildcard_cannot_replace_a_number_that_exists(denial: str) -> None:
    world = flat(denial)
    world.top.add("*.5.5.5.2.1.2.1.e164.test", "NAPTR", NAPTR.replace("beta", "other"))
    free = "9.9.9.9.5.5.5.2.1.2.1.e164.test"

    def expanded(message: dns.message.Message) -> None:
        other = world.reply(dns.name.from_text(free), dns.rdatatype.NAPTR)
        owner = dns.name.from_text(NUMBER)
        message.answer[:] = [
            dns.rrset.from_rdata_list(owner, each.ttl, list(each)) for each in other.answer
        ]
        message.authority[:] = other.authority

    world.tamper[NUMBER, "NAPTR"] = expanded
    verdict = world.validate(NUMBER)
    assert verdict.status is Status.BOGUS
    assert verdict.fault in (Fault.WILDCARD, Fault.DENIAL)


def test_the_proof_of_the_parent_denies_nothing_below_a_delegation() -> None:
    world = deep()

    def denied(message: dns.message.Message) -> None:
        message.answer.clear()
        proof = world.top.nsec(dns.name.from_text(CHILD))
        message.authority[:] = [proof, world.top.signatures(proof)]

    world.tamper[NUMBER, "NAPTR"] = denied
    ends(world.validate(NUMBER), Status.BOGUS, Fault.DENIAL)


def test_the_child_cannot_deny_its_own_ds() -> None:
    world = deep()

    def denied(message: dns.message.Message) -> None:
        message.answer.clear()
        proof = world.zones[1].nsec(dns.name.from_text(CHILD))
        message.authority[:] = [proof, world.zones[1].signatures(proof)]

    world.tamper[CHILD, "DS"] = denied
    assert world.validate(NUMBER).status is Status.BOGUS


@pytest.mark.parametrize(
    ("now", "fault"), [(NOW + 2 * DAY, Fault.EXPIRED), (NOW - 2 * DAY, Fault.NOT_YET_VALID)]
)
def test_signatures_have_their_time(now: float, fault: Fault) -> None:
    ends(flat().validate(NUMBER, now=now), Status.BOGUS, fault)


def test_keys_that_do_not_fit_the_pinned_ds_are_refused() -> None:
    other = trust_anchor(TREE, SignedZone(TREE, [zone_key(13, 7)]).ds())
    ends(flat().validate(NUMBER, anchor=other), Status.BOGUS, Fault.ANCHOR)


def test_only_what_a_fitting_key_has_signed_counts_as_keys() -> None:
    world = flat()

    def added(message: dns.message.Message) -> None:
        message.answer[0].add(zone_key(13, 7).public)

    world.tamper[TREE, "DNSKEY"] = added
    ends(world.validate(NUMBER), Status.BOGUS, Fault.SIGNATURE)


def test_a_downgrade_to_another_algorithm_is_bogus() -> None:
    world = flat(keys=[zone_key(13), zone_key(5)])
    anchor = trust_anchor(TREE, [ds for ds in world.top.ds() if ds.split()[1] == "13"])

    def downgraded(message: dns.message.Message) -> None:
        weak = [each for each in rrsigs(message.answer, "NAPTR") if each.algorithm == 5]
        message.answer[1] = dns.rrset.from_rdata(message.answer[0].name, 300, *weak)

    world.tamper[NUMBER, "NAPTR"] = downgraded
    ends(world.validate(NUMBER, anchor=anchor), Status.BOGUS, Fault.ALGORITHM)


@pytest.mark.parametrize("flags", [0, 0x0180, 0x0001])
def test_keys_that_are_no_zone_keys_or_revoked_are_not_used(flags: int) -> None:
    ends(flat(keys=[zone_key(13, 3, flags)]).validate(NUMBER), Status.BOGUS, Fault.ANCHOR)


def test_many_nsec3_iterations_are_refused_without_hashing() -> None:
    world = flat("nsec3", iterations=51)
    missing = "4.2.1.0.5.5.5.2.1.2.1.e164.test"
    ends(world.validate(missing), Status.BOGUS, Fault.ITERATIONS)
    ends(world.validate(missing, limits=Limits(max_iterations=51)), Status.SECURE, None)


def test_many_nsec3_hashes_are_too_much_work() -> None:
    world, limits = flat("nsec3"), Limits(max_hashes=3)
    ends(world.validate(f"9.9.9.9.9.{NUMBER}", limits=limits), Status.BOGUS, Fault.TOO_MUCH_WORK)


def _flood(change: Callable[[dns.message.Message], None], kind: str = "NAPTR") -> Verdict:
    world = flat()
    world.tamper[NUMBER if kind == "NAPTR" else TREE, kind] = change
    return world.validate(NUMBER)


def test_floods_of_signatures_keys_and_records_are_refused() -> None:
    def many_signatures(message: dns.message.Message) -> None:
        one = rrsigs(message.answer, "NAPTR")[0]
        more = [one.replace(signature=bytes([n]) + one.signature[1:]) for n in range(20)]
        message.answer[1] = dns.rrset.from_rdata(message.answer[0].name, 300, *more)

    def many_keys(message: dns.message.Message) -> None:
        one = message.answer[0][0]
        for n in range(20):
            message.answer[0].add(one.replace(key=bytes([n]) + one.key[1:]))

    def many_records(message: dns.message.Message) -> None:
        for n in range(100):
            message.answer[0].add(
                dns.rrset.from_text("x.", 1, "IN", "NAPTR", NAPTR.replace("100", str(n)))[0]
            )

    ends(_flood(many_signatures), Status.BOGUS, Fault.TOO_MANY_SIGNATURES)
    ends(_flood(many_keys, "DNSKEY"), Status.BOGUS, Fault.TOO_MANY_KEYS)
    ends(_flood(many_records), Status.BOGUS, Fault.TOO_MANY_RECORDS)


def test_keys_that_share_a_tag_are_few() -> None:
    """KeyTrap: every signature times every key of the same tag."""
    one = zone_key(13).public
    # Swapping two 16-bit words of the key changes neither tag nor length.
    swaps = [one.key[:n] + one.key[n + 2 : n + 4] + one.key[n : n + 2] + one.key[n + 4 :]
             for n in range(0, 40, 4)]  # fmt: skip
    colliding = [one.replace(key=key) for key in swaps]
    assert {dns.dnssec.key_id(cast(DNSKEY, key)) for key in colliding} == {dns.dnssec.key_id(one)}
    world = flat()
    for key in colliding:
        world.top.add(TREE, "DNSKEY", key.to_text())
    verdict = world.validate(NUMBER)
    ends(verdict, Status.BOGUS, Fault.TOO_MANY_KEYS)


def test_all_the_work_together_is_bounded() -> None:
    ends(
        deep().validate(NUMBER, limits=replace(Limits(), max_verifications=4)),
        Status.BOGUS,
        Fault.TOO_MUCH_WORK,
    )
    world = flat()
    world.tamper[NUMBER, "NAPTR"] = _no_signatures
    ends(
        world.validate(NUMBER, limits=replace(Limits(), max_questions=3)),
        Status.BOGUS,
        Fault.TOO_MANY_QUESTIONS,
    )


def test_aliases_in_a_circle_end() -> None:
    world = flat()
    world.top.add("1.1.1.e164.test", "CNAME", "2.1.1.e164.test.")
    world.top.add("2.1.1.e164.test", "CNAME", "1.1.1.e164.test.")
    ends(world.validate("1.1.1.e164.test"), Status.BOGUS, Fault.ALIASES)


@pytest.mark.parametrize(
    ("zone", "records", "why"),
    [
        (TREE, [], "at least one"),
        (TREE, ["1 2"], "is not a DS record"),
        (TREE, ["1 5 2 " + "00" * 32], "algorithm 8, 13"),
        (TREE, ["1 13 1 " + "00" * 20], "digest 2 or 4"),
        ("a" * 64, ["1 13 2 " + "00" * 32], "is not a domain name"),
    ],
)
def test_an_anchor_that_cannot_be_used_is_named(zone: str, records: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        trust_anchor(zone, records)
