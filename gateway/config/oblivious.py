"""Section [discovery.directory.server.oblivious]: asking a directory without being known."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.config.base import Count, Domain, FilePath, Seconds, Section, Text
from gateway.config.oob import ServiceUrl

# The last character has two bits: other letters would be a second spelling.
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def _key_id(text: str) -> str:
    if _KEY_ID.fullmatch(text) is None:
        raise ValueError(f"'{text}' is no identifier of a key: 43 characters of base64url")
    return text


class ObliviousServer(Section):
    """Asking a directory through a relay, with a token each time: it never knows who asks."""

    relay: ServiceUrl = Field(
        description="https URL of the relay's resource for this directory. The relay has to be "
        "run by somebody else than the directory."
    )
    keys: Text | None = Field(
        default=None,
        pattern="^[A-Za-z0-9+/]{4,11000}={0,2}$",
        description="The directory's key configurations in base64 (`ohttp.keys` of its "
        "description). Absent, with keys_file absent: the relay's copy is used where the directory "
        "itself publishes the same, both fetched at their own time and never for a lookup.",
    )
    keys_file: FilePath | None = Field(
        default=None, description="File that holds them (application/ohttp-keys)."
    )
    issuer: ServiceUrl = Field(description="https URL of the issuer of tokens.")
    issuer_name: Domain | None = Field(
        default=None,
        description="Name the directory knows the issuer by; absent: the host of its URL.",
    )
    issuer_keys: tuple[Annotated[Text, AfterValidator(_key_id)], ...] = Field(
        min_length=1,
        max_length=4,
        description="Identifiers of the issuer's keys that are believed, as `spingate directory "
        "issuer-key` shows them; two while one is replaced.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token we present to the issuer; absent, with token_file absent: our "
        "TLS client certificate.",
    )
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is that token."
    )
    tokens: Count = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Tokens kept ready: lookups until more are bought.",
    )
    batch: Count = Field(
        default=10,
        ge=1,
        le=1_000,
        description="Tokens are bought in multiples of this: a single lookup shows nowhere.",
    )
    interval_seconds: Seconds = Field(
        default=60.0,
        ge=1,
        le=3_600,
        description="How often tokens are bought, on average: at random times that no lookup "
        "changes.",
    )
    token_lifetime_seconds: Seconds = Field(
        default=604_800.0, ge=60, description="A token is dropped unused after this long."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.keys is not None and self.keys_file is not None:
            raise ValueError("give one of 'keys' and 'keys_file'")
        if self.token is not None and self.token_file is not None:
            raise ValueError("give one of 'token' and 'token_file'")
        if self.batch > self.tokens:
            raise ValueError("'batch' is more than 'tokens': none would ever be bought")
        return self
