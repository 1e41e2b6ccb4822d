"""The authority role: certificates for one number or mailbox, after a challenge (RFC 8823).

Apart from the directory: it knows keys and identifiers, not where anybody is reached. Certificates
live 7 days and are renewed by the key alone; control is proven again every 90 days.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from discovery.directory.challenge import (
    LIFETIME,
    Challenge,
    check_challenge_answer,
    make_challenge,
)
from discovery.directory.challenge_limits import (
    ChallengeLimits,
    check_counts,
    check_reach,
    prefix_of,
)
from discovery.directory.client import Chains, read_chain
from discovery.directory.holding import HOLD, Claim, Held, judge_claim
from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.jws import Key, encode
from discovery.directory.orders import Order
from discovery.directory.reason import Refusal, Refused
from discovery.directory.registering import check_release
from discovery.directory.statements import parse_release
from gateway.directory.authority_store import AuthorityStore, Authorization, KeptChallenge
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.keys import EcKey, PointKeys
from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import RecordStore
from gateway.directory.registry import ReleasePresented, Tell
from stir.certificates.issuing import DAY, Authority, issue_sti_certificate
from stir.certificates.tn_auth_list import One, TnAuthList

_log = structlog.get_logger("authority")
_ID_OCTETS: Final = 16
# A key that asks again so soon gets the certificate it has.
_RENEWED_AGAIN: Final = 3600.0


class NotSent(Refused):
    """Nothing was sent, for no fault of who asked: our SMSC or mail server is away."""

    def __init__(self, detail: str) -> None:
        super().__init__(Refusal.UNDELIVERED, detail)


class Courier(Protocol):
    """Brings part 1 of a challenge to the number or mailbox."""

    @property
    def routes(self) -> int:
        """How many ways text messages go, 1 or 2; 0 where no number can be reached."""
        ...

    @property
    def carries_mail(self) -> bool: ...

    async def deliver(self, csi: Identifier, parts: Sequence[str]) -> None:
        """Send each part its way; raises Refused(UNDELIVERED), NotSent where nothing went out."""
        ...

    async def tell(self, csi: Identifier, claim: Claim) -> None:
        """Tell whoever is reached there that another key claims the identifier; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """Times in seconds: how long a certificate and a proof of control last, and a hold."""

    lifetime: float = 7 * DAY
    proof_lifetime: float = 90 * DAY
    hold: float = HOLD
    limits: ChallengeLimits = field(default_factory=ChallengeLimits)


