"""The response context of a stateful proxy: forking, answers, CANCEL (RFC 3261 16.6 to 16.10).

One context belongs to one server transaction. It decides which targets are tried when, which
responses go back, and what is cancelled; it sends nothing itself. Every method returns the
actions to carry out, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from math import inf
from typing import Literal

from sip.best_response import best_response
from sip.message import Request, Response, response_to
from sip.proxy_request import max_breadth
from sip.timers import Timers

FailureCause = Literal["timeout", "transport", "tls", "unresolved"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request may go; `id` names its branch, `q` (0 to 1) its turn."""

    id: str
    uri: str
    q: float = 1.0
    opaque: object = None


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """Send a copy to a target in a new client transaction, with this share of the breadth."""

    branch_id: str
    target: Target
    max_breadth: int


@dataclass(frozen=True, slots=True)
class ForwardResponse:
    """Answer the server transaction; `branch_id` None where the proxy itself answers."""

    response: Response
    branch_id: str | None


@dataclass(frozen=True, slots=True)
class CancelBranch:
    """Cancel a client transaction, once it has had a provisional response (9.1)."""

    branch_id: str


@dataclass(frozen=True, slots=True)
class Completed:
    """No branch is pending and nothing is left to send, but repetitions of a 2xx may follow."""


ContextAction = ForwardRequest | ForwardResponse | CancelBranch | Completed


class _Branch:
    """What the context remembers of one client transaction."""

    __slots__ = ("cancelled", "deadline", "done", "provisional", "timed_out")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.provisional = False
        self.cancelled = False
        self.timed_out = False
        self.done = False


