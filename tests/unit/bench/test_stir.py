"""The benches of the STIR services alone."""

from __future__ import annotations

import ctypes

import pytest

from bench import stir, stir_flood


def test_without_libsecsipid_the_services_are_measured_and_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = ctypes.CDLL

    def none(name: str | None) -> ctypes.CDLL:
        if name is not None:
            raise OSError(name)
        return real(None)

    monkeypatch.setattr(ctypes, "CDLL", none)
    found = stir.measure(1, 3)
    assert "apt-get install" in found["missing"]
    assert set(found["cpu_us"]) == {"raw sign", "sign", "sign with mky", "raw verify", "verify"}
    assert set(found["ratios"]) == {"sign / raw", "verify / raw"}
    stir.show(found)


@pytest.mark.real
async def test_dead_urls_take_no_more_places_than_there_are_and_fail_in_time() -> None:
    found = await stir_flood.measure(0.5, 400)
    for death in stir_flood.DEATHS:
        assert found[death]["dead_calls"] == 200
        assert found[death]["most_at_once"] <= 32
        assert found[death]["slowest_dead_answer_s"] < 2.5
    stir_flood.show(found)
