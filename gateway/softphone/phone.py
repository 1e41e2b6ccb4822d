"""The softphone as the rest of the program sees it: calls, events, files and counters."""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gateway.softphone.protocol import LONGEST_LINE, SoftphoneSettings, StreamStatistics

COMMAND_TIMEOUT = 10.0
CLOSE_TIMEOUT = 15.0
STATISTICS_PAUSE = 0.2
CALLS_KEPT = 1000
STATES_KEPT = 64
OVER = "disconnected"
PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent.parent)


class SoftphoneError(Exception):
    """The telephone could not do what was asked, or its process died; the text says why."""


class RegistrationError(SoftphoneError):
    """The registrar refused, or could not be reached (status 408, 502 or 503 made by PJSIP)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"registration failed: {status} {reason}")
        self.status = status
        self.reason = reason


class CallError(SoftphoneError):
    """The call ended before it got to the wanted state, with this final status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the call ended: {status} {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One state a call went through; `at` is epoch seconds, status 0 where none came yet."""

    state: str
    at: float
    status: int
    reason: str


class PhoneCall:
    """One call of a softphone.

    States: calling or incoming, early, connecting, confirmed, disconnected.
    """

    def __init__(self, phone: "Softphone", number: int, remote_uri: str, *, incoming: bool) -> None:
        self._phone = phone
        self._changed = asyncio.Condition()
        self.number = number
        self.remote_uri = remote_uri
        self.incoming = incoming
        self.sip_call_id = ""
        self.events: deque[CallEvent] = deque(maxlen=STATES_KEPT)
        self.streams: tuple[StreamStatistics, ...] = ()
        self.media_active = False
        self.seconds = 0.0
        self.released = False

    @property
    def state(self) -> str:
        """The newest state."""
        return self.events[-1].state if self.events else "null"

    @property
    def final(self) -> CallEvent | None:
        """How the call ended; None while it lasts."""
        return self.events[-1] if self.state == OVER else None

    def at(self, state: str) -> float | None:
        """When the call first was in this state, epoch seconds."""
        return next((event.at for event in self.events if event.state == state), None)

    async def reached(self, state: str, timeout: float = 30.0) -> CallEvent:
        """Wait for a state; raises CallError where the call ends first, or SoftphoneError."""
        found: CallEvent = await self._until(
            lambda: self._event(state) or self.final, timeout, state
        )
        if found.state != state:
            raise CallError(found.status, found.reason)
        return found

    async def media(self, timeout: float = 30.0) -> tuple[StreamStatistics, ...]:
        """Wait until audio flows (or may flow); raises CallError, SoftphoneError."""
        final = await self._until(lambda: self.media_active or self.final, timeout, "media")
        if isinstance(final, CallEvent) and not self.media_active:
            raise CallError(final.status, final.reason)
        return self.streams

    async def over(self, timeout: float = 30.0) -> CallEvent:
        """Wait for the end, and until recordings are complete; raises SoftphoneError."""
        await self._until(lambda: self.released, timeout, "its end")
        assert self.final is not None
        return self.final

    async def answer(self, status: int = 200) -> None:
        """Answer with any status; raises SoftphoneError."""
        await self._phone.command("answer", call=self.number, status=status)

    async def hang_up(self, status: int = 0) -> None:
        """End or refuse the call (status 0: PJSIP chooses BYE, CANCEL or 603)."""
        await self._phone.command("hangup", call=self.number, status=status)

    async def play(self, file: Path) -> None:
        """Play a WAV file into the call, over and over."""
        await self._phone.command("play", call=self.number, file=str(file))

    async def record(self, file: Path) -> None:
        """Record what is heard; the file is complete once the call is `over`."""
        await self._phone.command("record", call=self.number, file=str(file))

    async def statistics(self) -> tuple[StreamStatistics, ...]:
        """The audio streams' counters now; `streams` keeps the last ones of an ended call."""
        reply = await self._phone.command("statistics", call=self.number)
        return _streams(reply)

    async def received(self, packets: int, timeout: float = 30.0) -> None:
        """Wait until so many RTP packets came in, however slow the machine is.

        Raises SoftphoneError when they do not come in `timeout` seconds or the call is over.
        """
        try:
            async with asyncio.timeout(timeout):
                while not any(s.packets_received >= packets for s in await self.statistics()):  # noqa: ASYNC110
                    await asyncio.sleep(STATISTICS_PAUSE)
        except TimeoutError:
            raise SoftphoneError(
                f"call {self.number}: fewer than {packets} packets in {timeout:g} s"
            ) from None

    def _event(self, state: str) -> CallEvent | None:
        return next((event for event in self.events if event.state == state), None)

    async def _until(self, met: Callable[[], Any], timeout: float, what: str) -> Any:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: met() or self._phone.death)
        except TimeoutError:
            raise SoftphoneError(f"call {self.number}: no {what} in {timeout:g} s") from None
        if not met():
            raise SoftphoneError(str(self._phone.death))
        return met()

    async def take(self, event: Mapping[str, Any]) -> None:
        """Note an event of the child process."""
        if event["event"] == "call":
            self.sip_call_id = event["call_id"]
            self.seconds = event.get("seconds", self.seconds)
            self.events.append(
                CallEvent(event["state"], event["at"], event["status"], event["reason"])
            )
        self.media_active = self.media_active or event["event"] == "media"
        self.released = self.released or event["event"] == "released"
        self.streams = _streams(event) or self.streams
        async with self._changed:
            self._changed.notify_all()


