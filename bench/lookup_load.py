"""Who asks a directory, a process of its own: `python -m bench.lookup_load JOB`, JSON out.

At a given rate lookups are begun by the clock, whether earlier ones were answered or not, and
their delay counts from the moment they were due (an open loop); without one as many are under way
as there are connections (a closed loop). Oblivious ones are sealed beforehand, each with a token of
its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.directory_scene import ISSUER, TOKEN, number_of
from bench.http_load import HttpLoad, post
from bench.process import Usage, usage
from discovery.directory.client import build_lookup
from discovery.directory.identifier import parse_identifier
from discovery.privacy.bhttp import BinaryRequest
from discovery.privacy.ohttp import OhttpClient, ResponseOpener
from discovery.privacy.ohttp_keys import parse_key_configurations
from discovery.privacy.private_token import format_authorization
from discovery.privacy.token import NONCE_OCTETS, Token, TokenChallenge, TokenInput
from discovery.privacy.token_key import TokenKey, parse_token_key
from gateway.http.ohttp_gateway import GATEWAY_PATH

_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
_OPENED: Final = 200


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask: numbers by chance, each once where there are enough.

    home, port, size: those of the directory; pid: its process. rate: lookups a second by the
    clock, None for as many as go. core: to run on. warm: lookups before those that count. seconds:
    after which no more are begun without a rate. prepared: lookups that are made ready at a time.
    """

    home: str
    port: int
    size: int
    pid: int
    oblivious: bool
    lookups: int
    rate: float | None = None
    connections: int = 32
    core: int | None = None
    warm: int = 500
    seconds: float = 60.0
    prepared: int = 10_000


