"""SMPP over TLS: a terminator before the development SMSC, as operators put stunnel there."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.config.discovery import Smpp
from gateway.config.load import ConfigError
from gateway.sms.smpp_making import smpp_settings
from gateway.sms.tls_tunnel import TlsTunnel
from gateway.sms.transceiver import SmppSettings, SmsFailed, SmsFailure, SmsTransceiver
from tests.interop.sms.test_transceiver import Smsc, message, settings
from tests.support.tls_certificates import Authority
from tests.support.two_providers import eventually

pytestmark = pytest.mark.real


@dataclass
class Terminator:
    """TLS in front of an SMSC; it counts connections and keeps the first octets it was told."""

    behind: int
    context: ssl.SSLContext
    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", self.behind)
        self.writers.add(inner)
        with contextlib.suppress(OSError):
            first = await reader.read(4096)
            self.heard.append(first)
            inner.write(first)
            await asyncio.gather(_carry(reader, inner), _carry(inner_reader, writer))

    def cut(self) -> None:
        for writer in list(self.writers):
            writer.transport.abort()
        self.writers.clear()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(4096):
        writer.write(octets)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def terminated(
    authority: Authority, *, name: str = "localhost", clients: Authority | None = None
) -> AsyncIterator[tuple[Terminator, Smsc]]:
    smsc = Smsc()
    running = asyncio.create_task(smsc.run())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("smsc", dns=(name,)))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.anchor_file)
    made = Terminator(smsc.port, context)
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = listener.sockets[0].getsockname()[1]
    await asyncio.sleep(0.05)
    try:
        yield made, smsc
    finally:
        made.cut()
        listener.close()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await asyncio.sleep(0.05)


def section(port: int, **tls: object) -> SmppSettings:
    configured = Smpp.model_validate(
        {"host": "localhost", "port": port, "system_id": "alpha", "tls": True, **tls}
    )
    made = smpp_settings(configured, "secret", "sms.smpp")
    return replace(settings(port), host="localhost", tls=made.tls)


@asynccontextmanager
async def bound(made: SmppSettings) -> AsyncIterator[SmsTransceiver]:
    link = SmsTransceiver(made, lambda _: None)
    link.start()
    try:
        yield link
    finally:
        await link.stop()


async def test_messages_go_over_tls_to_an_smsc_of_a_private_authority(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    async with terminated(authority) as (terminator, smsc):
        made = section(terminator.port, trust_anchors=Path(authority.anchor_file))
        async with bound(made) as link:
            await link.send(message())
            assert link.counters.sent == len(smsc.submitted) == 3
            await smsc.esmes[0].deliver_sm("12125550123", b"hello", source_addr="14155550100")

            async def received() -> int:
                return link.counters.received

            await eventually(received, "the message came")
            # The line is cut: it binds again, over a new connection, and goes on.
            terminator.cut()

            async def bound_again() -> bool:
                return link.counters.binds == 2

            await eventually(bound_again, "it bound again")
            await link.send(message())
            assert len(terminator.heard) == 2


@pytest.mark.parametrize("wrong", ["anchors", "name"])
async def test_an_smsc_that_cannot_prove_its_name_never_hears_the_password(
    tmp_path: Path, wrong: str
) -> None:
    authority, another = Authority.make(tmp_path / "ca"), Authority.make(tmp_path / "other")
    trusted = another if wrong == "anchors" else authority
    name = "elsewhere.example" if wrong == "name" else "localhost"
    async with terminated(authority, name=name) as (terminator, _):
        made = section(terminator.port, trust_anchors=Path(trusted.anchor_file))
        async with bound(made) as link:
            with pytest.raises(SmsFailed) as caught:
                await link.send(message())
        assert caught.value.failure is SmsFailure.NOT_BOUND
        assert "certificate" in caught.value.detail
        assert b"secret" not in b"".join(terminator.heard)


async def test_an_smsc_that_wants_a_certificate_gets_ours(tmp_path: Path) -> None:
    authority, ours = Authority.make(tmp_path / "ca"), Authority.make(tmp_path / "ours")
    certificate, key = ours.issue("alpha", dns=("alpha.example",))
    anchors = Path(authority.anchor_file)
    async with terminated(authority, clients=ours) as (terminator, smsc):
        made = section(
            terminator.port, trust_anchors=anchors, certificate=Path(certificate), key=Path(key)
        )
        async with bound(made) as link:
            await link.send(message())
        assert len(smsc.submitted) == 3
        async with bound(section(terminator.port, trust_anchors=anchors)) as link:
            with pytest.raises(SmsFailed):
                await link.send(message())
        assert len(smsc.submitted) == 3


async def test_the_way_inside_this_host_is_for_one_client_and_one_only(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    async with terminated(authority) as (terminator, _):
        made = section(terminator.port, trust_anchors=Path(authority.anchor_file))
        assert made.tls is not None
        tunnel = TlsTunnel("localhost", terminator.port, made.tls, timeout=1.0)
        host, port = await tunnel.open()
        _, first = await asyncio.open_connection(host, port)
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, port)
        first.close()
        await tunnel.close()
        await tunnel.close()


@pytest.mark.parametrize(
    ("files", "key"),
    [
        ({"trust_anchors": "none.pem"}, "sms.smpp.trust_anchors"),
        ({"certificate": "none.pem", "key": "none.key"}, "sms.smpp.certificate"),
    ],
)
def test_files_that_are_not_there_are_named(
    tmp_path: Path, files: dict[str, str], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        section(2775, **{name: tmp_path / file for name, file in files.items()})
    assert key in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tls": False, "trust_anchors": Path("a.pem")},
        {"certificate": Path("a.pem")},
        {"key": Path("a.key")},
    ],
)
def test_tls_files_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"together|tls = true"):
        section(2775, **wrong)
