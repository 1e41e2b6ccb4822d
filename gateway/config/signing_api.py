"""Sections about the HTTP interface of ATIS-1000082: ours for others, and others' for us."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    Flag,
    IpAddress,
    NumberRange,
    Port,
    Seconds,
    Section,
    Text,
)

_URL: Final = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~/-]+(?:\?[A-Za-z0-9._~&=%+-]*)?"
)


def _resource_url(text: str) -> str:
    if _URL.fullmatch(text) is None:
        raise ValueError("not an https URL of a resource")  # without it: it may hold a key
    return text


ResourceUrl = Annotated[str, AfterValidator(_resource_url)]


class ApiClient(Section):
    """A softswitch that has calls signed or verified here."""

    name: Text = Field(pattern="^[!-~]{1,64}$", description="Name of the client, used in logs.")
    token: SecretStr | None = Field(default=None, description="Bearer token of the client.")
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is the bearer token."
    )
    domain: Domain | None = Field(
        default=None,
        description="Name in the client's TLS certificate; beside a token, both are needed.",
    )
    numbers: tuple[NumberRange, ...] = Field(
        default=(), description="Numbers and ranges the client may have signed; none if empty."
    )
    max_attest: Literal["A", "B", "C"] = Field(
        default="B", description="Highest attestation level the client may ask for."
    )
    verify: Flag = Field(default=True, description="Let the client have calls verified.")
    dialect: Literal["atis", "3gpp"] = Field(
        default="atis",
        description="Names of members in answers to signing requests: ATIS-1000082, or 3GPP TS "
        "24.229 annex V. Answers to verification requests use the request's.",
    )
    requests_per_second: Seconds = Field(
        default=500.0, gt=0, description="Requests of the client, on average."
    )
    requests_burst: Count = Field(default=1_000, ge=1, description="Requests at once.")

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("give only one of 'token' and 'token_file'")
        if self.token is None and self.token_file is None and self.domain is None:
            raise ValueError("give 'token', 'token_file' or 'domain': nobody is served unknown")
        return self


class SigningApi(Section):
    """The own STI-AS and STI-VS for other switches: POST /stir/v1/signing and /verification."""

    address: IpAddress = Field(default="127.0.0.1", description="Address to bind.")
    port: Port = Field(default=8088, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath | None = Field(
        default=None, description="PEM chain of the HTTPS server; needed beyond loopback."
    )
    key: FilePath | None = Field(default=None, description="PEM private key of that certificate.")
    client_trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of client certificates (mutual TLS)."
    )
    refuse_replay: Flag = Field(
        default=False,
        description="Verify a PASSporT once only: a switch that asks again is told 438.",
    )
    client: tuple[ApiClient, ...] = Field(min_length=1, description="Who may use it.")

    @model_validator(mode="after")
    def _is_not_open(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("give both 'certificate' and 'key', or neither")
        if self.certificate is None and not ipaddress.ip_address(self.address).is_loopback:
            raise ValueError("beyond loopback 'certificate' and 'key' are needed")
        named = [client.name for client in self.client if client.domain is not None]
        if named and (self.client_trust_anchors is None or self.certificate is None):
            raise ValueError(
                f"client '{named[0]}' has 'domain', which needs TLS and 'client_trust_anchors'"
            )
        names = [client.name for client in self.client]
        if len(set(names)) < len(names):
            raise ValueError("two clients have the same name")
        return self


class RemoteInstance(Section):
    """One instance of somebody else's STI-AS/VS."""

    signing: ResourceUrl | None = Field(
        default=None, description="https URL of its signing resource, such as .../stir/v1/signing."
    )
    verification: ResourceUrl | None = Field(
        default=None, description="https URL of its verification resource."
    )


class Remote(Section):
    """An existing STI-AS/VS that the gateway fronts, instead of signing or verifying itself."""

    instance: tuple[RemoteInstance, ...] = Field(
        min_length=1, max_length=8, description="Its instances, in the order they are asked."
    )
    sign: Flag = Field(default=True, description="Have calls signed there.")
    verify: Flag = Field(default=True, description="Have calls verified there.")
    dialect: Literal["atis", "3gpp"] = Field(
        default="atis", description="Names of members: ATIS-1000082, or 3GPP TS 24.229 annex V."
    )
    token: SecretStr | None = Field(default=None, description="Bearer token that we present.")
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is the bearer token."
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of its servers; the system's if absent."
    )
    certificate: FilePath | None = Field(
        default=None, description="PEM chain of our TLS client certificate."
    )
    key: FilePath | None = Field(default=None, description="PEM private key of that certificate.")
    timeout_seconds: Seconds = Field(
        default=0.5, gt=0, le=5, description="Time for one request to one instance."
    )
    unsigned: Literal["send", "refuse"] = Field(
        default="send",
        description="Calls that no instance signs: send them unsigned, or refuse them with 503.",
    )
    failures: Count = Field(
        default=5, ge=1, le=100, description="Failures in a row, or slow answers, that open the "
        "circuit breaker of an instance."
    )  # fmt: skip
    slow_seconds: Seconds = Field(
        default=0.4, gt=0, description="An answer that takes longer counts as a failure."
    )
    retry_seconds: Seconds = Field(
        default=15.0, ge=1, le=900, description="After this an open breaker lets one trial through."
    )
    heartbeat_seconds: Seconds = Field(
        default=0.0, ge=0, le=900, description="How often each instance is tried by itself; 0: "
        "never, calls alone show what works."
    )  # fmt: skip
    heartbeat: Literal["options", "verification"] = Field(
        default="options",
        description="What is sent: an OPTIONS request, to which any answer below 500 is life, or "
        "a verification request without Identity.",
    )

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("give only one of 'token' and 'token_file'")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("give both 'certificate' and 'key', or neither")
        if self.sign and not any(each.signing for each in self.instance):
            raise ValueError("no instance has 'signing'")
        if self.verify and not any(each.verification for each in self.instance):
            raise ValueError("no instance has 'verification'")
        return self
