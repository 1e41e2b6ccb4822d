"""How long the out-of-band service remembers which assertions have verified a call."""

import pytest

from gateway.config.stir import Verification
from gateway.oob.making import _usable


@pytest.mark.parametrize(
    ("freshness", "diverted", "seconds"), [(60, None, 120), (60, 30, 120), (60, 10_800, 10_860)]
)
def test_an_assertion_is_remembered_for_as_long_as_it_may_verify(
    freshness: int, diverted: int | None, seconds: float
) -> None:
    settings = Verification.model_construct(
        freshness_seconds=freshness, diverted_freshness_seconds=diverted
    )
    assert _usable(settings) == seconds
    assert _usable(None) == 0
