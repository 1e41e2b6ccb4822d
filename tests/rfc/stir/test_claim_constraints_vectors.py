"""Claim constraints octet for octet (RFC 8226 section 8, RFC 9118 sections 4 and 6)."""

import pytest

from stir.certificates.certificate import load_certificates, tn_auth_list_of
from stir.certificates.claim_constraints import (
    ClaimConstraints,
    MalformedConstraints,
    build_claim_constraints,
    constraints_of,
    parse_claim_constraints,
)
from stir.certificates.tn_auth_list import Spc, TnAuthList

# The certificate of RFC 9118 section 6, figure 1.
RFC_9118 = b"""-----BEGIN CERTIFICATE-----
MIICpzCCAk2gAwIBAgIUH7Zd3rQ5AsvOlzLnzUHhrVhDSlswCgYIKoZIzj0EAwIw
KTELMAkGA1UEBhMCVVMxGjAYBgNVBAMMEUJPR1VTIFNIQUtFTiBST09UMB4XDTIx
MDcxNTIxNTIxNVoXDTIyMDcxNTIxNTIxNVowbDELMAkGA1UEBhMCVVMxCzAJBgNV
BAgMAlZBMRAwDgYDVQQHDAdIZXJuZG9uMR4wHAYDVQQKDBVCb2d1cyBFeGFtcGxl
IFRlbGVjb20xDTALBgNVBAsMBFZvSVAxDzANBgNVBAMMBlNIQUtFTjBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNR6C6nBWRA/fXTglV03aXkXy8hx9oBttVLhsTZ1
IYVRBao4OZhVf/Xv1a3xLsZ6KfdhuylSeAKuCoSbVGojYDGjggEOMIIBCjAMBgNV
HRMBAf8EAjAAMA4GA1UdDwEB/wQEAwIHgDAdBgNVHQ4EFgQUDlG3dxHyzKL/FZfS
PI7rpuueRbswHwYDVR0jBBgwFoAUlToKtrQeFrwwyXpMj1qu3TQEeoEwQgYJYIZI
AYb4QgENBDUWM1RoaXMgY2VydGlmaWNhdGUgY2Fubm90IGJlIHRydXN0ZWQgZm9y
IGFueSBwdXJwb3NlLjAWBggrBgEFBQcBGgQKMAigBhYEMTIzNDBOBggrBgEFBQcB
IQRCMECgDjAMFgpjb25maWRlbmNloSAwHjAcFgpjb25maWRlbmNlMA4MBGhpZ2gM
Bm1lZGl1baIMMAoWCHByaW9yaXR5MAoGCCqGSM49BAMCA0gAMEUCIQCbNR4QK1um
+0vq2CE1B1/W3avYeREsPi/7RKHffL+5eQIgarHot+X9Rl7SOyNBq5X5JyEMx0SQ
hRLkCY3Zoz2OCNQ=
-----END CERTIFICATE-----
"""
CONFIDENCE = "636f6e666964656e6365"
EXAMPLE = (
    f"3040 a00e 300c 160a {CONFIDENCE}"
    f"a120 301e 301c 160a {CONFIDENCE} 300e 0c04 68696768 0c06 6d656469756d"
    "a20c 300a 1608 7072696f72697479"
)
SAID = ClaimConstraints(
    must_include=("confidence",),
    permitted_values=(("confidence", ("high", "medium")),),
    must_exclude=("priority",),
)


def test_the_certificate_of_rfc_9118() -> None:
    (certificate,) = load_certificates(RFC_9118)
    assert constraints_of(certificate) == (SAID,)
    assert tn_auth_list_of(certificate) == TnAuthList((Spc("1234"),))


def test_its_octets_are_written_as_they_are_read() -> None:
    octets = bytes.fromhex(EXAMPLE)
    assert parse_claim_constraints(octets, enhanced=True) == SAID
    assert build_claim_constraints(SAID, enhanced=True) == octets
    with pytest.raises(MalformedConstraints):
        parse_claim_constraints(octets, enhanced=False)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        ("3009 a007 3005 1603 666f6f", ClaimConstraints(must_include=("foo",))),
        (
            "300f a10d 300b 3009 1601 61 3004 0c02 c3a9",
            ClaimConstraints(permitted_values=(("a", ("é",)),)),
        ),
    ],
)
def test_the_constraints_of_rfc_8226(octets: str, said: ClaimConstraints) -> None:
    assert parse_claim_constraints(bytes.fromhex(octets), enhanced=False) == said
    assert parse_claim_constraints(bytes.fromhex(octets), enhanced=True) == said
    assert build_claim_constraints(said, enhanced=False) == bytes.fromhex(octets)


BAD = {
    "nothing": "",
    "no constraint": "3000",
    "not a sequence": "3107 a005 3003 1601 61",
    "trailing octets": "3007 a005 3003 1601 61 00",
    "an empty list of names": "3004 a002 3000",
    "an empty list of values": "300b a109 3007 3005 1601 61 3000",
    "an empty list of claims": "3004 a102 3000",
    "implicit tags": "3005 a003 1601 61",
    "an unknown part": "3007 a305 3003 1601 61",
    "parts out of order": "300e a205 3003 1601 61 a005 3003 1601 62",
    "a part twice": "300e a005 3003 1601 61 a005 3003 1601 62",
    "an empty name": "3006 a004 3002 1600",
    "a name as UTF8String": "3007 a005 3003 0c01 61",
    "a name twice": "300a a008 3006 1601 61 1601 61",
    "values as IA5String": "300e a10c 300a 3008 1601 61 3003 1601 62",
    "a value that is no UTF-8": "300e a10c 300a 3008 1601 61 3003 0c01 ff",
    "values for one claim twice": "3018 a116 3014"
    "3008 1601 61 3003 0c01 62 3008 1601 61 3003 0c01 62",
    "a claim without values": "3009 a107 3005 3003 1601 61",
    "a set of a claim and values": "300e a10c 300a 3108 1601 61 3003 0c01 62",
    "iat excluded": "3009 a207 3005 1603 696174",
    "orig excluded": "300a a208 3006 1604 6f726967",
}


@pytest.mark.parametrize("name", BAD)
def test_other_octets_are_malformed(name: str) -> None:
    with pytest.raises(MalformedConstraints):
        parse_claim_constraints(bytes.fromhex(BAD[name]), enhanced=True)


def test_more_than_16_kilobytes_are_malformed() -> None:
    with pytest.raises(MalformedConstraints, match="longer"):
        parse_claim_constraints(b"\x30" * 16_385, enhanced=True)


@pytest.mark.parametrize(
    "said",
    [
        ClaimConstraints(),
        ClaimConstraints(must_include=("é",)),
        ClaimConstraints(must_include=("a", "a")),
        ClaimConstraints(must_exclude=("dest",)),
        ClaimConstraints(permitted_values=(("a", ()),)),
    ],
)
def test_impossible_constraints_are_not_written(said: ClaimConstraints) -> None:
    with pytest.raises(MalformedConstraints):
        build_claim_constraints(said, enhanced=True)
