"""The same chain of Kamailio + secsipid: one that signs, one that verifies, SIPp at both ends.

Between the two goes UDP, not TLS, and nothing is looked up: what Kamailio does less than the
gateways is in its favour. One worker process each, as each gateway is one process.
"""

from __future__ import annotations

import asyncio
import functools
import http.server
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.chain import CALLED, CALLER, Run
from bench.process import Usage, usage
from bench.sipp import Load, call, callee, is_bound
from gateway.demo.network import choose_prefix
from stir.certificates.issuing import issue_sti_certificate, make_root
from stir.certificates.tn_auth_list import One, TnAuthList

CONFIGURATION: Final = Path(__file__).parent / "kamailio.cfg"
_MODULES: Final = "/usr/lib/*/kamailio/modules/secsipid.so"
_PORT: Final = 5060
_CALLER, _SIGNER, _VERIFIER, _REPOSITORY, _CALLEE = 60, 12, 22, 30, 70
_REPOSITORY_PORT: Final = 8080
_STARTING_SECONDS: Final = 10.0
_STOPPING_SECONDS: Final = 10.0


class KamailioError(Exception):
    """Kamailio did not start; the text says where to look."""


def is_installed() -> bool:
    """Whether Kamailio and its secsipid module are there."""
    return shutil.which("kamailio") is not None and any(Path("/").glob(_MODULES[1:]))


@dataclass(frozen=True, slots=True)
class Proxies:
    """Two running Kamailios by name, with a telephone at each end."""

    folder: Path
    prefix: str
    processes: Mapping[str, int]

    async def run(self, load: Load) -> Run:
        """Carry a load of calls and measure; every answered call has been verified."""
        before = self._use()
        outcome = await call(
            self.folder,
            load,
            source=f"{self.prefix}.{_CALLER}",
            to=f"{self.prefix}.{_SIGNER}:{_PORT}",
            called=CALLED,
            keys={"from": CALLER, "domain": "alpha.example", "to_domain": "alpha.example"},
        )
        after = self._use()
        return Run(
            load=load,
            outcome=outcome,
            cpu={name: after[name].since(before[name]) for name in after},
            use=after,
            verified=outcome.successful,
            cached=outcome.successful,
        )

    def _use(self) -> dict[str, Usage]:
        return {name: usage(process) for name, process in self.processes.items()}


@asynccontextmanager
async def proxies(folder: Path) -> AsyncIterator[Proxies]:
    """Start both Kamailios, their certificate repository and the answering SIPp."""
    prefix = choose_prefix([(_REPOSITORY, _REPOSITORY_PORT)])
    _write_keys(folder)
    async with AsyncExitStack() as stack:
        stack.enter_context(_repository(folder / "certs", f"{prefix}.{_REPOSITORY}"))
        signer = await stack.enter_async_context(
            _proxy(folder, "signer", prefix, _SIGNER, _VERIFIER, "-A", "SIGNING")
        )
        verifier = await stack.enter_async_context(
            _proxy(folder, "verifier", prefix, _VERIFIER, _CALLEE)
        )
        await stack.enter_async_context(callee(folder, f"{prefix}.{_CALLEE}", _PORT))
        yield Proxies(folder, prefix, {"alpha": signer, "beta": verifier})


@asynccontextmanager
async def _proxy(
    folder: Path, name: str, prefix: str, own: int, following: int, *more: str
) -> AsyncIterator[int]:
    """Run one Kamailio while the block runs; gives its process."""
    own_folder = folder / name
    (own_folder / "cache").mkdir(parents=True)
    values = {
        "OWN_ADDRESS": f"{prefix}.{own}:{_PORT}",
        "NEXT_ADDRESS": f"{prefix}.{following}:{_PORT}",
        "CACHE_FOLDER": str(own_folder / "cache"),
        "ROOT_FILE": str(folder / "root.pem"),
        "KEY_FILE": str(folder / "sti.key"),
        "CERTIFICATE_URL": f"http://{prefix}.{_REPOSITORY}:{_REPOSITORY_PORT}/sti.pem",
    }
    arguments = ["-f", str(CONFIGURATION), "-DD", "-E", "-m", "512", "-M", "32", *more]
    arguments += ["-Y", str(own_folder), "-w", str(own_folder), "-P", str(own_folder / "pid")]
    arguments += [f"--substdef=!{word}!{value}!g" for word, value in values.items()]
    log = own_folder / "kamailio.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            shutil.which("kamailio") or "kamailio",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await _started(process, f"{prefix}.{own}", log)
        yield process.pid
    finally:
        await _stop(process)


async def _started(process: asyncio.subprocess.Process, host: str, log: Path) -> None:
    deadline = time.monotonic() + _STARTING_SECONDS
    while not is_bound(host, _PORT):
        if process.returncode is not None or time.monotonic() > deadline:
            raise KamailioError(f"kamailio does not start: see {log}")
        await asyncio.sleep(0.1)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOPPING_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _write_keys(folder: Path) -> None:
    folder.mkdir(parents=True)
    now = time.time()
    root = make_root("Bench STI Root", now)
    numbers = TnAuthList((One(CALLER.lstrip("+")),))
    issued = issue_sti_certificate(root, numbers, now, dns_names=["alpha.example"])
    assert issued.key_pem is not None
    (folder / "certs").mkdir()
    (folder / "certs" / "sti.pem").write_bytes(issued.chain_pem)
    (folder / "root.pem").write_bytes(root.certificate_pem)
    (folder / "sti.key").write_bytes(issued.key_pem)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Write nothing."""


@contextmanager
def _repository(folder: Path, host: str) -> Iterator[None]:
    """Serve the certificate over HTTP, in a thread: it is fetched once."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((host, _REPOSITORY_PORT), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
