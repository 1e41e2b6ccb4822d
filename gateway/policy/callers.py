"""Who of the own side may call from which number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from gateway.config.attestation import Strength
from gateway.config.base import NumberSet
from gateway.config.sip import Trunk, User
from sip.flow import Flow

Attestation = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller of the own side with the number the call is signed for.

    `strength` is how well it is known who calls. `owns_number` is False for a number that a trunk
    passes on. `attest` and `origid` are what the caller's own entry says.
    """

    name: str
    number: str
    attest: Attestation
    media: Literal["rtp", "sdes", "pass"]
    max_calls: int
    allow_prefixes: tuple[str, ...] = ("+",)
    behind_nat: bool = False
    kind: Literal["user", "trunk"] = "user"
    strength: Strength = "digest"
    owns_number: bool = True
    origid: str | None = None

    def may_call(self, number: str) -> bool:
        """Whether the caller may call a number, by its prefix."""
        return number.startswith(self.allow_prefixes)


class CallerPolicy:
    """Finds users by their authenticated name and trunks by their source address."""

    def __init__(self, users: Sequence[User], trunks: Sequence[Trunk]) -> None:
        self._users = {user.username: user for user in users}
        self._owners = {number: user for user in users for number in user.numbers}
        self._trunks = [
            (trunk, [ip_network(source) for source in trunk.sources], NumberSet(trunk.numbers))
            for trunk in trunks
        ]

    def trunk(self, flow: Flow) -> Trunk | None:
        """Return the trunk that a flow comes from, or None."""
        if not self._trunks:
            return None
        address = ip_address(flow.remote.host)
        for trunk, networks, _numbers in self._trunks:
            if trunk.domain is not None and trunk.domain not in flow.peer_names:
                continue
            if any(address in network for network in networks):
                return trunk
        return None

    def is_trunk_address(self, host: str) -> bool:
        """Whether a trunk sends from that address."""
        address = ip_address(host)
        return any(address in network for _, networks, _ in self._trunks for network in networks)

    def owner(self, number: str) -> User | None:
        """Return the user whom a number belongs to, or None."""
        return self._owners.get(number)

    def user(self, username: str) -> User | None:
        """Return a user by the name of the digest authentication."""
        return self._users.get(username)

    def caller_from_user(self, username: str, claimed: str | None, flow: Flow) -> Caller | None:
        """Return the caller for a user; None where the claimed number is not the user's."""
        user = self._users.get(username)
        if user is None or (claimed is not None and claimed not in user.numbers):
            return None
        return Caller(
            name=username,
            number=claimed or user.numbers[0],
            attest=user.attest,
            media=user.media,
            behind_nat=user.behind_nat,
            max_calls=user.max_calls,
            strength="digest-tls" if flow.transport == "tls" else "digest",
            origid=user.origid,
        )

    def caller_from_trunk(self, trunk: Trunk, claimed: str | None, flow: Flow) -> Caller | None:
        """Return the caller for a trunk; None where it may not call from the claimed number."""
        numbers = self.numbers_of(trunk)
        number = trunk.default_number if claimed is None else claimed
        if number is None:
            return None
        owns, attest = number in numbers, trunk.attest
        if not owns:
            if trunk.unknown_numbers == "refuse" or not number.startswith("+"):
                return None
            attest = trunk.unknown_numbers
        return Caller(
            name=trunk.name,
            number=number,
            attest=attest,
            media="rtp" if trunk.media == "bridge" else "pass",
            max_calls=trunk.max_calls,
            allow_prefixes=trunk.allow_prefixes,
            kind="trunk",
            strength=_strength_of_trunk(trunk, flow),
            owns_number=owns,
            origid=trunk.origid,
        )

    def numbers_of(self, trunk: Trunk) -> NumberSet:
        """Return the numbers of a trunk of this configuration."""
        return next(found for each, _, found in self._trunks if each is trunk)

    def caller_through(self, trunk: Trunk, number: str, flow: Flow) -> Caller:
        """Return the caller of a call that a trunk forwards: a number that is not its own."""
        return Caller(
            name=trunk.name,
            number=number,
            attest="C",
            media="rtp" if trunk.media == "bridge" else "pass",
            max_calls=trunk.max_calls,
            allow_prefixes=trunk.allow_prefixes,
            kind="trunk",
            strength=_strength_of_trunk(trunk, flow),
            owns_number=False,
        )


def _strength_of_trunk(trunk: Trunk, flow: Flow) -> Strength:
    """A source address over udp can be forged; over a connection it at least answered."""
    if trunk.domain is not None:
        return "certificate"
    return "address" if flow.transport == "udp" else "connection"
