"""The media section: where RTP flows and how it is protected."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.config.base import Count, IpAddress, Network, Port, Seconds, Section


class Media(Section):
    """The embedded media engine."""

    mode: Literal["bridge", "pass"] = Field(
        default="bridge",
        description="bridge: anchor media, WebRTC (ICE, DTLS-SRTP) towards peers. pass: leave "
        "SDP and media alone (end-to-end encrypted media).",
    )
    access_address: IpAddress = Field(
        default="127.0.0.1", description="Address for media with own users and trunks."
    )
    peers_address: IpAddress = Field(
        default="127.0.0.1", description="Address for media with other providers."
    )
    access_advertise: IpAddress | None = Field(
        default=None, description="Address put into SDP for users, behind 1:1 NAT."
    )
    peers_advertise: IpAddress | None = Field(
        default=None, description="Address put into SDP for peers, behind 1:1 NAT."
    )
    port_min: Port = Field(default=40_000, ge=1_024, le=65_534, description="First media port.")
    port_max: Port = Field(default=59_999, ge=1_025, le=65_535, description="Last media port.")
    max_sessions: Count = Field(default=2_000, ge=1, description="Bridged calls at once.")
    allow_networks: tuple[Network, ...] = Field(
        default=(),
        description="Special-purpose networks media may be sent to all the same (private "
        "addresses of own users, loopback in tests).",
    )
    setup_timeout_seconds: Seconds = Field(
        default=10.0, gt=0, description="Time for ICE and DTLS after the answer."
    )
    silence_timeout_seconds: Seconds = Field(
        default=300.0, gt=0, description="A call without any packet on a side is ended then."
    )

    @model_validator(mode="after")
    def _ports_run_upwards(self) -> Self:
        if self.port_max <= self.port_min:
            raise ValueError("'port_max' must be above 'port_min'")
        return self
