"""The JSON web signatures of ACME (RFC 8555 section 6.2), in flattened JSON serialisation."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

from stir.acme.account_key import AccountKey
from stir.passport import encode_part
from stir.strict_json import canonical

_Signer = Callable[[bytes], bytes]


def signed_request(
    key: AccountKey,
    url: str,
    payload: Mapping[str, object] | None,
    *,
    nonce: str | None,
    account_url: str | None,
) -> bytes:
    """Return the body of a POST: `payload` None makes a POST-as-GET (RFC 8555 section 6.3).

    Without `account_url` the key itself stands in the header, as newAccount wants. The nonce is
    left out only of the inner signature of a key change (section 7.3.5).
    """
    header: dict[str, object] = {"alg": "ES256", "url": url}
    if nonce is not None:
        header["nonce"] = nonce
    if account_url is None:
        header["jwk"] = key.jwk
    else:
        header["kid"] = account_url
    return canonical(_flattened(header, payload, key.sign))


def external_account_binding(
    key: AccountKey, url: str, key_identifier: str, mac_key: bytes
) -> dict[str, object]:
    """Bind an account to one the authority knows otherwise (RFC 8555 section 7.3.4), by HS256.

    `url` is newAccount's; `key_identifier` and `mac_key` come from the authority.
    """
    header: dict[str, object] = {"alg": "HS256", "kid": key_identifier, "url": url}

    def authenticate(octets: bytes) -> bytes:
        return hmac.new(mac_key, octets, hashlib.sha256).digest()

    return dict(_flattened(header, key.jwk, authenticate))


def key_change(old: AccountKey, new: AccountKey, url: str, account_url: str) -> dict[str, object]:
    """Return the payload of a key change: the new key signs who replaces whom (section 7.3.5)."""
    header: dict[str, object] = {"alg": "ES256", "jwk": new.jwk, "url": url}
    payload = {"account": account_url, "oldKey": old.jwk}
    return dict(_flattened(header, payload, new.sign))


def _flattened(
    header: Mapping[str, object],
    payload: Mapping[str, object] | None,
    sign: _Signer,
) -> dict[str, object]:
    protected = encode_part(canonical(header))
    body = "" if payload is None else encode_part(canonical(payload))
    signature = encode_part(sign(f"{protected}.{body}".encode("ascii")))
    return {"protected": protected, "payload": body, "signature": signature}
