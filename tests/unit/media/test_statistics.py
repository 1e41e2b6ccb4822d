"""Statistics snapshots."""

from __future__ import annotations

from media.statistics import LegStatistics, StreamStatistics


def test_a_leg_sums_losses_and_takes_jitter_from_its_main_stream() -> None:
    leg = LegStatistics(
        streams=(StreamStatistics(1, 10, 2, 0.5), StreamStatistics(2, 1000, 3, 0.002))
    )
    assert (leg.lost, leg.jitter) == (5, 0.002)
    assert (LegStatistics().lost, LegStatistics().jitter) == (0, 0.0)
