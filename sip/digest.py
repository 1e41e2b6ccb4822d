"""Digest access authentication for SIP (RFC 3261 section 22 with RFC 7616 and RFC 8760).

The server side keeps no session: a nonce is the time it was made, some randomness and a MAC over
both, so any worker that holds the key can check it. What has to be remembered, to refuse replays,
are the nonce counts already used, in a bounded table. qop is always "auth"; "auth-int" is not
offered, as proxies on the way may change bodies.
"""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sip.digest_fields import Challenge, DigestFields, MalformedDigest, parse_digest
from sip.message import Request
from sip.uri import MalformedUri, parse_uri, uris_equal

Algorithm = Literal["SHA-256", "SHA-512-256", "MD5"]

_HASHES: dict[str, str] = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_MAX_FIELDS = 8
_NONCE_SECONDS = 8
_NONCE_RANDOM = 8
_NONCE_MAC = 16


def _hash(algorithm: str, text: str) -> str:
    # MD5 stands in the RFC for old clients; it is always the last one offered (RFC 8760 2.2).
    digest = hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False)
    return digest.hexdigest()


def hash_a1(algorithm: Algorithm, username: str, realm: str, password: str) -> str:
    """Give H(A1), the form in which a password is stored for one algorithm (RFC 7616 3.4.2)."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def digest_response(
    algorithm: Algorithm,
    a1: str,
    *,
    method: str,
    uri: str,
    nonce: str,
    nonce_count: str,
    cnonce: str,
    qop: str = "auth",
) -> str:
    """Give the response value for qop=auth (RFC 7616 3.4.1); `a1` is the hex H(A1)."""
    a2 = _hash(algorithm, f"{method}:{uri}")
    return _hash(algorithm, f"{a1}:{nonce}:{nonce_count}:{cnonce}:{qop}:{a2}")


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """What is known of a user: H(A1) by algorithm. It never shows in a repr."""

    a1: Mapping[str, str] = field(repr=False)

    @classmethod
    def of_password(cls, username: str, realm: str, password: str) -> "StoredCredential":
        """Compute every algorithm's H(A1) from a password."""
        return cls({name: hash_a1(name, username, realm, password) for name in ALGORITHMS})


ALGORITHMS: tuple[Algorithm, ...] = ("SHA-512-256", "SHA-256", "MD5")

