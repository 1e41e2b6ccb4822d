"""Section [enum] of a directory: numbers whose owners opted in, published over DNS."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from discovery.enum.domain import Tree
from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    IpAddress,
    NumberPrefix,
    Port,
    Seconds,
    Section,
)


class EnumPublishing(Section):
    """An authoritative DNS server for the records whose maps are tagged `enum`.

    Whoever asks is seen by every server on the way, and so is the answer: this is for numbers
    that may be known, such as those of businesses.
    """

    suffix: Domain = Field(description="Domain that the reversed digits are put before.")
    prefix: NumberPrefix = Field(
        default="+", description="Numbers of the tree, by their beginning; + for all."
    )
    address: IpAddress = Field(description="Address to bind, UDP and TCP.")
    port: Port = Field(default=53, ge=1, le=65535, description="Port to bind.")
    nameservers: tuple[Domain, ...] = Field(
        min_length=1, description="Names of the tree's servers, outside of the tree."
    )
    hostmaster: Domain = Field(
        description="Mailbox of who looks after it, as a domain: hostmaster.example.com."
    )
    key: FilePath | None = Field(
        default=None,
        description="PEM private key (P-256) that signs the zone; absent: one is made in the "
        "state directory. Its DS is shown at start: gateways pin it.",
    )
    next_key: FilePath | None = Field(
        default=None, description="PEM key published beside it, before it takes over."
    )
    ttl_seconds: Count = Field(default=300, ge=1, le=86_400, description="Lifetime of records.")
    negative_ttl_seconds: Count = Field(
        default=60, ge=1, le=3_600, description="Lifetime of denials."
    )
    responses_per_second: Seconds = Field(
        default=50.0, gt=0, description="Answers over UDP to one network (IPv4 /24, IPv6 /56)."
    )
    responses_burst: Seconds = Field(default=200.0, ge=1, description="The same, at once.")

    @model_validator(mode="after")
    def _is_a_tree(self) -> Self:
        Tree(self.prefix.removeprefix("+"), self.suffix)
        inside = [name for name in self.nameservers if f".{name}".endswith(f".{self.suffix}")]
        if inside:
            raise ValueError(f"name server '{inside[0]}' has to be outside of the tree")
        return self
