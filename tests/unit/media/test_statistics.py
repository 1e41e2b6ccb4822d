"""Statistics snapshots."""

from __future__ import annotations

from media.statistics import LegStatistics, StreamStatistics, total


def test_the_streams_of_a_side_add_up() -> None:
    audio = LegStatistics(10, 100, 9, 90, 1, 2, 3, 0.002, (StreamStatistics(1, 10, 3, 0.002),))
    video = LegStatistics(5, 50, 4, 40, 1, 1, 1, 0.5, dropped={"source": 2})
    both = total([audio, video])
    assert (both.packets_in, both.bytes_in, both.packets_out, both.bytes_out) == (15, 150, 13, 130)
    assert (both.rtcp_in, both.rtcp_out, both.lost, both.jitter) == (2, 3, 4, 0.002)
    assert (both.streams, both.dropped) == (audio.streams, {"source": 2})
    assert total([]) == LegStatistics()
