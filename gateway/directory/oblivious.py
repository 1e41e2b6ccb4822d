"""Lookups nobody can tie to whoever asks: Oblivious HTTP, paid by Privacy Pass tokens (R6, R8).

The relay knows the asker and not the question, we know the question and not the asker, and a token
says only that some provider let somebody ask once.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from discovery.directory.challenge_limits import DAY
from discovery.privacy.alike import Beat
from discovery.privacy.bhttp import BinaryResponse
from discovery.privacy.ohttp import OhttpGateway
from discovery.privacy.ohttp_keys import GatewayKey, GatewayKeys
from discovery.privacy.private_token import format_challenge, parse_authorization
from discovery.privacy.reason import PrivacyError
from discovery.privacy.token import TokenChallenge
from discovery.privacy.token_key import TokenKey, parse_token_key
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier
from gateway.config.directory import DirectoryConfig
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.directory.access import LookupAccess
from gateway.directory.database import Database
from gateway.directory.spent_tokens import SpendsTokens, SpentTokens
from gateway.directory_log.kept import PREFIX
from gateway.http.ohttp_gateway import OhttpGatewayServer
from gateway.http.problem import Problem
from gateway.keys import derived_key

_LOOKUP: Final = "/dp/v1/lookup"
DESCRIPTION_PATH: Final = "/.well-known/spin-dp"
_JSON: Final = (("content-type", "application/json"), ("cache-control", "no-store"))
# What clients and relays keep of a key configuration, and clocks, may lag by this.
_GRACE: Final = DAY


class AnswersOctets(Protocol):
    """Whoever answers the body of a lookup; raises Problem."""

    async def lookup_octets(self, body: bytes) -> bytes: ...


class Tokens:
    """A `TokenRedeemer` for the tokens of some issuers, each taken once.

    host: our name, for which alone tokens are good; spent: where nonces are remembered. wall_clock
    gives epoch seconds.
    """

    def __init__(
        self,
        issuers: Sequence[tuple[str, TokenKey]],
        host: str,
        wall_clock: Callable[[], float],
        spent: SpendsTokens,
    ) -> None:
        made = [(TokenChallenge(name, b"", (host,)), key) for name, key in issuers]
        accepted = [AcceptedKey(key, challenge) for challenge, key in made]
        self._verifier = TokenVerifier(accepted, host)
        self._challenge = ", ".join(format_challenge(challenge, key) for challenge, key in made)
        self._wall_clock = wall_clock
        self._spent = spent
        # By fault, and "spent" where a token came a second time.
        self.refused: Counter[tuple[str, ...]] = Counter()
        self.redeemed = 0

    @property
    def challenge(self) -> str | None:
        return self._challenge

    async def redeem(self, authorization: str) -> bool:
        try:
            good = self._verifier.check(parse_authorization(authorization), self._wall_clock())
        except PrivacyError as error:
            self.refused[(str(error.fault),)] += 1
            return False
        fresh = await self._spent.spend(good.key_id, good.nonce)
        if fresh:
            self.redeemed += 1
        else:
            self.refused[("spent",)] += 1
        return fresh


class RotatingKeys:
    """The keys of the gateway, another one each `period` seconds, made from one secret.

    A key is advertised for its period and taken for a day more. Whoever has the secret can make
    them all again, past ones too: that is the price of keeping no other state.
    """

    def __init__(self, secret: bytes, period: float) -> None:
        self._secret = secret
        self._period = period

    def at(self, now: float) -> GatewayKeys:
        """Return the keys of the period of `now` (epoch seconds) and its neighbours."""
        number = int(now // self._period)
        return GatewayKeys(self._key(each) for each in (number - 1, number, number + 1))

    def _key(self, number: int) -> GatewayKey:
        salt = number.to_bytes(8, "big", signed=True)
        private = hashlib.blake2b(salt, key=self._secret, digest_size=32).digest()
        start = number * self._period
        return GatewayKey(
            number % 256,
            private,
            not_before=start,
            advertise_until=start + self._period,
            accept_until=start + self._period + _GRACE,
        )


class Published(Protocol):
    """Whoever reads what anybody may have without a token; raises Problem."""

    async def read(self, path: str) -> tuple[str, bytes]:
        """Return the media type and the content of a path."""
        ...


class PublishedFiles:
    """What a directory publishes: its description, and its log where it has one."""

    def __init__(
        self, description: Callable[[], Mapping[str, object]], log: Published | None
    ) -> None:
        self._description = description
        self._log = log

    async def read(self, path: str) -> tuple[str, bytes]:
        if path == DESCRIPTION_PATH:
            return "application/json", json.dumps(self._description()).encode()
        if self._log is not None and path.startswith(f"{PREFIX}/"):
            return await self._log.read(path.removeprefix(PREFIX))
        raise Problem(404)


class ObliviousLookups:
    """The inside of encapsulated requests: lookups with a token, and what is published to all.

    Which of that somebody reads after a lookup (the description, tiles of the log up to the
    checkpoint of an answer) would tell who looked up, if it had to be read another way.
    """

    def __init__(
        self, access: LookupAccess, answers: AnswersOctets, published: Published | None = None
    ) -> None:
        self._access = access
        self._answers = answers
        self._published = published

    async def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> BinaryResponse:
        if method == "GET" and self._published is not None:
            kind, content = await self._published.read(path)
            return BinaryResponse(200, (("content-type", kind),), content)
        if (method, path) != ("POST", _LOOKUP):
            raise Problem(404)
        await self._access.admit_token(headers.get("authorization", ""))
        if headers.get("content-type") != "application/json" or "content-encoding" in headers:
            raise Problem(415, "send application/json, not compressed")
        return BinaryResponse(200, _JSON, await self._answers.lookup_octets(body))


class ObliviousService:
    """The gateway resource of a directory, whose keys `renew` keeps current."""

    def __init__(
        self,
        keys: RotatingKeys,
        access: LookupAccess,
        answers: AnswersOctets,
        host: str,
        beat: Beat,
        wall_clock: Callable[[], float],
        published: Published | None = None,
    ) -> None:
        self._keys = keys
        self._wall_clock = wall_clock
        self._gateway = OhttpGateway(keys.at(wall_clock()))
        self.server = OhttpGatewayServer(
            self._gateway,
            ObliviousLookups(access, answers, published),
            frozenset({host}),
            beat=beat,
            wall_clock=wall_clock,
        )

    def renew(self) -> None:
        """Bring the keys up to the present."""
        self._gateway.keys = self._keys.at(self._wall_clock())

    def configuration(self) -> bytes:
        """Return what is advertised, as `application/ohttp-keys`."""
        return self._gateway.keys.encode(self._wall_clock())


def make_tokens(
    config: DirectoryConfig, database: Database, wall_clock: Callable[[], float]
) -> tuple[Tokens, SpentTokens] | None:
    """Return who redeems tokens and who remembers them, None where none are taken.

    Raises ConfigError.
    """
    settings = config.oblivious
    if settings is None:
        return None
    issuers: list[tuple[str, TokenKey]] = []
    for index, issuer in enumerate(settings.issuer):
        key = f"oblivious.issuer[{index}].key_file"
        try:
            issuers.append((issuer.name, parse_token_key(read_file(issuer.key_file, key))))
        except PrivacyError as error:
            raise ConfigError(key, f"{issuer.key_file}: {error}") from None
    spent = SpentTokens(
        database, (key.key_id for _, key in issuers), max_spent=settings.max_spent_tokens
    )
    return Tokens(issuers, host_of(config), wall_clock, spent), spent


def make_rotating_keys(config: DirectoryConfig) -> RotatingKeys | None:
    """Return the keys of Oblivious HTTP, or None where it is not configured."""
    settings = config.oblivious
    if settings is None:
        return None
    secret = derived_key(config.directory.state_directory, "oblivious keys")
    return RotatingKeys(secret, settings.key_days * DAY)


def host_of(config: DirectoryConfig) -> str:
    """Return our host, with the port where it is in the URL."""
    return config.directory.url.split("/", 3)[2].lower()
