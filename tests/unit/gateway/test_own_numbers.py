"""Whether a certificate is for the numbers of the configuration, to the last one."""

import pytest
from structlog.testing import capture_logs

from gateway.own_numbers import not_covered, warn_if_not_covered
from stir.certificates.issuing import issue_sti_certificate
from stir.certificates.tn_auth_list import Entry, One, Range, Spc, TnAuthList
from tests.support.stir_authority import NOW, StirWorld

ALL = "+14155550100-+14155550199"


@pytest.mark.parametrize(
    ("numbers", "entries", "missing"),
    [
        ((ALL,), (Range("14155550100", 100),), ()),
        ((ALL,), (Range("14155550100", 50), Range("14155550150", 50)), ()),
        ((ALL,), (Range("14155550100", 50), Range("14155550151", 49)), (ALL,)),
        ((ALL,), (One("14155550100"), One("14155550199")), (ALL,)),
        (("+14155550100",), (One("14155550100"),), ()),
        (("+14155550100", "+14155550101"), (One("14155550100"),), ("+14155550101",)),
        ((ALL,), (Spc("709J"),), ()),
    ],
)
def test_numbers(
    numbers: tuple[str, ...], entries: tuple[Entry, ...], missing: tuple[str, ...]
) -> None:
    assert not_covered(numbers, TnAuthList(entries)) == missing


@pytest.mark.parametrize(
    ("granted", "url", "event"),
    [
        (TnAuthList((Range("14155550100", 100),)), None, None),
        (TnAuthList((One("14155550100"),)), None, "not for all own numbers"),
        (None, None, "no right to sign for any number"),
        (None, "https://lists.alpha.example/1.der", None),
    ],
)
def test_what_is_missing_is_logged(
    granted: TnAuthList | None, url: str | None, event: str | None
) -> None:
    leaf = issue_sti_certificate(StirWorld().issuer, granted, NOW, tn_auth_list_url=url).certificate
    with capture_logs() as logs:
        warn_if_not_covered((ALL,), leaf)
    assert [event in entry["event"] for entry in logs if event] == ([True] if event else [])
    assert bool(logs) is (event is not None)
