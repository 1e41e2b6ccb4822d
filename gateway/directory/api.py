"""The HTTP interface of directory and authority: lookups, records, challenges, certificates.

JSON in and out, RFC 9457 problems. Lookups need a right to ask; whatever changes something is
signed by the key it is about, so that those requests need no account.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from discovery.directory.holding import Claim
from discovery.directory.identifier import parse_identifier
from discovery.directory.orders import Operation, Order, read_order
from discovery.directory.reason import Refusal, Refused
from discovery.model import Service
from discovery.privacy.alike import Beat
from gateway.directory.access import LookupAccess
from gateway.directory.authority import Certified, NumberAuthority
from gateway.directory.bodies import (
    MAX_BODY,
    checked_object,
    json_response,
    problem_of,
    read_object,
)
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.keys import EcKey, PointKeys
from gateway.directory.lookups import Lookups
from gateway.directory.openapi import DESCRIPTION
from gateway.directory.registry import Registry, ReleasePresented
from gateway.http.beats import wait_for_beat
from gateway.http.problem import Handler, Problem, problems
from gateway.http.source_address import source_of
from stir.oob.rate import Rate, TokenBuckets

_log = structlog.get_logger("directory")
_CERTIFICATE_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,43}")
_PEM: Final = "application/pem-certificate-chain"
_CHANGES: Final = Rate(1.0, 60.0)
_AT_ONCE: Final = Beat(0.0)


@dataclass(frozen=True, slots=True)
class DirectoryApiSettings:
    """`url` is our own, under which tokens name us; `description` the document of /.well-known.

    `changes`: requests that change something, from one address. `beat`: when answers to lookups go.
    """

    url: str
    description: Callable[[], Mapping[str, object]]
    changes: Rate = _CHANGES
    beat: Beat = _AT_ONCE


class DirectoryApi:
    """The aiohttp side; `authority` None where another service certifies.

    wall_clock gives epoch seconds. `refused` counts reasons by (operation, reason).
    """

    def __init__(
        self,
        settings: DirectoryApiSettings,
        access: LookupAccess,
        lookups: Lookups,
        registry: Registry,
        authority: NumberAuthority | None,
        wall_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._access = access
        self._lookups = lookups
        self._registry = registry
        self._authority = authority
        self._wall_clock = wall_clock
        self._sources = TokenBuckets(settings.changes)
        self._keys = PointKeys()
        self.refused: Counter[tuple[str, ...]] = Counter()

    def application(self) -> web.Application:
        """Return the aiohttp application to serve over TLS."""
        application = web.Application(
            middlewares=[problems, self._answered], client_max_size=MAX_BODY
        )
        route = application.router
        route.add_post("/dp/v1/lookup", self._lookup)
        route.add_put("/dp/v1/records", self._register)
        route.add_delete("/dp/v1/records", self._remove)
        route.add_post("/dp/v1/objections", self._object)
        route.add_get("/.well-known/spin-dp", self._describe_directory)
        route.add_get("/openapi.json", self._describe)
        if self._authority is not None:
            route.add_post("/ca/v1/challenges", self._challenge)
            route.add_post("/ca/v1/certificates", self._certify)
            route.add_get("/ca/v1/certificates/{id}", self._certificate)
        return application

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            operation = request.path.rpartition("/")[2]
            self.refused[operation, str(refused.reason)] += 1
            _log.info(
                "request refused",
                operation=operation,
                reason=str(refused.reason),
                culprit=request.remote,
            )
            raise problem_of(refused) from None
        except DirectoryUnavailable as error:
            _log.error("database unavailable", culprit=str(error))
            raise Problem(
                503, "the database is unavailable", headers={"Retry-After": "5"}
            ) from None

    # --- the directory -----------------------------------------------------------------------

    async def _lookup(self, request: web.Request) -> web.Response:
        asked = asyncio.get_running_loop().time()
        await self._access.admit(request)
        body = await self._answer(await read_object(request, {"csi"}, {"svc"}))
        await wait_for_beat(self._settings.beat, asked)  # known or not: after so many beats
        return web.Response(
            body=body,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def lookup_octets(self, body: bytes) -> bytes:
        """Answer a lookup that came by another way, such as encapsulated; raises Problem."""
        try:
            return await self._answer(checked_object(body, {"csi"}, {"svc"}))
        except Refused as refused:
            raise problem_of(refused) from None
        except DirectoryUnavailable:
            raise Problem(503, "the database is unavailable") from None

    async def _answer(self, document: Mapping[str, object]) -> bytes:
        csi = parse_identifier(document["csi"])
        if "svc" in document:
            _service(document["svc"])
        return await self._lookups.answer(csi)

    async def _register(self, request: web.Request) -> web.Response:
        self._admit_change(request)
        document = await read_object(request, {"record", "chain"}, {"release"})
        registered = await self._registry.register(
            document["record"], document["chain"], _release(document)
        )
        now = self._wall_clock()
        receipt = {} if registered.receipt is None else {"receipt": registered.receipt}
        return json_response(
            {
                "state": "held" if registered.live_at > now else "live",
                "live_at": int(registered.live_at),
                "claims": _claims(registered.claims),
                **receipt,
            },
            status=202 if registered.live_at > now else 200,
        )

    async def _remove(self, request: web.Request) -> web.Response:
        self._admit_change(request)
        document = await read_object(request, {"removal", "chain"})
        receipt = await self._registry.remove(document["removal"], document["chain"])
        if receipt is None:
            return web.Response(status=204)
        return json_response({"state": "removed", "receipt": receipt})

    async def _object(self, request: web.Request) -> web.Response:
        order, key = await self._order(request, frozenset({Operation.OBJECT}))
        authority = self._authority
        certified = await authority.holders(order.csi) if authority is not None else frozenset()
        living = await self._registry.object_to_claims(order.csi, key, certified)
        if authority is not None:
            await authority.objected(order.csi, keep={key.thumbprint, *living})
        return web.Response(status=204)

    # --- the authority -----------------------------------------------------------------------

    async def _challenge(self, request: web.Request) -> web.Response:
        assert self._authority is not None
        order, key = await self._order(request, frozenset({Operation.CHALLENGE}))
        made = await self._authority.challenge(order, key, source_of(request.remote))
        return json_response(
            {
                "id": made.challenge_id,
                "part2": made.part2,
                "routes": made.routes,
                "expires_at": int(made.expires_at),
            },
            status=201,
        )

    async def _certify(self, request: web.Request) -> web.Response:
        assert self._authority is not None
        self._admit_change(request)
        document = await read_object(request, {"order"}, {"release"})
        order, key = self._read_order(document, frozenset({Operation.CERTIFY, Operation.RENEW}))
        do = (
            self._authority.certify
            if order.operation is Operation.CERTIFY
            else self._authority.renew
        )
        return self._certified(await do(order, key, _release(document)))

    def _certified(self, made: Certified) -> web.Response:
        url = f"{self._settings.url}/ca/v1/certificates/{made.certificate_id}"
        held = not made.chain_pem
        receipt = {} if made.receipt is None else {"receipt": made.receipt}
        return json_response(
            {
                "state": "held" if held else "issued",
                "effective_at": int(made.effective_at),
                "x5u": url,
                "chain": made.chain_pem or None,
                "claims": _claims(made.claims),
                **receipt,
            },
            status=202 if held else 201,
        )

    async def _certificate(self, request: web.Request) -> web.Response:
        assert self._authority is not None
        identifier = request.match_info["id"]
        found = None
        if _CERTIFICATE_ID.fullmatch(identifier):
            found = await self._authority.certificate(identifier)
        if found is None:
            raise Problem(404, "no such certificate")
        return web.Response(
            body=found.chain_pem.encode("ascii"),
            content_type=_PEM,
            headers={"Cache-Control": "max-age=3600"},
        )

    # --- about us ----------------------------------------------------------------------------

    async def _describe_directory(self, _request: web.Request) -> web.Response:
        return json_response(self._settings.description())

    async def _describe(self, _request: web.Request) -> web.Response:
        return json_response(DESCRIPTION)

    def _admit_change(self, request: web.Request) -> None:
        if not self._sources.take(source_of(request.remote), self._wall_clock()):
            raise Refused(Refusal.RATE_LIMITED, "too many requests from this address")

    async def _order(
        self, request: web.Request, operations: frozenset[Operation]
    ) -> tuple[Order, EcKey]:
        self._admit_change(request)
        return self._read_order(await read_object(request, {"order"}), operations)

    def _read_order(
        self, document: Mapping[str, object], operations: frozenset[Operation]
    ) -> tuple[Order, EcKey]:
        order, _ = read_order(
            document["order"], self._keys, audience=self._settings.url, now=self._wall_clock()
        )
        if order.operation not in operations:
            raise Refused(Refusal.WRONG_TYPE, "op is not one of this resource")
        return order, self._keys.key(order.point)


def _release(document: Mapping[str, object]) -> ReleasePresented | None:
    value = document.get("release")
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"token", "chain"}:
        raise Refused(Refusal.MALFORMED, "release is not an object of token and chain")
    return ReleasePresented(value["token"], value["chain"])


def _claims(claims: tuple[Claim, ...]) -> list[dict[str, object]]:
    return [
        {"key": each.thumbprint, "at": int(each.claimed_at), "effective_at": int(each.effective_at)}
        for each in claims
    ]


def _service(value: object) -> Service:
    try:
        return Service(value if isinstance(value, str) else "")
    except ValueError:
        raise Refused(Refusal.MALFORMED, "svc is not voice, video or im") from None
