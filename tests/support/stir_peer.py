"""A stranger who speaks SIP over TLS and signs what it likes, and the handset that is called."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.scene import ALICE, BOB
from sip.message import Request, Response, response_to
from sip.parser import parse_datagram
from sip.stream import StreamFramer
from stir.certificates.certificate import load_private_key
from stir.certificates.issuing import Authority, new_key, to_pem
from stir.certificates.tn_auth_list import Entry, Range
from tests.support.stir_authority import AnyPublicKey, make_certificate, raw_token
from tests.support.troubled_scene import HANDSET, PBX, REQUIRE, TroubledScene

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
_ANSWER_SECONDS = 8.0


# --- signing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signer:
    """A key and the URL of its certificate; signs any header and claims."""

    key: ec.EllipticCurvePrivateKey
    x5u: str

    def token(
        self, *, header: dict[str, Any] | None = None, dest: str = BOB, **changes: Any
    ) -> str:
        """A SHAKEN PASSporT with claims changed, or left out by giving None."""
        claims = {
            "attest": "A",
            "dest": {"tn": [dest.lstrip("+")]},
            "iat": int(time.time()),
            "orig": {"tn": ALICE.lstrip("+")},
            "origid": "9f1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d",
            "jti": secrets.token_hex(8),
            **changes,
        }
        return self.sign(
            header or {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": self.x5u},
            {name: value for name, value in claims.items() if value is not None},
        )

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        parts = (
            json.dumps(part, sort_keys=True, separators=(",", ":")).encode()
            for part in (header, claims)
        )
        return raw_token(self.key, *parts)

    def identity(self, *, info: str | None = None, **options: Any) -> str:
        """An Identity header field value around `token(**options)`."""
        return f"{self.token(**options)};info=<{info or self.x5u}>;alg=ES256;ppt=shaken"


def alphas_signer(scene: TroubledScene) -> Signer:
    """Alpha's own key and certificate."""
    key = load_private_key((scene.folder / "alpha" / "keys" / "sti.key").read_bytes())
    return Signer(key, "https://certs.sti-ca.example:8443/certs/alpha.pem")


def signer_with(
    scene: TroubledScene,
    *,
    issuer: Authority | None = None,
    key: AnyPublicKey | None = None,
    entries: Sequence[Entry] | None = (Range(ALICE.lstrip("+"), 100),),
    **options: Any,
) -> Signer:
    """A signer whose certificate is made as asked and published in the scene's repository."""
    private = new_key()
    authority = issuer or scene.authorities.sti
    now = time.time()
    options = {"not_before": now - 60, "not_after": now + 3600, **options}
    names = options.pop("dns_names", ())
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        options["extensions"] = [(alternative, False)]
    certificate = make_certificate(
        authority, key=key or private.public_key(), entries=entries, **options
    )
    name = f"{secrets.token_hex(6)}.pem"
    pem = to_pem([certificate]) + authority.chain_pem
    (scene.folder / "certs" / name).write_bytes(pem)
    return Signer(private, f"https://certs.sti-ca.example:8443/certs/{name}")


# --- calling -------------------------------------------------------------------------------------


