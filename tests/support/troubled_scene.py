"""The two-provider scene with a stranger in it, and with every part of the world breakable.

Addresses below the scene's prefix: a stranger calls beta from .70 (policy `require`), .71 (`mark`)
or .72 (`observe`); a PBX of alpha's calls from .60; beta's numbers are delivered to a handset at
.62; web servers that a test writes itself listen at .31 and up.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from gateway.config.files import read_secret
from gateway.demo.dns import Record
from gateway.demo.provider import Provider
from gateway.demo.scene import Scene
from stir.certificates.issuing import issue_tls_certificate

T = TypeVar("T")
PBX, HANDSET = 60, 62
REQUIRE, MARK, OBSERVE = 70, 71, 72

_ADDITIONS = {
    "alpha": """
[[trunk]]
name = "pbx"
sources = ["127.61.0.60/32"]
numbers = ["+14155550100-+14155550199"]
media = "pass"
max_calls = 1000
""",
    "beta": """
[[listen]]
name = "inside"
role = "access"
transport = "udp"
address = "127.61.0.22"
port = 5060

[[route]]
numbers = ["+12125550101-+12125550199"]
uri = "sip:{number}@127.61.0.62:5060"
media = "pass"

[[peer]]
sources = ["127.61.0.71/32"]
identity = "mark"

[[peer]]
sources = ["127.61.0.72/32"]
identity = "observe"
""",
}
_SHARED: dict[str, dict[str, object]] = {
    "dns": {"timeout_seconds": 1.0, "max_ttl_seconds": 1},
    "fetch": {"timeout_seconds": 1.0},
    "spin": {
        "answer_timeout_seconds": 3.0,
        "invitations_per_number_hour": 1000,
        "invitations_per_sender_hour": 1000,
    },
    "sms.smpp": {"submit_timeout_seconds": 2.0, "reconnect_seconds": 0.2},
}


class TroubledScene(Scene):
    """The scene with short times, without telephones; `settings` are TOML values by section."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        additions: Mapping[str, str] | None = None,
    ) -> None:
        extra = additions or {}
        super().__init__(
            folder,
            lambda _: None,
            with_phones=False,
            additions={name: text + extra.get(name, "") for name, text in _ADDITIONS.items()},
        )
        own = settings or {}
        self._settings = {
            section: {**_SHARED.get(section, {}), **own.get(section, {})}
            for section in (*_SHARED, *(each for each in own if each not in _SHARED))
        }

    def _configure(self, name: str) -> Path:
        path = super()._configure(name)
        text = path.read_text(encoding="utf-8")
        for section, values in self._settings.items():
            text = _with_values(text, section, values)
        path.write_text(text, encoding="utf-8")
        return path

    def address(self, host: int) -> str:
        """An address of the scene by its last octet."""
        return f"{self.prefix}.{host}"

    @property
    def tls(self) -> ssl.SSLContext:
        """A TLS client's context that trusts the scene's servers."""
        return ssl.create_default_context(cafile=self.folder / "alpha" / "keys" / "tls-root.pem")

    @asynccontextmanager
    async def web_server(self, name: str, host: int) -> AsyncIterator[WebServer]:
        """A server with a good certificate for a name, whose answers the test writes."""
        issued = issue_tls_certificate(self.authorities.tls, time.time(), dns_names=[name])
        assert issued.key_pem is not None
        file = self.folder / "ca" / f"{name}.pem"
        file.write_bytes(issued.chain_pem + issued.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        self.dns.zones.add(Record(name, "A", self.address(host)))
        server = WebServer(name)
        listener = await asyncio.start_server(
            server.serve, self.address(host), 8443, ssl=context, limit=2**20
        )
        try:
            yield server
        finally:
            listener.close()
            server.abort()
            await listener.wait_closed()
            self.dns.zones.remove(name)


def _with_values(text: str, section: str, values: Mapping[str, object]) -> str:
    """Set keys of one section of a TOML text, whether they are there or not."""
    if f"\n[{section}]\n" not in text:
        text += f"\n[{section}]\n"
    before, _, rest = text.partition(f"\n[{section}]\n")
    own, bracket, after = rest.partition("\n[")
    for key, value in values.items():
        own = re.sub(rf"(?m)^{key} = .*\n?", "", own)
        own = f"{key} = {json.dumps(value)}\n{own}"
    return f"{before}\n[{section}]\n{own}{bracket}{after}"


Answer = Callable[["WebServer", bytes, asyncio.StreamWriter], Any]


class WebServer:
    """Counts connections and keeps requests; `pages` answer by path, anything else is a 404."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        self.requests: list[bytes] = []
        self.pages: dict[str, bytes | Answer] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    def url(self, path: str) -> str:
        return f"https://{self.name}:8443{path}"

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request.split(b" ", 2)[1] == path.encode() for request in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"(?i)content-length: *([0-9]+)", head)
            self.requests.append(head + await reader.readexactly(int(size[1]) if size else 0))
            page = self.pages.get(head.split(b" ", 2)[1].decode(), http(404, b""))
            if isinstance(page, bytes):
                writer.write(page)
            else:
                await page(self, head, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


def http(status: int, body: bytes, *headers: str) -> bytes:
    """An HTTP response in octets."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


# --- what the gateways tell ----------------------------------------------------------------------


def log_lines(provider: Provider) -> list[dict[str, Any]]:
    """The gateway's log; raises ValueError where a line is not one event."""
    return [json.loads(line) for line in provider.log_file.read_text("utf-8").splitlines()]


async def logged(provider: Provider, event: str, **facts: object) -> dict[str, Any]:
    """Wait for a log line with these values."""

    def found() -> dict[str, Any] | None:
        for line in log_lines(provider):
            if line["event"] == event and all(line.get(k) == v for k, v in facts.items()):
                return line
        return None

    return await eventually(found, f"no {event!r} with {facts} in {provider.log_file}")


async def record_of(provider: Provider, call_id: str) -> dict[str, Any]:
    """Wait for the record of a call."""
    return await eventually(lambda: provider.call_record(call_id), f"no record of {call_id}")


async def eventually(look: Callable[[], T | None], otherwise: str, seconds: float = 5.0) -> T:
    """Return the first result that is not None."""
    until = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < until, otherwise
        await asyncio.sleep(0.02)
    return found


async def metric(provider: Provider, name: str, **labels: str) -> float:
    """A metric's value now, zero where it has none yet."""
    text = await metrics_text(provider)
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    for line in text.splitlines():
        found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and wanted <= set((found[2] or "").split(",")):
            return float(found[3])
    return 0.0


async def metrics_text(provider: Provider) -> str:
    """Everything at /metrics."""
    return await admin_text(provider, "/metrics")


async def admin_text(provider: Provider, path: str) -> str:
    """What the admin interface answers, as text."""
    admin = provider.config.admin
    assert admin is not None
    token = read_secret(admin.token, admin.token_file, "admin.token")
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"http://{admin.address}:{admin.port}{path}") as answer,
    ):
        return await answer.text()
