"""Where published numbers come from: a fixed table, or the records of a directory."""

from __future__ import annotations

from collections.abc import Mapping

from discovery.enum.naptr import Rule


class FixedNumbers:
    """Numbers known from the start, such as those of a configuration."""

    def __init__(self, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        self._rules = dict(rules)

    async def rules(self, number: str) -> tuple[Rule, ...]:
        """Return the rules of a number (digits)."""
        return self._rules.get(number, ())
