"""Split storage: the directory that fills it, and the gateway that asks it.

[split_storage] of a directory is `SplitStorageFilling`; the table of that name below
[[discovery.directory.server]] is `SplitStorageWay`. The services themselves are configured by
`gateway.config.split_storage_services`.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from discovery.directory.answer import MAX_ENTRY_LIFETIME
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import MAX_PREFIX_BITS, parse_evaluation_keys
from gateway.config.base import Count, FilePath, Seconds, Section, Text
from gateway.config.oblivious import ObliviousServer
from gateway.config.oob import ServiceUrl

MAX_GENERATIONS: Final = 2


def _keys(text: str) -> str:
    try:
        return str(parse_evaluation_keys(text))
    except PrivacyError as error:
        raise ValueError(f"is no pair of evaluation keys: {error.detail}") from None


EvaluatorKeys = Annotated[Text, AfterValidator(_keys)]


class SplitStorageFilling(Section):
    """Split storage that this directory fills: two services, each another operator's."""

    evaluator: ServiceUrl = Field(description="https URL of the evaluator (server A).")
    evaluator_keys: tuple[EvaluatorKeys, ...] = Field(
        min_length=1,
        max_length=MAX_GENERATIONS,
        description="Its public keys, as it prints them; two while one pair replaces the other: "
        "both are filled.",
    )
    token: SecretStr | None = Field(default=None, description="Our bearer token there.")
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is that token."
    )
    buckets: ServiceUrl = Field(description="https URL of the bucket store (server B).")
    buckets_token: SecretStr | None = Field(default=None, description="Our bearer token there.")
    buckets_token_file: FilePath | None = Field(
        default=None, description="File whose first line is that token."
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of both; the system's if absent."
    )
    refresh_seconds: Seconds = Field(
        default=43_200.0,
        ge=60,
        le=MAX_ENTRY_LIFETIME / 2,
        description="How often an entry is signed and sealed anew. Twice as long whoever stores "
        "it can show an old one.",
    )
    compare_seconds: Seconds = Field(
        default=3_600.0,
        ge=10,
        description="How often all records are compared with what the store was given.",
    )

    @model_validator(mode="after")
    def _tokens(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("give one of 'token' and 'token_file'")
        if (self.buckets_token is None) == (self.buckets_token_file is None):
            raise ValueError("give one of 'buckets_token' and 'buckets_token_file'")
        return self


class SplitStorageWay(Section):
    """Lookups in split storage, instead of asking the directory."""

    evaluator: ServiceUrl = Field(description="https URL of the evaluator (server A).")
    evaluator_keys: tuple[EvaluatorKeys, ...] = Field(
        min_length=1,
        max_length=MAX_GENERATIONS,
        description="Its public keys, the preferred pair first; two while one replaces the other.",
    )
    token: SecretStr | None = Field(default=None, description="Our bearer token there.")
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is that token."
    )
    oblivious: ObliviousServer | None = Field(
        default=None,
        description="Ask the evaluator through a relay with bought tokens, instead of our own: it "
        "then does not learn who asks.",
    )
    buckets: ServiceUrl = Field(description="https URL of the bucket store (server B).")
    relay: ServiceUrl | None = Field(
        default=None,
        description="https URL of a relay's resource for the bucket store (RFC 9458); absent: the "
        "store learns our address.",
    )
    ohttp_keys_file: FilePath | None = Field(
        default=None,
        description="The store's key configurations (application/ohttp-keys), pinned; absent: the "
        "relay's copy, where the store itself publishes the same.",
    )
    max_prefix_bits: Count = Field(
        default=24,
        ge=0,
        le=MAX_PREFIX_BITS,
        description="A store that asks for more bits of a label is not asked: it would learn "
        "which entry is wanted.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = (self.token, self.token_file, self.oblivious)
        if sum(each is not None for each in given) != 1:
            raise ValueError("give one of 'token', 'token_file' and 'oblivious'")
        if self.ohttp_keys_file is not None and self.relay is None:
            raise ValueError("ohttp_keys_file needs a relay")
        hosts = [
            each.split("/", 3)[2] for each in (self.evaluator, self.buckets, self.relay or "//-")
        ]
        if len(set(hosts)) < len(hosts):
            raise ValueError("evaluator, buckets and relay have to be different services")
        return self


_KEYS: Final = (
    "4c1c5e0b0d6f7e2f52b2ad33b0ee9f1d7f7a6b1c9c5e34c8f1a2d86d4be1a57e"
    "+"
    "a0d1c59d8dfb2f0c6bb5a7f34f8b6e25b8f0a55e92d62c1d90f6f3b7e0c4d21b"
)
EXAMPLES: Final = {
    **{
        f"{table}.{name}": value
        for table in ("split_storage", "discovery.directory.server.split_storage")
        for name, value in {
            "evaluator": "https://evaluator.example",
            "evaluator_keys": [_KEYS],
            "token": "change-me-please-16",
            "token_file": "keys/evaluator.token",
            "buckets": "https://buckets.example",
            "buckets_token": "change-me-please-16",
            "buckets_token_file": "keys/buckets.token",
            "trust_anchors": "keys/https-roots.pem",
            "relay": "https://relay.example/relay/buckets",
            "ohttp_keys_file": "keys/buckets.ohttp-keys",
            "oblivious.relay": "https://relay.example/relay/evaluator",
            "oblivious.keys": "AC0XACCPQMWtto8lYkrlshTqdnpuyU2CnT17XhrRum8+ITgoXwAIAAEAAQABAAM=",
            "oblivious.keys_file": "keys/evaluator.ohttp-keys",
            "oblivious.issuer": "https://tokens.example",
            "oblivious.issuer_name": "tokens.example",
            "oblivious.issuer_keys": ["cfvGzCmxVjKyeomGY3lSvt8WDeZ_7lfYO7p0TkC6B-0"],
            "oblivious.token": "change-me-please-16",
            "oblivious.token_file": "keys/tokens.token",
        }.items()
    },
}
SHOWN: Final = frozenset(
    {
        "split_storage.token_file",
        "split_storage.buckets_token_file",
    }
)
