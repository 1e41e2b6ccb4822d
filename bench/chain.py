"""The measured chain: SIPp - alpha.example (signs) - TLS - beta.example (verifies) - SIPp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.process import Usage, usage
from bench.sipp import Load, Outcome, call, callee
from gateway.config.files import read_secret
from gateway.demo.provider import Provider
from gateway.demo.scene import Scene

CALLER: Final = "+14155550150"
CALLED: Final = "+12125550150"
_PORT: Final = 5060
_CALLER_HOST: Final = 60
_CALLEE_HOST: Final = 70
_ALPHA_ACCESS: Final = 12
_BETA_ACCESS: Final = 22

# `127.61.0` becomes the prefix the scene has chosen.
_ADDITIONS: Final = {
    "alpha": f"""
[[listen]]
name = "load"
role = "access"
transport = "udp"
address = "127.61.0.{_ALPHA_ACCESS}"
port = {_PORT}

[[trunk]]
name = "sipp"
sources = ["127.61.0.{_CALLER_HOST}/32"]
numbers = ["{CALLER}"]
attest = "A"
max_calls = 20000
media = "pass"
""",
    "beta": f"""
[[listen]]
name = "load"
role = "access"
transport = "udp"
address = "127.61.0.{_BETA_ACCESS}"
port = {_PORT}

[[route]]
numbers = ["{CALLED}"]
uri = "sip:{{number}}@127.61.0.{_CALLEE_HOST}:{_PORT};transport=udp"
media = "pass"

[[peer]]
sources = ["127.61.0.0/24"]
identity = "require"
max_calls = 20000
""",
}
_TRACE: Final = 'trace_file = "state/trace.jsonl"\n'
_RECORDS: Final = 'call_record_file = "state/calls.jsonl"\n'


class LoadScene(Scene):
    """The demo's scene without telephones and without the message trace."""

    def __init__(self, folder: Path, progress: Callable[[str], None], *, records: bool) -> None:
        super().__init__(folder, progress, with_phones=False, additions=_ADDITIONS)
        self._records = records

    def configuration(self, name: str) -> str:
        """Return the shipped configuration; the trace is for looking, not for carrying calls."""
        text = super().configuration(name).replace(_TRACE, "")
        return text if self._records else text.replace(_RECORDS, "")


@dataclass(frozen=True, slots=True)
class Counted:
    """What a gateway counted so far: calls answered, verified and found in the cache."""

    answered: int
    verified: int
    cached: int


@dataclass(frozen=True, slots=True)
class Run:
    """One load: what SIPp saw, what each gateway used for it, and what beta verified."""

    load: Load
    outcome: Outcome
    cpu: dict[str, float]
    use: dict[str, Usage]
    verified: int
    cached: int

    def cpu_per_call(self, name: str) -> float:
        """Return the CPU microseconds a call of one gateway."""
        return self.cpu[name] * 1e6 / max(1, self.outcome.successful)

    @property
    def rate(self) -> float:
        """Return the calls a second that were really placed and ended well."""
        seconds = self.outcome.seconds - self.load.hold
        return self.outcome.successful / seconds if seconds > 0 else 0.0

    @property
    def clean(self) -> bool:
        """Whether every call went through and was verified."""
        wanted = self.load.calls
        return self.outcome.failed == 0 and self.verified == wanted and self.cached == wanted


class Chain:
    """Two running gateways with a telephone at each end."""

    def __init__(self, scene: LoadScene) -> None:
        self.scene = scene
        self.gateways = {"alpha": scene.alpha, "beta": scene.beta}

    async def find_number(self) -> Outcome:
        """Place the first call: it finds the number by SPIN and fills every cache."""
        await self.scene.beta.register_handler("sipp", CALLED)
        return await self._call(Load(calls=1, rate=1.0, hold=0.1))

    async def run(self, load: Load) -> Run:
        """Carry a load of calls and measure."""
        before, counted = self._use(), await self._counted()
        outcome = await self._call(load)
        after, now = self._use(), await self._counted()
        return Run(
            load=load,
            outcome=outcome,
            cpu={name: after[name].since(before[name]) for name in after},
            use=after,
            verified=now.verified - counted.verified,
            cached=now.cached - counted.cached,
        )

    async def _call(self, load: Load) -> Outcome:
        prefix = self.scene.prefix
        return await call(
            self.scene.folder,
            load,
            source=f"{prefix}.{_CALLER_HOST}",
            to=f"{prefix}.{_ALPHA_ACCESS}:{_PORT}",
            called=CALLED,
            keys={"from": CALLER, "domain": "alpha.example", "to_domain": "alpha.example"},
        )

    def _use(self) -> dict[str, Usage]:
        return {name: self.use(name) for name in self.gateways}

    def use(self, name: str) -> Usage:
        """Return what a gateway's process has used so far."""
        process_id = self.gateways[name].process_id
        assert process_id is not None
        return usage(process_id)

    async def left_over(self, name: str) -> dict[str, int]:
        """Return what a gateway still holds: calls, transactions, media."""
        provider = self.gateways[name]
        calls = (await provider.admin("/v1/calls"))["calls"]
        transactions = (await provider.admin("/v1/transactions"))["transactions"][0]
        media = (await provider.admin("/v1/media"))["media"][0]
        return {"calls": len(calls), **transactions, **media}

    async def _counted(self) -> Counted:
        alpha, beta = await _metrics(self.scene.alpha), await _metrics(self.scene.beta)
        return Counted(
            answered=alpha.get('spingate_calls_total{direction="outbound",outcome="answered"}', 0),
            verified=beta.get('spingate_verdicts_total{reason="valid"}', 0),
            cached=alpha.get('spingate_discoveries_total{outcome="found",source="cache"}', 0),
        )


async def _metrics(provider: Provider) -> dict[str, int]:
    """Read a gateway's counters as an operator's Prometheus does."""
    admin = provider.config.admin
    assert admin is not None
    token = read_secret(admin.token, admin.token_file, "admin.token")
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://{admin.address}:{admin.port}/metrics"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
        text = await answer.text()
    samples: dict[str, Any] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            samples[name] = int(float(value))
    return samples


@asynccontextmanager
async def chain(
    folder: Path, progress: Callable[[str], None], *, records: bool = True
) -> AsyncIterator[Chain]:
    """Start both gateways, their world and the answering SIPp; stop all at the end."""
    async with LoadScene(folder, progress, records=records) as scene:
        progress("SIPp that answers calls")
        async with callee(folder, f"{scene.prefix}.{_CALLEE_HOST}", _PORT):
            yield Chain(scene)
