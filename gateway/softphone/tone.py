"""Tones to play into a call, and what is left of them in a recording of its other end.

Only the standard library is used: a test call must not need a signal-processing package.
"""

import array
import cmath
import math
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FULL_SCALE = 32768.0
FRAME_SECONDS = 0.01
SHORTEST_GAP_FRAMES = 2
SPECTRUM_SIZE = 4096
SPECTRA = 5
LOWEST_FREQUENCY = 60.0
SILENCE_DBFS = -55.0
PRESENT_SHARE = 0.25
TONAL_SHARE = 0.35
LONGEST_RECORDING = 600.0
FADE_SECONDS = 0.005


class RecordingError(ValueError):
    """A file that is not 16-bit PCM WAV, or is longer than ten minutes."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without the tone; `start` and `seconds` count from the start of the file."""

    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a recording holds of one tone.

    `frequency` in Hz is None where there is no tone. `level_dbfs` is the tone's peak level
    (a full-scale sine is 0). `tone_seconds` is the time the tone was heard, from `starts_at`
    on, the `gaps` left out. `purity` (0 to 1) is the tone's share of the energy while it sounds.
    """

    seconds: float
    frequency: float | None
    level_dbfs: float
    purity: float
    starts_at: float
    tone_seconds: float
    gaps: tuple[Gap, ...]

    @property
    def loss(self) -> float:
        """The share (0 to 1) of the time between the tone's first and last sound without it."""
        missing = sum(gap.seconds for gap in self.gaps)
        span = self.tone_seconds + missing
        return missing / span if span else 0.0


def write_tone(
    path: Path,
    frequency: float,
    seconds: float,
    *,
    sample_rate: int = 16000,
    level_dbfs: float = -12.0,
) -> None:
    """Write a mono 16-bit WAV file with a sine of `frequency` Hz for `seconds`.

    The ends are faded over 5 ms so that a looped file does not click. Raises ValueError
    where the frequency does not fit below half of `sample_rate`.
    """
    if not 0 < frequency < sample_rate / 2:
        raise ValueError(f"{frequency} Hz does not fit a sample rate of {sample_rate} Hz")
    count = round(seconds * sample_rate)
    amplitude = (FULL_SCALE - 1) * 10 ** (level_dbfs / 20)
    fade = max(1, round(FADE_SECONDS * sample_rate))
    step = 2 * math.pi * frequency / sample_rate
    samples = array.array(
        "h",
        (
            round(amplitude * min(1.0, i / fade, (count - i) / fade) * math.sin(step * i))
            for i in range(count)
        ),
    )
    write_samples(path, samples, sample_rate)


def write_samples(path: Path, samples: "array.array[int]", sample_rate: int) -> None:
    """Write 16-bit samples (array type "h") as a mono WAV file."""
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate)
        out.writeframes(samples.tobytes())


