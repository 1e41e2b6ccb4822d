"""What the two STIR services cost alone, beside the raw operations and beside libsecsipid.

Everything is warm and in one process; the contestants take turns in short rounds, so that all of
them see the same machine. CPU time of the whole process counts, since libsecsipid (Go) works in
threads of its own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from rich.table import Table

from bench.process import calibrate, machine
from bench.secsipid import Secsipid, SecsipidError
from bench.stir_world import DEST, ORIG, StirBenchWorld
from gateway.cli.output import console
from stir.authentication import SigningRequest
from stir.certificates.certificate import ES256, load_private_key
from stir.verdict import CallVerdict

_URL: Final = StirBenchWorld.url
_FINGERPRINT: Final = ("sha-256", ":".join(["AB"] * 32))
_GC_THRESHOLDS: Final = (20_000, 20, 20)
Work = Callable[[int], None]


def measure(rounds: int, calls: int) -> dict[str, Any]:
    """Measure every contestant in turn, `calls` operations a round; microseconds an operation."""
    before = gc.get_threshold()
    try:
        return _measure(rounds, calls)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _measure(rounds: int, calls: int) -> dict[str, Any]:
    world = StirBenchWorld()
    contestants = _contestants(world, calls)
    try:
        contestants |= _secsipid(world, calls)
        missing = None
    except SecsipidError as error:
        missing = str(error)
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    # As a gateway does when it has started: what lives for ever is not looked through again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    for number in range(rounds + 1):
        for name, prepare in contestants.items():
            work = prepare()
            began = time.process_time()
            work(calls)
            spent = (time.process_time() - began) / calls * 1e6
            if number:  # the first round warms up
                taken[name].append(spent)
    cost = {name: median(values) for name, values in taken.items()}
    return {
        "bench": "stir",
        "ok": True,
        "machine": machine(),
        "calibration_us": round(calibrate(), 3),
        "cpu_us": {name: round(value, 1) for name, value in cost.items()},
        "least_us": {name: round(min(values), 1) for name, values in taken.items()},
        "ratios": _ratios(cost),
        "missing": missing,
    }


def _ratios(cost: dict[str, float]) -> dict[str, float]:
    pairs = {
        "sign / raw": ("sign", "raw sign"),
        "sign / libsecsipid": ("sign", "libsecsipid sign"),
        "verify / raw": ("verify", "raw verify"),
        "verify / libsecsipid": ("verify", "libsecsipid verify"),
    }
    return {
        name: round(cost[ours] / cost[theirs], 2)
        for name, (ours, theirs) in pairs.items()
        if theirs in cost
    }


def _contestants(world: StirBenchWorld, calls: int) -> dict[str, Callable[[], Work]]:
    """Each makes what a round needs outside of its measured time, and returns the round."""
    key = load_private_key(world.key_pem)
    public, octets = key.public_key(), b"x" * 400
    service, credentials = world.service(), {_URL: world.credential}

    def raw_sign() -> Work:
        return _repeated(lambda _: key.sign(octets, ES256), range(calls))

    def raw_verify() -> Work:
        signature = key.sign(octets, ES256)
        return _repeated(lambda _: _verify_raw(public, signature, octets), range(calls))

    def sign(**changes: Any) -> Work:
        requests = [world.request(**changes) for _ in range(calls)]
        return _repeated(world.signer.sign, requests)

    def verify() -> Work:
        def one(call: Any) -> None:
            now = time.time()
            begun = service.begin((call.identity,), call.facts, now)
            _expect_valid(service.conclude(begun, credentials, now))

        return _repeated(one, [world.call(_URL) for _ in range(calls)])

    return {
        "raw sign": raw_sign,
        "sign": sign,
        "sign with mky": lambda: sign(fingerprints=(_FINGERPRINT,)),
        "raw verify": raw_verify,
        "verify": verify,
    }


def _secsipid(world: StirBenchWorld, calls: int) -> dict[str, Callable[[], Work]]:
    """The library's own way: its verification checks the signature and the age, nothing else."""
    library = Secsipid(world.key_pem, world.issued.chain_pem)

    def sign() -> Work:
        def one(request: SigningRequest) -> None:
            origid = (request.origid or "").encode()
            library.sign(ORIG.encode(), DEST.encode(), origid, _URL.encode())

        return _repeated(one, [world.request() for _ in range(calls)])

    def verify() -> Work:
        identities = [world.call(_URL).identity.encode() for _ in range(calls)]
        return _repeated(library.verify, identities)

    library.verify(library.sign(ORIG.encode(), DEST.encode(), b"x", _URL.encode()))
    return {"libsecsipid sign": sign, "libsecsipid verify": verify}


def _repeated(operation: Callable[[Any], object], items: Sequence[Any]) -> Work:
    def work(_: int) -> None:
        for item in items:
            operation(item)

    return work


def _verify_raw(key: ec.EllipticCurvePublicKey, signature: bytes, octets: bytes) -> None:
    key.verify(signature, octets, ES256)


def _expect_valid(verdict: CallVerdict) -> None:
    if verdict.outcome != "valid":
        raise AssertionError(f"a good call was {verdict.reason}")


def show(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    table = Table("CPU an operation", "median", "least")
    for name, value in found["cpu_us"].items():
        table.add_row(name, f"{value} µs", f"{found['least_us'][name]} µs")
    console.print(table)
    for name, value in found["ratios"].items():
        console.print(f"  {name}: [bold]{value:.2f}[/]")
    if found["missing"]:
        console.print(f"{found['missing']}: no comparison.")
