"""Somebody else's STI-AS and STI-VS over HTTP (ATIS-1000082, TS 24.229 annex V).

Instances are asked in their order; one that fails is left alone by its circuit breaker. What comes
back is checked before it is believed: a signature for another call is no signature.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import structlog

from gateway.http.fetch import Fetched, FetchFailed
from gateway.http.service_client import ServiceClient
from gateway.signing.breaker import BreakerLimits, CircuitBreaker
from gateway.signing.messages import SigningOrder, VerificationOrder
from stir.identity import MalformedIdentity, parse_identity
from stir.passport import MalformedPassport, parse_passport
from stir.strict_json import MalformedJson, parse_object
from stir.verdict import Verstat

_log = structlog.get_logger("remote-sti")
_VERSTAT: Final[dict[str, Verstat]] = {
    "tn-validation-passed": "TN-Validation-Passed",
    "tn-validation-failed": "TN-Validation-Failed",
    "no-tn-validation": "No-TN-Validation",
}
_LEVEL: Final = re.compile(r"-[abc]\Z")
_HEARTBEAT_NUMBER: Final = "12125550100"
# These say that the instance will not serve us, whatever we ask; other 4xx say it of the request.
_UNUSABLE: Final = frozenset({401, 403, 404, 405, 408, 429})
Resource = Literal["signing", "verification"]
T = TypeVar("T")


class RemoteUnavailable(Exception):
    """No instance gave an answer that can be used; the message says why the last one did not."""


class _Unusable(Exception):
    """An answer that is not what the interface says."""


class _Declined(Exception):
    """The instance works and declines this request."""


@dataclass(frozen=True, slots=True)
class Instance:
    """The URLs of one instance, None where it does not serve that."""

    signing: str | None
    verification: str | None

    def url(self, resource: Resource) -> str | None:
        """The URL of a resource."""
        return self.signing if resource == "signing" else self.verification


@dataclass(frozen=True, slots=True)
class RemoteVerdict:
    """What a remote STI-VS said; `code` is its reason code, None without one."""

    verstat: Verstat
    code: int | None
    text: str
    host: str


class RemoteSti:
    """Asks the instances. `timeout` seconds each; steady: a clock that only runs forward.

    `outcomes` counts (resource, outcome); `close` ends the connections.
    """

    def __init__(
        self,
        instances: tuple[Instance, ...],
        client: ServiceClient,
        steady: Callable[[], float],
        *,
        timeout: float = 0.5,
        limits: BreakerLimits | None = None,
        token: str | None = None,
        heartbeat: Literal["options", "verification"] = "options",
    ) -> None:
        self._client = client
        self._steady = steady
        self._timeout = timeout
        self._token = token
        self._heartbeat = heartbeat
        chosen = limits or BreakerLimits()
        self._breakers: dict[Resource, list[tuple[str, CircuitBreaker]]] = {
            resource: [
                (url, CircuitBreaker(chosen))
                for each in instances
                if (url := each.url(resource)) is not None
            ]
            for resource in ("signing", "verification")
        }
        self._instance_id = str(uuid.uuid4())
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    async def sign(self, order: SigningOrder) -> str:
        """Return the Identity value for a call; raises RemoteUnavailable."""
        return await self._ask(
            "signing", order.document(), lambda answer, _: _identity(answer, order)
        )

    async def verify(self, order: VerificationOrder) -> RemoteVerdict:
        """Return what the STI-VS says of a call; raises RemoteUnavailable."""
        return await self._ask("verification", order.document(), _verdict)

    def open_breakers(self) -> int:
        """How many instances are left alone at present, counted by resource."""
        return sum(b.state != "closed" for held in self._breakers.values() for _, b in held)

    async def keep(self, seconds: float) -> None:
        """Try each instance by itself every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.beat()

    async def beat(self) -> None:
        """Try each instance once."""
        for resource, held in self._breakers.items():
            for url, breaker in held:
                await self._try(resource, url, breaker)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # --- one request -------------------------------------------------------------------------

    async def _ask(
        self,
        resource: Resource,
        document: dict[str, object],
        read: Callable[[Fetched, str], T],
    ) -> T:
        why = "every instance's circuit breaker is open"
        for url, breaker in self._breakers[resource]:
            if not breaker.allows(self._steady()):
                continue
            host = url.split("/", 3)[2]
            begun = self._steady()
            try:
                found = read(await self._exchange("POST", url, document), host)
            except (FetchFailed, _Unusable) as error:
                breaker.failed(self._steady())
                why = str(error)
                self.outcomes[resource, "failed"] += 1
                _log.warning("instance failed", resource=resource, culprit=host, detail=why)
                continue
            except _Declined as error:
                breaker.answered(self._steady() - begun, self._steady())
                self.outcomes[resource, "declined"] += 1
                raise RemoteUnavailable(f"{host}: {error}") from None
            breaker.answered(self._steady() - begun, self._steady())
            self.outcomes[resource, "answered"] += 1
            return found
        self.outcomes[resource, "unavailable"] += 1
        raise RemoteUnavailable(why)

    async def _try(self, resource: Resource, url: str, breaker: CircuitBreaker) -> None:
        now = self._steady()
        try:
            if self._heartbeat == "verification" and resource == "verification":
                number = _HEARTBEAT_NUMBER
                order = VerificationOrder(number, (number,), (), 0)
                await self._exchange("POST", url, order.document())
            else:
                await self._exchange("OPTIONS", url, None)
        except (FetchFailed, _Unusable) as error:
            breaker.failed(self._steady())
            host = url.split("/", 3)[2]
            _log.warning("no heart-beat", resource=resource, culprit=host, detail=str(error))
        except _Declined:
            breaker.answered(self._steady() - now, self._steady())
        else:
            breaker.answered(self._steady() - now, self._steady())

    async def _exchange(self, method: str, url: str, document: dict[str, object] | None) -> Fetched:
        headers = {
            "Accept": "application/json",
            "X-RequestID": str(uuid.uuid4()),
            "X-InstanceID": self._instance_id,
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        body = None
        if document is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(document, separators=(",", ":")).encode()
        answer = await self._client.request(
            method, url, timeout=self._timeout, headers=headers, body=body
        )
        if method == "OPTIONS" and answer.status < 500:
            return answer
        if answer.status >= 500 or answer.status in _UNUSABLE or 300 <= answer.status < 400:
            raise _Unusable(f"HTTP status {answer.status}")
        if answer.status >= 400:
            raise _Declined(f"HTTP status {answer.status}")
        return answer


def _content(answer: Fetched, name: str) -> dict[str, object]:
    try:
        content = parse_object(answer.body).get(name)
    except MalformedJson as error:
        raise _Unusable(f"its answer is malformed: {error}") from None
    if not isinstance(content, dict):
        raise _Unusable(f"its answer has no {name}")
    return content


def _identity(answer: Fetched, order: SigningOrder) -> str:
    """The Identity value; it has to be a SHAKEN PASSporT for this very call."""
    content = _content(answer, "signingResponse")
    value = content.get("identity", content.get("identityHeader"))
    if not isinstance(value, str):
        raise _Unusable("its answer has no identity")
    value = value.strip()
    try:
        identity = parse_identity(value)
        passport = parse_passport(identity.token)
    except (MalformedIdentity, MalformedPassport) as error:
        raise _Unusable(f"its identity is malformed: {error.problem}") from None
    wanted = {"orig": {"tn": order.orig}, "dest": {"tn": list(order.dest)}, "attest": order.attest}
    if {name: passport.payload.get(name) for name in wanted} != wanted:
        raise _Unusable("its identity is for another call or attestation")
    return value


def _verdict(answer: Fetched, host: str) -> RemoteVerdict:
    content = _content(answer, "verificationResponse")
    said = content.get("verstat", content.get("verstatValue"))
    key = _LEVEL.sub("", said.lower()) if isinstance(said, str) else ""
    if key not in _VERSTAT:
        raise _Unusable("its answer has no verstat that is known")
    details = [content, *_results(content)]
    code = next((_code(d) for d in details if _code(d) is not None), None)
    text = next((str(d[n])[:200] for d in details for n in _TEXTS if d.get(n)), "")
    return RemoteVerdict(_VERSTAT[key], code, text, host)


_TEXTS: Final = ("reasondesc", "reasonDesc", "reasontext", "reasonText")


def _results(content: dict[str, object]) -> list[dict[str, object]]:
    results = content.get("verifyResults")
    found = []
    for item in results if isinstance(results, list) else []:
        result = item.get("verifyResult", item) if isinstance(item, dict) else None
        if isinstance(result, dict):
            found.append(result)
    return found


def _code(content: dict[str, object]) -> int | None:
    value = content.get("reasoncode", content.get("reasonCode"))
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        return int(value)
    return value if type(value) is int else None
