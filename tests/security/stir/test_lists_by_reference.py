"""TNAuthLists that a certificate only refers to (RFC 8226 section 10.1, case C7)."""

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    load_credential,
    unfitness,
    with_tn_auth_lists,
)
from stir.certificates.grant import STIR_TN_LIST_METHOD
from stir.certificates.issuing import Authority, issue_sti_certificate, make_intermediate
from stir.certificates.tn_auth_list import (
    Entry,
    One,
    Range,
    Spc,
    TnAuthList,
    build_tn_auth_list,
)
from stir.reason import Reason
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import NOW, ORIG, StirWorld

LIST_URL = "https://lists.alpha.example/numbers.der"
OTHER_URL = "https://lists.alpha.example/parent.der"
SOMEWHERE = x509.AccessDescription(
    STIR_TN_LIST_METHOD, x509.UniformResourceIdentifier("https://lists.alpha.example/2.der")
)
AWAY = CredentialUnavailable("timed out", "lists.alpha.example")


def der(*entries: Entry) -> bytes:
    return build_tn_auth_list(entries)


def signer(
    world: StirWorld, own: tuple[Entry, ...] = (), *, issuer: Authority | None = None
) -> Credential:
    """A certificate for the signer's key that refers to a list, with `own` entries beside it."""
    issued = issue_sti_certificate(
        issuer or world.issuer,
        TnAuthList(own) if own else None,
        NOW,
        public_key=world.key.public_key(),
        tn_auth_list_url=LIST_URL,
    )
    return load_credential(issued.chain_pem)


CASES: dict[str, tuple[tuple[Entry, ...], bytes | CredentialUnavailable | None, Reason | None]] = {
    "the list holds the number": ((), der(Range(ORIG, 100)), None),
    "the list holds other numbers": ((), der(One("14155550250")), Reason.AUTHORITY_NOT_COVERED),
    "the list adds to the certificate's own": ((One("14155550250"),), der(One(ORIG)), None),
    "the certificate's own is enough": ((One(ORIG),), AWAY, None),
    "not fetched": ((), None, Reason.AUTHORITY_UNAVAILABLE),
    "could not be fetched": ((), AWAY, Reason.AUTHORITY_UNAVAILABLE),
    "a code whose numbers could not be fetched": (
        (Spc("709J"),),
        AWAY,
        Reason.AUTHORITY_UNAVAILABLE,
    ),
    "the numbers of a code bind it": (
        (Spc("709J"),),
        der(One("14155550250")),
        Reason.AUTHORITY_NOT_COVERED,
    ),
    "an empty file": ((), b"", Reason.AUTHORITY_MALFORMED),
    "a page of HTML": ((), b"<html></html>", Reason.AUTHORITY_MALFORMED),
    "PEM": ((), b"-----BEGIN TNAUTHLIST-----", Reason.AUTHORITY_MALFORMED),
    "too long": ((), b"\x30" * 70_000, Reason.AUTHORITY_MALFORMED),
    "malformed beside an own list": ((One(ORIG),), b"x", Reason.AUTHORITY_MALFORMED),
}


@pytest.mark.parametrize("case", CASES)
def test_a_list_by_reference(world: StirWorld, case: str) -> None:
    own, fetched, reason = CASES[case]
    credential = signer(world, own)
    assert credential.references == (LIST_URL,)
    if fetched is not None:
        credential = with_tn_auth_lists(credential, {LIST_URL: fetched})
        assert credential.references == ()
    call = world.verify(world.identity(), credential=credential)
    if reason is Reason.AUTHORITY_UNAVAILABLE:
        assert (call.outcome, call.reason, call.sip_status) == ("unavailable", reason, 436)
    else:
        assert only_reason(call) is reason
    assert credential.by_reference


