"""The configuration as a whole."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.attestation import AttestationRule, Verstat
from gateway.config.base import (
    Domain,
    FilePath,
    IpAddress,
    NumberRange,
    NumberSet,
    Port,
    Section,
    Text,
)
from gateway.config.discovery import Discovery, Dns, Sms, Spin
from gateway.config.media import Media
from gateway.config.oob import CallPlacement
from gateway.config.sip import Listen, Peer, Registrar, Route, Sip, Trunk, User
from gateway.config.stir import Fetch, Stir


class Provider(Section):
    """Who runs this gateway."""

    domain: Domain = Field(description="The provider's domain, host of its users' URIs.")
    further_domains: tuple[Domain, ...] = Field(
        default=(), description="Further domains whose requests are ours."
    )
    numbers: tuple[NumberRange, ...] = Field(
        min_length=1, description="Numbers and ranges the provider serves."
    )
    region: Text = Field(
        default="US",
        pattern="^[A-Z]{2}$",
        description="ISO 3166 region in which users dial national numbers.",
    )
    state_directory: FilePath = Field(
        description="Folder of the databases and generated secrets; relative to this file."
    )


class Admin(Section):
    """Metrics and state for the operator; keep it on loopback."""

    address: IpAddress = Field(default="127.0.0.1", description="Address to bind.")
    port: Port = Field(default=8086, ge=1, le=65535, description="Port to bind.")
    token: SecretStr | None = Field(default=None, description="Bearer token.")
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is the bearer token."
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("give exactly one of 'token' and 'token_file'")
        return self


class Log(Section):
    """What is written down, and where."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    format: Literal["console", "json"] = Field(
        default="console", description="For people, or one JSON object a line."
    )
    trace_file: FilePath | None = Field(
        default=None,
        description="One JSON object a SIP message, credentials and keys removed; absent: none.",
    )
    call_record_file: FilePath | None = Field(
        default=None, description="One JSON object a call, at its end; absent: none."
    )


class CallPlacementConfig(Section):
    """Everything `spingate cps run` reads: a call placement service without a gateway."""

    call_placement: CallPlacement = Field(description="The call placement service.")
    dns: Dns = Field(default=Dns(), description="The DNS servers asked.")
    fetch: Fetch = Field(default=Fetch(), description="Guard of fetched URLs.")
    log: Log = Field(default=Log(), description="Logs.")

    @model_validator(mode="after")
    def _believes_somebody(self) -> Self:
        if not self.call_placement.trust_anchors:
            raise ValueError("[call_placement] needs trust_anchors")
        return self


class Config(Section):
    """Everything `spingate run` reads."""

    provider: Provider = Field(description="Who runs this gateway.")
    listen: tuple[Listen, ...] = Field(min_length=1, description="SIP listeners.")
    sip: Sip = Field(default=Sip(), description="Limits and timers of the SIP stack.")
    registrar: Registrar = Field(default=Registrar(), description="The registrar.")
    user: tuple[User, ...] = Field(default=(), description="Own users.")
    trunk: tuple[Trunk, ...] = Field(default=(), description="Trunks known by address.")
    route: tuple[Route, ...] = Field(default=(), description="Next hops of own numbers.")
    peer: tuple[Peer, ...] = Field(default=(), description="Peers with their own policy.")
    attestation: tuple[AttestationRule, ...] = Field(
        default=(), description="What own calls are attested, by who calls and how it is known."
    )
    verstat: tuple[Verstat, ...] = Field(
        default=(), description="Dialects in which devices are told a verdict."
    )
    dns: Dns = Field(default=Dns(), description="The DNS servers asked.")
    discovery: Discovery = Field(default=Discovery(), description="Finding the provider.")
    spin: Spin | None = Field(default=None, description="SPIN; absent: neither sent nor answered.")
    sms: Sms = Field(default=Sms(), description="Short messages.")
    stir: Stir = Field(default=Stir(), description="Signing and verification.")
    fetch: Fetch = Field(default=Fetch(), description="Guard of fetched URLs.")
    media: Media = Field(default=Media(), description="The media engine.")
    admin: Admin | None = Field(default=None, description="Metrics and state; absent: none.")
    log: Log = Field(default=Log(), description="Logs, trace and call records.")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for key, names in (
            ("listen", [listener.name for listener in self.listen]),
            ("user", [user.username for user in self.user]),
            ("trunk", [trunk.name for trunk in self.trunk]),
            ("verstat", ["3gpp", "none", *(dialect.name for dialect in self.verstat)]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"[[{key}]] names '{twice[0]}' twice")
        return self

    @model_validator(mode="after")
    def _numbers_have_one_owner(self) -> Self:
        served = NumberSet(self.provider.numbers)
        owners: dict[str, str] = {}
        for user in self.user:
            for number in user.numbers:
                if number not in served:
                    raise ValueError(
                        f"user '{user.username}' has {number}, which is not in provider.numbers"
                    )
                if owners.setdefault(number, user.username) != user.username:
                    raise ValueError(
                        f"{number} belongs to '{owners[number]}' and '{user.username}'"
                    )
        return self

    @model_validator(mode="after")
    def _out_of_band_has_what_it_needs(self) -> Self:
        stir = self.stir
        if stir.oob and not (stir.authentication and stir.authentication.enabled):
            raise ValueError("[stir.oob] needs [stir.authentication]: its requests are signed")
        if stir.oob and stir.oob.retrieve != "never" and not stir.verification:
            raise ValueError("[stir.oob] retrieves for [stir.verification], which is absent")
        placement = stir.call_placement
        if placement and not (placement.trust_anchors or stir.verification):
            raise ValueError("[stir.call_placement] needs trust_anchors")
        return self

    @model_validator(mode="after")
    def _diversions_can_be_signed(self) -> Self:
        signs = self.stir.authentication and self.stir.authentication.enabled
        for trunk in self.trunk:
            if trunk.may_divert and not (signs and self.stir.verification):
                raise ValueError(
                    f"trunk '{trunk.name}': may_divert needs [stir.verification] and "
                    "[stir.authentication]: what it forwards is verified and signed"
                )
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        dialects = {"3gpp", "none", *(dialect.name for dialect in self.verstat)}
        verification = self.stir.verification
        named = [("stir.verification", verification.verstat)] if verification else []
        named += [(f"user '{user.username}'", user.verstat or "3gpp") for user in self.user]
        named += [(f"route '{route.uri}'", route.verstat or "3gpp") for route in self.route]
        for owner, name in named:
            if name not in dialects:
                raise ValueError(f"{owner}: there is no [[verstat]] named '{name}'")
        users = {user.username for user in self.user}
        trunks = {trunk.name for trunk in self.trunk}
        for rule in self.attestation:
            for name in sorted({*rule.users} - users | {*rule.trunks} - trunks):
                raise ValueError(f"[[attestation]] names '{name}', who is no user or trunk")
        return self

    @model_validator(mode="after")
    def _spin_can_sign(self) -> Self:
        if self.spin and not (self.stir.authentication and self.stir.verification):
            raise ValueError(
                "[spin] needs [stir.authentication] and [stir.verification]: "
                "invitations and answers are signed"
            )
        return self