def read_samples(path: Path) -> tuple["array.array[int]", int]:
    """Read the first channel of a 16-bit WAV file: samples and sample rate.

    Raises RecordingError for other files, and for more than ten minutes of sound.
    """
    try:
        with wave.open(str(path), "rb") as recording:
            width, channels = recording.getsampwidth(), recording.getnchannels()
            rate, count = recording.getframerate(), recording.getnframes()
            if width != 2:
                raise RecordingError(f"{path}: {8 * width}-bit samples, 16-bit expected")
            if rate <= 0 or count / rate > LONGEST_RECORDING:
                raise RecordingError(f"{path}: longer than {LONGEST_RECORDING:.0f} seconds")
            data = recording.readframes(count)
    except (wave.Error, EOFError, OSError) as error:
        raise RecordingError(f"{path}: {error or 'the file is empty'}") from None
    samples = array.array("h")
    samples.frombytes(data[: len(data) // (2 * channels) * (2 * channels)])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples[::channels], rate


def measure_file(path: Path) -> Measurement:
    """Find and measure the one tone in a recording; raises RecordingError."""
    samples, sample_rate = read_samples(path)
    return measure(samples, sample_rate)


def measure(samples: Sequence[int], sample_rate: int) -> Measurement:
    """Find the strongest lasting tone in 16-bit samples, and when it is missing."""
    seconds = len(samples) / sample_rate
    frequency = _dominant_frequency(samples, sample_rate)
    if frequency is None:
        return Measurement(seconds, None, -math.inf, 0.0, 0.0, 0.0, ())
    size = round(sample_rate * FRAME_SECONDS)
    frames = [samples[i : i + size] for i in range(0, len(samples) - size + 1, size)]
    tone = [_tone_power(frame, frequency, sample_rate) for frame in frames]
    total = [sum(sample * sample for sample in frame) / size for frame in frames]
    # Of the sounding frames only: gaps and the silence around a call must not lower the level.
    strongest = max(tone)
    level = median(power for power in tone if power * 10 >= strongest)
    present = [
        power >= PRESENT_SHARE * level and power >= TONAL_SHARE * energy
        for power, energy in zip(tone, total, strict=True)
    ]
    if not any(present):
        return Measurement(seconds, None, -math.inf, 0.0, 0.0, 0.0, ())
    first = present.index(True)
    last = len(present) - 1 - present[::-1].index(True)
    gaps = _gaps(present, first, last)
    span = (last - first + 1) * FRAME_SECONDS
    heard = [i for i, there in enumerate(present) if there]
    return Measurement(
        seconds=seconds,
        frequency=frequency,
        level_dbfs=10 * math.log10(2 * level / FULL_SCALE**2),
        purity=min(1.0, sum(tone[i] for i in heard) / sum(total[i] for i in heard)),
        starts_at=first * FRAME_SECONDS,
        tone_seconds=span - sum(gap.seconds for gap in gaps),
        gaps=gaps,
    )


def _gaps(present: Sequence[bool], first: int, last: int) -> tuple[Gap, ...]:
    gaps: list[Gap] = []
    start: int | None = None
    for index in range(first, last + 1):
        if not present[index]:
            start = index if start is None else start
        elif start is not None:
            if index - start >= SHORTEST_GAP_FRAMES:
                gaps.append(Gap(start * FRAME_SECONDS, (index - start) * FRAME_SECONDS))
            start = None
    return tuple(gaps)


def _tone_power(frame: Sequence[int], frequency: float, sample_rate: int) -> float:
    """Goertzel: the mean power of a sine of `frequency` in the frame."""
    angle = 2 * math.pi * frequency / sample_rate
    coefficient = 2 * math.cos(angle)
    before, last = 0.0, 0.0
    for sample in frame:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / len(frame) ** 2


def _dominant_frequency(samples: Sequence[int], sample_rate: int) -> float | None:
    """The median of the spectral peaks of a few windows spread over the sounding part."""
    size = SPECTRUM_SIZE
    if len(samples) < sample_rate * FRAME_SECONDS * 4:
        return None
    padded = list(samples) + [0] * max(0, size - len(samples))
    starts = range(0, len(padded) - size + 1, size // 2)
    threshold = FULL_SCALE**2 * 10 ** (SILENCE_DBFS / 10) / 2
    energies = [(sum(s * s for s in padded[i : i + size]) / size, i) for i in starts]
    loudest = max(energy for energy, _ in energies)
    if loudest < threshold:
        return None
    sounding = [start for energy, start in energies if energy >= loudest / 4]
    chosen = sounding[:: max(1, len(sounding) // SPECTRA)][:SPECTRA]
    peaks = sorted(_peak(padded[start : start + size], sample_rate) for start in chosen)
    return peaks[len(peaks) // 2]


def _peak(window: Sequence[int], sample_rate: int) -> float:
    """The strongest frequency of one window: Hann, FFT, parabola through three bins."""
    size = len(window)
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * i / size) for i in range(size)]
    spectrum = _fft([complex(s * w) for s, w in zip(window, hann, strict=True)])
    lowest = max(2, math.ceil(LOWEST_FREQUENCY * size / sample_rate))
    magnitudes = [abs(value) + 1e-9 for value in spectrum[: size // 2]]
    best = max(range(lowest, size // 2 - 1), key=magnitudes.__getitem__)
    left, middle, right = (math.log(magnitudes[best + shift]) for shift in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend else 0.0
    return (best + offset) * sample_rate / size


def _fft(values: list[complex]) -> list[complex]:
    """Radix-2 decimation in time; the length is a power of two."""
    size = len(values)
    if size == 1:
        return values
    even, odd = _fft(values[0::2]), _fft(values[1::2])
    turned = [cmath.exp(-2j * math.pi * k / size) * odd[k] for k in range(size // 2)]
    return [e + t for e, t in zip(even, turned, strict=True)] + [
        e - t for e, t in zip(even, turned, strict=True)
    ]
