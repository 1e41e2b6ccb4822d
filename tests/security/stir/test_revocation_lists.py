"""Revocation lists that count, and those that are as if not there (security case C9)."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stir.certificates.certificate import load_certificates
from stir.certificates.crl import (
    RevocationList,
    UnusableList,
    load_revocation_list,
    name_key,
    read_revocation_list,
)
from stir.certificates.issuing import make_intermediate, make_root
from tests.support.revocation import (
    DAY,
    LIST_URL,
    ListMaker,
    issued_by,
    issuing_point,
    list_of,
    named,
)
from tests.support.stir_authority import NOW, StirWorld, make_certificate

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def read(world: StirWorld, der: bytes) -> RevocationList:
    return load_revocation_list(der, (world.issuer.certificate,), NOW)


def test_a_revoked_certificate_is_found_by_issuer_and_serial(world: StirWorld) -> None:
    leaf, other = world.leaf().leaf, world.leaf().leaf
    found = read(world, list_of(world.issuer).der(leaf))
    assert found.revocation(leaf) == "keyCompromise"
    assert found.revocation(other) is None
    assert (found.size, found.indirect, found.points) == (1, False, None)
    assert (found.this_update, found.next_update) == (NOW - 600, NOW + DAY)


def test_the_same_serial_of_another_issuer_is_another_certificate(world: StirWorld) -> None:
    elsewhere = make_intermediate(world.root, "Elsewhere", NOW)
    leaf = world.leaf().leaf
    found = read(world, list_of(world.issuer).der(leaf))
    key = name_key(elsewhere.certificate.subject)
    assert key not in found.entries


def test_a_list_in_pem_is_read_like_one_in_der(world: StirWorld) -> None:
    der = list_of(world.issuer).der(world.credential.leaf)
    pem = x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM)
    assert read(world, pem) == read(world, der)


def test_an_entry_without_reason_is_revoked_all_the_same(world: StirWorld) -> None:
    found = read(world, list_of(world.issuer).der(world.credential.leaf, reason=None))
    assert found.revocation(world.credential.leaf) == "unspecified"


def test_an_expired_list_is_read_because_it_may_still_revoke(world: StirWorld) -> None:
    der = list_of(world.issuer).der(world.credential.leaf, next_update=NOW - 1)
    assert read(world, der).revocation(world.credential.leaf)


@pytest.mark.parametrize(
    "name", ["TEST STI ISSUING CA", " Test  STI Issuing CA ", "test sti issuing ca"]
)
def test_names_are_compared_without_regard_to_case_and_spaces(world: StirWorld, name: str) -> None:
    assert name_key(named(name)) == name_key(world.issuer.certificate.subject)
    assert name_key(named("Other")) != name_key(world.issuer.certificate.subject)


def test_an_indirect_list_names_the_issuer_once_for_the_entries_that_follow(
    world: StirWorld,
) -> None:
    first, second = named("First CA"), named("Second CA")
    reason = (x509.CRLReason(x509.ReasonFlags.superseded), False)
    maker = ListMaker(
        world.root.certificate.subject,
        world.root.key,
        extensions=[issuing_point(indirect=True)],
        entries=[
            (1, []),
            (2, [issued_by(first)]),
            (3, [reason]),
            (4, [issued_by(second), reason]),
            (5, []),
            (2, []),
        ],
    )
    found = load_revocation_list(maker.der(), (world.root.certificate,), NOW)
    assert found.indirect
    assert found.entries == {
        name_key(world.root.certificate.subject): {1: "unspecified"},
        name_key(first): {2: "unspecified", 3: "superseded"},
        name_key(second): {4: "superseded", 5: "unspecified", 2: "unspecified"},
    }


def no_next_update(world: StirWorld) -> bytes:
    """DER without nextUpdate: the second time of the list taken out, lengths and signature redone.

    The library makes no such list, so that its octets are put together by hand.
    """
    name = world.issuer.certificate.subject.public_bytes()
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    stamp = datetime.datetime.fromtimestamp(NOW, datetime.UTC).strftime("%y%m%d%H%M%SZ").encode()
    signed = tlv(0x30, b"\x02\x01\x01" + algorithm + name + tlv(0x17, stamp))
    signature = world.issuer.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, signed + algorithm + tlv(0x03, b"\x00" + signature))


def tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    length = octets if size < 128 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + value


def by_a_namesake(world: StirWorld) -> bytes:
    return list_of(make_root("Test STI Issuing CA", NOW)).der()


def by_somebody_else(world: StirWorld) -> bytes:
    return list_of(world.root).der()


def altered(world: StirWorld) -> bytes:
    der = list_of(world.issuer).der(world.credential.leaf)
    serial = world.credential.leaf.serial_number.to_bytes(20, "big").lstrip(b"\0")
    assert der.count(serial) == 1
    return der.replace(serial, serial[:-1] + bytes([serial[-1] ^ 1]))


def with_extension(*added: tuple[x509.ExtensionType, bool]) -> Callable[[StirWorld], bytes]:
    return lambda world: list_of(world.issuer).der(extensions=added)


def with_entry(*added: tuple[x509.ExtensionType, bool]) -> Callable[[StirWorld], bytes]:
    return lambda world: list_of(world.issuer).der(entries=[(7, added)])


UNUSABLE: dict[str, tuple[Callable[[StirWorld], bytes], str]] = {
    "empty": (lambda _: b"", "not a certificate revocation list"),
    "a web page": (lambda _: b"<html></html>", "not a certificate revocation list"),
    "cut off": (lambda w: list_of(w.issuer).der()[:-9], "not a certificate revocation list"),
    "a certificate": (lambda w: w.issuer.certificate_pem, "not a certificate revocation list"),
    "trailing octets": (
        lambda w: list_of(w.issuer).der() + b"\0",
        "not a certificate revocation list",
    ),
    "signed by a namesake": (by_a_namesake, "its signature is not by"),
    "signed by somebody else": (by_somebody_else, "who is not the one to ask"),
    "altered": (altered, "its signature is not by"),
    "from the future": (
        lambda w: list_of(w.issuer).der(this_update=NOW + 3600),
        "in the future",
    ),
    "without nextUpdate": (no_next_update, "no nextUpdate"),
    "a delta list": (with_extension((x509.DeltaCRLIndicator(3), True)), "a delta list"),
    "an unknown critical extension": (with_extension((UNKNOWN, True)), "critical extension 1.2.3"),
    "for some reasons": (
        with_extension(issuing_point(reasons=frozenset({x509.ReasonFlags.key_compromise}))),
        "some reasons only",
    ),
    "of attribute certificates": (
        with_extension(issuing_point(attributes=True)),
        "attribute certificates",
    ),
    "an unknown critical entry extension": (
        with_entry((UNKNOWN, True)),
        "critical entry extension 1.2.3",
    ),
    "an entry issued by an address": (
        with_entry((x509.CertificateIssuer([x509.DNSName("ca.example")]), True)),
        "no directory name",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_list_is_as_if_not_there_when_it_is(world: StirWorld, case: str) -> None:
    make, text = UNUSABLE[case]
    with pytest.raises(UnusableList, match=text):
        read(world, make(world))


def test_extensions_that_are_not_critical_do_no_harm(world: StirWorld) -> None:
    der = list_of(world.issuer).der(
        extensions=[(UNKNOWN, False), (x509.CRLNumber(7), False)],
        entries=[(7, [(UNKNOWN, False)])],
    )
    assert read(world, der).size == 1


def test_a_signer_without_crl_sign_or_out_of_date_signs_nothing(world: StirWorld) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for usage, not_after, text in (
        (True, NOW + DAY, "may not sign lists"),
        (None, NOW - 1, "not valid now"),
    ):
        signer = make_certificate(
            world.root, key=key.public_key(), name="Lists", usage=usage, not_after=not_after
        )
        der = ListMaker(signer.subject, key).der()
        with pytest.raises(UnusableList, match=text):
            load_revocation_list(der, (signer,), NOW)


@pytest.mark.parametrize(
    ("scope", "leaf", "authority"),
    [
        ([], True, True),
        ([issuing_point(user=True)], True, False),
        ([issuing_point(ca=True)], False, True),
    ],
)
def test_the_scope_of_a_list(
    world: StirWorld,
    scope: list[tuple[x509.ExtensionType, bool]],
    leaf: bool,
    authority: bool,
) -> None:
    found = read(world, list_of(world.issuer).der(extensions=scope))
    assert found.covers(authority=False, points=None) is leaf
    assert found.covers(authority=True, points=None) is authority


def test_a_list_of_another_distribution_point_does_not_cover(world: StirWorld) -> None:
    point = issuing_point(url=LIST_URL, user=True)
    found = read(world, list_of(world.issuer).der(extensions=[point]))
    assert found.covers(authority=False, points=frozenset({LIST_URL, "ldap://x"}))
    assert not found.covers(authority=False, points=frozenset({LIST_URL + "2"}))
    assert found.covers(authority=False, points=None)


def test_a_long_list_is_read_in_steps(world: StirWorld) -> None:
    der = list_of(world.issuer).der(entries=[(number + 1, []) for number in range(950)])
    signers = load_certificates(world.issuer.certificate_pem)
    assert len(list(read_revocation_list(der, signers, NOW))) == 10
    assert load_revocation_list(der, signers, NOW).size == 950


def test_a_name_that_breaks_a_rule_of_its_type_is_no_matter_of_ours(world: StirWorld) -> None:
    """The library warns of a country of more than two letters; nobody is to see that."""
    good = list_of(world.issuer).der()
    common_name, country = bytes.fromhex("0603550403"), bytes.fromhex("0603550406")
    assert common_name in good
    with pytest.raises(UnusableList, match="who is not the one to ask"):
        read(world, good.replace(common_name, country))
