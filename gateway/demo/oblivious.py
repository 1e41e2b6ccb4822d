"""Who else it takes to ask without being known: a relay and an issuer of tokens (RFC 9458, 9578).

Both belong to others than the directory: the relay sees who asks and not what, the directory what
and not who, and the issuer neither.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from aiohttp import web

from discovery.privacy.token import Token, TokenChallenge
from discovery.privacy.token_client import ask_token
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from gateway.demo.directory import URL
from gateway.demo.keys import Authorities, write_secret_file
from gateway.http.fetch import FailureReason, FetchFailed
from gateway.http.guard import GuardPolicy
from gateway.http.listener import HttpListener
from gateway.http.ohttp_client import ObliviousClient, PinnedKeys
from gateway.http.ohttp_gateway import GATEWAY_PATH
from gateway.http.ohttp_relay import KeptConnections, OhttpRelay
from gateway.http.problem import problems
from gateway.http.service_client import ServiceClient
from gateway.oblivious_way import ObliviousWay
from gateway.services import server_context
from stir.certificates.issuing import issue_tls_certificate

RELAY_HOST: Final = "relay.example"
_RELAY_PORT: Final = 8447
_RELAY_URL: Final = f"https://{RELAY_HOST}:{_RELAY_PORT}/relay/dp"
_ISSUER: Final = "tokens.example"
_AUTHORITY: Final = URL.removeprefix("https://")
_A_DAY: Final = 100
_TIMEOUT: Final = 5.0


class Issuer:
    """Issues tokens for lookups to the providers it knows."""

    def __init__(self) -> None:
        key = IssuerKey.generate(
            not_before=0.0, issue_until=float("inf"), accept_until=float("inf")
        )
        self.key = key.public
        self._issuer = TokenIssuer([key], DailyQuota(_A_DAY))

    def write_key(self, path: Path) -> None:
        """Write the key that a directory takes tokens by."""
        write_secret_file(path, self.key.spki)

    def tokens(self, client: str, count: int) -> list[Token]:
        """Return tokens for a client, blind to which they are. Raises PrivacyError."""
        challenge = TokenChallenge(_ISSUER, b"", (_AUTHORITY,))
        asked = [ask_token(self.key, challenge) for _ in range(count)]
        now = time.time()
        return [
            each.finish(self._issuer.issue(each.request.encode(), client, now)) for each in asked
        ]


class Purse:
    """A `TokenSource` of tokens bought before."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = deque(tokens)

    async def take(self) -> Token:
        if not self._tokens:
            raise FetchFailed("ourselves", FailureReason.BUSY, "no token is left")
        return self._tokens.popleft()

    def refused(self, token: Token, accepted: Collection[bytes]) -> bool:
        return False


class Relay:
    """A relay that leads to the directory and nowhere else; `client` is for its connections."""

    def __init__(self, address: str, folder: Path, authorities: Authorities, now: float) -> None:
        tls = issue_tls_certificate(authorities.tls, now, dns_names=[RELAY_HOST])
        assert tls.key_pem is not None
        write_secret_file(folder / "relay.pem", tls.chain_pem)
        write_secret_file(folder / "relay.key", tls.key_pem)
        self._tls = server_context(folder / "relay.pem", folder / "relay.key")
        self._address = address
        self._listener: HttpListener | None = None
        self._relay: OhttpRelay | None = None

    @property
    def forwarded(self) -> int:
        """Requests passed on so far."""
        return 0 if self._relay is None else self._relay.forwarded

    async def start(self, client: ServiceClient) -> None:
        """Listen. Raises OSError."""
        port = int(URL.rpartition(":")[2])
        self._relay = OhttpRelay(
            {"dp": f"{URL}{GATEWAY_PATH}"},
            KeptConnections(client, timeout=_TIMEOUT),
            guard=GuardPolicy(ports=frozenset({port})),
        )
        application = web.Application(middlewares=[problems])
        self._relay.add_to(application)
        self._listener = HttpListener(application, self._address, _RELAY_PORT, tls=self._tls)
        await self._listener.start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            await self._listener.stop()


async def oblivious_way(client: ServiceClient, purse: Purse) -> ObliviousWay:
    """Fetch the directory's key configuration, and return the way through the relay.

    Raises FetchFailed, PrivacyError.
    """
    fetched = await client.request("GET", f"{URL}{GATEWAY_PATH}", timeout=_TIMEOUT)
    keys = PinnedKeys(fetched.body)
    poster = KeptConnections(client, timeout=_TIMEOUT)
    return ObliviousWay(ObliviousClient(_RELAY_URL, _AUTHORITY, keys, poster), purse)
