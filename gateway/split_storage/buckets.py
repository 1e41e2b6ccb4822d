"""Server B of split storage: it takes sealed entries from one directory and gives buckets out.

Of a reader it learns a prefix of a label that says nothing to it, and through a relay not who that
is; of an entry its label, its size class and when it was sealed.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog
from aiohttp import web

from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    LABEL_OCTETS,
    MAX_PREFIX_BITS,
    MAX_SEALED,
    Dummies,
    decode_entries,
    encode_bucket,
    entry_octets,
)
from gateway.config.files import read_secret
from gateway.config.load import ConfigError
from gateway.config.split_storage_services import BucketsConfig
from gateway.directory.bodies import json_response
from gateway.directory.measures import measure_oblivious
from gateway.http.callback import bearer_of
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.ohttp_gateway import read_octets
from gateway.http.problem import Handler, Problem, problems
from gateway.http.source_address import source_of
from gateway.keys import check_pair, derived_key
from gateway.metrics import Exposition
from gateway.services import server_context
from gateway.split_storage.bucket_store import (
    BucketStore,
    StoreRefused,
    StoreUnavailable,
    WrongPrefix,
)
from gateway.split_storage.openapi import BUCKETS_DESCRIPTION
from gateway.split_storage.paths import (
    BUCKETS,
    BUCKETS_WELL_KNOWN,
    ENTRIES,
    GENERATIONS,
    MAX_BATCH,
    OCTETS,
    host_of,
)
from gateway.split_storage.serving import HEADERS, Encapsulated, Serving
from stir.oob.rate import Rate, TokenBuckets

_log = structlog.get_logger("buckets")
_GENERATION: Final = "{generation:[0-9a-f]{16}}"
_ADDRESS: Final = re.compile(
    r"(?P<generation>[0-9a-f]{16})/(?P<bits>[0-9]{1,2})/(?P<number>[0-9]{1,10})"
)
_LIMITS: Final = ListenerLimits(max_connections=2_000, max_per_source=500, lifetime=300.0)
_SHORTEST_TOKEN: Final = 16
_SWEPT: Final = 60.0
_INSIDE: Final = "relays"
R = TypeVar("R")


class BucketsService:
    """Keeps entries and gives buckets out; nothing listens before `start`.

    Raises ConfigError from the constructor and from `start`. wall_clock gives epoch seconds.
    """

    def __init__(
        self, config: BucketsConfig, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        section = config.buckets
        check_pair(section.certificate, section.key, "buckets")
        self._section = section
        self._wall_clock = wall_clock
        self._token = read_secret(section.token, section.token_file, "buckets.token")
        if len(self._token) < _SHORTEST_TOKEN:
            raise ConfigError("buckets.token", f"needs {_SHORTEST_TOKEN} characters or more")
        self._reads = TokenBuckets(Rate(section.reads_per_second, section.reads_burst))
        self._failures = TokenBuckets(Rate(0.5, 20.0))
        self.outcomes: Counter[tuple[str, ...]] = Counter()
        self._faults = 0
        self._failing = False
        state = section.state_directory
        self._encapsulated = Encapsulated(
            state, "buckets", section.key_days, self._inner, host_of(section.url), wall_clock
        )
        self._dummies = derived_key(state, "split storage dummies")
        try:
            self.store = BucketStore(state / "buckets.db", max_entries=section.max_entries)
        except StoreUnavailable as error:
            raise ConfigError("buckets.state_directory", f"database: {error}") from None
        # One thread: SQLite has one writer, and a read behind it takes well under a millisecond.
        self._thread = ThreadPoolExecutor(1, "buckets")
        tls = server_context(section.certificate, section.key)
        self.listener = HttpListener(
            self._application(), section.address, section.port, tls=tls, limits=_LIMITS
        )
        self._serving = Serving(self.listener, "buckets", self._sweep, _SWEPT)

    def description(self) -> Mapping[str, object]:
        """Return the document of /.well-known/spin-buckets."""
        return {
            "v": 1,
            "url": self._section.url,
            "instance": self.store.instance,
            "bucket_octets": BUCKET_OCTETS,
            "entry_seconds": int(self._section.entry_seconds),
            "generations": [
                {"generation": name, "prefix_bits": held.bits, "complete": held.complete}
                for name, held in sorted(self.store.generations.items())
            ],
            "ohttp": self._encapsulated.described(self._section.url),
        }

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted, for `operator_listener`."""
        text = "Reads and writes, by kind and outcome; a put counts its entries"
        exposition.counts("requests", text, ("kind", "outcome"), lambda: self.outcomes)
        exposition.counts(
            "served_bytes", "Octets of buckets given out", (), lambda: {(): self._served()}
        )
        measure_oblivious(exposition, self._encapsulated.server)
        store = self.store
        exposition.gauge("entries", "Entries kept, of all generations", lambda: store.entries)
        exposition.gauge("database_bytes", "Size of the database's file", store.octets)
        exposition.gauges(
            "prefix_bits",
            "Bits of the prefix, by generation of keys",
            ("generation",),
            lambda: {(name,): held.bits for name, held in store.generations.items()},
        )
        exposition.gauges(
            "complete",
            "Whether a generation has all there is",
            ("generation",),
            lambda: {(name,): held.complete for name, held in store.generations.items()},
        )
        text = "Statements that failed"
        exposition.counts("database_errors", text, (), lambda: {(): self._faults})

    def health(self) -> str:
        """Return "ok", or what is wrong in a word or two."""
        return "database unavailable" if self._failing else "ok"

    async def start(self) -> None:
        """Listen."""
        await self._serving.start()

    async def stop(self) -> None:
        """Stop listening, and close the file."""
        await self._serving.stop()
        self._thread.shutdown(wait=True)
        self.store.close()

    async def sweep(self) -> None:
        """Drop what the directory has not renewed. Raises StoreUnavailable."""
        before = self._wall_clock() - self._section.entry_seconds
        while await self._run(lambda: self.store.sweep(before)):
            pass  # readers come in between

    async def _sweep(self) -> None:
        self._encapsulated.renew()
        try:
            await self.sweep()
        except StoreUnavailable as error:
            _log.warning("sweep failed", culprit="database", detail=str(error))

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[problems, self._answered])
        route = application.router
        route.add_get(f"{BUCKETS}{{address:.+}}", self._bucket)
        route.add_get(BUCKETS_WELL_KNOWN, self._describe)
        route.add_get("/openapi.json", self._openapi)
        route.add_put(ENTRIES + _GENERATION, self._put)
        route.add_delete(ENTRIES + _GENERATION, self._remove)
        route.add_put(GENERATIONS + _GENERATION, self._complete)
        route.add_delete(GENERATIONS + _GENERATION, self._drop)
        self._encapsulated.add_to(application)
        return application

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except StoreRefused as refused:
            _log.error("entries refused", culprit="buckets.max_entries", detail=str(refused))
            raise Problem(409, str(refused), kind="urn:spin:error:overloaded") from None

    # --- for readers -------------------------------------------------------------------------

    async def _bucket(self, request: web.Request) -> web.Response:
        body = await self._read(request.match_info["address"], source_of(request.remote))
        return web.Response(body=body, content_type=OCTETS, headers=HEADERS)

    async def _inner(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> BinaryResponse:
        """Answer an encapsulated request: of a bucket, or of the description."""
        kind, content = OCTETS, b""
        if method == "GET" and path == BUCKETS_WELL_KNOWN:
            answer = json_response(self.description()).body
            kind, content = "application/json", answer if isinstance(answer, bytes) else b""
        elif method == "GET" and path.startswith(BUCKETS):
            content = await self._read(path.removeprefix(BUCKETS), _INSIDE)
        else:
            raise Problem(404)
        fields = (("content-type", kind), ("cache-control", "no-store"))
        return BinaryResponse(200, fields, content)

    async def _read(self, address: str, source: str) -> bytes:
        if not self._reads.take(source, self._wall_clock()):
            self.outcomes["read", "too many"] += 1
            raise Problem(429, "too many buckets", headers={"Retry-After": "1"})
        found = _ADDRESS.fullmatch(address)
        bits, number = (int(found["bits"]), int(found["number"])) if found else (0, 0)
        if found is None or bits > MAX_PREFIX_BITS or number >> bits:
            raise Problem(404, "no such bucket")
        generation = found["generation"]
        try:
            entries = await self._do(lambda: self.store.bucket(generation, bits, number))
        except KeyError:
            raise Problem(404, "no such generation", kind="urn:spin:error:generation") from None
        except WrongPrefix:
            raise Problem(409, "the prefix has other bits", kind="urn:spin:error:prefix") from None
        self.outcomes["read inside" if source == _INSIDE else "read", "given"] += 1
        return encode_bucket(entries, Dummies(self._dummies, generation, bits, number))

    async def _describe(self, _request: web.Request) -> web.Response:
        return json_response(self.description())

    async def _openapi(self, _request: web.Request) -> web.Response:
        return json_response(BUCKETS_DESCRIPTION)

    # --- for the directory -------------------------------------------------------------------

    async def _put(self, request: web.Request) -> web.Response:
        self._admit(request)
        body = await read_octets(request, OCTETS, MAX_BATCH * entry_octets(MAX_SEALED))
        try:
            entries = decode_entries(body)
        except PrivacyError as error:
            raise Problem(400, error.detail, kind=f"urn:spin:error:{error.fault}") from None
        if not 0 < len(entries) <= MAX_BATCH:
            raise Problem(400, f"a body is 1 to {MAX_BATCH} entries")
        generation, now = request.match_info["generation"], self._wall_clock()
        await self._do(lambda: self.store.put(generation, entries, now))
        self.outcomes["put", "kept"] += len(entries)
        return self._told()

    async def _remove(self, request: web.Request) -> web.Response:
        self._admit(request)
        body = await read_octets(request, OCTETS, MAX_BATCH * LABEL_OCTETS)
        count, rest = divmod(len(body), LABEL_OCTETS)
        if rest or not count:
            raise Problem(400, f"a body is 1 to {MAX_BATCH} labels of {LABEL_OCTETS} octets")
        labels = [body[at : at + LABEL_OCTETS] for at in range(0, len(body), LABEL_OCTETS)]
        generation = request.match_info["generation"]
        await self._do(lambda: self.store.remove(generation, labels))
        self.outcomes["remove", "done"] += count
        return self._told()

    async def _complete(self, request: web.Request) -> web.Response:
        self._admit(request)
        generation = request.match_info["generation"]
        await self._do(lambda: self.store.complete(generation))
        return self._told()

    async def _drop(self, request: web.Request) -> web.Response:
        self._admit(request)
        generation = request.match_info["generation"]
        await self._do(lambda: self.store.drop(generation))
        _log.info("generation dropped", generation=generation)
        return self._told()

    def _admit(self, request: web.Request) -> None:
        given = bearer_of(request) or ""
        if hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode()):
            return
        self.outcomes["write", "unauthorized"] += 1
        if not self._failures.take(source_of(request.remote), self._wall_clock()):
            raise Problem(429, "too many requests of nobody known", headers={"Retry-After": "60"})
        raise Problem(401, headers={"WWW-Authenticate": "Bearer"})

    def _served(self) -> int:
        given = self.outcomes["read", "given"] + self.outcomes["read inside", "given"]
        return given * BUCKET_OCTETS

    def _told(self) -> web.Response:
        """Answer with the instance: another one means that everything was lost."""
        return json_response({"instance": self.store.instance})

    async def _run(self, work: Callable[[], R]) -> R:
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except StoreUnavailable:
            self._faults += 1
            self._failing = True
            raise
        self._failing = False
        return done

    async def _do(self, work: Callable[[], R]) -> R:
        try:
            return await self._run(work)
        except StoreUnavailable as error:
            _log.error("database unavailable", culprit=str(error))
            raise Problem(
                503, "the database is unavailable", headers={"Retry-After": "5"}
            ) from None
