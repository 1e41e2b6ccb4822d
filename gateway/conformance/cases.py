"""The cases, in the order they are run: first what must be accepted, then everything else."""

from __future__ import annotations

from typing import Final

from gateway.conformance.case import Attempt, Case
from gateway.conformance.credentials import (
    BY_LEAF,
    EARLY,
    EXPIRED,
    GARBAGE,
    MISSING,
    NO_LIST,
    OTHER_NUMBER,
    REDIRECT,
    UNTRUSTED,
)
from gateway.conformance.passports import (
    at_url,
    changed,
    compact,
    deeply_nested,
    div_alone,
    forged,
    headed,
    iat_twice,
    info_differs,
    many,
    other_media_keys,
    own_key_inside,
    plain,
    plain_http,
    public_key_as_secret,
    signed_by,
    tampered,
    unknown_beside,
    unsigned,
    with_parameters,
)

_STALE: Final = frozenset({403})
_UNAVAILABLE: Final = frozenset({436})
_UNSUPPORTED: Final = frozenset({437})
_INVALID: Final = frozenset({438})
_BAD: Final = frozenset({400, 438})
_DAY: Final = 86_400

ACCEPTED: Final = (
    Case("valid", "a SHAKEN PASSporT, attestation A", "RFC 8224 6.2", "accepted", changed()),
    Case("valid-c", "attestation C", "RFC 8588 4", "accepted", changed(attest="C")),
    Case(
        "spaces",
        "spaces around the semicolons",
        "RFC 3261 25.1",
        "accepted",
        lambda shop: Attempt((shop.identity(shop.good).replace(";", " ; "),)),
    ),
    Case(
        "quoted-ppt",
        'ppt="shaken" in quotes',
        "RFC 8588 7",
        "accepted",
        with_parameters(';alg=ES256;ppt="shaken"'),
        lenient=True,
    ),
    Case(
        "no-parameters",
        "neither alg nor ppt in the header field",
        "RFC 8224 4.1",
        "accepted",
        with_parameters(""),
        lenient=True,
    ),
    Case("plain", "a plain PASSporT, no ppt", "RFC 8225 4", "accepted", plain, lenient=True),
    Case(
        "unknown-beside",
        "an unknown type beside a valid one",
        "RFC 8224 6.2 step 1",
        "accepted",
        unknown_beside,
    ),
    Case(
        "valid-then-forged",
        "a valid one, then a forged one",
        "RFC 8224 6.2",
        "accepted",
        lambda shop: Attempt((shop.identity(shop.good), forged(shop))),
        lenient=True,
    ),
    Case(
        "forged-then-valid",
        "a forged one, then a valid one",
        "RFC 8224 6.2",
        "accepted",
        lambda shop: Attempt((forged(shop), shop.identity(shop.good))),
        lenient=True,
    ),
)

TOKENS: Final = (
    Case(
        "none",
        "no Identity header field",
        "RFC 8224 6.2.2",
        "refused",
        lambda _: Attempt(()),
        frozenset({428}),
        lenient=True,
    ),
    Case(
        "empty",
        "an empty Identity header field",
        "RFC 8224 4.1",
        "refused",
        lambda _: Attempt(("",)),
        frozenset({400, 428, 438}),
    ),
    Case(
        "garbage",
        "words instead of a token",
        "RFC 8224 4.1",
        "refused",
        lambda _: Attempt(("rubbish",)),
        _BAD,
    ),
    Case(
        "wrong-key",
        "signed with another key",
        "RFC 8224 6.2 step 5",
        "refused",
        lambda shop: Attempt((forged(shop),)),
        _INVALID,
    ),
    Case(
        "tampered", "a claim changed after signing", "RFC 7515 5.2", "refused", tampered, _INVALID
    ),
    Case(
        "alg-none",
        "algorithm none, no signature",
        "RFC 8225 4.2",
        "refused",
        unsigned,
        frozenset({437, 438}),
    ),
    Case(
        "alg-hs256",
        "HMAC with the public certificate as secret",
        "RFC 8225 4.2",
        "refused",
        public_key_as_secret,
        frozenset({437, 438}),
    ),
    Case(
        "own-key",
        "the forger's key inside the token",
        "RFC 8225 4",
        "refused",
        own_key_inside,
        _INVALID,
    ),
    Case(
        "crit",
        "critical header parameters nobody knows",
        "RFC 7515 4.1.11",
        "refused",
        headed(crit=["example"], example=True),
        _INVALID,
    ),
    Case(
        "typ",
        "another kind of JSON Web Token",
        "RFC 8225 4.1",
        "refused",
        headed(typ="JWT"),
        _INVALID,
    ),
    Case("compact", "SHAKEN in compact form", "RFC 8588 7", "refused", compact, _INVALID),
    Case("iat-twice", "a claim that stands twice", "RFC 8259 4", "refused", iat_twice, _INVALID),
    Case("deep", "JSON nested two thousand deep", "RFC 8225 5", "refused", deeply_nested, _BAD),
    Case(
        "no-attest",
        "SHAKEN without attest",
        "RFC 8588 4",
        "refused",
        changed(attest=None),
        _INVALID,
    ),
    Case(
        "many",
        "twenty forged header fields",
        "RFC 8224 4",
        "refused",
        many,
        frozenset({400, 438}),
    ),
)

