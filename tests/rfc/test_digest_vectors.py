"""Digest: the worked examples of RFC 7616 section 3.9 and of RFC 2617 section 3.5."""

import pytest

from sip.digest import digest_response, hash_a1
from sip.digest_fields import Algorithm, Challenge, parse_digest

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.rfc("7616", "3.9.1")
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_comes_out(algorithm: Algorithm, response: str) -> None:
    a1 = hash_a1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert response == digest_response(
        algorithm,
        a1,
        method="GET",
        uri="/dir/index.html",
        nonce=NONCE,
        nonce_count="00000001",
        cnonce=CNONCE,
    )


@pytest.mark.rfc("7616", "3.9.2")
def test_the_example_with_sha_512_256_has_the_hash_of_its_erratum() -> None:
    # Erratum 4897: the RFC printed a SHA-512 cut to 256 bits; these are SHA-512/256 values.
    a1 = hash_a1("SHA-512-256", "J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?")
    assert len(a1) == 64
    assert (
        digest_response(
            "SHA-512-256",
            a1,
            method="GET",
            uri="/doe.json",
            nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            nonce_count="00000001",
            cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        )
        == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    )


@pytest.mark.rfc("2617", "3.5")
def test_the_old_example_comes_out_too() -> None:
    a1 = hash_a1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
    assert (
        digest_response(
            "MD5",
            a1,
            method="GET",
            uri="/dir/index.html",
            nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
            nonce_count="00000001",
            cnonce="0a4f113b",
        )
        == "6629fae49393a05397450978507c4ef1"
    )


@pytest.mark.rfc("7616", "3.9.1")
def test_the_header_fields_of_the_example_are_read() -> None:
    challenge = Challenge.parse(
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
        f'nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert challenge is not None
    assert (challenge.algorithm, challenge.nonce) == ("SHA-256", NONCE)
    fields = parse_digest(
        'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
        f'algorithm=MD5, nonce="{NONCE}", nc=00000001, cnonce="{CNONCE}", qop=auth, '
        'response="8ca523f5e9506fed4657c9700eebdbec", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert fields is not None
    assert (fields.username, fields.nonce_count, fields.qop) == ("Mufasa", "00000001", "auth")


@pytest.mark.rfc("8760", "2.1")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
def test_the_algorithms_of_rfc_8760_have_hashes_of_their_length(algorithm: Algorithm) -> None:
    assert len(hash_a1(algorithm, "u", "r", "p")) == (32 if algorithm == "MD5" else 64)
