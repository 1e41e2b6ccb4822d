"""Publishing to and retrieving from call placement services, within one budget of time."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote

import structlog

from gateway.http.fetch import Fetched, FetchFailed
from gateway.http.service_client import ServiceClient
from stir.authentication import AuthenticationService
from stir.oob.access import Asked, access_claims
from stir.oob.tokens import digest_of
from stir.strict_json import MalformedJson, parse_object

_log = structlog.get_logger("oob")
_MAX_ITEMS: Final = 64
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where something is stored: the called number, and in the plain form the calling one."""

    dest: str
    orig: str | None

    @property
    def path(self) -> str:
        """The path below a service's URL."""
        if self.orig is None:
            return f"/encrypted/{quote(self.dest)}"
        return f"/passports/{quote(self.dest)}/{quote(self.orig)}"


class CallPlacementClient:
    """Speaks to a few services side by side; never raises, and is never waited for longer than
    `budget` seconds.

    `issuer` is the provider code or number that tokens name; wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        client: ServiceClient,
        authentication: AuthenticationService,
        *,
        issuer: str,
        budget: float,
        wall_clock: Callable[[], float],
    ) -> None:
        self._urls = urls
        self._client = client
        self._authentication = authentication
        self._issuer = issuer
        self._budget = budget
        self._wall_clock = wall_clock

    async def publish(self, where: Placement, items: tuple[str, ...]) -> int:
        """Publish PASSporTs, or one JWE of them; return how many services took them in time."""
        body = json.dumps({"passports": list(items)}, separators=(",", ":")).encode()
        digest = digest_of(items)

        async def one(url: str) -> bool:
            answer = await self._request("POST", url, where, digest, body)
            return answer is not None and answer.status in (200, 201, 202, 204)

        return sum(await self._all(one))

    async def retrieve(self, where: Placement) -> tuple[str, ...]:
        """Return what the services that answered in time hold, without repetition, at most 64."""

        async def one(url: str) -> tuple[str, ...]:
            answer = await self._request("GET", url, where, None, None)
            return () if answer is None or answer.status != 200 else _items(answer, url)

        found = [item for items in await self._all(one) for item in items]
        return tuple(dict.fromkeys(found))[:_MAX_ITEMS]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _all(self, one: Callable[[str], Awaitable[T]]) -> list[T]:
        """What became of all services; each request has the budget as its own limit."""

        async def run(url: str) -> T:
            return await one(url)

        tasks = [asyncio.create_task(run(url), name="cps") for url in self._urls]
        try:
            return list(await asyncio.gather(*tasks))
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _request(
        self, method: str, url: str, where: Placement, digest: str | None, body: bytes | None
    ) -> Fetched | None:
        action = "publish" if method == "POST" else "retrieve"
        claims = access_claims(
            Asked("publish" if body is not None else "retrieve", where.dest, where.orig, digest),
            issuer=self._issuer,
            audience=url.split("/", 3)[2].partition(":")[0],
            jti=str(uuid.uuid4()),
            now=self._wall_clock(),
        )
        headers = {"Authorization": f"Bearer {self._authentication.sign_jwt(claims)}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._client.request(
                method, f"{url}{where.path}", timeout=self._budget, headers=headers, body=body
            )
        except FetchFailed as error:
            _log.warning(
                "call placement service failed",
                action=action,
                culprit=error.culprit,
                reason=str(error.reason),
                detail=error.detail,
            )
            return None
        if answer.status >= 400 and answer.status != 404:
            _log.warning(
                "call placement service refused",
                action=action,
                culprit=claims["aud"],
                status=answer.status,
            )
        return answer


def _items(answer: Fetched, url: str) -> tuple[str, ...]:
    try:
        items = parse_object(answer.body).get("passports")
    except MalformedJson as error:
        _log.warning("call placement service talks nonsense", culprit=url, detail=str(error))
        return ()
    if not isinstance(items, list):
        return ()
    return tuple(item for item in items[:_MAX_ITEMS] if isinstance(item, str))
