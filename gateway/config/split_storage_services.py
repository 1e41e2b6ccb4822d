"""The configurations of the two services of split storage, run by different operators.

`spingate directory evaluator` reads `EvaluatorConfig`, `spingate directory buckets` reads
`BucketsConfig`.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

from pydantic import Field, SecretStr, model_validator

from discovery.directory.answer import MAX_ENTRY_LIFETIME
from gateway.config.base import (
    Count,
    FilePath,
    IpAddress,
    Port,
    Seconds,
    Section,
)
from gateway.config.directory import TokenIssuerSection
from gateway.config.known_clients import NamedClient, check_told_apart
from gateway.config.oob import ServiceUrl
from gateway.config.root import Admin, Log
from gateway.config.split_storage import MAX_GENERATIONS


class EvaluatorPeer(NamedClient):
    """Whoever may ask for evaluations: a gateway, or the directory that fills the store."""

    lookups_per_day: Count = Field(
        default=100_000,
        ge=1,
        description="Identifiers evaluated in a day (UTC); a directory needs one for each record "
        "when it fills a store.",
    )
    lookups_per_second: Seconds = Field(default=100.0, gt=0, description="The same on average.")
    lookups_burst: Count = Field(default=1_000, ge=1, description="The same at once.")


class Generation(Section):
    """A pair of keys, both made of one secret."""

    secret_file: FilePath = Field(
        description="File with 64 hexadecimal digits, as `spingate directory evaluator-key` makes "
        "it. Who loses it has to begin a new generation; who has it can try every number."
    )


class Evaluator(Section):
    """Server A: it evaluates identifiers that it cannot see, and keeps nothing."""

    url: ServiceUrl = Field(description="Public https URL, without path.")
    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8450, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    client_trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of peers' TLS client certificates."
    )
    state_directory: FilePath = Field(
        description="Folder of the database of quotas and spent tokens, and of a secret."
    )
    key_days: Count = Field(
        default=30,
        ge=1,
        le=90,
        description="After so many days another key of Oblivious HTTP is advertised, which there "
        "is with an issuer.",
    )
    max_spent_tokens: Count = Field(
        default=10_000_000, ge=1_000, description="Tokens remembered as spent, 40 octets each."
    )
    generation: tuple[Generation, ...] = Field(
        min_length=1,
        max_length=MAX_GENERATIONS,
        description="Keys, two while one pair replaces the other.",
    )
    peer: tuple[EvaluatorPeer, ...] = Field(
        default=(), max_length=1_000, description="Who may ask, and how often."
    )
    issuer: tuple[TokenIssuerSection, ...] = Field(
        default=(),
        max_length=64,
        description="Issuers whose tokens are taken, also through a relay (RFC 9458).",
    )

    @model_validator(mode="after")
    def _peers_are_told_apart(self) -> Self:
        check_told_apart(self.peer, "peer", self.client_trust_anchors)
        if not self.peer and not self.issuer:
            raise ValueError("needs a [[evaluator.peer]] or an [[evaluator.issuer]]")
        return self


class EvaluatorConfig(Section):
    """Everything `spingate directory evaluator` reads."""

    reference: ClassVar = "configs/evaluator.toml"

    evaluator: Evaluator = Field(description="Server A of split storage.")
    admin: Admin | None = Field(
        default=None, description="Metrics and health for the operator; absent: none."
    )
    log: Log = Field(default=Log(), description="Logs.")


class Buckets(Section):
    """Server B: it keeps entries that it cannot open, and gives them out by the bucket."""

    url: ServiceUrl = Field(description="Public https URL, without path.")
    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8451, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    state_directory: FilePath = Field(description="Folder of the database and of the secret.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token of the one directory that fills it, 16 or more."
    )
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is that token."
    )
    key_days: Count = Field(
        default=30,
        ge=1,
        le=90,
        description="After so many days another key of Oblivious HTTP is advertised.",
    )
    entry_seconds: Seconds = Field(
        default=172_800.0,
        ge=3_600,
        le=MAX_ENTRY_LIFETIME,
        description="An entry that the directory has not renewed for so long is dropped.",
    )
    max_entries: Count = Field(
        default=2_500_000, ge=1, description="Entries kept, of all generations; about 4.2 kB each."
    )
    reads_per_second: Seconds = Field(
        default=200.0,
        gt=0,
        description="Buckets given out on average to one address, a relay for instance.",
    )
    reads_burst: Count = Field(default=2_000, ge=1, description="The same at once.")

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("give one of 'token' and 'token_file'")
        return self


class BucketsConfig(Section):
    """Everything `spingate directory buckets` reads."""

    reference: ClassVar = "configs/buckets.toml"

    buckets: Buckets = Field(description="Server B of split storage.")
    admin: Admin | None = Field(
        default=None, description="Metrics and health for the operator; absent: none."
    )
    log: Log = Field(default=Log(), description="Logs.")


EXAMPLES: Final = {
    "evaluator.url": "https://evaluator.example",
    "evaluator.address": "192.0.2.30",
    "evaluator.certificate": "keys/https.pem",
    "evaluator.key": "keys/https.key",
    "evaluator.client_trust_anchors": "keys/clients.pem",
    "evaluator.state_directory": "state-evaluator",
    "evaluator.generation.secret_file": "keys/2026.secret",
    "evaluator.peer.name": "alpha",
    "evaluator.peer.token": "change-me-please-16",
    "evaluator.peer.token_file": "keys/alpha.token",
    "evaluator.peer.domain": "gateway.alpha.example",
    "evaluator.issuer.name": "tokens.alpha.example",
    "evaluator.issuer.key_file": "keys/alpha-tokens.der",
    "buckets.url": "https://buckets.example",
    "buckets.address": "192.0.2.40",
    "buckets.certificate": "keys/https.pem",
    "buckets.key": "keys/https.key",
    "buckets.state_directory": "state-buckets",
    "buckets.token": "change-me-please-16",
    "buckets.token_file": "keys/directory.token",
}
SHOWN: Final = frozenset({"evaluator.peer.token_file", "buckets.token_file"})