@dataclass(frozen=True, slots=True)
class ChallengeMade:
    """What the asker is told of a challenge: `part2`, and how many messages bring part 1."""

    challenge_id: str
    part2: str
    routes: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate's chain and its identifier, or from when (epoch seconds) it can be had.

    `claims` are those of other keys on the identifier: the holder may object to them. `receipt`
    is what the holder knows the entries in the log by; None without a log.
    """

    certificate_id: str
    chain_pem: str
    effective_at: float
    claims: tuple[Claim, ...]
    receipt: Mapping[str, object] | None = None


class NumberAuthority:
    """Makes challenges, checks answers, issues. Methods raise Refused or DirectoryUnavailable.

    `source_key` is a secret by which the addresses of askers are kept as digests; random gives
    octets of chance; wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        issuer: Authority,
        settings: AuthoritySettings,
        store: AuthorityStore,
        records: RecordStore,
        chains: Chains,
        courier: Courier,
        log: LogSink,
        *,
        source_key: bytes,
        random: Callable[[int], bytes],
        wall_clock: Callable[[], float],
        told: Tell | None = None,
    ) -> None:
        self._issuer = issuer
        self._settings = settings
        self._store = store
        self._records = records
        self._chains = chains
        self._courier = courier
        self._log = log
        self._source_key = source_key
        self._random = random
        self._wall_clock = wall_clock
        self._told = told
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    async def challenge(self, order: Order, key: Key, source: str) -> ChallengeMade:
        """Send part 1 to the identifier and return part 2, within every limit."""
        csi, now = order.csi, self._wall_clock()
        self._check_carried(csi)
        check_reach(csi, self._settings.limits)
        routes = 1 if csi.scheme is Scheme.MAILTO else self._courier.routes
        challenge = make_challenge(csi, key.thumbprint, self._random, routes=routes)
        await self._admit(challenge, self._source(source), now)
        try:
            await self._courier.deliver(csi, challenge.sent)
        except NotSent:
            # It counts against nobody, and does not shut a prefix for the day.
            await self._store.withdraw(challenge.challenge_id)
            self.outcomes["challenge", "not sent"] += 1
            raise
        except Refused:
            self.outcomes["challenge", "undelivered"] += 1
            raise
        self.outcomes["challenge", "sent"] += 1
        _log.info("challenge sent", identifier=csi.shown, routes=routes)
        return ChallengeMade(challenge.challenge_id, challenge.part2, routes, now + LIFETIME)

    async def certify(
        self, order: Order, key: Key, release: ReleasePresented | None = None
    ) -> Certified:
        """Check the answer to a challenge, then issue, or hold the identifier for the key."""
        now = self._wall_clock()
        state, kept = await self._store.take_try(order.challenge_id, now)
        if state == "burnt":
            raise Refused(Refusal.BURNT, "too many tries: ask for another challenge")
        if kept is None:
            raise Refused(Refusal.NO_CHALLENGE, "no such challenge waits")
        if (kept.csi, kept.thumbprint) != (str(order.csi), key.thumbprint):
            raise Refused(Refusal.NO_CHALLENGE, "no such challenge waits for this key")
        check_challenge_answer(order.answer, kept.answer)
        if not await self._store.complete(order.challenge_id):
            raise Refused(Refusal.NO_CHALLENGE, "challenge was answered already")
        self.outcomes["challenge", "completed"] += 1
        former = await self._authorization(order.csi, key)
        identifier = former.certificate_id if former else encode(self._random(_ID_OCTETS))
        authorization = Authorization(str(order.csi), key.thumbprint, identifier, proven_at=now)
        if former is not None:
            authorization = replace(former, proven_at=now)
        await self._store.put(authorization)
        return await self._issue_or_hold(order, key, authorization, release, now)

    async def renew(
        self, order: Order, key: Key, release: ReleasePresented | None = None
    ) -> Certified:
        """Issue again for a key whose proof of control is not too old."""
        now = self._wall_clock()
        authorization = await self._authorization(order.csi, key)
        if authorization is None or now > authorization.proven_at + self._settings.proof_lifetime:
            raise Refused(Refusal.REAUTHENTICATE, "control has to be proven by a challenge")
        return await self._issue_or_hold(order, key, authorization, release, now)

    async def certificate(self, certificate_id: str) -> Authorization | None:
        """Return the authorization whose certificate has this identifier, if it has one."""
        found = await self._store.certificate(certificate_id)
        return found if found is not None and found.chain_pem else None

    async def removed(self, csi: Identifier, now: float) -> None:
        """Renew for nobody any more: the identifier's provider has removed it."""
        await self._store.end(str(csi))

    async def holders(self, csi: Identifier) -> frozenset[str]:
        """Return the keys that have a certificate for the identifier now."""
        now = self._wall_clock()
        found = await self._store.authorizations(str(csi))
        return frozenset(each.thumbprint for each in found if each.not_after > now)

    async def objected(self, csi: Identifier, keep: Collection[str]) -> None:
        """Let all keys but `keep` prove control again, which those who waited no longer may."""
        await self._store.end(str(csi), keep=keep)

    async def sweep(self) -> None:
        """Forget what is too old to be of use."""
        await self._store.sweep(self._wall_clock(), proof_lifetime=self._settings.proof_lifetime)

    def _check_carried(self, csi: Identifier) -> None:
        carried = (
            self._courier.carries_mail if csi.scheme is Scheme.MAILTO else self._courier.routes > 0
        )
        if not carried:
            raise Refused(Refusal.NOT_ALLOWED, f"no challenges are sent to {csi.scheme}:")

    async def _admit(self, challenge: Challenge, source: str, now: float) -> None:
        csi, prefix = str(challenge.csi), prefix_of(challenge.csi)
        async with self._store.challenging() as challenges:
            counts = await challenges.counts(csi, prefix, source, now)
            check_counts(counts, self._settings.limits)
            await challenges.add(
                KeptChallenge(
                    challenge_id=challenge.challenge_id,
                    csi=csi,
                    prefix=prefix,
                    source=source,
                    thumbprint=challenge.thumbprint,
                    answer=challenge.answer,
                    made_at=now,
                    expires_at=now + LIFETIME,
                )
            )

    async def _authorization(self, csi: Identifier, key: Key) -> Authorization | None:
        found = await self._store.authorizations(str(csi))
        return next((each for each in found if each.thumbprint == key.thumbprint), None)

    async def _issue_or_hold(
        self,
        order: Order,
        key: Key,
        authorization: Authorization,
        release: ReleasePresented | None,
        now: float,
    ) -> Certified:
        others = [
            each
            for each in await self._store.authorizations(str(order.csi))
            if each.not_after > now
        ]
        holders = {each.thumbprint for each in others}
        fresh: Claim | None = None
        async with self._records.identifier(str(order.csi)) as identifier:
            claims = await identifier.claims()
            own = next((each for each in claims if each.thumbprint == key.thumbprint), None)
            staying = (
                set() if release is None else self._staying(order.csi, key, holders, release, now)
            )
            verdict = judge_claim(
                key.thumbprint,
                holders=holders,
                released=release is not None,
                claim=own,
                now=now,
                hold=self._settings.hold,
            )
            if isinstance(verdict, Held) and verdict.fresh:
                await identifier.add_claim(verdict.claim)
                fresh = verdict.claim
        waiting = tuple(each for each in claims if each.thumbprint != key.thumbprint)
        if isinstance(verdict, Held):
            await self._tell(order.csi, fresh)
            receipt = self._log.receipt(str(order.csi), (key.thumbprint,))
            until = verdict.claim.effective_at
            return Certified(authorization.certificate_id, "", until, waiting, receipt)
        issued = await self._issue(order, authorization, now)
        if key.thumbprint not in holders:
            await self._store.end(str(order.csi), keep={key.thumbprint, *staying})
        receipt = self._log.receipt(str(order.csi), (_digest(issued.chain_pem), key.thumbprint))
        return Certified(issued.certificate_id, issued.chain_pem, now, waiting, receipt)

    def _staying(
        self,
        csi: Identifier,
        key: Key,
        holders: set[str],
        release: ReleasePresented,
        now: float,
    ) -> set[str]:
        """Return the holders that a release leaves: an owner gives up its own certificate only."""
        signed, said = parse_release(release.token)
        author = self._chains.holder(read_chain(release.chain), now)
        by = check_release(
            signed, said, author, csi=csi, to=key.thumbprint, holders=holders, now=now
        )
        return holders - {author.thumbprint} if by == "owner" else set()

    async def _issue(self, order: Order, authorization: Authorization, now: float) -> Authorization:
        if authorization.issued_at > now - _RENEWED_AGAIN and authorization.not_after > now:
            return authorization
        point = PointKeys().key(order.point)
        issued = replace(
            authorization,
            chain_pem=self._certificate(order.csi, point, authorization.certificate_id, now),
            issued_at=now,
            not_after=now + self._settings.lifetime,
        )
        # The log first: a certificate that can be asked for again must not be one it lacks.
        await self._log.append("certificate", str(order.csi), _digest(issued.chain_pem))
        await self._store.put(issued)
        self.outcomes["certificate", str(order.operation)] += 1
        _log.info("certificate issued", identifier=order.csi.shown, by=str(order.operation))
        return issued

    def _certificate(self, csi: Identifier, key: EcKey, identifier: str, now: float) -> str:
        number = csi.value if csi.scheme is Scheme.TEL else None
        kind = "Number" if number is not None else "Mailbox"
        issued = issue_sti_certificate(
            self._issuer,
            None if number is None else TnAuthList((One(number),)),
            now,
            # One subject for each holder (RFC 5280 4.1.2.6). Not "SHAKEN": that is the providers'.
            name=f"{kind} {identifier}",
            lifetime=self._settings.lifetime,
            public_key=key.public_key,
            mail_addresses=() if number is not None else (csi.value,),
        )
        return issued.chain_pem.decode("ascii")

    async def _tell(self, csi: Identifier, claim: Claim | None) -> None:
        if claim is None:
            return
        try:
            await self._log.append("claim", str(csi), claim.thumbprint)
        except DirectoryUnavailable:
            # The hold runs from when its holder could know: the claim has to be made again.
            async with self._records.identifier(str(csi)) as identifier:
                await identifier.drop_claim(claim.thumbprint)
            raise
        if self._told is not None:
            await self._told(csi, claim)

    def _source(self, source: str) -> str:
        digest = hashlib.blake2b(source.encode("utf-8", "replace"), key=self._source_key)
        return digest.hexdigest()[:64]


def _digest(chain_pem: str) -> str:
    """Return the text that names a chain's first certificate in the log."""
    certificate = x509.load_pem_x509_certificate(chain_pem.encode("ascii"))
    der = certificate.public_bytes(serialization.Encoding.DER)
    return encode(hashlib.sha256(der).digest())
