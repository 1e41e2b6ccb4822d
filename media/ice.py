"""An ICE agent for one component (RFC 8445), without I/O: datagrams and `now` in, actions out.

The gateway has one socket at a known address for each component, so there is one local base.
A full agent checks, and nominates if it controls (regular nomination); a lite agent only answers
(section 2.5). Between two gateways the offering side is full and the answering side lite. Where
RTCP has its own port, two agents run side by side with the same credentials.

    new --start--> checking --pair selected--> connected --30 s no consent--> lost
                      |                            |
                      +--timeout--> failed         +--restart(), start()--> checking (media goes on)

`is_validated` is the guard of everything that is not STUN: DTLS and SRTP are let in only from
addresses the peer proved itself from (the DTLS ClientHello race).
"""

from __future__ import annotations

from random import Random
from typing import Final

from media.ice_admission import Admission
from media.ice_check import Check, Checks
from media.ice_checklist import CandidatePair, Checklist
from media.ice_consent import Consent
from media.ice_role import Role
from media.ice_values import (
    Address,
    ConsentLost,
    IceAction,
    IceCredentials,
    IceFailed,
    IceParameters,
    IceSettings,
    IceState,
    Selected,
    SendStun,
)
from media.stun import (
    MalformedStun,
    MessageClass,
    StunMessage,
    binding_error,
    binding_success,
    parse_stun,
)

__all__ = [
    "Address",
    "ConsentLost",
    "IceAction",
    "IceAgent",
    "IceCredentials",
    "IceFailed",
    "IceParameters",
    "IceSettings",
    "Selected",
    "SendStun",
]

_DEFAULTS: Final = IceSettings()


