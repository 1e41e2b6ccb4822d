"""The completion-rate breaker: where hardly any invitation is answered, no more are paid for.

    closed -> (of the last `sample` too few were answered) -> open for `pause` seconds
    open -> (pause over) -> one trial -> answered: closed | unanswered: open again

Pumped text messages to premium ranges look like this: many are sent, none completes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """least_percent: answered of the last `sample` invitations, 0 never opens; pause in seconds."""

    least_percent: int = 20
    sample: int = 50
    pause: float = 900.0


@dataclass(slots=True)
class _Circuit:
    outcomes: deque[bool] = field(default_factory=deque)
    open_until: float | None = None
    trial_until: float = 0.0


class CompletionBreaker:
    """One circuit a prefix; max_keys bounds them, the one quiet longest leaving first."""

    def __init__(self, policy: BreakerPolicy, *, max_keys: int = 10_000) -> None:
        self._policy = policy
        self._max_keys = max_keys
        self._circuits: OrderedDict[str, _Circuit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._circuits)

    def open_circuits(self) -> int:
        """Return to how many prefixes nothing but trials is sent now."""
        return sum(circuit.open_until is not None for circuit in self._circuits.values())

    def allows(self, key: str, now: float) -> bool:
        """Tell whether one more may be sent; where the pause is over, only one at a time."""
        circuit = self._circuits.get(key)
        if circuit is None or circuit.open_until is None:
            return True
        pause = self._policy.pause
        # Neither lies further off than a pause, but where the clock was set back.
        return not any(
            now < until <= now + pause for until in (circuit.open_until, circuit.trial_until)
        )

    def sent(self, key: str, now: float) -> None:
        """Note that one was sent; while the circuit is open it is the trial."""
        circuit = self._circuits.get(key)
        if circuit is not None and circuit.open_until is not None:
            circuit.trial_until = now + self._policy.pause

    def ended(self, key: str, *, answered: bool, now: float) -> None:
        """Note how one ended: whether anybody answered, be it to decline."""
        policy = self._policy
        circuit = self._circuits.setdefault(key, _Circuit())
        self._circuits.move_to_end(key)
        while len(self._circuits) > self._max_keys:
            self._circuits.popitem(last=False)
        if circuit.open_until is not None:
            if answered:
                circuit.outcomes.clear()
                circuit.open_until = None
            elif not now < circuit.open_until <= now + policy.pause:
                circuit.open_until = now + policy.pause
                circuit.trial_until = 0.0
            return
        circuit.outcomes.append(answered)
        while len(circuit.outcomes) > policy.sample:
            circuit.outcomes.popleft()
        share = 100 * sum(circuit.outcomes)
        if len(circuit.outcomes) == policy.sample and share < policy.least_percent * policy.sample:
            circuit.open_until = now + policy.pause
            circuit.trial_until = 0.0
