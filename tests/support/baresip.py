"""baresip 1.0 without a screen: a configuration folder, the process, what it says.

It plays a WAV file as its microphone and writes what it hears beside its configuration.
"""

import asyncio
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

MODULES = Path("/usr/lib/baresip/modules")
LONGEST_LINE = 1 << 20
MediaEncryption = Literal["", "srtp", "srtp-mand", "dtls_srtp"]


@dataclass(frozen=True, slots=True)
class BaresipSettings:
    """One account; `outbound` is the proxy's URI, `microphone` a 16-bit mono WAV file at 8 kHz.

    `encryption` as baresip names it: "srtp" offers SDES and accepts none, "srtp-mand" insists.
    """

    address_of_record: str
    bind_address: str
    microphone: Path
    port: int = 5060
    transport: Literal["udp", "tcp"] = "udp"
    outbound: str | None = None
    username: str | None = None
    password: str | None = None
    register: bool = False
    encryption: MediaEncryption = ""
    answers: bool = True
    codecs: str = "PCMU/8000/1"
    rtp_ports: tuple[int, int] = (30000, 30999)


class Baresip:
    """A running baresip; `lines` is all it printed."""

    def __init__(self, settings: BaresipSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.lines: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._said = asyncio.Condition()

    @staticmethod
    def is_installed() -> bool:
        """Whether the program and the modules it needs are here."""
        return shutil.which("baresip") is not None and (MODULES / "sndfile.so").exists()

    async def __aenter__(self) -> Self:
        write_configuration(self.settings, self.folder)
        self._process = await asyncio.create_subprocess_exec(
            *("stdbuf", "-oL", "baresip", "-4", "-v", "-f", str(self.folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LONGEST_LINE,
        )
        self._reader = asyncio.create_task(self._read())
        await self.says("baresip is ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reader is not None:
            await self._reader

    async def says(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """Wait for a line that matches, also an earlier one; raises TimeoutError."""
        found: re.Match[str] | None = None

        def met() -> bool:
            nonlocal found
            found = next((hit for line in self.lines if (hit := re.search(pattern, line))), None)
            return found is not None or (self._reader is not None and self._reader.done())

        try:
            await asyncio.wait_for(self._wait(met), timeout)
        except TimeoutError:
            raise TimeoutError(f"baresip never said {pattern!r}: {self.lines[-15:]}") from None
        if found is None:
            raise TimeoutError(f"baresip ended before {pattern!r}: {self.lines[-15:]}")
        return found

    async def dial(self, uri: str) -> None:
        """Place a call."""
        await self._command(f"dial {uri}")

    async def hang_up(self) -> None:
        """End the call that is on."""
        await self._command("hangup")

    def heard(self) -> Path:
        """The recording of what the other end said; raises FileNotFoundError."""
        for recording in sorted(self.folder.glob("*-dec.wav")):
            return recording
        raise FileNotFoundError(f"no recording in {self.folder}")

    async def _command(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"/{text}\n".encode())
        await self._process.stdin.drain()

    async def _wait(self, met: Callable[[], bool]) -> None:
        async with self._said:
            await self._said.wait_for(met)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            text = re.sub(rb"\x1b\[[0-9;]*m", b"", line).decode(errors="replace").strip()
            self.lines.append(text)
            async with self._said:
                self._said.notify_all()
        async with self._said:
            self._said.notify_all()


def write_configuration(settings: BaresipSettings, folder: Path) -> None:
    """Write `config`, `accounts` and `contacts` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = ["g711", "g722", "aufile", "sndfile", "srtp", "dtls_srtp", "stdio"]
    low, high = settings.rtp_ports
    config = [
        f"module_path {MODULES}",
        *(f"module {name}.so" for name in modules),
        "module_tmp account.so",
        "module_app menu.so",
        f"sip_listen {settings.bind_address}:{settings.port}",
        f"net_interface {settings.bind_address}",
        f"audio_source aufile,{settings.microphone}",
        "audio_player aufile,/dev/null",
        "audio_channels 1",
        f"rtp_ports {low}-{high}",
        f"snd_path {folder}",
        "rtp_stats yes",
        "statmode_default off",
    ]
    (folder / "config").write_text("\n".join(config) + "\n")
    (folder / "accounts").write_text(account_line(settings) + "\n")
    (folder / "contacts").write_text("")


def account_line(settings: BaresipSettings) -> str:
    """The account in baresip's own syntax."""
    scheme, _, rest = settings.address_of_record.partition(":")
    parameters = [
        f"audio_codecs={settings.codecs}",
        f"regint={300 if settings.register else 0}",
        f"answermode={'auto' if settings.answers else 'manual'}",
    ]
    if settings.username:
        parameters += [f"auth_user={settings.username}", f"auth_pass={settings.password or ''}"]
    if settings.encryption:
        parameters.append(f"mediaenc={settings.encryption}")
    if settings.outbound:
        parameters.append(f'outbound="{settings.outbound}"')
    return f"<{scheme}:{rest};transport={settings.transport}>;" + ";".join(parameters)
