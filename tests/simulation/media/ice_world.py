"""Agents on a virtual clock, joined by a link that loses, delays and reorders."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from media.candidate import Candidate, host_candidate
from media.ice import (
    Address,
    IceAction,
    IceAgent,
    IceSettings,
    SendStun,
)
from media.ice_values import new_credentials

ALICE: Address = ("192.0.2.1", 40000)
BOB: Address = ("198.51.100.2", 50000)


@dataclass
class World:
    """Delivers what agents send; everything else they do is kept in `events`."""

    seed: int = 1
    loss: float = 0.0
    delay: tuple[float, float] = (0.02, 0.02)
    now: float = 100.0
    agents: dict[Address, IceAgent] = field(default_factory=dict)
    events: list[tuple[float, Address, IceAction]] = field(default_factory=list)
    sent: list[tuple[float, Address, Address, bytes]] = field(default_factory=list)
    blocked: Callable[[Address, Address], bool] = lambda _source, _to: False
    _flying: list[tuple[float, int, Address, Address, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rand = Random(self.seed)

    def agent(
        self,
        base: Address,
        *,
        controlling: bool,
        lite: bool = False,
        settings: IceSettings | None = None,
    ) -> IceAgent:
        agent = IceAgent(
            new_credentials(self.rand),
            base,
            controlling=controlling,
            lite=lite,
            rand=self.rand,
            settings=settings or IceSettings(),
        )
        self.agents[base] = agent
        return agent

    def act(self, source: Address, actions: list[IceAction]) -> None:
        for action in actions:
            if isinstance(action, SendStun):
                self.send(source, action.destination, action.data)
            else:
                self.events.append((self.now, source, action))

    def send(self, source: Address, destination: Address, data: bytes) -> None:
        self.sent.append((self.now, source, destination, data))
        if self.rand.random() < self.loss or self.blocked(source, destination):
            return
        at = self.now + self.rand.uniform(*self.delay)
        heapq.heappush(self._flying, (at, len(self.sent), source, destination, data))

    def run(self, seconds: float) -> None:
        """Jump from event to event for so many virtual seconds."""
        end = self.now + seconds
        while True:
            deadlines = [agent.next_deadline() for agent in self.agents.values()]
            times = [at for at in deadlines if at is not None]
            if self._flying:
                times.append(self._flying[0][0])
            if not times or min(times) > end:
                self.now = end
                return
            self.now = max(self.now, min(times))
            self._step()

    def _step(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, source, destination, data = heapq.heappop(self._flying)
            agent = self.agents.get(destination)
            if agent is not None:
                self.act(destination, agent.receive(data, source, self.now))
        for base, agent in self.agents.items():
            deadline = agent.next_deadline()
            if deadline is not None and deadline <= self.now:
                self.act(base, agent.expire(self.now))

    def of(self, base: Address, kind: type[IceAction]) -> list[IceAction]:
        """What an agent reported, of one kind."""
        return [
            action for _, source, action in self.events if source == base and type(action) is kind
        ]


def candidate(address: Address) -> Candidate:
    return host_candidate(*address)
