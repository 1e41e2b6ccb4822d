"""Whoever an operator names as allowed in, in the sections of all services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.base import Domain, FilePath, Section, Text


class NamedClient(Section):
    """A client that is known by a bearer token, or by a name in its TLS certificate."""

    name: Text = Field(pattern="^[!-~]{1,64}$", description="Name in logs and counters.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token, 16 or more characters."
    )
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is the bearer token."
    )
    domain: Domain | None = Field(
        default=None, description="Name that its TLS client certificate has, instead of a token."
    )

    @model_validator(mode="after")
    def _known_by_one_thing(self) -> Self:
        given = [each for each in (self.token, self.token_file, self.domain) if each is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of 'token', 'token_file' and 'domain'")
        return self


def check_told_apart(clients: Sequence[NamedClient], what: str, anchors: Path | None) -> None:
    """Check that no two clients have one name or domain, and that domains can be proven.

    what: a client's word in the message; anchors: `client_trust_anchors`. Raises ValueError.
    """
    names = [client.name for client in clients]
    domains = [client.domain for client in clients if client.domain is not None]
    for member, values in (("name", names), ("domain", domains)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"two {what}s have the {member} '{twice[0]}'")
    if domains and anchors is None:
        raise ValueError(f"a {what} with a domain needs client_trust_anchors")
