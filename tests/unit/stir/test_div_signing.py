"""Signing diversions: what is copied, what is new, and what nothing is signed on top of."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from stir.authentication import CannotSign
from stir.extensions.div_signing import (
    DiversionRequest,
    open_ends,
    sign_diversion,
    sign_diversion_with_original,
)
from stir.passport import parse_passport
from tests.support.diversions import NUMBERS, Forwarders, codes
from tests.support.stir_authority import FINGERPRINT, NOW, ORIG, URL

A, B, C, D, E, F, G = NUMBERS[:7]


@pytest.fixture(scope="module")
def calls() -> Forwarders:
    return Forwarders()


def claims(value: str) -> dict[str, Any]:
    return dict(parse_passport(value.partition(";")[0]).payload)


def test_a_div_copies_orig_and_nothing_else(calls: Forwarders) -> None:
    original = calls.original(iat=int(NOW) - 20, mky=[{"alg": "sha-256", "dig": "AB" * 32}])
    received = calls.verify([original], A, fingerprints=(FINGERPRINT,))
    value = sign_diversion(calls.service, received, DiversionRequest(f"+{A}", f"+{B}"))
    assert claims(value) == {
        "dest": {"tn": [B]},
        "div": {"tn": A},
        "iat": int(NOW) - 20,
        "orig": {"tn": ORIG},
    }
    assert value.endswith(f";info=<{URL}>;alg=ES256;ppt=div")
    assert parse_passport(value.partition(";")[0]).header["ppt"] == "div"


def test_a_new_date_a_history_index_and_new_media_keys_are_signed(calls: Forwarders) -> None:
    received = calls.verify([calls.original()], A)
    asked = DiversionRequest(A, B, int(NOW) + 5, "1.1", (FINGERPRINT,))
    signed = claims(sign_diversion(calls.service, received, asked))
    assert (signed["iat"], signed["div"]) == (int(NOW) + 5, {"tn": A, "hi": "1.1"})
    assert signed["mky"] == [{"alg": "sha-256", "dig": "AB" * 32}]


def test_each_hop_signs_on_top_of_what_the_last_one_sent(calls: Forwarders) -> None:
    values = [calls.original()]
    for left, to in pairwise(NUMBERS[:6]):
        received = calls.verify(values, left)
        values.append(sign_diversion(calls.service, received, DiversionRequest(left, to)))
    last = calls.verify(values, F)
    assert (last.outcome, codes(last)) == ("valid", [None] * 6)
    with pytest.raises(CannotSign, match="already diverted 5 times"):
        sign_diversion(calls.service, last, DiversionRequest(F, G))


def test_each_hop_nests_what_the_last_one_sent(calls: Forwarders) -> None:
    value = calls.original()
    for left, to in pairwise(NUMBERS[:6]):
        received = calls.verify([value], left)
        value = sign_diversion_with_original(calls.service, received, DiversionRequest(left, to))
    last = calls.verify([value], F)
    assert (last.outcome, last.attest, last.origid) == ("valid", "A", last.origid)
    assert len(last.verdicts[0].nested) == 5
    with pytest.raises(CannotSign, match="already diverted 5 times"):
        sign_diversion_with_original(calls.service, last, DiversionRequest(F, G))
    with pytest.raises(CannotSign, match="been at that number before"):
        sign_diversion(calls.service, last, DiversionRequest(F, A))


def test_a_div_o_holds_only_one_passport(calls: Forwarders) -> None:
    received = calls.verify(calls.chain(1), B)
    with pytest.raises(CannotSign, match="holds one PASSporT"):
        sign_diversion_with_original(calls.service, received, DiversionRequest(B, C))


@pytest.mark.parametrize(
    ("left", "to", "why"),
    [
        (A, A, "been at that number before"),
        (C, B, "for the number that it is to leave"),
        ("nobody", B, "telephone numbers"),
        (A, "", "telephone numbers"),
    ],
)
def test_what_does_not_fit_the_received_call_is_not_signed(
    calls: Forwarders, left: str, to: str, why: str
) -> None:
    received = calls.verify([calls.original()], A)
    with pytest.raises(CannotSign, match=why):
        sign_diversion(calls.service, received, DiversionRequest(left, to))


def test_a_loop_is_not_signed(calls: Forwarders) -> None:
    received = calls.verify(calls.chain(2), C)
    for number in (A, B):
        with pytest.raises(CannotSign, match="circle"):
            sign_diversion(calls.service, received, DiversionRequest(C, number))


@pytest.mark.parametrize("iat", [int(NOW) - 100, int(NOW) + 100])
def test_nothing_is_signed_on_top_of_a_stale_or_failed_call(calls: Forwarders, iat: int) -> None:
    for values in ([calls.original(iat=iat)], [calls.div(A, B)], []):
        received = calls.verify(values, A)
        with pytest.raises(CannotSign, match="not valid: "):
            sign_diversion(calls.service, received, DiversionRequest(A, B))


def test_the_open_ends_of_a_request_are_the_numbers_that_no_div_leaves(calls: Forwarders) -> None:
    values = [calls.original(dest={"tn": [A, G]}), calls.div(A, B), calls.div(B, C)]
    passports = [parse_passport(value.partition(";")[0]) for value in values]
    assert open_ends(passports) == {C, G}
