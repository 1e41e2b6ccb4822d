"""The own STI-AS and STI-VS for other switches (ATIS-1000082, 3GPP TS 24.229 annex V).

`POST /stir/v1/signing` and `POST /stir/v1/verification`. Every request is some client's, known by
bearer token, TLS client certificate, or both. Whatever is sent, the answer is one of the documents
of `gateway.signing.messages`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web

from discovery.number import masked
from gateway.config.base import NumberSet
from gateway.http.callback import bearer_of
from gateway.http.credentials import CertificateSource
from gateway.http.known_clients import certificate_names
from gateway.http.problem import Handler
from gateway.http.signing_openapi import DESCRIPTION
from gateway.http.source_address import source_of
from gateway.revocation import RevocationService
from gateway.signing.messages import (
    MAX_BODY,
    ApiError,
    Dialect,
    ServiceError,
    read_signing_request,
    read_verification_request,
    request_id,
    signing_response,
    verification_response,
)
from stir.authentication import Attestation, AuthenticationService, CannotSign, SigningRequest
from stir.oob.rate import Rate, TokenBuckets
from stir.verification import CallFacts, VerificationService

_log = structlog.get_logger("stir-api")
_PREFIX: Final = "/stir/v1"
_BODY_TIME: Final = 5.0
_FRESH: Final = 60
_FAILURES: Final = Rate(0.5, 20.0)


@dataclass(frozen=True, slots=True)
class Client:
    """A switch that may use the interface, and what it may ask for.

    `token_digest`: SHA-256 of its bearer token; `domain`: a name its TLS certificate must have.
    Either may be None, not both.
    """

    name: str
    token_digest: bytes | None = field(repr=False)
    domain: str | None
    numbers: NumberSet
    max_attest: Attestation
    verify: bool
    dialect: Dialect
    rate: Rate


class SigningApiServer:
    """The aiohttp side; either service may be None, and is then answered with 503.

    wall_clock gives epoch seconds. `requests` counts (client, resource, outcome).
    """

    def __init__(
        self,
        clients: tuple[Client, ...],
        authentication: AuthenticationService | None,
        verification: VerificationService | None,
        certificates: CertificateSource,
        wall_clock: Callable[[], float],
        *,
        revocation: RevocationService | None = None,
    ) -> None:
        self._clients = clients
        self._authentication = authentication
        self._verification = verification
        self._certificates = certificates
        self._wall_clock = wall_clock
        self._revocation = revocation
        self._buckets = {client.name: TokenBuckets(client.rate) for client in clients}
        self._failures = TokenBuckets(_FAILURES)
        self.requests: Counter[tuple[str, ...]] = Counter()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[self._answered], client_max_size=MAX_BODY)
        route = application.router
        route.add_post(f"{_PREFIX}/signing", self._sign)
        route.add_post(f"{_PREFIX}/verification", self._verify)
        route.add_get(f"{_PREFIX}/openapi.json", self._describe)
        return application

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer every error as a document, aiohttp's own and our bugs included."""
        identifier = request_id(request.headers.get("X-RequestID"))
        try:
            response = await handler(request)
        except ApiError as error:
            response = self._refused(request, error)
        except web.HTTPException as refused:
            response = self._refused(request, _translated(refused.status))
            if "Allow" in refused.headers:
                response.headers["Allow"] = refused.headers["Allow"]
        except Exception:  # noqa: BLE001 - outermost: a bug answers 500 and the server lives
            _log.exception("request failed", path=request.path[:64])
            response = self._refused(request, ApiError(ServiceError.INTERNAL))
        response.headers["X-RequestID"] = identifier
        return response

    def _refused(self, request: web.Request, error: ApiError) -> web.Response:
        self.requests["-", "refused", error.error.message_id] += 1
        _log.info("request refused", culprit=request.remote, error=error.error.message_id)
        response = _json(error.document(), status=error.error.status)
        if error.error is ServiceError.UNAUTHENTICATED:
            response.headers["WWW-Authenticate"] = "Bearer"
        if error.error in (ServiceError.TOO_MANY, ServiceError.NO_SERVICE):
            response.headers["Retry-After"] = "1"
        return response

    # --- the resources -----------------------------------------------------------------------

    async def _describe(self, _request: web.Request) -> web.Response:
        return _json(DESCRIPTION)

    async def _sign(self, request: web.Request) -> web.Response:
        client = self._client(request)
        order = read_signing_request(await _body(request))
        if self._authentication is None:
            raise ApiError(ServiceError.NO_SERVICE)
        if f"+{order.orig}" not in client.numbers:
            raise ApiError(ServiceError.FORBIDDEN, "orig is not one of its numbers")
        if order.attest < client.max_attest:  # A is the highest
            raise ApiError(ServiceError.FORBIDDEN, f"attestation above {client.max_attest}")
        if abs(order.iat - self._wall_clock()) > _FRESH:
            raise ApiError(ServiceError.INVALID_PARAMETER, "iat", f"not within {_FRESH} s of now")
        asked = SigningRequest(
            orig_tn=order.orig,
            dest_tns=order.dest,
            iat=order.iat,
            attest=order.attest,
            origid=order.origid,
        )
        try:
            identity = self._authentication.sign(asked)
        except CannotSign as error:
            raise ApiError(ServiceError.INVALID_PARAMETER, "dest", str(error)) from None
        self.requests[client.name, "signing", "signed"] += 1
        _log.debug("signed", client=client.name, orig=masked(order.orig), attest=order.attest)
        return _json(signing_response(identity, client.dialect))

    async def _verify(self, request: web.Request) -> web.Response:
        client = self._client(request)
        order = read_verification_request(await _body(request))
        if self._verification is None:
            raise ApiError(ServiceError.NO_SERVICE)
        if not client.verify:
            raise ApiError(ServiceError.FORBIDDEN, "verification")
        # The interface is about calls, and has no text to hold a msg PASSporT against.
        facts = CallFacts(
            orig_candidates=(order.orig,),
            dest_candidates=order.dest,
            date=order.time,
            method="INVITE",
        )
        begun = self._verification.begin(order.identities, facts, self._wall_clock())
        found = await self._certificates.get_all(begun.needed)
        if self._revocation is not None:
            await self._revocation.prepare(found.values())
        verdict = self._verification.conclude(begun, found, self._wall_clock())
        self.requests[client.name, "verification", verdict.outcome] += 1
        return _json(verification_response(verdict, order.dialect))

    # --- who asks ----------------------------------------------------------------------------

    def _client(self, request: web.Request) -> Client:
        """Return whose request it is; raises ApiError."""
        now, source = self._wall_clock(), source_of(request.remote)
        presented, names = _digest(bearer_of(request)), frozenset(certificate_names(request))
        client = next((each for each in self._clients if _is(each, presented, names)), None)
        if client is None:
            if not self._failures.take(source, now):
                raise ApiError(ServiceError.TOO_MANY)
            raise ApiError(ServiceError.UNAUTHENTICATED)
        if not self._buckets[client.name].take("", now):
            raise ApiError(ServiceError.TOO_MANY)
        return client


