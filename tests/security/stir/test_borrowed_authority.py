"""Callers proven by an authority that was given for something else: numbers for domains, a right to
priority for a right to a number, a code that policy refuses for the numbers of a delegate."""

from typing import Any

import pytest
from cryptography import x509

from stir.certificates.certificate import Credential
from stir.certificates.issuing import Authority, make_intermediate
from stir.certificates.tn_auth_list import Entry, One, Range, Spc, TnAuthList
from stir.diversion import DIV_O
from stir.extensions.extension import originating_number
from stir.extensions.registry import EXTENSIONS
from stir.extensions.rph import RPH
from stir.reason import Reason
from stir.verification import CallFacts, VerificationPolicy
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import DEST, FACTS, NOW, ORIG, URL, StirWorld

VICTIM = "13035550155"
PLAIN = {"alg": "ES256", "typ": "passport", "x5u": URL}


def facts(caller: str, **changes: Any) -> CallFacts:
    return CallFacts(
        orig_candidates=(caller,),
        dest_candidates=FACTS.dest_candidates,
        fingerprints=(),
        call_id="stolen@evil.example",
        method="INVITE",
        **changes,
    )


def claims(**more: Any) -> dict[str, Any]:
    return {"dest": {"tn": [DEST]}, "iat": int(NOW), **more}


def for_domains(world: StirWorld, *names: str, issuer: Authority | None = None) -> Credential:
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    options: dict[str, Any] = {} if issuer is None else {"issuer": issuer}
    return world.leaf(entries=None, extensions=[(alternative, False)], **options)


@pytest.mark.parametrize(
    "uri", [f"sip:+{VICTIM}@evil.example", "sips:+1-303-555-0155@evil.example", f"tel:+{VICTIM}"]
)
def test_a_certificate_for_a_domain_gives_no_number_in_a_uri(world: StirWorld, uri: str) -> None:
    token = world.token(PLAIN, claims(orig={"uri": uri}))
    credential = for_domains(world, "evil.example", VICTIM)
    call = world.verify(f"{token};info=<{URL}>;alg=ES256", facts=facts(uri), credential=credential)
    assert only_reason(call) is Reason.AUTHORITY_MISSING


def test_a_number_in_a_uri_is_signed_for_by_who_has_the_number(world: StirWorld) -> None:
    uri = f"sip:+{ORIG}@alpha.example"
    token = world.token(PLAIN, claims(orig={"uri": uri}))
    call = world.verify(f"{token};info=<{URL}>;alg=ES256", facts=facts(uri))
    assert call.outcome == "valid"


@pytest.mark.parametrize(
    ("permitted", "reason"), [((), Reason.AUTHORITY_NOT_COVERED), (("bank.example",), None)]
)
def test_who_delegates_numbers_gives_domains_only_where_its_constraints_permit_them(
    world: StirWorld, permitted: tuple[str, ...], reason: Reason | None
) -> None:
    numbers = TnAuthList((Range(ORIG, 100),))
    issuer = make_intermediate(
        world.root, "Delegate", NOW, tn_auth_list=numbers, permitted_dns=permitted
    )
    uri = "sip:board@bank.example"
    token = world.token(PLAIN, claims(orig={"uri": uri}))
    call = world.verify(
        f"{token};info=<{URL}>;alg=ES256",
        facts=facts(uri),
        credential=for_domains(world, "bank.example", issuer=issuer),
    )
    assert only_reason(call) is reason


@pytest.mark.parametrize("authorities", [None, "the signer"])
def test_a_priority_within_a_div_o_proves_no_caller(
    world: StirWorld, authorities: str | None
) -> None:
    """Whoever signs an rph needs no right to the number in orig (RFC 8443 section 3)."""
    priority = claims(dest={"tn": [ORIG]}, orig={"tn": VICTIM}, rph={"auth": ["ets.0"]})
    held = world.token({**PLAIN, "ppt": RPH.ppt}, priority)
    diverted = claims(orig={"tn": VICTIM}, div={"tn": ORIG}, opt=held)
    token = world.token({**PLAIN, "ppt": "div-o"}, diverted)
    names = frozenset({world.credential.fingerprint.hex()})
    call = world.verify(
        f"{token};info=<{URL}>;alg=ES256;ppt=div-o",
        facts=facts(f"sip:+{VICTIM}@evil.example", resource_priority=("ets.0",)),
        policy=VerificationPolicy(priority_authorities={"ets": names} if authorities else None),
    )
    assert (call.outcome, call.verstat, call.attest) == ("absent", "No-TN-Validation", None)


def delegated(world: StirWorld, above: tuple[Entry, ...], own: tuple[Entry, ...]) -> Credential:
    issuer = make_intermediate(world.root, "Delegate", NOW, tn_auth_list=TnAuthList(above))
    return world.leaf(issuer=issuer, entries=own)


@pytest.mark.parametrize("code", ["EVIL", "GOOD"])
def test_a_delegates_numbers_are_worth_no_more_than_the_code_above_them(
    world: StirWorld, code: str
) -> None:
    policy = VerificationPolicy(accept_service_provider_codes=frozenset({"GOOD"}))
    credential = delegated(world, (Spc(code),), (One(ORIG),))
    call = world.verify(world.identity(), policy=policy, credential=credential)
    assert only_reason(call) is (None if code == "GOOD" else Reason.AUTHORITY_CODE_REFUSED)


def test_a_delegate_with_a_code_alone_is_held_to_the_numbers_beside_it_above(
    world: StirWorld,
) -> None:
    credential = delegated(world, (Spc("709J"), One("14155550150")), (Spc("709J"),))
    call = world.verify(world.identity(), credential=credential)
    assert only_reason(call) is Reason.AUTHORITY_NOT_COVERED


@pytest.mark.parametrize("ppt", sorted(EXTENSIONS))
def test_no_type_proves_a_caller_whose_number_its_signer_need_not_have(ppt: str) -> None:
    """A new type does not prove a caller by mistake; a div-o proves what it holds proves."""
    extension = EXTENSIONS[ppt]
    assert not extension.proves_caller or (
        ppt == DIV_O or extension.signer_number is originating_number
    )
