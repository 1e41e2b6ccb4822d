"""Asking evaluator and bucket store, as gateways and the filling directory do alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from discovery.privacy.private_token import format_authorization, parse_authorization
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import (
    MAX_PREFIX_BITS,
    RESPONSE_OCTETS,
    EvaluationKeys,
    StorageQuestion,
    StorageSecrets,
    find_sealed,
)
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.http.ohttp_client import ObliviousClient
from gateway.http.service_client import ServiceClient
from gateway.oblivious_way import TokenSource, accepted_keys, failing
from gateway.split_storage.paths import (
    BUCKETS,
    BUCKETS_WELL_KNOWN,
    EVALUATIONS,
    OCTETS,
    host_of,
)

_MAX_GENERATIONS: Final = 8


class Asks(Protocol):
    """A way to one service."""

    @property
    def host(self) -> str: ...

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Fetched:
        """Make a request; any status is an answer. Raises FetchFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Plainly:
    """Straight over HTTPS."""

    client: ServiceClient
    url: str

    @property
    def host(self) -> str:
        return host_of(self.url)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Fetched:
        return await self.client.request(
            method, self.url + path, timeout=timeout, headers=headers, body=body or None
        )


@dataclass(frozen=True, slots=True)
class Obliviously:
    """Through a relay, so that the service does not learn who asks (RFC 9458)."""

    client: ObliviousClient
    host: str

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Fetched:
        async with failing(self.host, timeout):
            answer = await self.client.request(method, path, headers or {}, body)
        return Fetched(answer.status, dict(answer.headers), answer.content)


class Credential(Protocol):
    """What we present to the evaluator."""

    async def authorization(self) -> str:
        """Return the value for one evaluation. Raises FetchFailed."""
        ...

    def refused(self, authorization: str, asks: str) -> bool:
        """Hear that a value was not taken, and the WWW-Authenticate that came instead; return
        whether to try another one."""
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """A bearer token (RFC 6750), which names us."""

    token: str = field(repr=False)

    async def authorization(self) -> str:
        return f"Bearer {self.token}"

    def refused(self, authorization: str, asks: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Bought:
    """Privacy Pass tokens, each for one evaluation, which name nobody."""

    tokens: TokenSource = field(repr=False)

    async def authorization(self) -> str:
        try:
            return format_authorization(await self.tokens.take())
        except PrivacyError as error:
            raise FetchFailed("tokens", FailureReason.PROTOCOL, str(error)) from None

    def refused(self, authorization: str, asks: str) -> bool:
        return self.tokens.refused(parse_authorization(authorization), accepted_keys(asks))


@dataclass(frozen=True, slots=True)
class EvaluatorClient:
    """One evaluator, whose proofs are checked by keys that the caller has pinned."""

    way: Asks
    credential: Credential = field(repr=False)

    async def secrets(
        self, identifiers: Sequence[str], keys: EvaluationKeys, *, timeout: float
    ) -> list[StorageSecrets]:
        """Return the secrets of up to 16 identifiers in canonical form. Raises FetchFailed.

        An evaluation by another key than the pinned ones is a failure (PROTOCOL, `forged`).
        """
        try:
            questions = [StorageQuestion(identifier) for identifier in identifiers]
            reply, again = await self._once(questions, keys, timeout)
            if again:  # others, so that the two are not known to be one
                questions = [StorageQuestion(identifier) for identifier in identifiers]
                reply, _ = await self._once(questions, keys, timeout)
            if reply.status != 200 or len(reply.body) != len(questions) * RESPONSE_OCTETS:
                raise _unexpected(self.way, "evaluator", reply)
            return [
                question.finish(reply.body[at : at + RESPONSE_OCTETS], keys)
                for question, at in zip(
                    questions, range(0, len(reply.body), RESPONSE_OCTETS), strict=True
                )
            ]
        except PrivacyError as error:
            raise _wrong(self.way, "evaluator", str(error)) from None

    async def _once(
        self, questions: Sequence[StorageQuestion], keys: EvaluationKeys, timeout: float
    ) -> tuple[Fetched, bool]:
        """Ask with one credential; tell whether the same should be asked with another."""
        authorization = await self.credential.authorization()
        reply = await self.way.ask(
            "POST",
            EVALUATIONS + keys.generation,
            timeout=timeout,
            headers={"content-type": OCTETS, "authorization": authorization},
            body=b"".join(question.request for question in questions),
        )
        if reply.status != 401:
            return reply, False
        asks = reply.headers.get("www-authenticate", "")
        return reply, self.credential.refused(authorization, asks)


@dataclass(frozen=True, slots=True)
class StoreDescription:
    """What a bucket store says it has: bits of the prefix by complete generation, and others; how
    many seconds it keeps an entry."""

    instance: str
    complete: Mapping[str, int]
    incomplete: frozenset[str]
    entry_seconds: float


class PrefixChanged(Exception):
    """The store has other bits, or generations, by now: its description has to be read again."""


async def read_description(way: Asks, *, timeout: float) -> StoreDescription:
    """Ask a bucket store what it has. Raises FetchFailed."""
    reply = await way.ask("GET", BUCKETS_WELL_KNOWN, timeout=timeout)
    if reply.status != 200:
        raise _unexpected(way, "bucket store", reply)
    try:
        return _description(parse_json_object(reply.body, max_depth=4))
    except MalformedJson as error:
        raise _wrong(way, "bucket store", f"description: {error}") from None


async def read_sealed(
    way: Asks, generation: str, bits: int, secrets: StorageSecrets, *, timeout: float
) -> bytes | None:
    """Fetch the bucket of a label and take its entry out; None where there is none.

    Raises FetchFailed, PrefixChanged.
    """
    path = f"{BUCKETS}{generation}/{bits}/{secrets.bucket(bits)}"
    reply = await way.ask("GET", path, timeout=timeout)
    if reply.status in (404, 409):
        raise PrefixChanged
    if reply.status != 200:
        raise _unexpected(way, "bucket store", reply)
    try:
        return find_sealed(reply.body, secrets.label)
    except PrivacyError as error:
        raise _wrong(way, "bucket store", f"bucket: {error}") from None


def _description(document: Mapping[str, object]) -> StoreDescription:
    instance, generations = document.get("instance"), document.get("generations")
    if not isinstance(instance, str) or not isinstance(generations, list):
        raise MalformedJson("instance and generations are needed")
    seconds = document.get("entry_seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise MalformedJson("entry_seconds is needed")
    if len(generations) > _MAX_GENERATIONS:
        raise MalformedJson("too many generations")
    complete: dict[str, int] = {}
    incomplete: set[str] = set()
    for each in generations:
        name = each.get("generation") if isinstance(each, dict) else None
        bits = each.get("prefix_bits") if isinstance(each, dict) else None
        if not isinstance(name, str) or type(bits) is not int or not 0 <= bits <= MAX_PREFIX_BITS:
            raise MalformedJson("a generation has no name, or no bits of a prefix")
        if each.get("complete") is True:
            complete[name] = bits
        else:
            incomplete.add(name)
    return StoreDescription(instance, complete, frozenset(incomplete), float(seconds))


def _unexpected(way: Asks, role: str, reply: Fetched) -> FetchFailed:
    return _wrong(way, role, f"HTTP status {reply.status}")


def _wrong(way: Asks, role: str, detail: str) -> FetchFailed:
    return FetchFailed(way.host, FailureReason.PROTOCOL, f"{role} {way.host}: {detail}")
