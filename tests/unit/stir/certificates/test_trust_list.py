"""The policy administrator's list: signed, no older than the last, and of authorities only."""

import json
from base64 import b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificates.issuing import make_root, to_pem
from stir.certificates.trust_list import TrustListRefused, open_trust_list
from tests.support.stir_authority import NOW, StirWorld
from tests.support.trust_lists import Administrator

DAY = 86_400


@pytest.fixture(scope="module")
def administrator() -> Administrator:
    return Administrator(make_root("STI-PA Root", NOW))


@pytest.fixture(scope="module")
def roots() -> list[x509.Certificate]:
    return [make_root(f"STI-CA {number}", NOW).certificate for number in range(3)]


def test_a_list_gives_its_roots(
    administrator: Administrator, roots: list[x509.Certificate]
) -> None:
    found = administrator.read(administrator.signed([*roots, roots[0]]))
    assert found.anchors == tuple(roots)
    assert (found.version, found.sequence, found.expires) == ("1.0", 7, NOW + DAY)


def test_it_may_be_wrapped_as_the_administrator_s_interface_does(
    administrator: Administrator, roots: list[x509.Certificate]
) -> None:
    inner = administrator.signed(roots).decode()
    wrapped = json.dumps({"status": "success", "message": "", "caList": inner}).encode()
    assert administrator.read(wrapped).anchors == tuple(roots)
    assert administrator.read(f"  {inner}\n".encode()).anchors == tuple(roots)


def test_the_signer_may_be_vouched_for_by_the_configured_certificate(
    administrator: Administrator, roots: list[x509.Certificate]
) -> None:
    trusted = administrator.root.certificates
    chain = to_pem([administrator.certificate])
    url = "https://pa.example/signer.pem"
    data = administrator.signed(roots, header={"x5u": url})
    assert open_trust_list(data).signer_url == url
    assert administrator.read(data, trusted=trusted, chain=chain).sequence == 7
    der = b64encode(administrator.certificate.public_bytes(Encoding.DER)).decode()
    carried = administrator.signed(roots, header={"x5c": [der]})
    assert administrator.read(carried, trusted=trusted).sequence == 7
    with pytest.raises(TrustListRefused, match="not signed by"):
        administrator.read(data, trusted=trusted)


def test_a_pinned_signer_needs_no_chain_whatever_the_list_carries(
    administrator: Administrator, roots: list[x509.Certificate], world: StirWorld
) -> None:
    stranger = b64encode(world.credential.leaf.public_bytes(Encoding.DER)).decode()
    data = administrator.signed(roots, header={"x5c": [stranger]})
    assert administrator.read(data).sequence == 7


def test_a_signer_nobody_vouches_for(
    administrator: Administrator, roots: list[x509.Certificate], world: StirWorld
) -> None:
    trusted = administrator.root.certificates
    data = administrator.signed(roots, key=world.key)
    with pytest.raises(TrustListRefused, match="not signed by"):
        administrator.read(data)
    with pytest.raises(TrustListRefused, match="chain_untrusted"):
        administrator.read(data, trusted=trusted, chain=to_pem([world.credential.leaf]))
    old = to_pem([administrator.certified(not_after=NOW - 1)])
    with pytest.raises(TrustListRefused, match="credential_expired"):
        administrator.read(administrator.signed(roots), trusted=trusted, chain=old)
    expired = administrator.certified(not_after=NOW - 1)
    with pytest.raises(TrustListRefused, match="not signed by"):
        administrator.read(administrator.signed(roots), trusted=[expired])


def test_an_older_list_is_refused_and_another_of_the_same_number(
    administrator: Administrator, roots: list[x509.Certificate]
) -> None:
    data = administrator.signed(roots)
    last = administrator.read(data)
    assert administrator.read(data, last=last) == last
    assert administrator.read(administrator.signed(roots, sequence=8), last=last).sequence == 8
    with pytest.raises(TrustListRefused, match="older"):
        administrator.read(administrator.signed(roots, sequence=6), last=last)
    with pytest.raises(TrustListRefused, match="same sequence"):
        administrator.read(administrator.signed(roots[:1]), last=last)


def test_after_its_exp_a_list_is_only_good_to_be_kept(
    administrator: Administrator, roots: list[x509.Certificate]
) -> None:
    data = administrator.signed(roots, expires=int(NOW) - 1)
    with pytest.raises(TrustListRefused, match="expired 1 s ago"):
        administrator.read(data)
    assert administrator.read(data, expired=True).expires == NOW - 1
    assert administrator.read(administrator.signed(roots, expires=None)).expires is None


BAD: dict[str, dict[str, object]] = {
    "no sequence": {"sequence": None},
    "a sequence in text": {"sequence": "7"},
    "a negative sequence": {"sequence": -1},
    "exp in text": {"expires": "tomorrow"},
    "no roots": {"trustList": []},
    "no list of roots": {"trustList": None},
    "one text for a list": {"trustList": "-----BEGIN CERTIFICATE-----"},
    "roots that are none": {"trustList": ["root"]},
    "roots that are numbers": {"trustList": [1]},
    "too many roots": {"trustList": ["root"] * 501},
    "alg none": {"header": {"alg": "none"}},
    "alg HS256": {"header": {"alg": "HS256"}},
    "crit": {"header": {"crit": ["exp"]}},
    "x5c of nothing": {"header": {"x5c": []}, "key": ec.generate_private_key(ec.SECP256R1())},
    "x5c of text": {"header": {"x5c": ["?"]}, "key": ec.generate_private_key(ec.SECP256R1())},
    "x5c of other octets": {
        "header": {"x5c": ["AAAA"]},
        "key": ec.generate_private_key(ec.SECP256R1()),
    },
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_list(administrator: Administrator, roots: list[x509.Certificate], case: str) -> None:
    with pytest.raises(TrustListRefused):
        administrator.read(administrator.signed(roots, **BAD[case]))  # type: ignore[arg-type]


def test_a_root_that_is_no_authority(administrator: Administrator, world: StirWorld) -> None:
    with pytest.raises(TrustListRefused, match="not an authority"):
        administrator.read(administrator.signed([world.credential.leaf]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"{",
        b'{"caList": 1}',
        b"a.b",
        b"a.b.c.d",
        b"\xff",
        b"e30.e30.e30",
        b"eyJhbGciOiJFUzI1NiJ9.e30.",
        b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        b"-----BEGIN CERTIFICATE-----",
        b"." * 1_048_577,
    ],
)
def test_what_is_no_list(administrator: Administrator, data: bytes) -> None:
    with pytest.raises(TrustListRefused):
        administrator.read(data)


def test_a_rewritten_payload(administrator: Administrator, roots: list[x509.Certificate]) -> None:
    one, two = (administrator.signed(found).split(b".") for found in (roots, roots[:1]))
    with pytest.raises(TrustListRefused, match="not signed by"):
        administrator.read(b".".join((one[0], two[1], one[2])))
