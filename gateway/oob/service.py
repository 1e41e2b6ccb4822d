"""PASSporTs out of band for calls: published as they leave, retrieved where Identity was lost.

Nothing here ever fails a call: without a service, without its answer, or with an answer that does
not verify, the call is as it came.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from gateway.call_facts import identity_values, live_facts
from gateway.config.oob import OutOfBand, When
from gateway.http.call_placement_client import CallPlacementClient, Placement
from gateway.identity import IdentityServices
from gateway.oob.keys import OutOfBandKeys
from sip.message import Request
from stir.authentication import AuthenticationService
from stir.oob.encryption import CannotDecrypt, Decryption, encrypt_passports
from stir.oob.tokens import MAX_TOKENS, MalformedTokens, candidates
from stir.passport import MalformedPassport, parse_passport
from stir.replay import ReplayCache
from stir.strict_json import canonical
from stir.telephone_number import canonicalise, number_of
from stir.verdict import CallVerdict

_log = structlog.get_logger("oob")
_MAX_ORIGINATORS: Final = 2
_REMEMBERED: Final = 100_000
# For all that was retrieved: junk whose certificates are nowhere to be had must not add up.
VERIFY_SECONDS: Final = 3.0


class OutOfBandService:
    """Publishes and retrieves by the policy of `settings`; counts what came of it.

    `outcomes` has the pairs (action, outcome) for the operator's metrics. wall_clock gives epoch
    seconds; `keep` is how many seconds a PASSporT may be used.
    """

    def __init__(
        self,
        settings: OutOfBand,
        keys: OutOfBandKeys,
        client: CallPlacementClient,
        authentication: AuthenticationService,
        identity: IdentityServices,
        *,
        wall_clock: Callable[[], float],
        keep: float,
        accept_asserted: bool = False,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._decryption = Decryption(keys.own)
        self._client = client
        self._authentication = authentication
        self._identity = identity
        self._wall_clock = wall_clock
        self._keep = keep
        self._accept_asserted = accept_asserted
        self._calls = ReplayCache(_REMEMBERED)
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    async def publish(
        self, request: Request, *, orig: str, dest: str, loses_identity: bool
    ) -> None:
        """Publish the PASSporTs of a signed request, and wait until the services have them.

        `orig` and `dest` in E.164; `loses_identity` where the next hop is known for it.
        """
        if not _applies(self._settings.publish, loses_identity):
            return
        tokens = self._tokens(request)
        if not tokens:
            return
        recipient = self._keys.recipient(dest)
        called, calling = dest.removeprefix("+"), orig.removeprefix("+")
        if recipient is not None:
            where = Placement(called, None)
            try:
                tokens = (encrypt_passports(tokens, recipient),)
            except MalformedTokens as error:
                self._count("publish", "impossible")
                _log.warning("PASSporTs cannot be published", culprit="caller", detail=str(error))
                return
        elif self._settings.plain:
            where = Placement(called, calling)
        else:
            self._count("publish", "no_key")
            return
        taken = await self._client.publish(where, tokens)
        self._count("publish", "taken" if taken else "failed")

    async def verify(
        self, request: Request, *, dest: str, loses_identity: bool
    ) -> CallVerdict | None:
        """Return the verdict on a retrieved PASSporT that is valid for this call, or None.

        Only a request without Identity is looked up; `dest` is the called number in E.164.
        """
        if not _applies(self._settings.retrieve, loses_identity) or identity_values(request):
            return None
        tokens = await self._retrieve(request, dest.removeprefix("+"))
        if not tokens:
            self._count("retrieve", "nothing")
            return None
        try:
            async with asyncio.timeout(VERIFY_SECONDS):
                return await self._first_valid(request, tokens)
        except TimeoutError:
            self._count("retrieve", "too_slow")
            _log.warning("what was retrieved takes too long to verify", call_id=request.call_id)
            return None

    async def _first_valid(self, request: Request, tokens: tuple[str, ...]) -> CallVerdict | None:
        reasons = []
        # One after the other: verifying uses a PASSporT up, and others belong to other calls.
        for candidate in candidates(tokens):
            verdict = await self._identity.verify(request, identities=candidate)
            if verdict.outcome == "valid" and self.note(request, verdict):
                self._count("retrieve", "valid")
                return replace(verdict, out_of_band=True)
            reasons.append(verdict.reason.code if verdict.reason is not None else verdict.outcome)
        self._count("retrieve", "invalid")
        _log.warning("nothing retrieved verifies", reasons=reasons, call_id=request.call_id)
        return None

    def note(self, request: Request, verdict: CallVerdict) -> bool:
        """Note that a call was verified; False where another one was by the same assertion.

        What is published differs from what came in the header, if only by its media keys: without
        this memory it would lie ready for a second call, by whoever knows of the first.
        """
        passport = verdict.best.passport if verdict.best is not None else None
        if verdict.outcome != "valid" or passport is None:
            return False
        same = {name: passport.payload.get(name) for name in ("orig", "dest", "iat", "origid")}
        digest = hashlib.sha256(canonical(same)).digest()
        return self._calls.admit(digest, request.call_id, self._wall_clock(), self._keep)

    async def close(self) -> None:
        """Close the connections to the services."""
        await self._client.close()

    # --- publishing --------------------------------------------------------------------------

    def _tokens(self, request: Request) -> tuple[str, ...]:
        """The tokens of the request; our own are signed again without media keys."""
        tokens = []
        for value in identity_values(request)[:MAX_TOKENS]:
            token = value.partition(";")[0].strip()
            try:
                tokens.append(self._without_media_keys(token))
            except MalformedPassport:
                continue  # the compact form, or a stranger's nonsense: nothing for a service
        return tuple(tokens)

    def _without_media_keys(self, token: str) -> str:
        passport = parse_passport(token)
        if "mky" not in passport.payload or passport.x5u != self._authentication.x5u:
            return token
        payload = {name: value for name, value in passport.payload.items() if name != "mky"}
        header = {} if passport.ppt is None else {"ppt": passport.ppt}
        return self._authentication.sign_passport(header, payload)

    # --- retrieving --------------------------------------------------------------------------

    async def _retrieve(self, request: Request, dest: str) -> tuple[str, ...]:
        places = [Placement(dest, None)] if self._keys.own else []
        if self._settings.plain:
            places += [Placement(dest, orig) for orig in self._originators(request)]
        found = await asyncio.gather(*(self._client.retrieve(place) for place in places))
        tokens: list[str] = []
        for place, items in zip(places, found, strict=True):
            tokens += items if place.orig is not None else self._opened(items)
        return tuple(tokens)

    def _opened(self, items: tuple[str, ...]) -> list[str]:
        tokens: list[str] = []
        for sealed in items:
            try:
                tokens += self._decryption.decrypt(sealed)
            except CannotDecrypt as error:
                # Anybody may store junk for us; what opens has still to verify.
                self._count("retrieve", "other_key" if error.other_key else "undecipherable")
        return tokens

    def _originators(self, request: Request) -> tuple[str, ...]:
        facts = live_facts(request, accept_asserted=self._accept_asserted)
        numbers = (number_of(uri) for uri in facts.orig_candidates or ())
        found = dict.fromkeys(number for number in numbers if number and canonicalise(number))
        return tuple(found)[:_MAX_ORIGINATORS]

    def _count(self, action: str, outcome: str) -> None:
        self.outcomes[action, outcome] += 1


def _applies(when: When, loses_identity: bool) -> bool:
    return when == "always" or (when == "peers" and loses_identity)
