"""The SPIN agent: decides what becomes of an invitation that arrived for one of its numbers.

    text -> examine -> Ordinary                        not ours to touch: to the person
                    -> Ignored(reason)                 counted; nothing is ever sent
                    -> Referenced -> (fetched) -> dereference -> Ignored | Candidate
                    -> Candidate -> (signature checked by whoever may fetch credentials)
    Candidate -> accept -> Ignored | Accepted
    Accepted -> answer -> Ignored | AnswerPlan         what to sign, and where to send it

Cheap checks come first, so that a forged text costs neither a fetch nor a packet, and tells its
sender nothing. A replay is looked for both times: first to save the fetch, at last because two
copies may be checked side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from discovery.model import Service
from discovery.number import NumberRanges, canonical_number, masked
from discovery.service_uri import MalformedServiceUri, expand_template
from discovery.spin.answer import MAX_URIS, Answer, AnswerStatus, AnswerUri
from discovery.spin.callback_url import (
    CallbackPolicy,
    CallbackUrl,
    check_callback_owner,
    parse_callback,
)
from discovery.spin.carriage import invitation_token
from discovery.spin.compact import UnverifiedPassport, base64url
from discovery.spin.invitation import Freshness, Invitation, check_freshness, parse_invitation
from discovery.spin.limits import RateLimit, ReplayMemory, SlidingWindow
from discovery.spin.passports import Rejected, VerifiedPassport
from discovery.spin.reason import Refusal, Refused
from discovery.spin.reference import Reference, check_document, read_reference
from discovery.spin.rules import Caller, Choice, Contact, Use

UnknownSenders = Literal["answer", "silent", "declined"]
_JTI_OCTETS: Final = 12
_PRIO_STEP: Final = 10
_PER_SENDER: Final = RateLimit(20, 60.0)
_PER_TARGET: Final = RateLimit(10, 60.0)
_PER_PREFIX: Final = RateLimit(600, 60.0)
# Country and area of a sender: a rented range of numbers stays within one of these.
_PREFIX_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """For whom the agent answers and whom.

    A sender that is none of `known_senders` and none of the user's contacts is unknown and, unless
    a rule of the user says otherwise, is answered, declined, or, by default, left in silence, which
    looks like a phone that is off. per_sender: by whoever the SMS network names, and once more by
    who signed; per_prefix: by country and area of the sender. answer_lifetime is in seconds.
    """

    numbers: NumberRanges
    known_senders: NumberRanges = field(default_factory=NumberRanges)
    unknown_senders: UnknownSenders = "silent"
    callback: CallbackPolicy = field(default_factory=CallbackPolicy)
    freshness: Freshness = field(default_factory=Freshness)
    per_sender: RateLimit = _PER_SENDER
    per_target: RateLimit = _PER_TARGET
    per_prefix: RateLimit = _PER_PREFIX
    reference_hosts: frozenset[str] = frozenset()
    answer_lifetime: int = 120


@dataclass(frozen=True, slots=True)
class Ordinary:
    """Not an invitation: the message belongs to the person, untouched."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An invitation that gets no answer; `detail` holds no token and no full number."""

    reason: Refusal
    detail: str
    caller: str = "(unknown)"
    number: str = "(unknown)"


@dataclass(frozen=True, slots=True)
class Referenced:
    """An invitation that is to be fetched first, from a host that is allowed."""

    reference: Reference
    sender: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An invitation that passed every check but those that need the signer's credential."""

    passport: UnverifiedPassport
    invitation: Invitation
    callback: CallbackUrl = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An invitation that is genuine, fresh, first of its kind and for one of our numbers.

    provider: the sender's own, where the signer's certificate or an agent we trust speaks for it.
    """

    candidate: Candidate
    sender_known: bool
    provider: str | None = None

    def caller(self, contact: Contact | None) -> Caller:
        """Return what the user's rules may ask about the sender."""
        invitation = self.candidate.invitation
        return Caller(invitation.orig, contact, self.provider, invitation.tag)


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """An answer to sign and to post to `callback` with `token` as bearer."""

    answer: Answer
    callback: str = field(repr=False)
    token: str = field(repr=False)
    handlers: tuple[str, ...]