@pytest.mark.parametrize(
    ("parent", "own", "reason"),
    [
        (der(Range(ORIG, 100)), der(One(ORIG)), None),
        (der(Range(ORIG, 100)), der(Range(ORIG, 101)), Reason.AUTHORITY_NOT_ENCOMPASSED),
        (AWAY, der(One(ORIG)), Reason.AUTHORITY_UNAVAILABLE),
        (b"x", der(One(ORIG)), Reason.AUTHORITY_MALFORMED),
    ],
)
def test_a_parent_s_list_by_reference(
    world: StirWorld,
    parent: bytes | CredentialUnavailable,
    own: bytes,
    reason: Reason | None,
) -> None:
    above = make_intermediate(world.root, "Above", NOW, path_length=None)
    issuer = make_intermediate(above, "By reference", NOW, tn_auth_list_url=OTHER_URL)
    credential = signer(world, issuer=issuer)
    assert credential.references == (LIST_URL, OTHER_URL)
    whole = with_tn_auth_lists(credential, {LIST_URL: own, OTHER_URL: parent})
    call = world.verify(world.identity(), credential=whole)
    assert call.reason is reason


def test_another_list_is_another_credential(world: StirWorld) -> None:
    credential = signer(world)
    lists = (der(One(ORIG)), der(Range(ORIG, 100)), AWAY)
    made = [with_tn_auth_lists(credential, {LIST_URL: found}) for found in lists]
    assert len({found.fingerprint for found in (credential, *made)}) == 4
    again = with_tn_auth_lists(credential, {LIST_URL: lists[0]})
    assert again.fingerprint == made[0].fingerprint


def access(*descriptions: x509.AccessDescription) -> tuple[x509.ExtensionType, bool]:
    return x509.AuthorityInformationAccess(descriptions), False


@pytest.mark.parametrize(
    "location",
    [
        x509.UniformResourceIdentifier("http://lists.alpha.example/a.der"),
        x509.UniformResourceIdentifier("https://user@lists.alpha.example/a.der"),
        x509.UniformResourceIdentifier("https://lists.alpha.example/a.der?list=1"),
        x509.UniformResourceIdentifier("ldap://lists.alpha.example/"),
        x509.UniformResourceIdentifier("https://lists.alpha.example:99999999/"),
        x509.DNSName("lists.alpha.example"),
    ],
)
def test_where_no_list_is_fetched_from(world: StirWorld, location: x509.GeneralName) -> None:
    extension = access(x509.AccessDescription(STIR_TN_LIST_METHOD, location))
    credential = world.leaf(entries=None, extensions=[extension])
    assert credential.references == ()
    call = world.verify(world.identity(), credential=credential)
    assert only_reason(call) is Reason.AUTHORITY_MALFORMED


def test_another_port_is_for_the_fetcher_to_judge(world: StirWorld) -> None:
    url = "https://lists.alpha.example:9443/a.der"
    location = x509.UniformResourceIdentifier(url)
    extension = access(x509.AccessDescription(STIR_TN_LIST_METHOD, location))
    assert world.leaf(entries=None, extensions=[extension]).references == (url,)


def test_only_the_first_of_several_copies_is_used(world: StirWorld) -> None:
    ocsp = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp/")
    )
    location = x509.UniformResourceIdentifier(LIST_URL)
    first = x509.AccessDescription(STIR_TN_LIST_METHOD, location)
    extension = access(ocsp, first, SOMEWHERE)
    assert world.leaf(entries=None, extensions=[extension]).references == (LIST_URL,)
    assert world.leaf(extensions=[access(ocsp)]).references == ()


def test_a_certificate_by_reference_is_fit(world: StirWorld) -> None:
    assert unfitness(signer(world).leaf, NOW) == ()


def test_at_most_three_lists_are_fetched(world: StirWorld) -> None:
    issuer = make_intermediate(world.root, "Base", NOW, path_length=None)
    for level in range(5):
        issuer = make_intermediate(
            issuer,
            f"Level {level}",
            NOW,
            path_length=None,
            tn_auth_list_url=f"https://lists.alpha.example/{level}.der",
        )
    credential = signer(world, issuer=issuer)
    assert len(credential.references) == 3
    lists = dict.fromkeys(credential.references, der(One(ORIG)))
    whole = with_tn_auth_lists(credential, lists)
    call = world.verify(world.identity(), credential=whole)
    assert call.reason is Reason.AUTHORITY_UNAVAILABLE
