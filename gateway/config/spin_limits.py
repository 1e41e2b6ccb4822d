"""Limits of invitations: what text messages may cost us, and what strangers may cost us."""

from __future__ import annotations

from pydantic import Field

from gateway.config.base import Count, Seconds, Section


class SpinLimits(Section):
    """Further limits of invitations sent and taken; a prefix is a country and area, 6 digits."""

    sent_per_caller_hour: Count = Field(
        default=60, ge=1, description="Invitations sent on behalf of one caller in an hour."
    )
    sent_per_prefix_hour: Count = Field(
        default=600, ge=1, description="Invitations sent to one prefix in an hour."
    )
    sent_per_minute: Count = Field(default=600, ge=1, description="Invitations sent in a minute.")
    taken_per_number_minute: Count = Field(
        default=10, ge=1, description="Invitations taken for one own number in a minute."
    )
    taken_per_prefix_minute: Count = Field(
        default=600, ge=1, description="Invitations taken from one prefix in a minute."
    )
    answers_per_address_minute: Count = Field(
        default=120, ge=1, description="Requests to the callback from one address in a minute."
    )
    breaker_percent: Count = Field(
        default=20,
        ge=0,
        le=100,
        description="Where less than this share of the last invitations to a prefix was answered, "
        "no more are sent for a while; 0: never.",
    )
    breaker_invitations: Count = Field(
        default=50, ge=1, le=10_000, description="How many last invitations that is."
    )
    breaker_pause_seconds: Seconds = Field(
        default=900.0, gt=0, description="How long no more are sent; then one, to see."
    )
