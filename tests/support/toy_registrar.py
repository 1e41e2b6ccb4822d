"""A registrar of a hundred lines, for tests of telephones without the gateway.

It is written apart from the gateway's own parser and digest on purpose: a telephone that
agrees with both is right.
"""

import asyncio
import hashlib
import re
import secrets
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(slots=True)
class ToyRegistrar:
    """Accepts `username` with `password` by digest; `algorithms` are offered in this order."""

    host: str
    tls: ssl.SSLContext | None = None
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    username: str = "alice"
    password: str = "not a secret"
    realm: str = "alpha.example"
    port: int = 0
    used: list[str] = field(default_factory=list)
    contacts: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> "ToyRegistrar":
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().strip("\r\n")
                if not head:
                    continue
                length = int(_header(head, "Content-Length") or 0)
                await reader.readexactly(length)
                self.requests.append(head)
                writer.write(self._answer(head).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def _answer(self, head: str) -> str:
        if not head.startswith("REGISTER "):
            return _response(head, "404 Not Found")
        given = _header(head, "Authorization")
        if given is None:
            return _response(head, "401 Unauthorized", *self._challenges())
        if not self._is_right(given):
            return _response(head, "403 Forbidden")
        contact = _header(head, "Contact") or ""
        expires = re.search(r"expires=(\d+)", contact)
        seconds = expires.group(1) if expires else _header(head, "Expires") or "3600"
        self.contacts = [] if seconds == "0" else [contact]
        bound = [f"Contact: {contact.split(';expires')[0]};expires={seconds}"]
        return _response(head, "200 OK", *(bound if self.contacts else []))

    def _challenges(self) -> list[str]:
        return [
            f'WWW-Authenticate: Digest realm="{self.realm}", nonce="{self.nonce}", '
            f'algorithm={name}, qop="auth"'
            for name in self.algorithms
        ]

    def _is_right(self, given: str) -> bool:
        values = {
            name.lower(): quoted or plain
            for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)
        }
        algorithm = values.get("algorithm", "MD5")
        self.used.append(algorithm)

        def digest(text: str) -> str:
            return HASHES[algorithm](text.encode()).hexdigest()

        user = digest(f"{self.username}:{self.realm}:{self.password}")
        request = digest(f"REGISTER:{values['uri']}")
        parts = (user, self.nonce, values["nc"], values["cnonce"], values["qop"], request)
        right = digest(":".join(parts))
        return (values["username"], values["response"]) == (self.username, right)


def _header(head: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(.*)$", head, re.MULTILINE | re.IGNORECASE)
    return found.group(1).strip() if found else None


def _response(head: str, status: str, *headers: str) -> str:
    copied = [
        line
        for line in head.split("\r\n")
        if line.split(":")[0] in ("Via", "From", "Call-ID", "CSeq")
    ]
    to = f"To: {_header(head, 'To')};tag={secrets.token_hex(4)}"
    return "\r\n".join([f"SIP/2.0 {status}", *copied, to, *headers, "Content-Length: 0", "", ""])
