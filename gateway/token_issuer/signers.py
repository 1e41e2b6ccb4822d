"""The processes that sign, and the queue before them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

import structlog

from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token_issuer import IssuerKey
from gateway.token_issuer.signer import frame, frame_length

_log = structlog.get_logger("issuer")
_SIGNING_SECONDS: Final = 10.0
_STOPPING_SECONDS: Final = 5.0
_MAX_KEYS: Final = 16


class SigningProcesses:
    """So many processes that sign, started at need and again after one has died.

    max_waiting: jobs that wait or are under way; any more are refused at once.
    """

    def __init__(self, count: int, *, max_waiting: int = 256) -> None:
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        self._all = [_Process() for _ in range(count)]
        for each in self._all:
            self._idle.put_nowait(each)
        self._max_waiting = max_waiting
        self._under_way = 0
        self._written: dict[bytes, bytes] = {}

    async def start(self) -> None:
        """Start them all, so that the first token waits for none. Raises OSError."""
        await asyncio.gather(*(each.start() for each in self._all))

    async def sign(self, key: IssuerKey, blinded: bytes) -> bytes:
        """Sign a blinded message. Raises PrivacyError: OVERLOADED, SIGNING_FAILED."""
        if self._under_way >= self._max_waiting:
            raise PrivacyError(Fault.OVERLOADED, f"{self._under_way} wait to be signed")
        self._under_way += 1
        try:
            process = await self._idle.get()
            try:
                return await process.sign(self._pem(key), blinded)
            finally:
                self._idle.put_nowait(process)
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(each.stop() for each in self._all))

    def _pem(self, key: IssuerKey) -> bytes:
        """Return the key as it is given to a process; writing it takes time, so once."""
        key_id = key.public.key_id
        if key_id not in self._written:
            if len(self._written) >= _MAX_KEYS:
                self._written.clear()
            self._written[key_id] = key.private.to_pem()
        return self._written[key_id]


class _Process:
    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.token_issuer.signer",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def sign(self, pem: bytes, blinded: bytes) -> bytes:
        try:
            async with asyncio.timeout(_SIGNING_SECONDS):
                await self.start()
                signature = await self._exchange(frame(pem) + frame(blinded))
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            _log.error("signing process failed", error=type(error).__name__)
            await self.stop(at_once=True)
            raise PrivacyError(Fault.SIGNING_FAILED) from None
        except asyncio.CancelledError:
            # Its answer is still to come and would be taken for that of the next job.
            await self.stop(at_once=True)
            raise
        if not signature:
            raise PrivacyError(Fault.SIGNING_FAILED)
        return signature

    async def _exchange(self, job: bytes) -> bytes:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(job)
        await process.stdin.drain()
        length = frame_length(await process.stdout.readexactly(4))
        return await process.stdout.readexactly(length)

    async def stop(self, *, at_once: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        if at_once and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOPPING_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
