"""Tables [[discovery.directory.sealed_key]]: keys that open what owners sealed for some callers."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from gateway.config.base import FilePath, NumberRange, Section


class SealedKeySection(Section):
    """A key, and the callers of ours it belongs to."""

    numbers: tuple[NumberRange, ...] = Field(
        min_length=1, description="Callers that the key, or membership of the group, belongs to."
    )
    private_key: FilePath | None = Field(
        default=None,
        description="PEM private key (X25519), as `spingate directory sealing-key` makes it.",
    )
    group_secret_file: FilePath | None = Field(
        default=None,
        description="File whose first line is the secret of a group, 32 characters or more.",
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.private_key is None) == (self.group_secret_file is None):
            raise ValueError("give one of 'private_key' and 'group_secret_file'")
        return self


EXAMPLES: Final = {
    "discovery.directory.sealed_key.numbers": ["+12125550100"],
    "discovery.directory.sealed_key.private_key": "keys/alice-sealing.key",
    "discovery.directory.sealed_key.group_secret_file": "keys/soccer.secret",
}
SHOWN: Final = frozenset({"discovery.directory.sealed_key.private_key"})
