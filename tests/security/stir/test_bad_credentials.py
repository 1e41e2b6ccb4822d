"""Each bad certificate gives exactly one Reason (security cases C7, C8, D1)."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    load_credential,
)
from stir.certificates.issuing import Authority, make_intermediate, make_root, to_pem
from stir.certificates.tn_auth_list import Entry, One, Range, Spc, TnAuthList
from stir.certificates.x5u import UrlRefused, check_url
from stir.reason import Reason
from stir.verification import VerificationPolicy, VerificationService
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import (
    FACTS,
    HEADER,
    NOW,
    ORIG,
    StirWorld,
    identity_value,
    make_certificate,
    shaken_claims,
)

DER_TEXT = b"\x16\x04text"
NAME = x509.SubjectAlternativeName([x509.DNSName("evil.example")])


def p384() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP384R1()).public_key()


def rsa2048() -> rsa.RSAPublicKey:
    return rsa.generate_private_key(65537, 2048).public_key()


LEAVES: dict[str, tuple[Callable[[StirWorld], Credential], Reason | None]] = {
    "as it should be": (lambda w: w.leaf(), None),
    "without key usage": (lambda w: w.leaf(usage=None), None),
    "expired": (
        lambda w: w.leaf(not_before=NOW - 99, not_after=NOW - 1),
        Reason.CREDENTIAL_EXPIRED,
    ),
    "not yet valid": (lambda w: w.leaf(not_before=NOW + 99), Reason.CREDENTIAL_NOT_YET_VALID),
    "P-384": (lambda w: w.leaf(key=p384()), Reason.CREDENTIAL_KEY),
    "RSA": (lambda w: w.leaf(key=rsa2048()), Reason.CREDENTIAL_KEY),
    "key usage": (lambda w: w.leaf(usage=False), Reason.CREDENTIAL_KEY_USAGE),
    "unknown critical extension": (
        lambda w: w.leaf(
            extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"x"), True)]
        ),
        Reason.CREDENTIAL_EXTENSION,
    ),
    "no TNAuthList": (lambda w: w.leaf(entries=None), Reason.AUTHORITY_MISSING),
    "malformed TNAuthList": (lambda w: w.leaf(raw_list=DER_TEXT), Reason.AUTHORITY_MALFORMED),
    "trailing octets": (
        lambda w: w.leaf(raw_list=bytes.fromhex("3008a006160431323334") + b"\x00"),
        Reason.AUTHORITY_MALFORMED,
    ),
    "other range": (
        lambda w: w.leaf(entries=[Range("14155550101", 50)]),
        Reason.AUTHORITY_NOT_COVERED,
    ),
    "other number": (lambda w: w.leaf(entries=[One("14155550199")]), Reason.AUTHORITY_NOT_COVERED),
    "a code beside other numbers": (
        lambda w: w.leaf(entries=[Spc("709J"), One("14155550199")]),
        Reason.AUTHORITY_NOT_COVERED,
    ),
    "only a code": (lambda w: w.leaf(entries=[Spc("709J")]), None),
    "signed by somebody else": (
        lambda w: w.leaf(signed_by=ec.generate_private_key(ec.SECP256R1())),
        Reason.CHAIN_SIGNATURE,
    ),
}


@pytest.mark.parametrize("case", LEAVES)
def test_leaf(world: StirWorld, case: str) -> None:
    make, reason = LEAVES[case]
    call = world.verify(world.identity(), credential=make(world))
    assert only_reason(call) is reason
    assert call.sip_status == (None if reason is None else 437)


def test_two_tn_auth_lists_make_the_file_malformed(world: StirWorld) -> None:
    pem = to_pem([make_certificate(world.issuer, key=world.key.public_key())])
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    # the key usage's identifier becomes a second TNAuthList of the same length
    oid_tn, oid_other = bytes.fromhex("06082b0601050507011a"), bytes.fromhex("0603551d0f")
    assert oid_tn in der
    assert oid_other in der
    with pytest.raises(MalformedCredential):
        load_credential(der.replace(oid_other, oid_tn))


def test_a_credential_that_could_not_be_fetched_is_no_verdict(world: StirWorld) -> None:
    call = world.verify(world.identity(), credential=CredentialUnavailable("timed out", "DNS"))
    assert (call.outcome, call.reason) == ("unavailable", Reason.CREDENTIAL_UNAVAILABLE)
    assert (call.verstat, call.sip_status) == ("No-TN-Validation", 436)


def test_a_file_that_is_no_certificate_is_one(world: StirWorld) -> None:
    unreadable = CredentialUnavailable("an HTML page", "host", Reason.CREDENTIAL_MALFORMED)
    call = world.verify(world.identity(), credential=unreadable)
    assert (call.outcome, call.reason) == ("invalid", Reason.CREDENTIAL_MALFORMED)


def test_a_missing_credential_counts_as_unavailable(world: StirWorld) -> None:
    service = world.service()
    begun = service.begin([world.identity()], FACTS, NOW)
    assert service.conclude(begun, {}, NOW).outcome == "unavailable"


def test_codes_are_accepted_by_policy(world: StirWorld) -> None:
    only_code = world.leaf(entries=[Spc("709J")])
    mixed = world.leaf(entries=[Spc("709J"), One("14155550199")])
    for codes, credential, reason in (
        (frozenset({"709J"}), only_code, None),
        (frozenset({"709J"}), mixed, None),
        (frozenset({"OTHER"}), only_code, Reason.AUTHORITY_CODE_REFUSED),
        (frozenset[str](), only_code, Reason.AUTHORITY_CODE_REFUSED),
    ):
        policy = VerificationPolicy(accept_service_provider_codes=codes)
        call = world.verify(world.identity(), credential=credential, policy=policy)
        assert only_reason(call) is reason


def test_a_code_with_known_numbers_is_held_to_them(world: StirWorld) -> None:
    credential = world.leaf(entries=[Spc("709J")])
    for numbers, reason in (({ORIG}, None), ({"1"}, Reason.AUTHORITY_NOT_COVERED)):
        policy = VerificationPolicy(service_provider_numbers={"709J": frozenset(numbers)})
        call = world.verify(world.identity(), credential=credential, policy=policy)
        assert only_reason(call) is reason


def test_b_and_c_attestations_need_a_provider_not_the_number(world: StirWorld) -> None:
    provider = world.leaf(entries=[Spc("709J"), One("14155550199")])
    customer = world.leaf(entries=[One("14155550199")])
    for attest, credential, reason in (
        ("B", provider, None),
        ("C", provider, None),
        ("C", customer, Reason.AUTHORITY_NOT_COVERED),
        ("A", provider, Reason.AUTHORITY_NOT_COVERED),
    ):
        call = world.verify(world.identity(attest=attest), credential=credential)
        assert only_reason(call) is reason


@pytest.mark.parametrize(
    ("parent", "own", "reason"),
    [
        ((Range(ORIG, 100),), (One(ORIG),), None),
        ((Range(ORIG, 100),), (Range(ORIG, 100),), None),
        ((One(ORIG),), (Range(ORIG, 2),), Reason.AUTHORITY_NOT_ENCOMPASSED),
        ((Range(ORIG, 100),), (Range(ORIG, 101),), Reason.AUTHORITY_NOT_ENCOMPASSED),
        ((Range(ORIG, 100),), (Spc("709J"),), Reason.AUTHORITY_NOT_ENCOMPASSED),
        ((Spc("709J"),), (Range(ORIG, 100),), None),
        ((Spc("709J"),), (Spc("1234"),), Reason.AUTHORITY_NOT_ENCOMPASSED),
        ((Spc("709J"), One("14155550199")), (One(ORIG),), Reason.AUTHORITY_NOT_ENCOMPASSED),
    ],
)
def test_a_delegate_holds_no_more_than_its_parent(
    world: StirWorld, parent: tuple[Entry, ...], own: tuple[Entry, ...], reason: Reason | None
) -> None:
    above = make_intermediate(world.root, "Above", NOW, path_length=None)
    issuer = make_intermediate(above, "Delegate CA", NOW, tn_auth_list=TnAuthList(parent))
    call = world.verify(world.identity(), credential=world.leaf(issuer=issuer, entries=own))
    assert only_reason(call) is reason


def stranger() -> Authority:
    return make_intermediate(make_root("Stranger", NOW), "Stranger CA", NOW)


def not_an_authority(world: StirWorld) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    middle = make_certificate(world.issuer, key=key.public_key(), name="Customer")
    return Authority((middle, *world.issuer.certificates), key)


def no_cert_sign(world: StirWorld) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    middle = make_certificate(
        world.root, key=key.public_key(), entries=None, usage=True, ca=True, name="No keyCertSign"
    )
    return Authority((middle, world.root.certificate), key)


def expired_issuer(world: StirWorld) -> Authority:
    return make_intermediate(world.root, "Old CA", NOW - 999, lifetime=500)


def below_path_length(world: StirWorld) -> Authority:
    return make_intermediate(world.issuer, "Too deep", NOW, path_length=0)


def nine_deep(world: StirWorld) -> Authority:
    authority = world.root
    for number in range(8):
        authority = make_intermediate(authority, f"Level {number}", NOW, path_length=None)
    return authority


ISSUERS: dict[str, tuple[Callable[[StirWorld], Authority], Reason]] = {
    "unknown root": (lambda _: stranger(), Reason.CHAIN_UNTRUSTED),
    "issuer is no authority": (not_an_authority, Reason.CHAIN_NOT_CA),
    "issuer may not sign certificates": (no_cert_sign, Reason.CHAIN_NOT_CA),
    "issuer expired": (expired_issuer, Reason.CHAIN_EXPIRED),
    "path length": (below_path_length, Reason.CHAIN_TOO_LONG),
    "very deep": (nine_deep, Reason.CHAIN_TOO_LONG),
}


@pytest.mark.parametrize("case", ISSUERS)
def test_issuer(world: StirWorld, case: str) -> None:
    make, reason = ISSUERS[case]
    call = world.verify(world.identity(), credential=world.leaf(issuer=make(world)))
    assert only_reason(call) is reason
    assert call.sip_status == 437


def test_twenty_certificates_are_too_many(world: StirWorld) -> None:
    with pytest.raises(MalformedCredential):
        load_credential(world.issued.chain_pem * 10)


def test_a_missing_intermediate_leaves_the_chain_untrusted(world: StirWorld) -> None:
    alone = load_credential(to_pem([world.credential.leaf]))
    call = world.verify(world.identity(), credential=alone)
    assert only_reason(call) is Reason.CHAIN_UNTRUSTED


def test_the_intermediates_may_come_in_any_order_with_the_root(world: StirWorld) -> None:
    leaf, issuer = world.credential.certificates
    mixed = load_credential(to_pem([leaf, world.root.certificate, issuer]))
    assert world.verify(world.identity(), credential=mixed).outcome == "valid"


def test_a_self_signed_leaf_and_a_loop_of_issuers_end(world: StirWorld) -> None:
    own = make_root("Selfish", NOW)
    loop = load_credential(to_pem([own.certificate, own.certificate]))
    call = world.verify(world.identity(), credential=loop)
    assert only_reason(call) is Reason.CREDENTIAL_KEY_USAGE

    one, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    a = make_certificate(
        _authority("B", other), key=one.public_key(), ca=True, usage=False, name="A"
    )
    b = make_certificate(
        _authority("A", one), key=other.public_key(), ca=True, usage=False, name="B"
    )
    leaf = make_certificate(_authority("A", one), key=world.key.public_key())
    chain = load_credential(to_pem([leaf, a, b, a, b]))
    call = world.verify(world.identity(), credential=chain)
    assert only_reason(call) is Reason.CHAIN_UNTRUSTED


def test_many_authorities_of_one_name_are_not_all_tried(world: StirWorld) -> None:
    twins = [make_intermediate(world.root, "Twin", NOW, path_length=None) for _ in range(9)]
    leaf = make_certificate(twins[0], key=world.key.public_key())
    chain = load_credential(to_pem([leaf, *(t.certificate for t in reversed(twins))]))
    assert world.verify(world.identity(), credential=chain).outcome == "valid"


def test_name_constraints_of_an_issuer(world: StirWorld) -> None:
    issuer = make_intermediate(world.root, "Narrow", NOW, permitted_dns=["alpha.example"])
    good = x509.SubjectAlternativeName([x509.DNSName("sti.alpha.example")])
    for name, reason in ((good, None), (NAME, Reason.CHAIN_NAME_CONSTRAINTS)):
        credential = world.leaf(issuer=issuer, extensions=[(name, False)])
        assert only_reason(world.verify(world.identity(), credential=credential)) is reason


def test_without_anchors_nobody_is_trusted(world: StirWorld) -> None:
    service = VerificationService(VerificationPolicy(), (), None)
    begun = service.begin([world.identity()], FACTS, NOW)
    call = service.conclude(begun, dict.fromkeys(begun.needed, world.credential), NOW)
    assert call.reason is Reason.CHAIN_UNTRUSTED


D1 = [
    "http://certs.alpha.example/a.pem",
    "https://certs.alpha.example:22/a.pem",
    "https://user@certs.alpha.example/a.pem",
    "https://certs.alpha.example/a.pem?x=1",
    "https://certs.alpha.example/a.pem?",
    "https://certs.alpha.example/a.pem#x",
    "https://evil.example\\@certs.alpha.example/a.pem",
    "https://cérts.example/a.pem",
    "file:///etc/passwd",
    "data:text/plain,x",
    "https:///a.pem",
    "https://127.1/a.pem",
    "https://0x7f000001/a.pem",
    "https://2130706433/a.pem",
    "https://[::1/a.pem",
    "https://certs.alpha.example:/a.pem",
    "https://certs.alpha.example:443443/a.pem",
    "https://certs..example/a.pem",
    "https://certs.alpha.example/\n",
    "https://" + "a" * 2048 + ".example/",
]


@pytest.mark.parametrize("url", D1)
def test_urls_that_are_never_fetched(world: StirWorld, url: str) -> None:
    with pytest.raises(UrlRefused):
        check_url(url)
    token = world.token({**HEADER, "x5u": url}, shaken_claims())
    service = world.service()
    begun = service.begin([identity_value(token, url)], FACTS, NOW)
    assert begun.needed == ()
    assert service.conclude(begun, {}, NOW).outcome == "invalid"


@pytest.mark.parametrize(
    "url",
    [
        "https://certs.alpha.example/a.pem",
        "https://certs.alpha.example:443/a.pem",
        "https://certs.alpha.example:8443/a.pem",
        "HTTPS://certs.alpha.example",
        "https://[2001:db8::1]:8443/a.pem",
        "https://192.0.2.1/a;b=c.pem",
    ],
)
def test_urls_that_are_fetched(url: str) -> None:
    check_url(url)


def test_another_port_by_policy() -> None:
    check_url("https://127.0.0.1:9443/a.pem", extra_ports=frozenset({9443}))


def _authority(name: str, key: ec.EllipticCurvePrivateKey) -> Authority:
    signer = make_root(name, NOW)
    return Authority(signer.certificates, key)
