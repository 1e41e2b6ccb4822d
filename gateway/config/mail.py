"""Servers that take mail for others (RFC 6409)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.base import FilePath, Port, Seconds, Section, Text


class SubmissionServer(Section):
    """A server mail is submitted to."""

    host: Text = Field(description="Host name or address of the submission server.")
    port: Port = Field(default=587, ge=1, le=65535, description="Port of the submission server.")
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="none only for a server on this machine."
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the server; the system's if absent."
    )
    user: Text | None = Field(default=None, description="User name; absent: no authentication.")
    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: FilePath | None = Field(
        default=None, description="File whose first line is the password."
    )
    timeout_seconds: Seconds = Field(default=10.0, gt=0, le=60, description="Time for one mail.")

    @model_validator(mode="after")
    def _plain_only_here(self) -> Self:
        if self.tls == "none" and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("tls = 'none' is for a server on this machine only")
        if (self.user is None) != (self.password is None and self.password_file is None):
            raise ValueError("user and password (or password_file) go together")
        return self