CALLS: Final = (
    Case(
        "stale",
        "signed five minutes ago",
        "RFC 8224 6.2 step 4",
        "refused",
        changed(iat=-300),
        _STALE,
        lenient=True,
    ),
    Case("old", "signed a day ago", "RFC 8224 6.2 step 4", "refused", changed(iat=-_DAY), _STALE),
    Case(
        "future", "signed a day ahead", "RFC 8224 6.2 step 4", "refused", changed(iat=_DAY), _STALE
    ),
    Case(
        "wrong-orig",
        "the caller is somebody else",
        "RFC 8224 6.2 step 3",
        "refused",
        lambda shop: Attempt((shop.identity(shop.good, orig={"tn": shop.orig[:-2] + "77"}),)),
        frozenset({437, 438}),
    ),
    Case(
        "wrong-dest",
        "signed for another called number",
        "RFC 8224 6.2 step 3",
        "refused",
        lambda shop: Attempt((shop.identity(shop.good, dest={"tn": [shop.dest[:-2] + "77"]}),)),
        _INVALID,
    ),
    Case(
        "replay",
        "the same PASSporT in a second call",
        "RFC 8224 12.1",
        "refused",
        lambda shop: Attempt((shop.identity(shop.good),), again=True),
        _INVALID,
    ),
    Case(
        "media-keys",
        "mky of other fingerprints than the SDP's",
        "RFC 8225 5.2.2",
        "refused",
        other_media_keys,
        _INVALID,
        lenient=True,
    ),
    Case(
        "div-alone",
        "a div PASSporT without the original's",
        "RFC 8946 4.2",
        "refused",
        div_alone,
        frozenset({428, 438}),
    ),
)

CERTIFICATES: Final = (
    Case("info", "info is not x5u", "RFC 8224 7.3", "refused", info_differs, frozenset({436, 438})),
    Case(
        "untrusted",
        "a root nobody trusts",
        "RFC 8224 6.2 step 2",
        "refused",
        signed_by(UNTRUSTED),
        _UNSUPPORTED,
    ),
    Case(
        "expired",
        "an expired certificate",
        "RFC 5280 4.1.2.5",
        "refused",
        signed_by(EXPIRED),
        _UNSUPPORTED,
    ),
    Case(
        "early",
        "a certificate not valid yet",
        "RFC 5280 4.1.2.5",
        "refused",
        signed_by(EARLY),
        _UNSUPPORTED,
    ),
    Case("no-list", "no TNAuthList", "RFC 8226 9", "refused", signed_by(NO_LIST), _UNSUPPORTED),
    Case(
        "other-number",
        "a certificate for another number",
        "RFC 8224 6.2 step 2",
        "refused",
        signed_by(OTHER_NUMBER),
        _UNSUPPORTED,
    ),
    Case(
        "by-leaf",
        "issued by a customer's certificate",
        "RFC 5280 4.2.1.9",
        "refused",
        signed_by(BY_LEAF),
        _UNSUPPORTED,
    ),
    Case(
        "garbage-cert",
        "a web page instead of a certificate",
        "RFC 8224 6.2.2",
        "refused",
        signed_by(GARBAGE),
        frozenset({436, 437}),
    ),
    Case(
        "missing",
        "a certificate URL that is 404",
        "RFC 8224 6.2.2",
        "refused",
        signed_by(MISSING),
        _UNAVAILABLE,
    ),
    Case(
        "unreachable",
        "a certificate host that is not there",
        "RFC 8224 6.2.2",
        "refused",
        at_url(lambda _: "https://unreachable.invalid/sti.pem"),
        _UNAVAILABLE,
    ),
    Case(
        "http",
        "a certificate URL of plain http",
        "ATIS-1000074 5.3",
        "refused",
        at_url(plain_http),
        _UNAVAILABLE,
    ),
    Case(
        "query",
        "a certificate URL with a query",
        "ATIS-1000074 5.3",
        "refused",
        at_url(lambda shop: f"{shop.good.x5u}?id=1"),
        _UNAVAILABLE,
        lenient=True,
    ),
    Case(
        "redirect",
        "a certificate URL that redirects",
        "ATIS-1000074 5.3",
        "refused",
        at_url(lambda shop: shop.credentials.url(REDIRECT)),
        _UNAVAILABLE,
        lenient=True,
    ),
)

CASES: Final = (*ACCEPTED, *TOKENS, *CALLS, *CERTIFICATES)