@dataclass
class Caller:
    """One TLS connection to a gateway; several calls may be under way on it."""

    host: str
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    _waiting: dict[str, asyncio.Queue[Response]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def invite(
        self,
        *identities: str,
        to: str = BOB,
        domain: str = "beta.example",
        caller: str = ALICE,
        caller_domain: str = "alpha.example",
        call_id: str | None = None,
        headers: Sequence[str] = (),
        sdp: str = "",
        branch: str | None = None,
        method: str = "INVITE",
    ) -> bytes:
        """An INVITE (or another request that starts a dialog) in octets."""
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        lines = [
            f"{method} sip:{to}@{domain};user=phone SIP/2.0",
            f"Via: SIP/2.0/TLS {self.host}:5061;branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:{caller}@{caller_domain};user=phone>;tag={secrets.token_hex(4)}",
            f"To: <sip:{to}@{domain};user=phone>",
            f"Call-ID: {call_id or secrets.token_hex(8)}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{self.host}:5061;transport=tls>",
            *headers,
            *(f"Identity: {value}" for value in identities),
        ]
        if sdp:
            lines.append("Content-Type: application/sdp")
        return "\r\n".join([*lines, f"Content-Length: {len(sdp)}", "", sdp]).encode()

    async def call(self, *identities: str, **options: Any) -> Response:
        """Send an INVITE, return its final response, acknowledged."""
        return await self.send(self.invite(*identities, **options))

    async def send(self, octets: bytes) -> Response:
        """Send a request, return its final response; a failed INVITE is acknowledged."""
        response = await self.final(octets)
        self.acknowledge(octets, response)
        return response

    async def final(self, octets: bytes) -> Response:
        """Send a request as it is, return its next final response without ACK."""
        request = parse_datagram(octets)
        assert isinstance(request, Request)
        responses = self._waiting.setdefault(request.call_id, asyncio.Queue())
        self.writer.write(octets)
        async with asyncio.timeout(_ANSWER_SECONDS):
            while (response := await responses.get()).status_code < 200:
                pass
        return response

    def acknowledge(self, octets: bytes, response: Response) -> None:
        """Acknowledge a final response to an INVITE that failed (RFC 3261 section 17.1.1.3)."""
        if not octets.startswith(b"INVITE ") or response.status_code < 300:
            return
        request = parse_datagram(octets)
        assert isinstance(request, Request)
        lines = [
            f"ACK {request.request_uri} SIP/2.0",
            f"Via: {request.headers.get('Via')}",
            "Max-Forwards: 70",
            f"From: {request.headers.get('From')}",
            f"To: {response.headers.get('To')}",
            f"Call-ID: {request.call_id}",
            "CSeq: 1 ACK",
            "Content-Length: 0",
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def receive(self) -> None:
        """Take what comes until the connection ends; requests are answered with 200."""
        framer = StreamFramer()
        while data := await self.reader.read(65_536):
            for message in framer.feed(data):
                if isinstance(message, Response):
                    self._waiting.setdefault(message.call_id, asyncio.Queue()).put_nowait(message)
                elif isinstance(message, Request):
                    self.requests.append(message)
                    if message.method != "ACK":
                        self.writer.write(response_to(message, 200, to_tag="caller").to_bytes())


@asynccontextmanager
async def caller(
    scene: TroubledScene, host: int = REQUIRE, *, gateway: int = 20, name: str = "beta.example"
) -> AsyncIterator[Caller]:
    """A connection from the scene's address `host` to a listener of a gateway."""
    address = scene.address(host)
    reader, writer = await asyncio.open_connection(
        scene.address(gateway),
        5061,
        ssl=scene.tls,
        server_hostname=name,
        local_addr=(address, 0),
    )
    connection = Caller(address, reader, writer)
    receiving = asyncio.create_task(connection.receive())
    try:
        yield connection
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        writer.transport.abort()


@asynccontextmanager
async def pbx(scene: TroubledScene) -> AsyncIterator[Caller]:
    """A connection of alpha's PBX to alpha; its calls are signed and sent to beta."""
    async with caller(scene, PBX, gateway=11, name="sip.alpha.example") as connection:
        yield connection


# --- being called --------------------------------------------------------------------------------


class Handset(asyncio.DatagramProtocol):
    """Where beta delivers calls; every INVITE is kept and answered with `status`."""

    def __init__(self) -> None:
        self.status = 486
        self.answer_body = b""
        self.invites: list[Request] = []
        self.others: list[Request] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse_datagram(data)
        if not isinstance(message, Request) or message.method == "ACK":
            return
        if message.method != "INVITE":
            self.others.append(message)
            self._transport.sendto(response_to(message, 200).to_bytes(), addr)
            ringing = self.got(message.call_id) if message.method == "CANCEL" else None
            if ringing is not None:
                cancelled = response_to(ringing, 487, to_tag="handset")
                self._transport.sendto(cancelled.to_bytes(), addr)
            return
        self.invites.append(message)
        contact = ("Contact", f"<sip:handset@{self._transport.get_extra_info('sockname')[0]}:5060>")
        recorded = [("Record-Route", value) for value in message.headers.all("Record-Route")]
        headers = (contact, *recorded)
        response = response_to(message, self.status, to_tag="handset", headers=headers)
        if self.status == 200 and self.answer_body:
            response = response.with_body(self.answer_body, "application/sdp")
        self._transport.sendto(response.to_bytes(), addr)

    def got(self, call_id: str) -> Request | None:
        """The INVITE of a call, None where it never came."""
        return next((each for each in self.invites if each.call_id == call_id), None)


@asynccontextmanager
async def handset(scene: TroubledScene) -> AsyncIterator[Handset]:
    """Beta's handset, until the context ends."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        Handset, local_addr=(scene.address(HANDSET), 5060)
    )
    try:
        yield protocol
    finally:
        transport.close()


def offer(address: str, fingerprint: str = FINGERPRINT) -> str:
    """An SDP offer of WebRTC's kind with a fingerprint."""
    return "\r\n".join(
        [
            "v=0",
            f"o=- 1 1 IN IP4 {address}",
            "s=-",
            f"c=IN IP4 {address}",
            "t=0 0",
            "m=audio 40000 UDP/TLS/RTP/SAVP 0",
            f"a=fingerprint:{fingerprint}",
            "a=setup:actpass",
            "a=ice-ufrag:abcd",
            "a=ice-pwd:0123456789abcdefghijkl",
            "",
        ]
    )