CredentialLookup = Callable[[str, str], Awaitable[StoredCredential | None]]
"""(username, realm) -> what is stored, or None for an unknown user."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The sender proved to be this user of our realm."""

    username: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """Credentials are absent, wrong or stale: answer 401 or 407 with `headers`.

    `reason` is for logs and counters, never for the peer: unknown users and wrong passwords get
    the same answer.
    """

    headers: tuple[tuple[str, str], ...]
    stale: bool
    reason: Literal["absent", "stale", "replayed", "wrong", "malformed"]
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The credentials contradict the request: answer with this status (400)."""

    status: int
    reason: str


class DigestAuthenticator:
    """The server's side of digest for one realm.

    `nonce_key` is 16 or more secret bytes, shared by the workers that accept each other's nonces.
    `nonce_lifetime` is in seconds. `max_nonces` bounds the table of used nonces; when one has to
    be forgotten, nonces as old as it are answered with stale=true, so forgetting never allows a
    replay.
    """

    def __init__(
        self,
        realm: str,
        lookup: CredentialLookup,
        *,
        nonce_key: bytes,
        algorithms: Sequence[Algorithm] = ("SHA-256", "MD5"),
        nonce_lifetime: float = 300.0,
        max_nonces: int = 65_536,
    ) -> None:
        if len(nonce_key) < 16:
            raise ValueError("nonce_key: at least 16 bytes are needed")
        unknown = [name for name in algorithms if name not in _HASHES]
        if unknown or not algorithms:
            raise ValueError(f"algorithms: {', '.join(unknown) or 'none'} cannot be offered")
        self.realm = realm
        # Most secure first, whatever order the configuration has (RFC 8760 2.2).
        self._algorithms = tuple(name for name in ALGORITHMS if name in algorithms)
        self._lookup = lookup
        self._key = nonce_key
        self._lifetime = nonce_lifetime
        self._counts = _NonceCounts(max_nonces)
        # Stands in for an unknown user, so that refusing one takes the same steps.
        self._nobody = StoredCredential(
            {name: _hash(name, secrets.token_hex(16)) for name in self._algorithms}
        )

    def challenge(
        self, *, proxy: bool, now: float, stale: bool = False
    ) -> tuple[tuple[str, str], ...]:
        """Give one challenge header field per algorithm, the most secure first (RFC 8760 2.2).

        `proxy` selects Proxy-Authenticate (407) instead of WWW-Authenticate (401).
        """
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self._make_nonce(now)
        return tuple(
            (name, Challenge(self.realm, nonce, algorithm, stale=stale).to_value())
            for algorithm in self._algorithms
        )

    async def check(
        self, request: Request, *, proxy: bool, now: float
    ) -> Authenticated | Challenged | Refused:
        """Check the credentials a request carries for our realm.

        `proxy` selects Proxy-Authorization instead of Authorization; `now` is in epoch seconds.
        Never raises for what a peer sent; the lookup's own errors pass through.
        """
        try:
            fields = self._our_fields(request, proxy=proxy)
        except MalformedDigest as error:
            return Refused(400, f"Bad credentials: {error}")
        if fields is None:
            return self._challenged("absent", proxy=proxy, now=now)
        if fields.algorithm not in self._algorithms or fields.qop != "auth":
            return self._challenged("malformed", fields, proxy=proxy, now=now)
        if not _same_resource(fields.uri, request.request_uri):
            return Refused(400, "Bad credentials: uri is not the Request-URI")
        made_at = self._made_at(fields.nonce)
        if made_at is None:
            # Nobody was asked this here. Right or wrong is not told, or whoever never got an
            # answer could guess; nor counted, as the source may be forged (RFC 7616 3.3).
            return self._challenged("stale", fields, proxy=proxy, now=now)
        if not await self._is_right(fields, request.method):
            return self._challenged("wrong", fields, proxy=proxy, now=now)
        if not -1.0 <= now - made_at <= self._lifetime:
            # The password is right, only the nonce is old: the client may go on without asking.
            return self._challenged("stale", fields, proxy=proxy, now=now)
        if not self._counts.take(fields.nonce, made_at, int(fields.nonce_count, 16)):
            return self._challenged("replayed", fields, proxy=proxy, now=now)
        return Authenticated(fields.username)

    def _our_fields(self, request: Request, *, proxy: bool) -> DigestFields | None:
        name = "Proxy-Authorization" if proxy else "Authorization"
        for value in request.headers.all(name)[:_MAX_FIELDS]:
            fields = parse_digest(value)
            if fields is not None and fields.realm == self.realm:
                return fields
        return None

    async def _is_right(self, fields: DigestFields, method: str) -> bool:
        stored = await self._lookup(fields.username, self.realm)
        known = stored is not None and fields.algorithm in stored.a1
        a1 = (stored if stored is not None and known else self._nobody).a1[fields.algorithm]
        expected = digest_response(
            fields.algorithm,
            a1,
            method=method,
            uri=fields.uri,
            nonce=fields.nonce,
            nonce_count=fields.nonce_count,
            cnonce=fields.cnonce,
        )
        same = hmac.compare_digest(expected.encode(), fields.response.lower().encode())
        return same and known

    def _challenged(
        self,
        reason: Literal["absent", "stale", "replayed", "wrong", "malformed"],
        fields: DigestFields | None = None,
        *,
        proxy: bool,
        now: float,
    ) -> Challenged:
        stale = reason in ("stale", "replayed")
        headers = self.challenge(proxy=proxy, now=now, stale=stale)
        return Challenged(headers, stale, reason, fields.username if fields else None)

    def _make_nonce(self, now: float) -> str:
        body = int(now * 1000).to_bytes(_NONCE_SECONDS, "big") + secrets.token_bytes(_NONCE_RANDOM)
        return base64.urlsafe_b64encode(body + self._mac(body)).decode().rstrip("=")

    def _made_at(self, nonce: str) -> float | None:
        """The time a nonce of ours was made, or None for one that is not ours."""
        try:
            raw = base64.urlsafe_b64decode(nonce + "=" * (-len(nonce) % 4))
        except ValueError:
            return None
        body, mac = raw[: _NONCE_SECONDS + _NONCE_RANDOM], raw[_NONCE_SECONDS + _NONCE_RANDOM :]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        return int.from_bytes(body[:_NONCE_SECONDS], "big") / 1000

    def _mac(self, body: bytes) -> bytes:
        realm = self.realm.encode()
        return hmac.digest(self._key, body + realm, "sha256")[:_NONCE_MAC]


class _NonceCounts:
    """The nonce counts used so far, each nonce with a window of the last 64 counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: OrderedDict[str, tuple[float, int, int]] = OrderedDict()
        self._forgotten_until = float("-inf")

    def take(self, nonce: str, made_at: float, count: int) -> bool:
        """Use a count once; False where it was used before or may have been."""
        known = self._seen.get(nonce)
        if known is None:
            if made_at <= self._forgotten_until or count < 1:
                return False
            self._seen[nonce] = (made_at, count, 1)
            self._forget()
            return True
        _, highest, window = known
        if count > highest:
            window = ((window << (count - highest)) if count - highest < 64 else 0) | 1
            highest = count
        else:
            bit = 1 << (highest - count) if highest - count < 64 else 0
            if not bit or window & bit:
                return False
            window |= bit
        self._seen[nonce] = (made_at, highest, window & 0xFFFF_FFFF_FFFF_FFFF)
        self._seen.move_to_end(nonce)
        return True

    def _forget(self) -> None:
        if len(self._seen) > self._limit:
            _, (made_at, _, _) = self._seen.popitem(last=False)
            self._forgotten_until = max(self._forgotten_until, made_at)


