"""Section about the policy administrator's list of trusted STI-CAs."""

from __future__ import annotations

from pydantic import Field

from gateway.config.base import Count, FilePath, Section, Text


class TrustList(Section):
    """The list of trusted STI-CAs that the policy administrator publishes (ATIS-1000084)."""

    url: Text | None = Field(
        default=None,
        description="https URL of the list; absent: only what `spingate cert trust-list import` "
        "puts into the state directory.",
    )
    administrator: FilePath = Field(
        description="PEM certificate the list is signed with; or that of an authority that "
        "certifies the administrator's signing key and nobody else."
    )
    refresh_seconds: Count = Field(
        default=21_600, ge=300, le=604_800, description="How often the list is fetched."
    )
    keep_stale_seconds: Count = Field(
        default=604_800,
        ge=0,
        le=2_592_000,
        description="How long the last good list is used after it expired, or, where it does not "
        "say when that is, after it was last fetched.",
    )