async def ask(job: Job) -> dict[str, Any]:
    """Do a job in a process of its own; returns what `run` does. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.lookup_load",
        json.dumps(asdict(job)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        raise OSError("the askers failed")
    found: dict[str, Any] = json.loads(out)
    return found


@dataclass(frozen=True, slots=True)
class Lookup:
    """A lookup that is ready to be sent."""

    known: bool
    octets: bytes
    opener: ResponseOpener | None = None


@dataclass(slots=True)
class Seen:
    """What became of lookups: how long each took, by whether the number is known."""

    delays: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    answers: Counter[tuple[int, int]] = field(default_factory=Counter)
    sample: list[tuple[Lookup, bytes]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def answered(self, lookup: Lookup, due: float, now: float, status: int, body: bytes) -> None:
        self.delays[lookup.known].append(now - due)
        self.answers[status, len(body)] += 1
        if lookup.opener is not None and status == 200 and len(self.sample) < _OPENED:
            self.sample.append((lookup, body))


async def run(job: Job) -> dict[str, Any]:
    """Ask, and return rate, delays (ms), CPU a lookup (us), statuses with sizes of answers."""
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    context = ssl.create_default_context(cafile=str(Path(job.home) / "tls.pem"))
    async with HttpLoad("127.0.0.1", job.port, context, job.connections) as load:
        prepare = await _oblivious(job, load) if job.oblivious else _plain(job)
        numbers = _numbers(job)
        warming = [prepare(n) for n in numbers[: job.warm]]
        await _closed(load, Seen(), warming, job.connections, job.seconds)
        seen = Seen()
        for start in range(0, len(numbers), job.prepared):
            if job.rate is None and seen.seconds >= job.seconds:
                break
            lookups = [prepare(n) for n in numbers[start : start + job.prepared]]
            before, began = usage(job.pid), time.perf_counter()
            if job.rate is None:
                left = job.seconds - seen.seconds
                await _closed(load, seen, lookups, job.connections, left)
            else:
                await _open(load, seen, lookups, job.rate)
            after = usage(job.pid)
            seen.seconds += time.perf_counter() - began
            seen.cpu_seconds += after.since(before)
    return _found(seen, after)


def _numbers(job: Job) -> list[int]:
    chance, there = random.Random(job.size), 2 * job.size
    if job.lookups <= there:
        return chance.sample(range(there), job.lookups)
    return [chance.randrange(there) for _ in range(job.lookups)]


def _found(seen: Seen, after: Usage) -> dict[str, Any]:
    count = sum(map(len, seen.delays.values()))
    delays = sorted((*seen.delays[True], *seen.delays[False]))
    return {
        "lookups": count,
        "rate": count / seen.seconds,
        "p50_ms": statistics.median(delays) * 1e3,
        "p99_ms": delays[round(len(delays) * 0.99) - 1] * 1e3,
        "known_p50_ms": statistics.median(seen.delays[True]) * 1e3,
        "unknown_p50_ms": statistics.median(seen.delays[False]) * 1e3,
        "cpu_us": seen.cpu_seconds / count * 1e6,
        "busy": seen.cpu_seconds / seen.seconds,
        "rss_mib": after.resident_bytes / 2**20,
        "answers": [[status, size, times] for (status, size), times in seen.answers.items()],
        "inside": sorted(_statuses_inside(seen)),
    }


def _statuses_inside(seen: Seen) -> set[tuple[int, int]]:
    opened = (lookup.opener.open(body) for lookup, body in seen.sample if lookup.opener is not None)
    return {(answer.status, len(answer.content)) for answer in opened}


async def _closed(
    load: HttpLoad, seen: Seen, lookups: list[Lookup], at_once: int, seconds: float
) -> None:
    clock = time.perf_counter
    finished = asyncio.Event()
    under_way = 0
    waiting = iter(lookups)
    end = clock() + seconds

    def next_one() -> None:
        nonlocal under_way
        lookup = next(waiting, None) if clock() < end else None
        if lookup is not None:
            under_way += 1
            asked = clock()
            load.send(lookup.octets, lambda status, body: done(lookup, asked, status, body))
        elif not under_way:
            finished.set()

    def done(lookup: Lookup, asked: float, status: int, body: bytes) -> None:
        nonlocal under_way
        under_way -= 1
        seen.answered(lookup, asked, clock(), status, body)
        next_one()

    for _ in range(at_once):
        next_one()
    await finished.wait()


async def _open(load: HttpLoad, seen: Seen, lookups: list[Lookup], rate: float) -> None:
    clock = time.perf_counter
    finished = asyncio.Event()
    missing = len(lookups)
    began = clock()

    def send(lookup: Lookup, due: float) -> None:
        def done(status: int, body: bytes) -> None:
            nonlocal missing
            missing -= 1
            seen.answered(lookup, due, clock(), status, body)
            if not missing:
                finished.set()

        load.send(lookup.octets, done)

    for number, lookup in enumerate(lookups):
        due = began + number / rate
        if due > clock():
            await asyncio.sleep(due - clock())
        send(lookup, due)
    await finished.wait()


def _plain(job: Job) -> Callable[[int], Lookup]:
    fields = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    authority = f"127.0.0.1:{job.port}"

    def prepare(n: int) -> Lookup:
        body = build_lookup(parse_identifier(number_of(n)))
        return Lookup(n % 2 == 0, post("/dp/v1/lookup", authority, fields, body))

    return prepare


async def _oblivious(job: Job, load: HttpLoad) -> Callable[[int], Lookup]:
    authority = f"127.0.0.1:{job.port}"
    asked = f"GET {GATEWAY_PATH} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    status, keys = await load.ask(asked)
    assert status == 200
    client = OhttpClient.choose(parse_key_configurations(keys))
    tokens = _tokens(Path(job.home), authority)

    def prepare(n: int) -> Lookup:
        fields = (("content-type", "application/json"), ("authorization", tokens()))
        body = build_lookup(parse_identifier(number_of(n)))
        inner = BinaryRequest("POST", "https", authority, "/dp/v1/lookup", fields, body)
        sealed, opener = client.seal(inner, time.time())
        octets = post(GATEWAY_PATH, authority, {"Content-Type": "message/ohttp-req"}, sealed)
        return Lookup(n % 2 == 0, octets, opener)

    return prepare


def _tokens(home: Path, authority: str) -> Callable[[], str]:
    """Return what makes tokens, as Authorization values.

    Signed openly by the issuer's key: what blinding leaves in the end is the same signature.
    """
    private = load_pem_private_key((home / "issuer.key").read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    key: TokenKey = parse_token_key((home / "issuer.der").read_bytes())
    digest = TokenChallenge(ISSUER, b"", (authority,)).digest()

    def make() -> str:
        signed = TokenInput(os.urandom(NONCE_OCTETS), digest, key.key_id)
        return format_authorization(
            Token(signed, private.sign(signed.encode(), _PSS, hashes.SHA384()))
        )

    return make


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(Job(**json.loads(sys.argv[1]))))))