def _same_resource(uri: str, request_uri: str) -> bool:
    """RFC 7616 3.4.6: the credentials have to be for the resource that is asked for."""
    if uri == request_uri:
        return True
    try:
        return uris_equal(parse_uri(uri), parse_uri(request_uri))
    except MalformedUri:
        return False


def authorize(
    challenges: Sequence[str],
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    nonce_count: int = 1,
    cnonce: str | None = None,
    realm: str | None = None,
) -> str | None:
    """Answer the topmost challenge that can be answered (RFC 8760 2.4), as a client.

    `challenges` are the values of WWW-Authenticate or Proxy-Authenticate in order; with `realm`
    set, challenges of another realm are never answered. Returns the value for Authorization or
    Proxy-Authorization, or None where no challenge is ours to answer.
    """
    challenge = _answerable(challenges, realm)
    if challenge is None:
        return None
    cnonce = cnonce or secrets.token_hex(8)
    count = f"{nonce_count:08x}"
    response = digest_response(
        challenge.algorithm,
        hash_a1(challenge.algorithm, username, challenge.realm, password),
        method=method,
        uri=uri,
        nonce=challenge.nonce,
        nonce_count=count,
        cnonce=cnonce,
    )
    return DigestFields(
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response=response,
        algorithm=challenge.algorithm,
        cnonce=cnonce,
        nonce_count=count,
        qop="auth",
        opaque=challenge.opaque,
    ).to_value()


def _answerable(challenges: Sequence[str], realm: str | None) -> Challenge | None:
    for value in challenges[:_MAX_FIELDS]:
        try:
            challenge = Challenge.parse(value)
        except MalformedDigest:
            continue
        if challenge is not None and (realm is None or challenge.realm == realm):
            return challenge
    return None