class IceAgent:
    """One component's agent.

    `base` is the address the peer sees of our socket (numeric host, port); `rand` must be a
    SystemRandom outside of tests; `now` is monotonic seconds everywhere. No method raises on
    anything a peer sends.
    """

    def __init__(
        self,
        credentials: IceCredentials,
        base: Address,
        *,
        controlling: bool,
        lite: bool,
        rand: Random,
        component: int = 1,
        settings: IceSettings = _DEFAULTS,
    ) -> None:
        self.lite = lite
        self.state: IceState = "new"
        self.selected: Address | None = None
        self.malformed = 0
        self._settings = settings
        self._base = base
        self._component = component
        self._role = Role(controlling=controlling and not lite, fixed=lite, rand=rand)
        self._local = credentials
        self._admission = Admission(credentials, settings)
        self._remote: IceParameters | None = None
        self._checklist = Checklist(base, component, settings)
        self._checks = Checks(component, settings, rand)
        self._validated: dict[Address, None] = {}
        self._early: list[tuple[StunMessage, Address]] = []
        self._consent = Consent(settings, rand, lite=lite)
        self._check_at: float | None = None
        self._fail_at: float | None = None
        self._nominate_at: float | None = None

    def start(self, remote: IceParameters, now: float) -> list[IceAction]:
        """Begin with what the peer's SDP says; again only after restart().

        A lite peer makes us controlling (RFC 8445 section 6.1.1). Two lite agents cannot
        validate anything and fail.
        """
        if self._remote is not None:
            return []
        if self.lite and remote.lite:
            self.state = "failed"
            return [IceFailed("both sides are ICE lite")]
        self._role.controlling = not self.lite and (self.controlling or remote.lite)
        self._role.fixed = self.lite or remote.lite
        self._remote = remote
        self._admission.remote_ufrag = remote.credentials.ufrag
        self.state = "checking"
        self._fail_at = now + self._settings.timeout
        self._checklist.add(remote.candidates)
        actions: list[IceAction] = []
        early, self._early = self._early, []
        for request, source in early:
            if self._admission.made_for(request, remote.credentials.ufrag):
                self._learn(request, source, now, actions)
        self._wake(now)
        return actions + self.expire(now)

    @property
    def controlling(self) -> bool:
        """Whether we nominate; a conflict may change it."""
        return self._role.controlling

    def restart(self, credentials: IceCredentials) -> None:
        """Begin a new ICE generation (RFC 8445 section 9); start() follows with the peer's.

        Media goes on over the old pair, kept alive by its old credentials, until a pair of the
        new generation is selected; if its consent ends before that, `selected` becomes None.
        """
        self._admission.accepted = [credentials, self._local]
        self._admission.remote_ufrag = None
        self._local = credentials
        self._remote = None
        self._early = []
        self._checklist = Checklist(self._base, self._component, self._settings)
        self._checks.clear(keep_consent=True)
        self._check_at = self._fail_at = self._nominate_at = None
        self.state = "new"

    def receive(self, data: bytes, source: Address, now: float) -> list[IceAction]:
        """Take one STUN datagram from (numeric host, port)."""
        if self.state in ("failed", "lost"):
            return []
        try:
            message = parse_stun(data)
            if message.message_class is MessageClass.REQUEST:
                return self._on_request(message, source, now)
            if message.message_class is not MessageClass.INDICATION:
                return self._on_response(message, source, now)
        except MalformedStun:
            self.malformed += 1
        return []

    def is_validated(self, source: Address) -> bool:
        """Whether datagrams that are not STUN may be taken from the address."""
        return source in self._validated

    def next_deadline(self) -> float | None:
        """When expire() must be called next, None if never."""
        times = (
            self._check_at,
            self._fail_at,
            self._nominate_at,
            self._consent.ask_at,
            self._consent.until,
            self._checks.next_at(),
        )
        return min((at for at in times if at is not None), default=None)

    def expire(self, now: float) -> list[IceAction]:
        """Do what is due."""
        if self._fail_at is not None and now >= self._fail_at:
            return self._end("failed", IceFailed("no candidate pair worked in time"))
        if self._consent.expired(now):
            if self.state == "connected":
                return self._end("lost", ConsentLost())
            self._forget_selected()
        again, given_up = self._checks.due(now)
        actions: list[IceAction] = [SendStun(check.data, check.pair.remote) for check in again]
        for check in given_up:
            self._on_no_answer(check, now)
        if self._nominate_at is not None and now >= self._nominate_at:
            self._nominate_at = None
            self._nominate_best(now)
        if self._check_at is not None and now >= self._check_at:
            self._send_next_check(now, actions)
        if self._consent.ask_at is not None and now >= self._consent.ask_at:
            self._send_consent_check(now, actions)
        return actions

    # -- requests of the peer (RFC 8445 section 7.3) --

    def _on_request(self, request: StunMessage, source: Address, now: float) -> list[IceAction]:
        local, answer = self._admission.admit(request, source, now)
        if local is self._local and self._conflicts(request):
            local, answer = None, binding_error(request, 487, key=self._local.key)
        if local is None:
            return [] if answer is None else [SendStun(answer, source)]
        actions: list[IceAction] = [SendStun(binding_success(request, source, local.key), source)]
        if source == self.selected and self.lite:
            self._consent.renew(now)
        if local is not self._local:
            return actions
        if self.state != "connected":
            self._validate(source)
        if self._remote is not None:
            self._learn(request, source, now, actions)
        elif len(self._early) < self._settings.max_validated:
            self._early.append((request, source))
        return actions

    def _conflicts(self, request: StunMessage) -> bool:
        """Repair a role conflict (RFC 8445 section 7.3.1.1); True if the peer must switch."""
        verdict = self._role.judge(request)
        if verdict == "switch":
            self._switch_role()
        return verdict == "refuse"

    def _switch_role(self) -> None:
        self._role.switch()
        for pair in self._checklist.pairs.values():
            pair.nominated = False

    def _learn(
        self, request: StunMessage, source: Address, now: float, actions: list[IceAction]
    ) -> None:
        """Triggered checks and the peer's nominations (RFC 8445 sections 7.3.1.3 to 7.3.1.5)."""
        pair = self._checklist.learn(source, request.priority or 0)
        if pair is None:
            return
        nominated = request.use_candidate and not self.controlling
        if self.lite:
            if nominated:
                self._select(pair, now, actions)
            return
        pair.nominated = pair.nominated or nominated
        if pair.state == "succeeded":
            if nominated:
                self._select(pair, now, actions)
        elif self.state == "checking":
            self._checks.cancel(pair)
            self._checklist.trigger(pair)
            self._wake(now)

    # -- answers to our checks (RFC 8445 section 7.2.5) --

    def _on_response(self, response: StunMessage, source: Address, now: float) -> list[IceAction]:
        check = self._checks.answered(response.transaction_id)
        # An answer from elsewhere or without integrity may be forged: as if never received.
        if check is None or check.pair.remote != source:
            return []
        if not response.integrity_valid(check.remote.key):
            return []
        self._checks.close(check)
        actions: list[IceAction] = []
        if response.message_class is MessageClass.ERROR:
            self._on_error(response, check, now, actions)
        elif check.consent:
            self._consent.renew(now)
        else:
            self._on_success(check, now, actions)
        return actions

    def _on_error(
        self, response: StunMessage, check: Check, now: float, actions: list[IceAction]
    ) -> None:
        code = response.error_code
        if check.consent:
            # RFC 7675 section 5.2: 403 takes consent back at once.
            if code == 403:
                actions.extend(self._end("lost", ConsentLost()))
        elif code == 487 and not self._role.fixed:
            if check.controlling == self.controlling:
                self._switch_role()
                self._role.renew()
            self._checklist.trigger(check.pair)
            self._wake(now)
        else:
            self._on_no_answer(check, now)

    def _on_success(self, check: Check, now: float, actions: list[IceAction]) -> None:
        pair = check.pair
        if self.state != "checking" or pair.remote not in self._checklist.pairs:
            return
        pair.state = "succeeded"
        self._validate(pair.remote)
        if (check.nominating and self.controlling) or (pair.nominated and not self.controlling):
            self._select(pair, now, actions)
        elif self.controlling:
            self._consider_nomination(now)

    def _on_no_answer(self, check: Check, now: float) -> None:
        pair = check.pair
        # A check that was overtaken by a triggered one says nothing of the pair.
        if check.consent or pair.state != "in-progress" or self._checks.under_way(pair):
            return
        pair.state = "failed"
        if self.controlling and self.state == "checking":
            pair.nominated = False
            self._consider_nomination(now)

    # -- checking, nominating, selecting (RFC 8445 sections 6.1.4, 8) --

    def _consider_nomination(self, now: float) -> None:
        if any(pair.nominated for pair in self._checklist.pairs.values()):
            return
        best = self._checklist.best_valid()
        if best is None:
            return
        if not self._checklist.better_may_come(best):
            self._nominate_best(now)
        elif self._nominate_at is None:
            self._nominate_at = now + self._settings.nomination_wait

    def _nominate_best(self, now: float) -> None:
        best = self._checklist.best_valid()
        if best is not None and self.controlling:
            self._nominate_at = None
            best.nominated = True
            self._checklist.trigger(best)
            self._wake(now)

    def _send_next_check(self, now: float, actions: list[IceAction]) -> None:
        self._check_at = None
        pair = self._checklist.next_to_check() if self._may_check else None
        if pair is None or self._remote is None:
            return
        pair.state = "in-progress"
        check = self._checks.open(
            pair,
            local=self._local,
            remote=self._remote.credentials,
            role=(self.controlling, self._role.tie_breaker),
            nominating=self.controlling and pair.nominated,
            consent=False,
            rto=max(self._settings.rto, self._settings.ta * self._checklist.unfinished),
            now=now,
        )
        actions.append(SendStun(check.data, pair.remote))
        self._check_at = now + self._settings.ta

    def _select(self, pair: CandidatePair, now: float, actions: list[IceAction]) -> None:
        """Select a nominated pair; a later one only if it is of higher priority."""
        current = self._consent.pair
        if self.state == "connected" and current is not None:
            if pair is not current and pair.remote_priority > current.remote_priority:
                self._adopt(pair, now, actions)
            return
        self.state = "connected"
        self._admission.accepted = [self._local]
        self._fail_at = self._check_at = self._nominate_at = None
        self._checks.clear(keep_consent=False)
        self._validated = {}
        self._adopt(pair, now, actions)

    def _adopt(self, pair: CandidatePair, now: float, actions: list[IceAction]) -> None:
        assert self._remote is not None
        self._consent.begin(pair, self._remote.credentials, now)
        self.selected = pair.remote
        self._validated[pair.remote] = None
        if self.controlling:
            self._checklist.keep_only(pair)
        actions.append(Selected(pair.remote))

    def _send_consent_check(self, now: float, actions: list[IceAction]) -> None:
        self._consent.asked(now)
        pair, remote = self._consent.pair, self._consent.remote
        if pair is None or remote is None:
            return
        check = self._checks.open(
            pair,
            local=self._admission.accepted[-1],
            remote=remote,
            role=(self.controlling, self._role.tie_breaker),
            nominating=False,
            consent=True,
            rto=self._settings.rto,
            now=now,
        )
        actions.append(SendStun(check.data, pair.remote))

    @property
    def credentials(self) -> IceCredentials:
        """Our credentials of the current generation, for the SDP."""
        return self._local

    @property
    def refused(self) -> int:
        """Requests without valid credentials so far."""
        return self._admission.refused

    @property
    def _may_check(self) -> bool:
        return self.state == "checking" and not self.lite

    def _wake(self, now: float) -> None:
        """Have the next check sent, no sooner than Ta after the last."""
        if self._check_at is None and self._may_check and self._checklist.has_work:
            self._check_at = now

    def _validate(self, source: Address) -> None:
        if len(self._validated) < self._settings.max_validated:
            self._validated[source] = None

    def _end(self, state: IceState, action: IceAction) -> list[IceAction]:
        self.state = state
        self._forget_selected()
        self._validated = {}
        self._checks.clear(keep_consent=False)
        self._check_at = self._fail_at = self._nominate_at = None
        return [action]

    def _forget_selected(self) -> None:
        if self.selected is not None:
            self._validated.pop(self.selected, None)
        self.selected = None
        self._consent.end()
