"""Server A of split storage: it evaluates blinded identifiers for whoever may ask, so many a day.

It learns how many identifiers somebody asks for, and none of them. It is what stands between the
store and somebody who tries every number: each evaluation is paid with a peer's quota or a token.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from aiohttp import web

from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import (
    REQUEST_OCTETS,
    RESPONSE_OCTETS,
    BlindEvaluator,
    blind_evaluator,
)
from discovery.privacy.token_key import TokenKey, parse_token_key
from discovery.privacy.voprf import SEED_OCTETS
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.config.split_storage_services import Evaluator, EvaluatorConfig
from gateway.directory.access import LookupAccess
from gateway.directory.bodies import json_response
from gateway.directory.database import Database, DirectoryUnavailable, sqlite_url
from gateway.directory.files import load_peers
from gateway.directory.making import ask_for_certificates
from gateway.directory.measures import (
    measure_access,
    measure_database,
    measure_oblivious,
    measure_tokens,
)
from gateway.directory.oblivious import Tokens
from gateway.directory.quotas import LookupQuotas
from gateway.directory.spent_tokens import SpentTokens
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.ohttp_gateway import read_octets
from gateway.http.problem import Problem, problems
from gateway.keys import check_pair
from gateway.metrics import Exposition
from gateway.services import server_context
from gateway.split_storage.openapi import EVALUATOR_DESCRIPTION
from gateway.split_storage.paths import (
    EVALUATIONS,
    EVALUATOR_WELL_KNOWN,
    MAX_BATCH,
    OCTETS,
    host_of,
)
from gateway.split_storage.serving import HEADERS, Encapsulated, Serving

_log = structlog.get_logger("evaluator")
_SECRET: Final = re.compile(f"[0-9a-f]{{{2 * SEED_OCTETS}}}")
_LIMITS: Final = ListenerLimits(max_connections=2_000, max_per_source=200, lifetime=300.0)
_RENEWED: Final = 60.0


class EvaluatorService:
    """Evaluates, under one or two generations of keys; nothing listens before `start`.

    Raises ConfigError from the constructor and from `start`. wall_clock gives epoch seconds.
    """

    def __init__(
        self, config: EvaluatorConfig, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        section = config.evaluator
        check_pair(section.certificate, section.key, "evaluator")
        self._url = section.url
        self._section = section
        self._generations = load_generations(section)
        issuers = _issuers(section)
        host = host_of(section.url)
        self._database = Database(sqlite_url(section.state_directory / "evaluator.db"))
        self._quotas = LookupQuotas(self._database, wall_clock)
        self._spent = SpentTokens(
            self._database, (key.key_id for _, key in issuers), max_spent=section.max_spent_tokens
        )
        self._tokens = Tokens(issuers, host, wall_clock, self._spent) if issuers else None
        peers = load_peers(section.peer, "evaluator.peer")
        self.access = LookupAccess(peers, wall_clock, self._quotas, redeemer=self._tokens)
        self._wall_clock = wall_clock
        self._issuers = [name for name, _ in issuers]
        self.evaluated: Counter[str] = Counter()
        application = web.Application(middlewares=[problems])
        application.router.add_post(EVALUATIONS + "{generation}", self._evaluate)
        application.router.add_get(EVALUATOR_WELL_KNOWN, self._describe)
        application.router.add_get("/openapi.json", self._openapi)
        self._encapsulated: Encapsulated | None = None
        if issuers:
            self._encapsulated = Encapsulated(
                section.state_directory,
                "evaluator",
                section.key_days,
                self._inner,
                host,
                wall_clock,
            )
            self._encapsulated.add_to(application)
        tls = server_context(section.certificate, section.key)
        if section.client_trust_anchors is not None:
            ask_for_certificates(
                tls, section.client_trust_anchors, "evaluator.client_trust_anchors"
            )
        self.listener = HttpListener(
            application, section.address, section.port, tls=tls, limits=_LIMITS
        )
        self._serving = Serving(self.listener, "evaluator", self._renew, _RENEWED)

    def description(self) -> Mapping[str, object]:
        """Return the document of /.well-known/spin-evaluator."""
        oblivious = self._encapsulated.described(self._url) if self._encapsulated else None
        return {
            "v": 1,
            "url": self._url,
            "batch": MAX_BATCH,
            "generations": [
                {"generation": name, "keys": str(evaluator.public_keys)}
                for name, evaluator in self._generations.items()
            ],
            "token_issuers": self._issuers,
            "ohttp": oblivious,
        }

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted, for `operator_listener`."""
        exposition.counts(
            "evaluations",
            "Identifiers evaluated",
            (),
            lambda: {(): self.evaluated["done"]},
        )
        measure_access(exposition, self.access)
        measure_database(exposition, self._database)
        if self._tokens is not None:
            measure_tokens(exposition, self._tokens, self._spent)
        if self._encapsulated is not None:
            measure_oblivious(exposition, self._encapsulated.server)

    def health(self) -> str:
        """Return "ok", or what is wrong in a word or two."""
        return "database unavailable" if self._database.failing else "ok"

    async def start(self) -> None:
        """Open the database and listen."""
        try:
            self._section.state_directory.mkdir(parents=True, exist_ok=True)
            await self._database.upgrade()
            await self._spent.open(self._wall_clock())
            await self._serving.start()
        except (DirectoryUnavailable, OSError) as error:
            await self.stop()
            raise ConfigError("evaluator.state_directory", f"database: {error}") from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, and close the database."""
        await self._serving.stop()
        try:
            await self._spent.close()
            await self._quotas.close()
        except DirectoryUnavailable as error:
            _log.warning("evaluations not given back", culprit="database", detail=str(error))
        await self._database.close()

    async def _renew(self) -> None:
        if self._encapsulated is not None:
            self._encapsulated.renew()
        try:
            await self._quotas.sweep(self._wall_clock())
            await self._spent.sweep(self._wall_clock())
        except DirectoryUnavailable as error:
            _log.warning("sweep failed", culprit="database", detail=str(error))

    async def _evaluate(self, request: web.Request) -> web.Response:
        evaluator = self._generation(request.match_info["generation"])
        body = await read_octets(request, OCTETS, MAX_BATCH * REQUEST_OCTETS)
        count = _questions(body, MAX_BATCH)
        for _ in range(count):
            await self.access.admit(request)
        answer = self._answer(evaluator, body)
        return web.Response(body=answer, content_type=OCTETS, headers=HEADERS)

    async def _inner(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> BinaryResponse:
        """Answer an encapsulated request: one evaluation for one token."""
        if method != "POST" or not path.startswith(EVALUATIONS):
            raise Problem(404)
        evaluator = self._generation(path.removeprefix(EVALUATIONS))
        if headers.get("content-type") != OCTETS or "content-encoding" in headers:
            raise Problem(415, f"send {OCTETS}, not compressed")
        _questions(body, 1)
        await self.access.admit_token(headers.get("authorization", ""))
        fields = (("content-type", OCTETS), ("cache-control", "no-store"))
        return BinaryResponse(200, fields, self._answer(evaluator, body))

    def _generation(self, name: str) -> BlindEvaluator:
        found = self._generations.get(name)
        if found is None:
            raise Problem(404, "no such generation of keys", kind="urn:spin:error:generation")
        return found

    def _answer(self, evaluator: BlindEvaluator, body: bytes) -> bytes:
        answer = bytearray()
        try:
            for at in range(0, len(body), REQUEST_OCTETS):
                answer += evaluator.evaluate(body[at : at + REQUEST_OCTETS])
        except PrivacyError as error:
            raise Problem(400, error.detail, kind=f"urn:spin:error:{error.fault}") from None
        self.evaluated["done"] += len(answer) // RESPONSE_OCTETS
        return bytes(answer)

    async def _describe(self, _request: web.Request) -> web.Response:
        return json_response(self.description())

    async def _openapi(self, _request: web.Request) -> web.Response:
        return json_response(EVALUATOR_DESCRIPTION)


def load_generations(section: Evaluator) -> Mapping[str, BlindEvaluator]:
    """Read the keys, the preferred ones first. Raises ConfigError."""
    made: dict[str, BlindEvaluator] = {}
    for index, generation in enumerate(section.generation):
        key = f"evaluator.generation[{index}].secret"
        evaluator = read_evaluator(read_secret(None, generation.secret_file, key), f"{key}_file")
        name = evaluator.public_keys.generation
        if name in made:
            raise ConfigError(f"{key}_file", "is another generation's too")
        made[name] = evaluator
    return made


def read_evaluator(secret: str, key: str) -> BlindEvaluator:
    """Return the evaluator of a secret in hexadecimal digits. Raises ConfigError."""
    if not _SECRET.fullmatch(secret):
        raise ConfigError(key, f"holds no {2 * SEED_OCTETS} hexadecimal digits")
    return blind_evaluator(bytes.fromhex(secret))


def _questions(body: bytes, limit: int) -> int:
    count, rest = divmod(len(body), REQUEST_OCTETS)
    if rest or not 0 < count <= limit:
        raise Problem(400, f"a body is 1 to {limit} questions of {REQUEST_OCTETS} octets")
    return count


def _issuers(section: Evaluator) -> list[tuple[str, TokenKey]]:
    issuers: list[tuple[str, TokenKey]] = []
    for index, issuer in enumerate(section.issuer):
        key = f"evaluator.issuer[{index}].key_file"
        try:
            issuers.append((issuer.name, parse_token_key(read_file(issuer.key_file, key))))
        except PrivacyError as error:
            raise ConfigError(key, f"{issuer.key_file}: {error}") from None
    return issuers
