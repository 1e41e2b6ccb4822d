"""The configurations of the two services that oblivious lookups need besides a directory.

`spingate directory issuer` reads `IssuerConfig`, `spingate directory relay` reads `RelayConfig`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    IpAddress,
    Network,
    Port,
    Seconds,
    Section,
    Text,
)
from gateway.config.discovery import Dns
from gateway.config.known_clients import NamedClient, check_told_apart
from gateway.config.oob import ServiceUrl
from gateway.config.root import Admin, Log

_GATEWAY_PATH: Final = "/.well-known/ohttp-gateway"


class IssuerClient(NamedClient):
    """A provider that may have tokens."""

    name: Text = Field(
        pattern="^[!-~]{1,64}$",
        description="Its name in logs and in the count of a day: kept, so that a new name is a new "
        "quota.",
    )
    tokens_per_day: Count = Field(
        default=10_000, ge=1, description="Tokens, and so lookups, in a day (UTC)."
    )
    tokens_per_second: Seconds = Field(default=20.0, gt=0, description="Tokens on average.")
    tokens_burst: Count = Field(default=200, ge=1, description="Tokens at once.")


class Issuer(Section):
    """The issuer of tokens, each worth one lookup (RFC 9578 type 2)."""

    name: Domain = Field(
        description="Its host name, which directories know it by and every token is bound to."
    )
    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8449, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    client_trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of clients' TLS certificates."
    )
    state_directory: FilePath = Field(
        description="Folder of the signing keys and of the count of each day."
    )
    overlap_days: Count = Field(
        default=30,
        ge=1,
        le=400,
        description="How long a key still signs after the next one has begun.",
    )
    signers: Count = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that sign; each signs about 130 tokens a second of a core.",
    )
    max_waiting: Count = Field(
        default=256, ge=1, le=10_000, description="Requests that wait to be signed; more get 503."
    )


class IssuerConfig(Section):
    """Everything `spingate directory issuer` reads."""

    reference: ClassVar = "configs/issuer.toml"

    issuer: Issuer = Field(description="The issuer of tokens.")
    client: tuple[IssuerClient, ...] = Field(
        min_length=1, max_length=10_000, description="Who may have tokens, and how many."
    )
    admin: Admin | None = Field(
        default=None, description="Metrics and health for the operator; absent: none."
    )
    log: Log = Field(default=Log(), description="Logs.")

    @model_validator(mode="after")
    def _clients_are_told_apart(self) -> Self:
        check_told_apart(self.client, "client", self.issuer.client_trust_anchors)
        return self


def _gateway_url(url: str) -> str:
    return url if url.partition("://")[2].partition("/")[2] else url + _GATEWAY_PATH


class RelayTarget(Section):
    """A directory that requests are passed on to."""

    name: Text = Field(
        pattern="^[a-z0-9][a-z0-9.-]{0,63}$",
        description="Its name in the relay's URL: https://relay.example/relay/NAME.",
    )
    url: Annotated[ServiceUrl, AfterValidator(_gateway_url)] = Field(
        description="https URL of the directory, or of its Oblivious Gateway Resource where that "
        f"is not {_GATEWAY_PATH}."
    )


class Relay(Section):
    """The relay: it sees who asks, and nothing of what (RFC 9458)."""

    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8448, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the targets; the system's if absent."
    )
    allow_networks: tuple[Network, ...] = Field(
        default=(), description="Networks whose hosts may use it; everybody if empty."
    )
    requests_per_minute: Count = Field(
        default=600, ge=1, description="Requests from one address, or one IPv6 /64."
    )
    max_connections: Count = Field(default=2_000, ge=1, description="Connections at once.")
    max_connections_per_source: Count = Field(
        default=100, ge=1, description="The same, from one address."
    )
    timeout_seconds: Seconds = Field(
        default=10.0, gt=0, le=30, description="Time for a target to answer."
    )
    keys_seconds: Seconds = Field(
        default=3_600.0,
        ge=10,
        description="How often a target's key configurations are fetched, one copy for all.",
    )


class RelayConfig(Section):
    """Everything `spingate directory relay` reads."""

    reference: ClassVar = "configs/relay.toml"

    relay: Relay = Field(description="The relay of Oblivious HTTP.")
    target: tuple[RelayTarget, ...] = Field(
        min_length=1, max_length=64, description="Where requests may go, and nowhere else."
    )
    dns: Dns = Field(default=Dns(), description="The DNS servers asked.")
    admin: Admin | None = Field(
        default=None, description="Metrics and health for the operator; absent: none."
    )
    log: Log = Field(default=Log(), description="Logs, which never name a client.")

    @model_validator(mode="after")
    def _targets_are_told_apart(self) -> Self:
        names = [target.name for target in self.target]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two targets have the name '{twice[0]}'")
        return self


ISSUER_EXAMPLES: Final = {
    "issuer.name": "tokens.example",
    "issuer.address": "192.0.2.30",
    "issuer.certificate": "keys/https.pem",
    "issuer.key": "keys/https.key",
    "issuer.client_trust_anchors": "keys/clients.pem",
    "issuer.state_directory": "state-issuer",
    "client.name": "alpha",
    "client.token": "change-me-please-16",
    "client.token_file": "keys/alpha.token",
    "client.domain": "gateway.alpha.example",
}
RELAY_EXAMPLES: Final = {
    "relay.address": "192.0.2.40",
    "relay.certificate": "keys/https.pem",
    "relay.key": "keys/https.key",
    "relay.trust_anchors": "keys/https-roots.pem",
    "target.name": "dp",
    "target.url": "https://dp.example",
}
SHOWN: Final = frozenset({"client.token_file"})
