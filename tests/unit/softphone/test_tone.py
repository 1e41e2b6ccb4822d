import array
import math
import random
import wave
from pathlib import Path

import pytest

from gateway.softphone.tone import (
    RecordingError,
    measure,
    measure_file,
    read_samples,
    write_tone,
)


def sine(frequency: float, seconds: float, rate: int, amplitude: float = 8000) -> list[int]:
    step = 2 * math.pi * frequency / rate
    return [round(amplitude * math.sin(step * i)) for i in range(round(seconds * rate))]


def silence(seconds: float, rate: int) -> list[int]:
    return [0] * round(seconds * rate)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("frequency", [300.0, 440.0, 1000.0, 1004.5, 3100.0])
def test_a_written_tone_is_measured_as_it_was_written(
    tmp_path: Path, rate: int, frequency: float
) -> None:
    write_tone(tmp_path / "tone.wav", frequency, 1.5, sample_rate=rate, level_dbfs=-12)
    heard = measure_file(tmp_path / "tone.wav")
    assert heard.frequency == pytest.approx(frequency, abs=1.0)
    assert heard.level_dbfs == pytest.approx(-12, abs=0.5)
    assert heard.tone_seconds == pytest.approx(1.5, abs=0.03)
    assert heard.gaps == ()
    assert heard.loss == 0
    assert heard.purity > 0.95


def test_gaps_are_found_where_they_are() -> None:
    rate = 8000
    tone = sine(440, 1, rate)
    lossy = [*tone, *silence(0.06, rate), *tone, *silence(0.2, rate), *tone]
    heard = measure([*silence(0.5, rate), *lossy], rate)
    assert heard.starts_at == pytest.approx(0.5, abs=0.02)
    assert [round(gap.seconds, 2) for gap in heard.gaps] == [0.06, 0.2]
    assert [round(gap.start, 1) for gap in heard.gaps] == [1.5, 2.6]
    assert heard.loss == pytest.approx(0.26 / 3.26, abs=0.01)


def test_silence_before_and_after_a_tone_is_not_loss() -> None:
    heard = measure([*silence(3, 8000), *sine(700, 0.5, 8000), *silence(4, 8000)], 8000)
    assert heard.frequency == pytest.approx(700, abs=2)
    assert heard.tone_seconds == pytest.approx(0.5, abs=0.03)
    assert heard.loss == 0


def test_a_tone_survives_noise_twenty_decibels_below_it() -> None:
    rand = random.Random(1)
    noisy = [sample + round(rand.gauss(0, 560)) for sample in sine(523, 2, 16000)]
    heard = measure(noisy, 16000)
    assert heard.frequency == pytest.approx(523, abs=1)
    assert heard.loss == 0
    assert 0.9 < heard.purity < 1


def test_another_tone_in_the_middle_counts_as_a_gap() -> None:
    rate = 8000
    heard = measure([*sine(440, 1, rate), *sine(900, 0.3, rate), *sine(440, 1, rate)], rate)
    assert heard.frequency == pytest.approx(440, abs=2)
    assert heard.loss == pytest.approx(0.3 / 2.3, abs=0.02)


@pytest.mark.parametrize(
    "samples",
    [[], [0] * 16000, [3, -3] * 8000],
    ids=["nothing", "digital silence", "the noise floor"],
)
def test_no_tone_is_reported_where_there_is_none(samples: list[int]) -> None:
    heard = measure(samples, 8000)
    assert heard.frequency is None
    assert heard.tone_seconds == 0
    assert heard.loss == 0


def test_white_noise_is_not_a_tone_that_lasts() -> None:
    rand = random.Random(2)
    heard = measure([round(rand.gauss(0, 4000)) for _ in range(16000)], 8000)
    assert heard.tone_seconds < 0.5


def test_the_first_channel_of_a_stereo_file_is_measured(tmp_path: Path) -> None:
    left, right = sine(600, 1, 16000), sine(900, 1, 16000)
    both = array.array("h", [s for pair in zip(left, right, strict=True) for s in pair])
    with wave.open(str(tmp_path / "both.wav"), "wb") as out:
        out.setparams((2, 2, 16000, 0, "NONE", "none"))
        out.writeframes(both.tobytes())
    assert measure_file(tmp_path / "both.wav").frequency == pytest.approx(600, abs=1)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a recording at all"])
def test_a_file_that_is_no_recording_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "heard.wav").write_bytes(content)
    with pytest.raises(RecordingError, match=r"heard\.wav"):
        read_samples(tmp_path / "heard.wav")


def test_a_missing_file_and_eight_bit_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        read_samples(tmp_path / "absent.wav")
    with wave.open(str(tmp_path / "eight.wav"), "wb") as out:
        out.setparams((1, 1, 8000, 0, "NONE", "none"))
        out.writeframes(bytes(80))
    with pytest.raises(RecordingError, match="8-bit"):
        read_samples(tmp_path / "eight.wav")


def test_a_tone_above_half_the_sample_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write_tone(tmp_path / "tone.wav", 4100, 1, sample_rate=8000)
