"""Calls that are up or being set up, bounded and counted by who brought them."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.calls.hangup import DialogFacts
from gateway.calls.media_control import SdpExchange
from gateway.calls.record import CallRecord
from gateway.calls.route_token import Side
from media.session import MediaSession
from sip.flow import Flow, Hop

MAX_FORKS: Final = 32
"""How many answers of different devices to one INVITE are kept apart."""

Direction = Literal["outbound", "inbound", "local"]


class TooManyCalls(Exception):
    """No further call is taken: `status` says what the caller is told (403 or 503)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(slots=True)
class Call:
    """One call from its authorised INVITE to its end.

    `account` names the user, trunk or peer whose limit the call counts against. `callee_tags`
    are the To tags of the 2xx responses, at most MAX_FORKS; `exchange` is the SDP exchange that
    an ACK may complete; `cseqs` are the highest CSeq numbers each side has used; `media_failure`
    says how a leg died before the answer.
    """

    key: str
    call_id: str
    caller_tag: str
    direction: Direction
    account: str
    created: float
    record: CallRecord
    caller_flow: Flow
    callee_hop: Hop | None = None
    callee_tags: set[str] = field(default_factory=set)
    dialog: DialogFacts | None = None
    cseqs: dict[Side, int] = field(default_factory=dict)
    media: MediaSession | None = None
    media_failure: str | None = None
    exchange: SdpExchange | None = None

    def note_request(self, by: Side, number: int) -> None:
        """Note the CSeq number of a request that one side sent."""
        self.cseqs[by] = max(number, self.cseqs.get(by, 0))


class CallTable:
    """All calls by key; the number at once is bounded, in all and by account."""

    def __init__(self, max_calls: int, max_call_seconds: float) -> None:
        self._max_calls = max_calls
        self._max_call_seconds = max_call_seconds
        self._calls: dict[str, Call] = {}
        self._by_account: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._calls)

    def calls(self) -> list[Call]:
        """Return all calls, oldest first."""
        return list(self._calls.values())

    def by_account(self) -> dict[str, int]:
        """Return how many calls each account has at once."""
        return dict(self._by_account)

    def admit(self, account: str, limit: int, status_over_limit: int) -> str:
        """Return the key for a new call of an account.

        Raises TooManyCalls where the account's limit or the table's bound is reached.
        """
        if len(self._calls) >= self._max_calls:
            raise TooManyCalls(503, "Gateway is full")
        if self._by_account[account] >= limit:
            raise TooManyCalls(status_over_limit, "Too many calls at once")
        return secrets.token_urlsafe(9)

    def add(self, call: Call) -> None:
        """Enter a call under its key."""
        self._calls[call.key] = call
        self._by_account[call.account] += 1

    def get(self, key: str) -> Call | None:
        """Return a call by its key, or None where it is over."""
        return self._calls.get(key)

    def remove(self, key: str) -> Call | None:
        """Take a call out and return it; None where it was out already."""
        call = self._calls.pop(key, None)
        if call is not None:
            self._by_account[call.account] -= 1
            if not self._by_account[call.account]:
                del self._by_account[call.account]
        return call

    def overdue(self, now: float) -> list[Call]:
        """Return the calls older than a call may be: their end was missed."""
        horizon = now - self._max_call_seconds
        late = []
        for call in self._calls.values():
            if call.created > horizon:
                break
            late.append(call)
        return late