class Softphone:
    """A telephone in a child process; use `async with Softphone(settings) as phone`."""

    def __init__(self, settings: SoftphoneSettings) -> None:
        self.settings = settings
        self.contact = ""
        self.death: str | None = None
        self.exit_status: int | None = None
        self.calls: dict[int, PhoneCall] = {}
        self.troubles: deque[str] = deque(maxlen=50)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._errors: asyncio.Task[None] | None = None
        self._complaints: deque[str] = deque(maxlen=20)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_command = 0
        self._incoming: asyncio.Queue[PhoneCall | None] = asyncio.Queue(CALLS_KEPT)
        self._registration: asyncio.Future[dict[str, Any]] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def process_id(self) -> int | None:
        """The child process, for its CPU and memory to be measured."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the process and open the telephone; raises SoftphoneError."""
        path = os.pathsep.join(filter(None, (PACKAGE_ROOT, os.environ.get("PYTHONPATH"))))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.softphone.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._reader = asyncio.create_task(self._read(), name="softphone events")
        self._errors = asyncio.create_task(self._read_errors(), name="softphone errors")
        try:
            reply = await self.command("start", settings=self.settings.to_json())
        except SoftphoneError:
            await self.close()
            raise
        self.contact = reply["contact"]

    async def register(self, timeout: float = 15.0) -> float:
        """Register and return the lifetime granted, in seconds; raises RegistrationError."""
        event = await self._registered("register", timeout)
        if not event["active"]:
            raise RegistrationError(event["status"], event["reason"])
        return float(event["expires"])

    async def unregister(self, timeout: float = 15.0) -> None:
        """Remove the binding; raises RegistrationError."""
        event = await self._registered("unregister", timeout)
        if event["status"] // 100 != 2:
            raise RegistrationError(event["status"], event["reason"])

    async def call(self, uri: str, headers: Mapping[str, str] | None = None) -> PhoneCall:
        """Place a call and return at once; raises SoftphoneError."""
        reply = await self.command("call", uri=uri, headers=dict(headers or {}))
        call = self._call(reply["call"])
        call.remote_uri = uri
        return call

    async def next_call(self, timeout: float = 30.0) -> PhoneCall:
        """Wait for an incoming call; raises SoftphoneError."""
        try:
            call = await asyncio.wait_for(self._incoming.get(), timeout)
        except TimeoutError:
            raise SoftphoneError(f"no call came in {timeout:g} s") from None
        if call is None:
            raise SoftphoneError(str(self.death))
        return call

    async def close(self) -> None:
        """Hang up, unregister and end the process; safe to repeat."""
        process = self._process
        if process is None:
            return
        if process.returncode is None and self.death is None:
            with suppress(SoftphoneError):
                await self.command("quit", timeout=CLOSE_TIMEOUT)
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), CLOSE_TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
        for task in (self._reader, self._errors):
            if task is not None:
                await task
        self.exit_status = process.returncode
        self._process = None

    async def command(
        self, do: str, *, timeout: float = COMMAND_TIMEOUT, **arguments: Any
    ) -> dict[str, Any]:
        """Send one command and return its reply; raises SoftphoneError."""
        process = self._process
        if process is None or process.stdin is None:
            raise SoftphoneError("the softphone is not running")
        if self.death is not None:
            raise SoftphoneError(self.death)
        self._last_command += 1
        number = self._last_command
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[number] = future
        line = json.dumps({"id": number, "do": do, **arguments}) + "\n"
        try:
            process.stdin.write(line.encode())
            await process.stdin.drain()
            reply = await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise SoftphoneError(f"the softphone did not answer {do!r}") from None
        except ConnectionError:
            raise SoftphoneError(self.death or "the softphone's process is gone") from None
        finally:
            self._replies.pop(number, None)
        if "error" in reply:
            raise SoftphoneError(f"{do}: {reply['error']}")
        return reply

    async def _registered(self, do: str, timeout: float) -> dict[str, Any]:
        self._registration = asyncio.get_running_loop().create_future()
        await self.command(do)
        try:
            return await asyncio.wait_for(self._registration, timeout)
        except TimeoutError:
            raise RegistrationError(408, f"no answer in {timeout:g} s") from None

    def _call(self, number: int, remote_uri: str = "", *, incoming: bool = False) -> PhoneCall:
        call = self.calls.get(number)
        if call is None:
            call = PhoneCall(self, number, remote_uri, incoming=incoming)
            self.calls[number] = call
            while len(self.calls) > CALLS_KEPT:
                del self.calls[next(iter(self.calls))]
        return call

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            await self._take(json.loads(line))
        status = await self._process.wait()
        if self._errors is not None:
            await self._errors
        said = "; ".join(self._complaints) or "nothing on standard error"
        self.death = f"the softphone's process ended with status {status} ({said})"
        for future in self._replies.values():
            if not future.done():
                future.set_exception(SoftphoneError(self.death))
        if self._registration is not None and not self._registration.done():
            self._registration.set_exception(SoftphoneError(self.death))
            self._registration.exception()
        for call in self.calls.values():
            await call.take({"event": "death"})
        with suppress(asyncio.QueueFull):
            self._incoming.put_nowait(None)

    async def _read_errors(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._complaints.append(line.decode(errors="replace").strip())

    async def _take(self, message: dict[str, Any]) -> None:
        if "reply" in message:
            future = self._replies.get(message["reply"])
            if future is not None and not future.done():
                future.set_result(message)
            return
        kind = message["event"]
        if kind == "registration":
            if self._registration is not None and not self._registration.done():
                self._registration.set_result(message)
        elif kind == "incoming":
            call = self._call(message["call"], message["remote_uri"], incoming=True)
            call.sip_call_id = message["call_id"]
            with suppress(asyncio.QueueFull):
                self._incoming.put_nowait(call)
        elif "call" in message:
            await self._call(message["call"]).take(message)
        if kind in ("transport", "error"):
            self.troubles.append(" ".join([message["detail"], *message.get("tls", [])]))


def _streams(message: Mapping[str, Any]) -> tuple[StreamStatistics, ...]:
    return tuple(StreamStatistics(**stream) for stream in message.get("streams", ()))