class Agent:
    """Decides on invitations; holds the replay memory, the limits and the counters.

    random: returns that many octets of chance, for the answer's jti.
    """

    def __init__(
        self,
        policy: AgentPolicy,
        random: Callable[[int], bytes],
        *,
        max_replay_entries: int = 100_000,
        max_limit_keys: int = 10_000,
    ) -> None:
        self._policy = policy
        self._random = random
        self._replays = ReplayMemory(max_entries=max_replay_entries)
        self._senders = SlidingWindow(policy.per_sender, max_keys=max_limit_keys)
        # Senders of messages are easily invented. Who signed is not, and nobody may use up the
        # replay memory, whose entries last for days, by one certificate.
        self._signers = SlidingWindow(policy.per_sender, max_keys=max_limit_keys)
        self._targets = SlidingWindow(policy.per_target, max_keys=max_limit_keys)
        self._prefixes = SlidingWindow(policy.per_prefix, max_keys=max_limit_keys)
        self.ignored: Counter[Refusal] = Counter()
        self.answered = 0

    def examine(
        self, text: str, *, sender: str, recipient: str, now: float
    ) -> Ordinary | Ignored | Referenced | Candidate:
        """Look at a whole message; `sender` and `recipient` are the ends the SMS network names.

        now: epoch seconds. Never raises.
        """
        token, reference = invitation_token(text), read_reference(text)
        if token is None and reference is None:
            return Ordinary()
        number = canonical_number(recipient)
        try:
            self._admit(sender, number, now)
            assert number is not None
            if token is not None:
                return self._read(token, number, now)
            assert reference is not None
            if reference.host not in self._policy.reference_hosts:
                raise Refused(Refusal.NOT_ALLOWED, "host of the reference is not allowed")
            return Referenced(reference, sender, recipient)
        except Refused as refused:
            return self._ignore(refused, sender, recipient)

    def dereference(
        self, referenced: Referenced, body: bytes | None, now: float
    ) -> Ignored | Candidate:
        """Take what a reference led to; None where nothing could be fetched."""
        number = canonical_number(referenced.recipient) or ""
        try:
            if body is None:
                raise Refused(Refusal.INCOMPLETE, f"{referenced.reference.host}: nothing fetched")
            return self._read(check_document(referenced.reference, body), number, now)
        except Refused as refused:
            return self._ignore(refused, referenced.sender, referenced.recipient)

    def examine_token(
        self, token: str, *, sender: str, recipient: str, now: float
    ) -> Ignored | Candidate:
        """Look at an invitation that came as an attachment (carriage M), whole and apart."""
        number = canonical_number(recipient)
        try:
            self._admit(sender, number, now)
            assert number is not None
            return self._read(token, number, now, x5c=True)
        except Refused as refused:
            return self._ignore(refused, sender, recipient)

    def accept(
        self, candidate: Candidate, verdict: VerifiedPassport | Rejected, now: float
    ) -> Ignored | Accepted:
        """Take the verdict on the signature; remembers the invitation, so that it counts once."""
        invitation = candidate.invitation
        try:
            if isinstance(verdict, Rejected):
                raise Refused(verdict.reason, verdict.detail)
            check_callback_owner(
                candidate.callback, verdict.certificate_names, self._policy.callback
            )
            # Time has passed since it was examined: the fetch may have taken seconds.
            check_freshness(invitation, self._policy.freshness, now)
            key = replay_key(invitation)
            if self._replays.seen(key, now):
                raise Refused(Refusal.REPLAYED)
            if not self._signers.take(invitation.orig, now):
                raise Refused(Refusal.RATE_LIMITED, "signer")
            if not self._replays.remember(key, invitation.expires_at, now):
                raise Refused(Refusal.OVERLOADED, "replay memory is full")
        except Refused as refused:
            return self._ignore(refused, invitation.orig, invitation.dest)
        names = {*verdict.certificate_names, candidate.callback.host}
        provider = invitation.provider
        # An agent on our list speaks for the applications of its users: it holds their proofs.
        trusted = candidate.callback.host in self._policy.callback.trusted_hosts
        if provider is not None and not (trusted or any(_within(name, provider) for name in names)):
            provider = None
        return Accepted(candidate, invitation.orig in self._policy.known_senders, provider)

    def answer(
        self, accepted: Accepted, choices: Mapping[Service, Choice], now: float
    ) -> Ignored | AnswerPlan:
        """Decide what to answer, given what the user's preferences choose for each service."""
        invitation = accepted.candidate.invitation
        spoken: dict[Service, Choice] = {}
        for service in invitation.services:
            choice = self._spoken(choices.get(service, Choice()), known=accepted.sender_known)
            if choice is not None:
                spoken[service] = choice
        if not spoken:
            refused = Refused(Refusal.SENDER_UNKNOWN, "this sender gets no answer")
            return self._ignore(refused, invitation.orig, invitation.dest)
        uris, used = _uris(invitation.dest, spoken)
        self.answered += 1
        issued_at = int(now)
        answer = Answer(
            orig=invitation.dest,
            dest=invitation.orig,
            issued_at=issued_at,
            expires_at=issued_at + self._policy.answer_lifetime,
            invitation=accepted.candidate.passport.digest(),
            jti=base64url(self._random(_JTI_OCTETS)),
            status=AnswerStatus.OK if uris else _status(spoken.values()),
            uris=uris,
        )
        return AnswerPlan(answer, invitation.callback, invitation.token, used)

    def _spoken(self, choice: Choice, *, known: bool) -> Choice | None:
        """Return what may be said of a choice to this sender; None for silence."""
        if choice.outcome is Use.SILENT:
            return None
        if choice.ruled or known or self._policy.unknown_senders == "answer":
            return choice
        if self._policy.unknown_senders == "declined":
            return Choice(outcome=Use.DECLINED)
        return None

    def remember_used(self, key: str, until: float, now: float) -> None:
        """Take note of an invitation that was taken before this process began."""
        self._replays.remember(key, until, now)

    def taken_before(self, candidate: Candidate) -> Ignored:
        """Count an invitation that another process, or an earlier one, has taken already."""
        invitation = candidate.invitation
        return self._ignore(Refused(Refusal.REPLAYED), invitation.orig, invitation.dest)

    def recall(
        self, token: str, *, sender_known: bool, provider: str | None, now: float
    ) -> Accepted | None:
        """Return an invitation that was accepted and put off earlier; None if it is past."""
        try:
            passport, invitation = parse_invitation(token, x5c=True)
            callback = parse_callback(invitation.callback, self._policy.callback)
        except Refused:
            # Kept under another configuration: its callback would not be taken today.
            return None
        if now >= invitation.expires_at or invitation.dest not in self._policy.numbers:
            return None
        return Accepted(Candidate(passport, invitation, callback), sender_known, provider)

    def count_torn(self, sender: str, recipient: str) -> Ignored:
        """Count an invitation whose parts never all came."""
        return self._ignore(Refused(Refusal.INCOMPLETE), sender, recipient)

    def overloaded(self, candidate: Candidate | Referenced) -> Ignored:
        """Count an invitation that there was no room to handle."""
        refused = Refused(Refusal.OVERLOADED, "too many invitations under way")
        if isinstance(candidate, Referenced):
            return self._ignore(refused, candidate.sender, candidate.recipient)
        return self._ignore(refused, candidate.invitation.orig, candidate.invitation.dest)

    def _admit(self, sender: str, number: str | None, now: float) -> None:
        """Count a message against every limit; raises Refused."""
        if number is None or number not in self._policy.numbers:
            raise Refused(Refusal.NOT_OURS, "recipient")
        if not self._senders.take(sender, now):
            raise Refused(Refusal.RATE_LIMITED, "sender")
        if not self._prefixes.take(sender[:_PREFIX_DIGITS], now):
            raise Refused(Refusal.RATE_LIMITED, "prefix")
        if not self._targets.take(number, now):
            raise Refused(Refusal.RATE_LIMITED, "target")

    def _read(self, token: str, number: str, now: float, *, x5c: bool = False) -> Candidate:
        passport, invitation = parse_invitation(token, x5c=x5c)
        if invitation.dest != number:
            raise Refused(Refusal.WRONG_NUMBER, "dest is not the number the message came to")
        check_freshness(invitation, self._policy.freshness, now)
        if self._replays.seen(replay_key(invitation), now):
            raise Refused(Refusal.REPLAYED)
        return Candidate(
            passport, invitation, parse_callback(invitation.callback, self._policy.callback)
        )

    def _ignore(self, refused: Refused, caller: str, number: str) -> Ignored:
        self.ignored[refused.reason] += 1
        return Ignored(refused.reason, refused.detail, masked(caller), masked(number))


