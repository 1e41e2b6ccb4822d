"""The development authority: what it issues is fit, and verifies."""

import pytest
from cryptography import x509

from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    is_authority,
    key_name,
    load_certificates,
    load_credential,
    match_key,
    tn_auth_list_of,
    unfitness,
)
from stir.certificates.chain import PathBuilder
from stir.certificates.issuing import (
    issue_sti_certificate,
    issue_tls_certificate,
    load_authority,
    make_csr,
    new_key,
    read_csr,
    to_pem,
)
from stir.certificates.tn_auth_list import One, Range, Spc, TnAuthList
from tests.support.stir_authority import NOW, StirWorld

LIST = TnAuthList((Spc("TEST"), One("14155550100"), Range("14155550110", 10)))


def test_an_sti_certificate_is_fit_and_chains(world: StirWorld) -> None:
    issued = issue_sti_certificate(world.issuer, LIST, NOW, dns_names=["sti.alpha.example"])
    credential = load_credential(issued.chain_pem)
    assert unfitness(credential.leaf, NOW) == ()
    assert credential.tn_auth_list == LIST
    path = PathBuilder(world.root.certificates).find(credential)
    assert path.problem is None
    assert path.certificates[-1] == world.root.certificate
    assert len(credential.certificates) == 2, "the root is not served"


def test_a_tls_certificate_has_its_names_and_no_numbers(world: StirWorld) -> None:
    issued = issue_tls_certificate(
        world.issuer,
        NOW,
        dns_names=["beta.example"],
        addresses=["127.0.0.1", "::1"],
        uris=["sip:beta.example"],
    )
    names = issued.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["beta.example"]
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == ["sip:beta.example"]
    assert len(names.value.get_values_for_type(x509.IPAddress)) == 2
    assert [p.reason.code for p in unfitness(issued.certificate, NOW)] == ["authority_missing"]
    with pytest.raises(ValueError, match="needs a DNS name"):
        issue_tls_certificate(world.issuer, NOW)


def test_a_request_is_answered_for_its_own_key(world: StirWorld) -> None:
    key = new_key()
    request = read_csr(make_csr(key, "SHAKEN 709J", LIST, ["sti.alpha.example"]))
    assert request.name == "SHAKEN 709J"
    assert request.tn_auth_list == LIST
    assert request.dns_names == ("sti.alpha.example",)
    issued = issue_sti_certificate(world.issuer, LIST, NOW, public_key=request.public_key)
    assert issued.key_pem is None
    match_key(key, issued.certificate)
    with pytest.raises(KeyMismatch):
        match_key(new_key(), issued.certificate)


@pytest.mark.parametrize("data", [b"", b"junk", b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n"])
def test_junk_is_no_request(data: bytes) -> None:
    with pytest.raises(MalformedCredential):
        read_csr(data)


def test_an_authority_survives_its_files(world: StirWorld) -> None:
    pem = to_pem(world.issuer.certificates)
    again = load_authority(pem, world.issuer.key_pem)
    assert again.certificates == world.issuer.certificates
    with pytest.raises(KeyMismatch):
        load_authority(pem, world.root.key_pem)


def test_authorities_say_what_they_are(world: StirWorld) -> None:
    assert is_authority(world.root.certificate)
    assert not is_authority(world.credential.leaf)
    assert key_name(world.root.certificate) == "EC secp256r1"
    assert tn_auth_list_of(world.root.certificate) is None


def test_a_certificate_of_an_impossible_version_is_malformed(world: StirWorld) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    der = world.credential.leaf.public_bytes(Encoding.DER)
    assert b"\xa0\x03\x02\x01\x02" in der
    with pytest.raises(MalformedCredential):
        load_certificates(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1))