class ResponseContext:
    """Forks one request to its targets and brings back the right responses.

    Targets of equal q are tried in parallel, groups of lower q after the ones before have all
    failed. A group wider than the request's Max-Breadth is refused with 440 (RFC 5393 section
    5.3.3) rather than tried in slices, so that nested forks cannot multiply requests. A 3xx is a
    final response like others: it is not followed.
    """

    __slots__ = (
        "_branches",
        "_breadth",
        "_cancelled",
        "_completed",
        "_final_sent",
        "_finals",
        "_groups",
        "_ids",
        "_is_invite",
        "_request",
        "_timers",
    )

    def __init__(self, request: Request, timers: Timers) -> None:
        """Begin with the request as it was received: responses go back by its Vias.

        Raises `MalformedHeader` for a Max-Breadth that `check_request` would have refused.
        """
        self._request = request
        self._timers = timers
        self._is_invite = request.method == "INVITE"
        self._breadth = max_breadth(request)
        self._ids: set[str] = set()
        self._branches: dict[str, _Branch] = {}
        self._groups: list[list[Target]] = []  # few, and an empty deque takes 600 octets
        self._finals: list[Response] = []
        self._final_sent = False
        self._cancelled = False
        self._completed = False

    @property
    def final_sent(self) -> bool:
        """Whether a final response has been forwarded."""
        return self._final_sent

    @property
    def completed(self) -> bool:
        """Whether `Completed` has been given out."""
        return self._completed

    def start(self, targets: Sequence[Target], now: float) -> list[ContextAction]:
        """Try a target set; with none, or after CANCEL, nobody is tried and the client is told.

        May be called again with further targets while no final response has been forwarded.
        Raises `ValueError` for a target id that was used before in this context.
        """
        actions: list[ContextAction] = []
        if self._final_sent or self._completed:
            return actions
        for target in targets:
            if target.id in self._ids:
                raise ValueError("two targets with one id")
            self._ids.add(target.id)
        ordered = sorted(targets, key=_descending_q)
        groups = [list(group) for _, group in groupby(ordered, key=_descending_q)]
        if any(len(group) > self._breadth for group in groups):
            self._finals.append(self._answer(440))
        else:
            self._groups.extend(groups)
        self._go_on(now, actions)
        return actions

    def response(self, branch_id: str, response: Response, now: float) -> list[ContextAction]:
        """Take a response from a client transaction (16.7); unknown branches are ignored."""
        actions: list[ContextAction] = []
        branch = self._branches.get(branch_id)
        if branch is None:
            return actions
        status = response.status_code
        if status < 200:
            self._provisional(branch_id, branch, response, now, actions)
        elif status < 300:
            self._success(branch_id, branch, response, now, actions)
        elif not branch.done:
            if branch.timed_out and status == 487:
                # The 487 answers our own CANCEL; to the client it was timer C that ended this.
                response = self._answer(408)
            self._failure(branch, self._toward_client(response), now, actions)
        return actions

    def failed(self, branch_id: str, cause: FailureCause, now: float) -> list[ContextAction]:
        """Learn that a branch ended without a final response: as good as a 408 or 503 (16.9)."""
        actions: list[ContextAction] = []
        branch = self._branches.get(branch_id)
        if branch is not None and not branch.done:
            status = 408 if cause == "timeout" or branch.timed_out else 503
            self._failure(branch, self._answer(status), now, actions)
        return actions

    def cancel(self, now: float) -> list[ContextAction]:
        """Take a CANCEL of the client (16.10); does nothing once a final response was forwarded.

        The 487 that ends the INVITE comes from the branches. Where there are none yet it is sent
        at once, and a later `start` tries nobody.
        """
        actions: list[ContextAction] = []
        if not self._is_invite or self._final_sent or self._cancelled:
            return actions
        self._cancelled = True
        self._cancel_pending(now, actions)
        self._go_on(now, actions)
        return actions

    def next_deadline(self) -> float | None:
        """Return when `expire` has to be called next, None while no timer C runs."""
        deadline = inf
        for branch in self._branches.values():
            if branch.deadline < deadline:
                deadline = branch.deadline
        return None if deadline == inf else deadline

    def expire(self, now: float) -> list[ContextAction]:
        """Handle timer C (16.8): cancel a branch that rings, count it as 408 where that is vain."""
        actions: list[ContextAction] = []
        for branch_id, branch in list(self._branches.items()):
            if branch.deadline > now or branch.done:
                continue
            waited_for_cancel = branch.cancelled
            self._cancel_branch(branch_id, branch, now, actions)
            branch.timed_out = True
            if waited_for_cancel or not branch.provisional:
                self._failure(branch, self._answer(408), now, actions)
        return actions

    def _provisional(
        self,
        branch_id: str,
        branch: _Branch,
        response: Response,
        now: float,
        actions: list[ContextAction],
    ) -> None:
        branch.provisional = True
        # 100 is hop by hop; RFC 4320 section 4.1 forbids the others for a non-INVITE request.
        if response.status_code == 100 or not self._is_invite or branch.done:
            return
        if not branch.cancelled:
            branch.deadline = now + self._timers.timer_c
        if not self._final_sent:
            actions.append(ForwardResponse(self._toward_client(response), branch_id))

    def _success(
        self,
        branch_id: str,
        branch: _Branch,
        response: Response,
        now: float,
        actions: list[ContextAction],
    ) -> None:
        """Forward a 2xx at once: to an INVITE every one, repeated or of another branch."""
        self._end(branch)
        if self._is_invite or not self._final_sent:
            self._final_sent = True
            actions.append(ForwardResponse(self._toward_client(response), branch_id))
            self._cancel_pending(now, actions)
        self._go_on(now, actions)

    def _failure(
        self, branch: _Branch, response: Response, now: float, actions: list[ContextAction]
    ) -> None:
        self._end(branch)
        self._finals.append(response)
        if response.status_code >= 600:
            # 16.7 item 5: nobody else need be asked, but a 2xx on its way would still win.
            self._cancel_pending(now, actions)
        self._go_on(now, actions)

    def _go_on(self, now: float, actions: list[ContextAction]) -> None:
        """Where nothing is pending: try the next group, or answer and be done."""
        if self._completed or any(not branch.done for branch in self._branches.values()):
            return
        if self._groups:
            self._fork(self._groups.pop(0), now, actions)
            return
        if not self._final_sent:
            self._forward_best(actions)
        self._completed = True
        actions.append(Completed())

    def _fork(self, group: list[Target], now: float, actions: list[ContextAction]) -> None:
        share, more = divmod(self._breadth, len(group))
        deadline = now + self._timers.timer_c if self._is_invite else inf
        for place, target in enumerate(group):
            self._branches[target.id] = _Branch(deadline)
            actions.append(ForwardRequest(target.id, target, share + (place < more)))

    def _forward_best(self, actions: list[ContextAction]) -> None:
        best = best_response(
            self._request, self._finals, cancelled=self._cancelled, to_tag=self._to_tag()
        )
        if best.status_code == 408 and not self._is_invite:
            # RFC 4320 section 4.2: its client has timed out by itself; say nothing.
            return
        self._final_sent = True
        actions.append(ForwardResponse(best, None))

    def _cancel_pending(self, now: float, actions: list[ContextAction]) -> None:
        """Try nobody else, and cancel who is being tried; only an INVITE can be cancelled."""
        self._groups.clear()
        if self._is_invite:
            for branch_id, branch in self._branches.items():
                if not branch.done and not branch.cancelled:
                    self._cancel_branch(branch_id, branch, now, actions)

    def _cancel_branch(
        self, branch_id: str, branch: _Branch, now: float, actions: list[ContextAction]
    ) -> None:
        if not branch.cancelled:
            branch.cancelled = True
            actions.append(CancelBranch(branch_id))
        # A safeguard: the client transaction ends before, by timer B and then 64*T1 (9.1).
        branch.deadline = now + 2 * self._timers.unreliable.b

    def _end(self, branch: _Branch) -> None:
        branch.done = True
        branch.deadline = inf

    def _toward_client(self, response: Response) -> Response:
        """Put the Vias of the request on a response (16.7 item 3).

        Taking our own off the top comes to the same where the next hop kept them; where it did
        not, it must not decide where the response goes.
        """
        headers = response.headers
        vias = headers.all("Via")
        ours = self._request.headers.all("Via")
        if vias == ours:
            return response
        if vias[1:] == ours:
            return response.with_headers(headers.without_first("Via"))
        headers = headers.without("Via")
        for value in reversed(ours):
            headers = headers.prepend("Via", value)
        return response.with_headers(headers)

    def _answer(self, status: int) -> Response:
        return response_to(self._request, status, to_tag=self._to_tag())

    def _to_tag(self) -> str:
        """Return the tag of this proxy's own answers: the same for the same request."""
        identity = f"{self._request.headers.get('Via')}\n{self._request.headers.get('Call-ID')}"
        return blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _descending_q(target: Target) -> float:
    return -target.q