def _digest(token: str | None) -> bytes | None:
    return None if token is None else hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _is(client: Client, presented: bytes | None, names: frozenset[str]) -> bool:
    if client.token_digest is not None and (
        presented is None or not hmac.compare_digest(presented, client.token_digest)
    ):
        return False
    return client.domain is None or client.domain in names


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise ApiError(ServiceError.BODY_TYPE, "application/json")
    accept = request.headers.get("Accept", "*/*")
    if not any(kind in accept for kind in ("application/json", "application/*", "*/*")):
        raise ApiError(ServiceError.NOT_ACCEPTABLE, "Accept")
    if request.content_length is None:
        raise ApiError(ServiceError.MISSING_LENGTH)
    try:
        async with asyncio.timeout(_BODY_TIME):
            return await request.read()
    except TimeoutError:
        raise ApiError(ServiceError.TOO_SLOW) from None


def _translated(status: int) -> ApiError:
    known: dict[int, ServiceError] = {
        404: ServiceError.NOT_FOUND,
        405: ServiceError.METHOD,
        413: ServiceError.TOO_LARGE,
    }
    if status in known:
        return ApiError(known[status])
    if status < 500:
        return ApiError(ServiceError.UNPARSABLE, "not HTTP as it should be")
    return ApiError(ServiceError.INTERNAL)


def _json(document: dict[str, object], *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
