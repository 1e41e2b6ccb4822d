"""A hop between two gateways that drops the Identity header field, as a TDM leg would."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.demo.dns import Record
from stir.certificates.issuing import issue_tls_certificate
from tests.support.troubled_scene import TroubledScene

HOP = 90
_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*([0-9]+)")
_IDENTITY = re.compile(rb"(?im)^identity[ \t]*:[^\r\n]*\r\n")


@dataclass
class DeafHop:
    """A TLS relay to beta; `dropped` are the Identity values it took out."""

    scene: TroubledScene
    dropped: list[bytes] = field(default_factory=list)
    passing: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        back, on = await asyncio.open_connection(
            self.scene.address(20),
            5061,
            ssl=self.scene.tls,
            server_hostname="gw1.beta.example",
            local_addr=(self.scene.address(HOP), 0),
        )
        try:
            await asyncio.gather(self._requests(reader, on), _copy(back, writer))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            on.transport.abort()
            writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if not self.passing:
                self.dropped += _IDENTITY.findall(head)
                head = _IDENTITY.sub(b"", head)
            writer.write(head + body)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


@asynccontextmanager
async def deaf_hop(scene: TroubledScene) -> AsyncIterator[DeafHop]:
    """Put the hop where alpha finds beta."""
    names = ["gw1.beta.example", "beta.example"]
    issued = issue_tls_certificate(scene.authorities.tls, time.time(), dns_names=names)
    assert issued.key_pem is not None
    file = scene.folder / "ca" / "hop.pem"
    file.write_bytes(issued.chain_pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    hop = DeafHop(scene)
    open_: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            await hop.serve(reader, writer)
        finally:
            open_.discard(writer)

    listener = await asyncio.start_server(connected, scene.address(HOP), 5061, ssl=context)
    scene.dns.zones.remove(names[0])
    scene.dns.zones.add(Record(names[0], "A", scene.address(HOP)))
    try:
        yield hop
    finally:
        listener.close()
        while open_:
            for writer in list(open_):
                writer.transport.abort()
            await asyncio.sleep(0.01)
        scene.dns.zones.remove(names[0])
        scene.dns.zones.add(Record(names[0], "A", scene.address(20)))
