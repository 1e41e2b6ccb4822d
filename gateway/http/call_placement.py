"""The own call placement service (RFC 8816, ATIS-1000096): PASSporTs of calls about to arrive.

Publishers and retrievers prove themselves by a JSON Web Token of an STI certificate. Bodies are
JSON, errors RFC 9457 problems. Everything is in memory and lives for seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import structlog
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from discovery.number import masked
from discovery.spin.limits import ReplayMemory
from gateway.http.call_placement_openapi import DESCRIPTION
from gateway.http.callback import bearer_of
from gateway.http.credentials import CertificateSource
from gateway.http.problem import Problem, problems
from gateway.revocation import RevocationService
from stir.certificates.certificate import Credential, CredentialUnavailable
from stir.certificates.chain import Path, PathBuilder
from stir.certificates.revocation import RevocationRecords
from stir.oob.access import (
    AccessReason,
    AccessRefused,
    Action,
    Asked,
    check_credential,
    check_reach,
    read_access_token,
)
from stir.oob.encryption import CannotDecrypt, split_encrypted
from stir.oob.rate import Rate, TokenBuckets
from stir.oob.store import PlacementStore, StoreFull, StoreLimits
from stir.oob.tokens import MAX_TOKENS, MalformedTokens, digest_of, identity_of, read_tokens
from stir.passport import parse_passport
from stir.strict_json import MalformedJson, parse_object
from stir.telephone_number import canonicalise
from stir.verification import CallFacts, VerificationPolicy, VerificationService

_log = structlog.get_logger("cps")
_MAX_BODY: Final = 65_536
_BODY_TIME: Final = 5.0
_MAX_PATHS: Final = 4_096
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=-]+")
_CERTIFICATE_RATE: Final = Rate(100.0, 200.0)
_SOURCE_RATE: Final = Rate(200.0, 400.0)
# Certificates that one source may make us fetch: a provider has a few, and they are kept.
_FETCH_RATE: Final = Rate(1.0, 20.0)
_NOW_LATER: Final = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class CallPlacementSettings:
    """What the service allows. `names` are its host names; codes are provider codes, None for all;
    times in seconds."""

    names: frozenset[str]
    plain: bool = True
    encrypted: bool = True
    signing_codes: frozenset[str] | None = None
    retrieving_codes: frozenset[str] | None = frozenset()
    freshness: float = 60.0
    extra_ports: frozenset[int] = frozenset()
    per_certificate: Rate = _CERTIFICATE_RATE
    per_source: Rate = _SOURCE_RATE
    store: StoreLimits = field(default_factory=StoreLimits)


class CallPlacementServer:
    """The aiohttp side of the service.

    `anchors` are the STI roots whose holders may use it; `certificates` fetches what tokens name
    in x5u, behind its guard; wall_clock gives epoch seconds. `records` is what is known of revoked
    certificates, `revocation` has it fetched.
    """

    def __init__(
        self,
        settings: CallPlacementSettings,
        anchors: Sequence[x509.Certificate],
        certificates: CertificateSource,
        wall_clock: Callable[[], float],
        *,
        records: RevocationRecords | None = None,
        revocation: RevocationService | None = None,
    ) -> None:
        self._settings = settings
        self._certificates = certificates
        self._wall_clock = wall_clock
        self._records = records
        self._revocation = revocation
        self.store = PlacementStore(settings.store, os.urandom)
        self._builder = PathBuilder(anchors)
        self._paths: OrderedDict[bytes, Path] = OrderedDict()
        self._publishers = TokenBuckets(settings.per_certificate)
        self._retrievers = TokenBuckets(settings.per_certificate)
        self._sources = TokenBuckets(settings.per_source)
        self._fetches = TokenBuckets(_FETCH_RATE)
        self._used = ReplayMemory()
        policy = VerificationPolicy(
            freshness=settings.freshness,
            accept_service_provider_codes=settings.signing_codes,
            extra_ports=settings.extra_ports,
        )
        # Several services may be given the same PASSporT, and one twice: replay is the callee's.
        self._verification = VerificationService(policy, anchors, None, revocation=records)
        self.refused: Counter[str] = Counter()

    def replace_anchors(self, anchors: Sequence[x509.Certificate]) -> None:
        """Trust these roots from now on and no others."""
        self._builder.replace_anchors(anchors)
        self._paths.clear()
        self._verification.replace_anchors(anchors)

    def application(self) -> web.Application:
        """Return the aiohttp application to serve over TLS."""
        application = web.Application(middlewares=[problems], client_max_size=_MAX_BODY)
        route = application.router
        route.add_get("/health", self._health)
        route.add_get("/openapi.json", self._describe)
        if self._settings.plain:
            route.add_post("/passports/{dest}/{orig}", self._publish_plain)
            route.add_get("/passports/{dest}/{orig}", self._retrieve_plain)
        if self._settings.encrypted:
            route.add_post("/encrypted/{dest}", self._publish_encrypted)
            route.add_get("/encrypted/{dest}", self._retrieve_encrypted)
        return application

    # --- the interface -----------------------------------------------------------------------

    async def _health(self, _request: web.Request) -> web.Response:
        return _json({"status": 200, "message": "OK"})

    async def _describe(self, _request: web.Request) -> web.Response:
        return _json(DESCRIPTION)

    async def _publish_plain(self, request: web.Request) -> web.Response:
        self._admit(request)
        dest, orig = _number(request, "dest"), _number(request, "orig")
        tokens = await _body(request)
        try:
            read = read_tokens(list(tokens))
        except MalformedTokens as error:
            raise Problem(400, str(error)) from None
        publisher, _ = await self._authorised(
            request, Asked("publish", dest, orig, digest_of(tokens))
        )
        kept = await self._verified(read, dest, orig)
        return self._stored(dest, orig, publisher, kept)

    async def _retrieve_plain(self, request: web.Request) -> web.Response:
        self._admit(request)
        dest, orig = _number(request, "dest"), _number(request, "orig")
        await self._authorised(request, Asked("retrieve", dest, orig))
        found = self.store.find(dest, orig, self._wall_clock())
        tokens = list(dict.fromkeys(token for entry in found for token in entry))
        if not tokens:
            # Of a number nobody serves as of one nobody calls at this moment.
            raise Problem(404, "no PASSporT is stored for these numbers")
        return _json({"passports": tokens})

    async def _publish_encrypted(self, request: web.Request) -> web.Response:
        self._admit(request)
        dest = _number(request, "dest")
        sealed = await _body(request)
        if len(sealed) != 1:
            raise Problem(400, "passports is not a list of one JWE")
        try:
            split_encrypted(sealed[0])
        except CannotDecrypt as error:
            raise Problem(400, error.problem) from None
        publisher, _ = await self._authorised(
            request, Asked("publish", dest, None, digest_of(sealed))
        )
        return self._stored(dest, None, publisher, sealed)

    async def _retrieve_encrypted(self, request: web.Request) -> web.Response:
        self._admit(request)
        dest = _number(request, "dest")
        await self._authorised(request, Asked("retrieve", dest, None))
        found = self.store.find(dest, None, self._wall_clock())
        return _json({"passports": [sealed for entry in found for sealed in entry]})

    # --- who may -----------------------------------------------------------------------------

    def _admit(self, request: web.Request) -> None:
        if not self._sources.take(_network(request), self._wall_clock()):
            self.refused["source_rate"] += 1
            raise Problem(429, "too many requests from this address", headers=_NOW_LATER)

    async def _authorised(self, request: web.Request, asked: Asked) -> tuple[bytes, Credential]:
        """Return who asks, as a digest of the certificate; raises Problem."""
        try:
            return await self._check_token(request, asked)
        except AccessRefused as error:
            self.refused[error.reason.code] += 1
            _log.info(
                "request refused",
                culprit=request.remote,
                action=asked.action,
                reason=error.reason.code,
                number=masked(asked.dest),
            )
            status = error.reason.status
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            raise Problem(status, str(error), headers=headers) from None

    async def _check_token(self, request: web.Request, asked: Asked) -> tuple[bytes, Credential]:
        text = bearer_of(request)
        if text is None:
            raise AccessRefused(AccessReason.MISSING, "no bearer token")
        settings, now = self._settings, self._wall_clock()
        token = read_access_token(
            text, asked, audiences=settings.names, now=now, freshness=settings.freshness
        )
        credential = await self._credential(request, token.x5u, now)
        if not isinstance(credential, Credential):
            raise AccessRefused(AccessReason.UNAVAILABLE, "the certificate at x5u is not to be had")
        await self._prepare(credential)
        now = self._wall_clock()
        granted = check_credential(token, credential, self._path, now, self._records)
        if asked.action == "retrieve":
            check_reach(granted, asked.dest, settings.retrieving_codes)
        # the certificate alone: what else its URL serves costs nothing to vary
        who = credential.leaf.fingerprint(hashes.SHA256())
        self._limit(asked.action, who, now)
        used = f"{token.issuer}/{token.jti}" if token.jti else token.passport.digest.hex()
        if self._used.seen(used, now):
            raise AccessRefused(AccessReason.REPLAYED, "the token was used before")
        if not self._used.remember(used, now + 2 * settings.freshness, now):
            raise Problem(503, "too many tokens to remember", headers=_NOW_LATER)
        return who, credential

    async def _credential(
        self, request: web.Request, url: str, now: float
    ) -> Credential | CredentialUnavailable:
        """The certificate of a token that nothing is known about yet; raises Problem.

        Strangers have few fetches a second: the places are those that calls wait for as well.
        """
        if not self._certificates.knows(url) and not self._fetches.take(_network(request), now):
            self.refused["fetch_rate"] += 1
            raise Problem(429, "too many unknown certificates", headers=_NOW_LATER)
        return await self._certificates.get(url)

    async def _prepare(self, *credentials: object) -> None:
        """Have what is to be known of revocation at hand."""
        if self._revocation is not None:
            await self._revocation.prepare(credentials)

    def _limit(self, action: Action, who: bytes, now: float) -> None:
        buckets = self._publishers if action == "publish" else self._retrievers
        if not buckets.take(who, now):
            self.refused["certificate_rate"] += 1
            raise Problem(429, "too many requests of this certificate", headers=_NOW_LATER)

    def _path(self, credential: Credential) -> Path:
        path = self._paths.get(credential.fingerprint)
        if path is None:
            path = self._paths[credential.fingerprint] = self._builder.find(credential)
            if len(self._paths) > _MAX_PATHS:
                self._paths.popitem(last=False)
        return path

    # --- what is kept ------------------------------------------------------------------------

    async def _verified(self, tokens: tuple[str, ...], dest: str, orig: str) -> tuple[str, ...]:
        """Return the PASSporTs that are valid for these numbers; raises Problem without any."""
        values = [identity_of(token, parse_passport(token)) for token in tokens]
        facts = CallFacts(orig_candidates=(orig,), dest_candidates=(dest,), method="INVITE")
        begun = self._verification.begin(values, facts, self._wall_clock())
        found = await self._certificates.get_all(begun.needed)
        await self._prepare(*found.values())
        verdict = self._verification.conclude(begun, found, self._wall_clock())
        if verdict.outcome != "valid":
            code = verdict.reason.code if verdict.reason is not None else "invalid"
            self.refused[code] += 1
            raise Problem(422, f"no PASSporT is valid for these numbers: {code}")
        kept = zip(tokens, verdict.verdicts, strict=True)
        return tuple(token for token, each in kept if each.outcome == "valid")

    def _stored(
        self, dest: str, orig: str | None, publisher: bytes, content: tuple[str, ...]
    ) -> web.Response:
        try:
            self.store.add(dest, orig, publisher, content, self._wall_clock())
        except StoreFull as error:
            self.refused["store_full"] += 1
            status = 429 if error.publisher else 503
            raise Problem(status, str(error), headers=_NOW_LATER) from None
        return _json({"status": 201, "message": "Created"}, status=201)


def _network(request: web.Request) -> str:
    """The source for limits: an IPv4 address, or the /64 of an IPv6 one, which is one customer."""
    try:
        address = ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return ""
    return str(address) if address.version == 4 else address.packed[:8].hex()


def _number(request: web.Request, name: str) -> str:
    """The canonical number of a part of the path (RFC 8224 section 8.3)."""
    text = request.match_info[name]
    if canonicalise(text) != text:
        raise Problem(400, f"{name} is not a canonical telephone number")
    return text


async def _body(request: web.Request) -> tuple[str, ...]:
    """Read `{"passports": [...]}`; other members are ignored, as ATIS-1000096 has more."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Problem(415, "send application/json, not compressed")
    try:
        async with asyncio.timeout(_BODY_TIME):
            document = parse_object(await request.read())
    except TimeoutError:
        raise Problem(408) from None
    except MalformedJson as error:
        raise Problem(400, str(error)) from None
    items = document.get("passports")
    if not isinstance(items, list) or not 0 < len(items) <= MAX_TOKENS:
        raise Problem(400, f"passports is not a list of 1 to {MAX_TOKENS} texts")
    texts = tuple(item for item in items if isinstance(item, str) and _TOKEN.fullmatch(item))
    if len(texts) != len(items):
        raise Problem(400, "an item of passports is no token")
    return texts


def _json(document: dict[str, object], *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000"},
    )
