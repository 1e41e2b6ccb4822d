"""A gateway's STIR services over real HTTPS: roots by the signed list, numbers by reference."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.cli.stir_input import parse_message
from gateway.http.fetch import GuardedClient
from gateway.keys import load_keys
from gateway.services import make_fetch_client
from gateway.stir_service import StirService
from sip.message import Request
from stir.authentication import AuthenticationService, SigningRequest
from stir.certificates.issuing import issue_sti_certificate, key_to_pem, make_root, to_pem
from stir.certificates.tn_auth_list import Range, build_tn_auth_list
from stir.reason import Reason
from tests.support.call_scene import make_config
from tests.support.https import RawServer, TestAuthority, raw_https
from tests.support.stir_authority import DEST, NOW, ORIG, ORIGID, StirWorld
from tests.support.trust_lists import Administrator

pytestmark = pytest.mark.real
HOST = "certificates.example"


class Dns:
    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",) if name == HOST else ()


class Scene:
    """An HTTPS server with everything, and the gateway's services that fetch from it."""

    def __init__(self, folder: Path, tls: TestAuthority, server: RawServer) -> None:
        self.world, self.server = StirWorld(), server
        self.pa = Administrator(make_root("PA", NOW))
        issued = issue_sti_certificate(
            self.world.issuer,
            None,
            NOW,
            public_key=self.world.key.public_key(),
            tn_auth_list_url=server.url("/numbers.der"),
        )
        self.files = {
            "/ca-list": self.pa.signed(
                self.world.root.certificates, header={"x5u": server.url("/pa.pem")}
            ),
            "/pa.pem": to_pem([self.pa.certificate]),
            "/sti.pem": issued.chain_pem,
            "/numbers.der": build_tn_auth_list([Range(ORIG, 100)]),
        }
        self.signer = AuthenticationService(
            key_to_pem(self.world.key), issued.chain_pem, server.url("/sti.pem")
        )
        (folder / "pa.pem").write_bytes(to_pem(self.pa.root.certificates))
        config = make_config(
            provider={
                "domain": "beta.example",
                "numbers": ["+12125550100-+12125550199"],
                "state_directory": folder / "state",
            },
            user=[],
            trunk=[],
            route=[],
            listen=[
                {
                    "name": "access",
                    "role": "access",
                    "transport": "udp",
                    "address": "192.0.2.10",
                    "port": 5060,
                }
            ],
            stir={
                "verification": {},
                "trust_list": {
                    "url": server.url("/ca-list"),
                    "administrator": folder / "pa.pem",
                },
            },
            fetch={
                "trust_anchors": tls.trust_file,
                "allow_networks": ["127.0.0.1/32"],
                "ports": [443, server.port],
            },
        )
        client: GuardedClient = make_fetch_client(config, Dns())  # type: ignore[arg-type]
        self.service = StirService(config, load_keys(config), client, lambda: NOW, Dns())

    async def reason(self) -> Reason | None:
        asked = SigningRequest(ORIG, (DEST,), int(NOW), attest="A", origid=ORIGID)
        return (await self.service.identity.verify(invite(self.signer.sign(asked)))).reason

    async def serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = self.server.requests[-1].split(b" ", 2)[1].decode()
        body = self.files.get(path)
        status = b"404 Not Found" if body is None else b"200 OK"
        size = str(len(body or b"")).encode()
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %b\r\n\r\n%b" % (status, size, body or b""))
        await writer.drain()


def invite(identity: str) -> Request:
    lines = [
        f"INVITE sip:+{DEST}@beta.example;user=phone SIP/2.0",
        "Via: SIP/2.0/TLS alpha.example;branch=z9hG4bK1",
        "Max-Forwards: 70",
        f"From: <sip:+{ORIG}@alpha.example;user=phone>;tag=1",
        f"To: <sip:+{DEST}@beta.example;user=phone>",
        "Call-ID: one@alpha.example",
        "CSeq: 1 INVITE",
        f"Identity: {identity}",
        "Content-Length: 0",
    ]
    return parse_message(("\r\n".join(lines) + "\r\n\r\n").encode(), "test")


async def test_a_call_by_the_list_s_roots_and_the_referred_numbers(tmp_path: Path) -> None:
    tls = TestAuthority(tmp_path)
    scenes: list[Scene] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await scenes[0].serve(reader, writer)

    async with raw_https(tls.server_context(HOST), serve) as server:
        scene = Scene(tmp_path, tls, server)
        scenes.append(scene)
        assert await scene.reason() is Reason.CHAIN_UNTRUSTED
        await scene.service.start()
        try:
            assert scene.service.anchors.in_force == scene.world.root.certificates
            assert await scene.reason() is None
            assert scene.service.health() == "ok"
            scene.files["/ca-list"] = scene.pa.signed(
                [make_root("Another", NOW).certificate],
                sequence=8,
                header={"x5u": server.url("/pa.pem")},
            )
            await scene.service.anchors.refresh()
            assert await scene.reason() is Reason.CHAIN_UNTRUSTED
        finally:
            await scene.service.stop()