def replay_key(invitation: Invitation) -> str:
    """Return what an invitation counts once by: what was signed, never the token's text.

    An ECDSA signature can be rewritten into another that is as good.
    """
    return f"{invitation.orig}:{invitation.jti}"


def _within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _status(choices: Iterable[Choice]) -> AnswerStatus:
    """Return what is said where there is no URI: what leaves most hope goes first."""
    outcomes = {choice.outcome for choice in choices}
    for use, status in (
        (Use.LATER, AnswerStatus.LATER),
        (Use.DIRECTORY, AnswerStatus.DIRECTORY),
        (Use.DECLINED, AnswerStatus.DECLINED),
    ):
        if use in outcomes:
            return status
    return AnswerStatus.NO_HANDLER


def _uris(
    number: str, choices: Mapping[Service, Choice]
) -> tuple[tuple[AnswerUri, ...], tuple[str, ...]]:
    """Return the URIs of the handlers chosen, in their order, and the handlers' ids."""
    uris: list[AnswerUri] = []
    used: dict[str, None] = {}
    for service, choice in choices.items():
        for place, handler in enumerate(choice.handlers, start=1):
            try:
                uri = expand_template(handler.template, number)
            except MalformedServiceUri:
                # Checked when it was registered; a row altered since then answers nothing.
                continue
            if uri.host == handler.msp and len(uris) < MAX_URIS:
                uris.append(AnswerUri(service, uri.text, handler.msp, _PRIO_STEP * place))
                used[handler.handler_id] = None
    return tuple(uris), tuple(used)
