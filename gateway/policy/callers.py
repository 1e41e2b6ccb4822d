"""Who of the own side may call from which number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from gateway.config.base import NumberSet
from gateway.config.sip import Trunk, User

Attestation = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller of the own side with the number the call is signed for."""

    name: str
    number: str
    attest: Attestation
    media: Literal["rtp", "sdes", "pass"]
    max_calls: int
    allow_prefixes: tuple[str, ...] = ("+",)
    behind_nat: bool = False

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

    def trunk(self, source: str) -> Trunk | None:
        """Return the trunk that sends from an address, or None."""
        if not self._trunks:
            return None
        address = ip_address(source)
        for trunk, networks, _numbers in self._trunks:
            if any(address in network for network in networks):
                return trunk
        return None

    def owner(self, number: str) -> User | None:
        """Return the user whom a number belongs to, or None."""
        return self._owners.get(number)

    def user(self, username: str) -> User | None:
        """Return a user by the name of the digest authentication."""
        return self._users.get(username)

    def caller_from_user(self, username: str, claimed: str | None) -> Caller | None:
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
        )

    def caller_from_trunk(self, trunk: Trunk, claimed: str | None) -> Caller | None:
        """Return the caller for a trunk; None where the claimed number is not the trunk's."""
        numbers = next(found for each, _, found in self._trunks if each is trunk)
        if claimed is None or claimed not in numbers:
            return None
        return Caller(
            name=trunk.name,
            number=claimed,
            attest=trunk.attest,
            media="rtp" if trunk.media == "bridge" else "pass",
            max_calls=trunk.max_calls,
            allow_prefixes=trunk.allow_prefixes,
        )
