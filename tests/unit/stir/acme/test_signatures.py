"""Account keys, signatures and tokens, by the examples of the RFCs where they have some."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from stir.acme.account_key import AccountKey, jwk_thumbprint
from stir.acme.authority_token import (
    RFC_9448,
    AuthorityTokenRequest,
    Dialect,
    UnfitToken,
    check_token,
    same_list,
)
from stir.acme.jws import external_account_binding, key_change, signed_request
from stir.certificates.issuing import key_to_pem, new_key
from stir.certificates.tn_auth_list import One, Range, Spc, TnAuthList, build_tn_auth_list
from stir.passport import encode_part
from tests.support.acme_resources import public_key
from tests.support.stir_authority import NOW
from tests.support.token_authority import TokenAuthority, b64url, unb64url, verify_es256

# RFC 7638 section 3.1
RSA_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
    "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
    "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
    "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
# RFC 7515 appendix A.3.1
D = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
X = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
Y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
URL = "https://acme.sti-ca.example/order/1"


def rfc_key() -> AccountKey:
    secret = int.from_bytes(unb64url(D), "big")
    return AccountKey(ec.derive_private_key(secret, ec.SECP256R1()))


@pytest.mark.rfc("7638", "3.1")
def test_the_thumbprint_of_the_rfcs_example_comes_out() -> None:
    required = {"e": "AQAB", "kty": "RSA", "n": RSA_MODULUS}
    assert encode_part(jwk_thumbprint(required)) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.rfc("7515", "A.3.1")
def test_a_keys_jwk_is_the_rfcs_example() -> None:
    key = rfc_key()
    assert key.jwk == {"crv": "P-256", "kty": "EC", "x": X, "y": Y}
    members = f'{{"crv":"P-256","kty":"EC","x":"{X}","y":"{Y}"}}'
    assert key.thumbprint == hashlib.sha256(members.encode()).digest()
    assert D not in repr(key)


def test_a_key_is_loaded_from_pem_and_signs_what_its_jwk_verifies() -> None:
    key = AccountKey.load(key_to_pem(new_key()))
    assert verify_es256(public_key(key.jwk), key.sign(b"octets"), b"octets")


@pytest.mark.rfc("8555", "6.2")
@pytest.mark.parametrize("account", [None, "https://acme.sti-ca.example/account/1"])
def test_a_request_is_signed_with_url_nonce_and_either_key_or_account(account: str | None) -> None:
    key = rfc_key()
    body = json.loads(signed_request(key, URL, {"a": 1}, nonce="n0", account_url=account))
    header = json.loads(unb64url(body["protected"]))
    who = {"jwk": key.jwk} if account is None else {"kid": account}
    assert header == {"alg": "ES256", "nonce": "n0", "url": URL, **who}
    assert json.loads(unb64url(body["payload"])) == {"a": 1}
    octets = f"{body['protected']}.{body['payload']}".encode()
    assert verify_es256(public_key(key.jwk), unb64url(body["signature"]), octets)


@pytest.mark.rfc("8555", "6.3")
def test_a_post_as_get_has_an_empty_payload_and_not_an_empty_object() -> None:
    body = json.loads(signed_request(rfc_key(), URL, None, nonce="n0", account_url=URL))
    assert body["payload"] == ""


@pytest.mark.rfc("8555", "7.3.4")
def test_an_external_binding_is_a_mac_over_the_account_key_without_nonce() -> None:
    key = rfc_key()
    binding: dict[str, Any] = external_account_binding(key, URL, "customer-7", b"secret")
    assert json.loads(unb64url(binding["protected"])) == {
        "alg": "HS256",
        "kid": "customer-7",
        "url": URL,
    }
    assert json.loads(unb64url(binding["payload"])) == key.jwk
    octets = f"{binding['protected']}.{binding['payload']}".encode()
    assert unb64url(binding["signature"]) == hmac.digest(b"secret", octets, "sha256")


@pytest.mark.rfc("8555", "7.3.5")
def test_a_key_change_is_signed_by_the_new_key_and_names_the_old_one() -> None:
    old, new = rfc_key(), AccountKey(new_key())
    change: dict[str, Any] = key_change(old, new, URL, "https://acme.sti-ca.example/account/1")
    header = json.loads(unb64url(change["protected"]))
    assert header == {"alg": "ES256", "jwk": new.jwk, "url": URL}
    assert json.loads(unb64url(change["payload"]))["oldKey"] == old.jwk
    octets = f"{change['protected']}.{change['payload']}".encode()
    assert verify_es256(public_key(new.jwk), unb64url(change["signature"]), octets)


@pytest.mark.rfc("9448", "3")
def test_the_identifier_is_the_der_of_the_list_in_the_encoding_asked_for() -> None:
    listed = TnAuthList((Spc("1234"), Range("14155550100", 100), One("12125550123")))
    der = build_tn_auth_list(listed.entries)
    assert RFC_9448.identifier_value(listed) == b64url(der)
    assert Dialect(encoding="base64").identifier_value(listed) == b64encode(der).decode()
    assert same_list(b64url(der), b64encode(der).decode())
    # the example of a provider's documentation: one code
    assert Dialect(encoding="base64").identifier_value(TnAuthList((Spc("818H"),))) == (
        "MAigBhYEODE4SA=="
    )


@pytest.mark.rfc("9448", "5.4")
def test_the_fingerprint_is_the_thumbprint_in_colons_or_the_public_keys() -> None:
    key = rfc_key()
    expected = ":".join(f"{octet:02X}" for octet in key.thumbprint)
    assert RFC_9448.fingerprint(key) == f"SHA256 {expected}"
    other = Dialect(fingerprint_of="public-key").fingerprint(key)
    assert other == "SHA256 " + ":".join(f"{octet:02X}" for octet in key.public_key_digest)
    assert other != RFC_9448.fingerprint(key)


REQUEST = AuthorityTokenRequest(
    RFC_9448.identifier_value(TnAuthList((Spc("TEST"),))), RFC_9448.fingerprint(rfc_key())
)
AUTHORITY = TokenAuthority(lambda: NOW)
OTHER_LIST = RFC_9448.identifier_value(TnAuthList((Spc("ELSE"),)))
OTHER_KEY = RFC_9448.fingerprint(AccountKey(new_key()))
PADDED = Dialect(encoding="base64").identifier_value(TnAuthList((Spc("TEST"),)))


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"tktype": "TnAuthList"},
        {"ca": None},
        {"fingerprint": REQUEST.fingerprint.lower().replace("sha256", "SHA256")},
        {"fingerprint": "SHA256 " + REQUEST.fingerprint[7:].replace(":", "")},
        {"tkvalue": PADDED},
    ],
)
def test_a_token_for_this_key_and_list_is_taken_however_it_is_spelt(claim: dict[str, Any]) -> None:
    check_token(AUTHORITY.token({**REQUEST.claim(), **claim}), REQUEST, NOW)


@pytest.mark.parametrize(
    ("claim", "changes", "why"),
    [
        ({}, {"exp": int(NOW) - 1}, "expired"),
        ({}, {"exp": int(NOW) + 2}, "expired"),
        ({}, {"exp": None}, "'exp'"),
        ({}, {"exp": True}, "'exp'"),
        ({}, {"atc": None}, "'atc'"),
        ({}, {"atc": "TNAuthList"}, "'atc'"),
        ({"tktype": "dns"}, {}, "tktype"),
        ({"tktype": 7}, {}, "tktype"),
        ({"tkvalue": OTHER_LIST}, {}, "another TNAuthList"),
        ({"tkvalue": "MA"}, {}, "another TNAuthList"),
        ({"tkvalue": None}, {}, "another TNAuthList"),
        ({"ca": True}, {}, "'ca'"),
        ({"fingerprint": OTHER_KEY}, {}, "another account key"),
        ({"fingerprint": "SHA256 AB"}, {}, "another account key"),
        ({"fingerprint": None}, {}, "another account key"),
    ],
)
def test_a_token_the_authority_would_refuse_is_not_sent(
    claim: dict[str, Any], changes: dict[str, Any], why: str
) -> None:
    token = AUTHORITY.token({**REQUEST.claim(), **claim}, **changes)
    with pytest.raises(UnfitToken, match=why) as refused:
        check_token(token, REQUEST, NOW)
    assert token not in str(refused.value)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "{}", "x" * 20_000, "\ud800.a.b"])
def test_what_is_no_token_at_all_is_told_so(token: str) -> None:
    with pytest.raises(UnfitToken, match="JSON web token"):
        check_token(token, REQUEST, NOW)
