"""Run fuzz targets under atheris, each from its seeds and for so much CPU time.

    pip install atheris; python -m tests.fuzz.run [--seconds 180] [--corpus FOLDER] [TARGET...]

A target is a room and a name (`discovery.enum/naptr`) or the beginning of one. What a target finds
is written to `FOLDER/<target>/crash-*`; the run ends with 1 if anything was.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
# The module of the targets, and the one whose `seeds(name)` or `SEEDS[name]` they begin with.
ROOMS: Final = {
    "sip": ("sip.targets", None),
    "stir": ("stir.targets", "stir.test_replay"),
    "media": ("media.targets", "media.test_replay"),
    "gateway": ("gateway.targets", "gateway.test_replay"),
    "discovery.spin": ("discovery.spin_targets", "discovery.test_spin_replay"),
    "discovery.privacy": ("discovery.privacy_targets", "discovery.test_privacy_replay"),
    "discovery.directory": ("discovery.directory_targets", "discovery.test_directory_replay"),
    "discovery.log": ("discovery.log.targets", "discovery.log.test_replay"),
    "discovery.enum": ("discovery.enum.targets", None),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One target: `room/name`, the module that runs it, and where its seeds lie."""

    room: str
    name: str
    module: str
    seeds_module: str | None

    def __str__(self) -> str:
        return f"{self.room}/{self.name}"

    def seeds(self) -> Iterator[bytes]:
        """The seeds of the replay test, and the files kept in the room's corpus."""
        if self.seeds_module is not None:
            replay = importlib.import_module(f"tests.fuzz.{self.seeds_module}")
            given: Callable[[str], list[bytes]] | None = getattr(replay, "seeds", None)
            held: Mapping[str, list[bytes]] = getattr(replay, "SEEDS", {})
            yield from given(self.name) if given is not None else held[self.name]
        folder = HERE.joinpath(*self.room.split(".")) / "corpus" / self.name
        yield from (path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file())


def targets() -> list[Target]:
    """Every target there is."""
    found = []
    for room, (module, seeds_module) in ROOMS.items():
        held = importlib.import_module(f"tests.fuzz.{module}").TARGETS
        found += [Target(room, name, f"tests.fuzz.{module}", seeds_module) for name in held]
    return found


def run(target: Target, folder: Path, seconds: int) -> bool:
    """Fuzz for so many seconds of CPU time; tell whether nothing was found."""
    corpus = folder / str(target).replace("/", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / f"seed-{sha256(seed).hexdigest()[:16]}").write_bytes(seed)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (4 * seconds + 60, 4 * seconds + 60))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / f"{corpus.name}.log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, "-m", target.module, target.name, str(corpus),
             f"-max_total_time={seconds}", f"-artifact_prefix={corpus}.found-", "-timeout=5",
             "-rss_limit_mb=1500", "-print_final_stats=1", "-max_len=4096"],
            stdout=log, stderr=log, check=False, preexec_fn=limited,
        )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    executed = _executed(folder / f"{corpus.name}.log")
    said = "nothing found" if ended.returncode == 0 else f"FOUND (exit {ended.returncode})"
    print(f"{target}: {executed} inputs in {spent:.0f} s of CPU time: {said}", flush=True)
    return ended.returncode == 0


def _executed(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")


def main() -> int:
    """Run what the command line names, everything if it names nothing."""
    parser = argparse.ArgumentParser(description="Run fuzz targets under atheris.")
    parser.add_argument("target", nargs="*", help="beginning of room/name")
    parser.add_argument("--seconds", type=int, default=180, help="for each target")
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"))
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install atheris")
    chosen = [
        each for each in targets()
        if not asked.target or any(str(each).startswith(begin) for begin in asked.target)
    ]  # fmt: skip
    asked.corpus.mkdir(parents=True, exist_ok=True)
    results = [run(each, asked.corpus, asked.seconds) for each in chosen]
    return 0 if chosen and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
