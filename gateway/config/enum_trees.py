"""Section [discovery.enum]: private ENUM trees."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.domain import Tree
from gateway.config.base import Count, Domain, HostPort, NumberPrefix, Seconds, Section, Text


class EnumTree(Section):
    """A private ENUM tree (RFC 6116) and the pinned beginning of its DNSSEC chain."""

    prefix: NumberPrefix = Field(
        default="+", description="Numbers found in this tree, by their beginning; + for all."
    )
    suffix: Domain = Field(description="Domain that the reversed digits are put before.")
    ds: tuple[Text, ...] = Field(
        min_length=1,
        description="DS records of the suffix: key tag, algorithm (8, 13, 14, 15), digest type "
        "(2, 4), digest.",
    )
    nameservers: tuple[HostPort, ...] = Field(
        default=(), description="Servers of the tree as ADDRESS:PORT; those of [dns] if empty."
    )

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        Tree(self.prefix.removeprefix("+"), self.suffix)
        trust_anchor(self.suffix, self.ds)
        return self


class EnumTrees(Section):
    """ENUM: numbers looked up in private DNS trees, believed only where DNSSEC validates."""

    budget_seconds: Seconds = Field(
        default=3.0, gt=0, le=30, description="Time for all questions about one number."
    )
    max_nsec3_iterations: Count = Field(
        default=50, ge=0, le=500, description="Proofs of absence that cost more are refused."
    )
    tree: tuple[EnumTree, ...] = Field(min_length=1, description="The trees.")

    @model_validator(mode="after")
    def _prefixes_are_unique(self) -> Self:
        prefixes = [tree.prefix for tree in self.tree]
        if len(set(prefixes)) < len(prefixes):
            raise ValueError("two trees have the same prefix")
        return self
