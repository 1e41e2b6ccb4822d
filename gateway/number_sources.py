"""The sources that numbers are resolved by, made from the configuration in its order."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping

from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.dnssec.limits import Limits
from discovery.enum.domain import Tree
from discovery.model import Assurance, Service
from discovery.sources import Source
from gateway.config.base import split_endpoint
from gateway.config.discovery import Discovery
from gateway.config.enum_trees import EnumTrees
from gateway.enum_source import EnumSource, PinnedTree, SignedDns
from gateway.resolution import ResolverLimits, TimedSource


def timed_sources(
    settings: Discovery, made: Mapping[str, tuple[Source | None, float]]
) -> list[TimedSource]:
    """Return the sources in the configured order, each with its seconds; absent ones left out."""
    return [
        # Rules say who is told what: what SPIN found for one caller is for that one (CUJ 5).
        TimedSource(source, seconds, together=name in settings.together, personal=name == "spin")
        for name in settings.order
        for source, seconds in (made.get(name, (None, 0.0)),)
        if source is not None
    ]


def resolver_limits(settings: Discovery, unshared: Container[str] = frozenset()) -> ResolverLimits:
    """Return the limits of the resolver; `unshared`: callers whose answers are theirs alone."""
    required = settings.required_assurance
    return ResolverLimits(
        budget=settings.budget_seconds,
        negative=settings.negative_seconds,
        unshared=unshared,
        required={
            Service.VOICE: Assurance(required.voice),
            Service.VIDEO: Assurance(required.video),
            Service.IM: Assurance(required.message),
        },
    )


def enum_source(settings: EnumTrees | None, client: SignedDns) -> EnumSource | None:
    """Return ENUM as a source, or None where there is no tree."""
    if settings is None:
        return None
    trees = tuple(
        PinnedTree(
            Tree(tree.prefix.removeprefix("+"), tree.suffix),
            trust_anchor(tree.suffix, tree.ds),
            tuple(split_endpoint(server) for server in tree.nameservers),
        )
        for tree in settings.tree
    )
    limits = Limits(max_iterations=settings.max_nsec3_iterations)
    return EnumSource(trees, client, wall_clock=time.time, limits=limits)
