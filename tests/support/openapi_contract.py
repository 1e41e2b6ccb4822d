"""Whether a server keeps to its OpenAPI description, whatever is sent to it.

How many requests each operation gets is SPINGATE_EXAMPLES (100); `make contracts` sends 1,000.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp
import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

EXAMPLES: Final = int(os.environ.get("SPINGATE_EXAMPLES", "100"))
_METHODS: Final = ("get", "put", "post", "delete")
_PLAIN: Final = re.compile(r"[\x20-\x7e]{0,200}")
# What gets no body takes few inputs; the rest of so many requests would be the same again.
_WITHOUT_INPUT: Final = 20

schemathesis.serializer.alias("application/jose", "text/plain")

Mode = Literal["positive", "negative", "raw"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to send; path with query, without credentials."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    content_type: str
    body: bytes


Send = Callable[[Request], Awaitable[Reply]]


def over(session: aiohttp.ClientSession, base: str, *credentials: str) -> Send:
    """Send to a server, with one credential after the other (`Bearer ..`; "" for none)."""
    turns = itertools.cycle(credentials or ("",))

    async def once(request: Request, headers: dict[str, str]) -> Reply:
        async with session.request(
            request.method,
            URL(base + request.path, encoded=True),
            headers=headers,
            data=request.body,
            allow_redirects=False,
        ) as response:
            body = await response.read()
            return Reply(response.status, response.headers.get("Content-Type", ""), body)

    async def send(request: Request) -> Reply:
        headers = dict(request.headers)
        if credential := next(turns):
            headers["Authorization"] = credential
        try:
            return await once(request, headers)
        except aiohttp.ClientConnectionError:
            # A connection lives for half a minute, whatever is under way on it.
            return await once(request, headers)

    return send


@dataclass(slots=True)
class Contract:
    """A description, and what was seen of a server that has it.

    No status is taken that an operation does not declare; one with parameters in its path may also
    be missed (404, 405), as a parameter can hold a slash, or nothing.
    """

    description: Mapping[str, Any]
    seen: Counter[int] = field(default_factory=Counter)
    known: list[str] = field(default_factory=list)
    _schema: Any = None

    def __post_init__(self) -> None:
        self.description = json.loads(json.dumps(self.description))
        self._schema = schemathesis.openapi.from_dict(dict(self.description))

    def cases(self) -> Iterator[tuple[str, str, Mode]]:
        """Every operation in every mode that has input for it."""
        for path, item in self.description["paths"].items():
            for method in item:
                if method not in _METHODS:
                    continue
                yield method, path, "positive"
                if self._takes_input(method, path):
                    yield method, path, "negative"
                if "requestBody" in item[method]:
                    yield method, path, "raw"

    def _takes_input(self, method: str, path: str) -> bool:
        item = self.description["paths"][path]
        return any(
            key in held for key in ("requestBody", "parameters") for held in (item, item[method])
        )

    async def hold(self, method: str, path: str, mode: Mode, send: Send) -> None:
        """Send examples of one operation; AssertionError for whatever is not declared."""
        loop = asyncio.get_running_loop()

        async def ask(request: Request) -> None:
            self.check(method, path, await send(request))

        @settings(
            max_examples=EXAMPLES if self._takes_input(method, path) else _WITHOUT_INPUT,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def fuzz(request: Request) -> None:
            asyncio.run_coroutine_threadsafe(ask(request), loop).result(20)

        await asyncio.to_thread(given(self.requests(method, path, mode))(fuzz))
        assert self.seen

    async def walk(self, send: Send, *steps: tuple[str, str, object]) -> None:
        """Take steps that succeed, each (method, path, document or None).

        Of what they make the identifiers are learnt; a path's parameter is the latest of them.
        """
        for method, path, document in steps:
            place = re.sub(r"\{[^}]*\}", lambda _: self.known[-1], path)
            body = None if document is None else json.dumps(document).encode()
            headers = {} if body is None else {"Content-Type": "application/json"}
            reply = await send(Request(method.upper(), place, headers, body))
            self.check(method, path, reply)
            assert reply.status < 300, (method, path, reply.status, reply.body[:200])
            self._learn(reply)

    async def hold_in_any_order(self, send: Send, *, steps: int = 12) -> None:
        """Send sequences of operations, with the identifiers that earlier ones gave."""
        loop = asyncio.get_running_loop()
        one = st.one_of(
            [
                st.tuples(st.just(method), st.just(path), self.requests(method, path, "positive"))
                for method, path, mode in self.cases()
                if mode == "positive"
            ]
        )

        async def ask(sequence: list[tuple[str, str, Request]], dice: Any) -> None:
            for method, path, request in sequence:
                reply = await send(self._with_known(path, request, dice))
                self.check(method, path, reply)
                self._learn(reply)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def fuzz(sequence: list[tuple[str, str, Request]], dice: Any) -> None:
            asyncio.run_coroutine_threadsafe(ask(sequence, dice), loop).result(60)

        sequences = st.lists(one, min_size=2, max_size=steps)
        # One draw, its seed: how often the dice is cast depends on what the server said before.
        await asyncio.to_thread(given(sequences, st.randoms(use_true_random=True))(fuzz))

    # --- what is sent --------------------------------------------------------------------------

    def requests(self, method: str, path: str, mode: Mode) -> st.SearchStrategy[Request]:
        """Requests to one operation: as described, not as described, or with octets for a body."""
        operation = self._schema[path][method.upper()]
        modes = schemathesis.GenerationMode
        chosen = modes.NEGATIVE if mode == "negative" else modes.POSITIVE
        requests: st.SearchStrategy[Request]
        requests = operation.as_strategy(generation_mode=chosen).map(_request_of)
        if mode != "raw":
            return requests
        return st.tuples(requests, _bodies(), _KINDS).map(_with_octets)

    def _with_known(self, path: str, request: Request, dice: Any) -> Request:
        if "{" not in path or not self.known or dice.random() < 0.3:
            return request
        place = re.sub(r"\{[^}]*\}", lambda _: str(dice.choice(self.known)), path)
        return Request(request.method, place, request.headers, request.body)

    def _learn(self, reply: Reply) -> None:
        """Keep identifiers out of an answer, the latest fifty."""
        if "json" in reply.content_type and reply.body:
            document = json.loads(reply.body)
            found = document.get("id") if isinstance(document, dict) else None
            if isinstance(found, str):
                self.known = [*self.known[-49:], found]

    # --- what comes back -----------------------------------------------------------------------

    def check(self, method: str, path: str, reply: Reply) -> None:
        """Hold a reply against the description."""
        self.seen[reply.status] += 1
        operation = self.description["paths"][path][method]
        declared: dict[str, Any] = operation["responses"]
        if str(reply.status) not in declared:
            missed = "{" in path and reply.status in (404, 405)
            assert missed, f"{method} {path}: {reply.status} is not declared: {reply.body[:200]!r}"
            return
        assert reply.status < 500 or reply.status in (502, 503, 504, 507), reply.status
        content: dict[str, Any] = declared[str(reply.status)].get("content", {})
        kind = reply.content_type.partition(";")[0].strip().lower()
        if not content:
            assert not reply.body or kind == "application/problem+json", (reply.status, kind)
            return
        assert kind in content, f"{method} {path}: {reply.status} as {kind}, not declared"
        schema = content[kind].get("schema")
        if schema is not None and "json" in kind:
            jsonschema_rs.Draft202012Validator(schema).validate(json.loads(reply.body))


def _request_of(case: Any) -> Request:
    headers = {
        str(name): str(value)
        for name, value in (case.headers or {}).items()
        if _PLAIN.fullmatch(str(value)) and re.fullmatch("[A-Za-z0-9-]+", str(name))
    }
    unset = isinstance(case.body, type(schemathesis.core.NOT_SET))
    body = None if unset else _octets(case.body, case.media_type)
    if body is not None:
        headers["Content-Type"] = case.media_type or "application/json"
    return Request(case.method, case.formatted_path, headers, body)


def _octets(body: Any, media_type: str | None) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str) and "json" not in (media_type or "json"):
        return body.encode("utf-8", "replace")
    return json.dumps(body, default=repr).encode()


_KINDS: Final = st.sampled_from(
    [
        None,
        "application/json",
        "application/json; charset=utf-16",
        "application/json; charset=no-such-charset",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "text/plain",
        "",
        "/;=",
    ]
)


def _bodies() -> st.SearchStrategy[bytes | None]:
    """Octets that are no document, or almost one; None to cut the described one short."""
    nested = st.integers(1, 10_000).map(lambda depth: b"[" * depth)
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=10,
    )
    documents = values.map(lambda value: json.dumps(value).encode())
    return st.one_of(st.none(), st.binary(max_size=300), nested, documents)


def _with_octets(drawn: tuple[Request, bytes | None, str | None]) -> Request:
    request, octets, kind = drawn
    body = (request.body or b"")[: len(request.body or b"") * 2 // 3] if octets is None else octets
    headers = dict(request.headers)
    headers["Content-Type"] = headers.get("Content-Type", "") if kind is None else kind
    return Request(request.method, request.path, headers, body)
