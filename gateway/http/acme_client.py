"""Drives ACME procedures over HTTPS: the requests they ask for, and the waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final, TypeVar, cast

from gateway.http.fetch import (
    AddressSource,
    FailureReason,
    FetchFailed,
    FetchLimits,
    FetchRefused,
    GuardedClient,
)
from gateway.http.guard import GuardPolicy
from stir.acme.actions import Action, Answer, AskToken, Procedure, Remember, Reply, Send
from stir.acme.problem import AcmeError, Fault
from stir.reason import printable

T = TypeVar("T")
_MAX_ANSWER: Final = 131_072
_EVERYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_ANY_PORT: Final = frozenset(range(1, 65_536))
_JOSE: Final = "application/jose+json"
_ADVICE: Final = {
    FailureReason.BUSY: "wait a moment",
    FailureReason.DNS: "check the name and [dns]",
    FailureReason.TIMEOUT: "try again later; a firewall may be in the way",
    FailureReason.CONNECT: "check the URL, the route and the firewall",
    FailureReason.TLS: "set trust_anchors to what the server's certificate was issued by",
    FailureReason.PROTOCOL: "the server does not speak HTTP well: check the URL",
    FailureReason.ENCODING: "the server compresses what it was asked not to: tell its operator",
    FailureReason.OVERSIZED: "check the URL: no answer should be that large",
}


def operators_client(
    dns: AddressSource, *, trust_file: Path | None, timeout: float
) -> GuardedClient:
    """Return a client for servers the operator named: any port and network, limits as ever.

    Raises OSError or ssl.SSLError for a bad trust file.
    """
    return GuardedClient(
        dns,
        policy=GuardPolicy(ports=_ANY_PORT, allow_networks=_EVERYWHERE),
        limits=FetchLimits(timeout=timeout, max_body=_MAX_ANSWER),
        trust_file=trust_file,
    )


@dataclass(frozen=True, slots=True)
class Helpers:
    """What a procedure needs besides HTTP.

    token answers AskToken. remember stores an order's URL before it goes on. progress is told for
    people what is being waited for. sleep waits seconds.
    """

    token: Callable[[AskToken], Awaitable[str]]
    remember: Callable[[str], None]
    progress: Callable[[str], None]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class AcmeClient:
    """Runs procedures one at a time; wall_clock gives epoch seconds."""

    def __init__(self, client: GuardedClient, wall_clock: Callable[[], float]) -> None:
        self._client = client
        self._wall_clock = wall_clock

    async def run(self, procedure: Procedure[T], helpers: Helpers) -> T:
        """Run a procedure to its end; raises AcmeError, the network's failures among it."""
        try:
            action = next(procedure)
            while True:
                action = procedure.send(await self._perform(action, helpers))
        except StopIteration as end:
            return cast(T, end.value)
        finally:
            procedure.close()

    async def _perform(self, action: Action, helpers: Helpers) -> Reply:
        if isinstance(action, Send):
            return await self._send(action)
        if isinstance(action, AskToken):
            return await helpers.token(action)
        if isinstance(action, Remember):
            helpers.remember(action.order_url)
            return None
        helpers.progress(f"waiting {action.seconds:.0f} s for {action.what}")
        await helpers.sleep(action.seconds)
        return None

    async def _send(self, action: Send) -> Answer:
        try:
            if action.method == "POST":
                headers = {"Content-Type": _JOSE, "Accept": action.accept}
                fetched = await self._client.post(action.url, action.body or b"", headers)
            else:
                fetched = await self._client.get(action.url, accept=action.accept)
        except (FetchRefused, FetchFailed) as error:
            raise network_error(error, "the certification authority") from None
        return Answer(fetched.status, fetched.headers, fetched.body, self._wall_clock())


def network_error(error: FetchRefused | FetchFailed, who: str) -> AcmeError:
    """Say of a failed request whose fault it is and what to do; `who` was asked."""
    text = printable(f"{who} could not be asked: {error}", 300)
    if isinstance(error, FetchRefused):
        return AcmeError(text, fault=Fault.CONFIGURATION, advice="correct the URL")
    return AcmeError(text, fault=Fault.NETWORK, advice=_ADVICE[error.reason])
