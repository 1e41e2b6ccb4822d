"""The section about the transparency log that a directory keeps."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from discovery.log.cosignature import parse_witness
from discovery.log.reason import LogRefused
from gateway.config.base import Count, FilePath, Seconds, Section, Text


def _witness_key(text: str) -> str:
    try:
        return str(parse_witness(text))
    except LogRefused as error:
        raise ValueError(f"is no key of a witness: {error.detail}") from None


class LogWitness(Section):
    """A witness that cosigns the log's checkpoints."""

    url: Text = Field(
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])[!-~]{1,500}$",
        description="URL prefix it takes checkpoints under (c2sp.org/tlog-witness).",
    )
    key: Annotated[Text, AfterValidator(_witness_key)] = Field(
        description="Its public key, name+id+key."
    )


class TransparencyLog(Section):
    """The log of what the directory and the authority bind to identifiers."""

    origin: Text | None = Field(
        default=None,
        pattern=r"^[!-*,-~]{1,200}$",
        description="Name of the log, never to be changed; absent: the directory's URL without "
        "scheme, and /log.",
    )
    folder: FilePath | None = Field(
        default=None, description="Folder of the log's files; absent: log in the state directory."
    )
    key: FilePath | None = Field(
        default=None,
        description="PEM private key (Ed25519) that signs checkpoints; absent: one is made in the "
        "state directory.",
    )
    interval_seconds: Seconds = Field(
        default=1.0, ge=0.01, le=60, description="Time between two checkpoints, at least."
    )
    refresh_seconds: Seconds = Field(
        default=600.0,
        ge=1,
        description="A checkpoint that stands is cosigned anew after this long.",
    )
    publish_wait_seconds: Seconds = Field(
        default=3.0,
        ge=0,
        le=30,
        description="How long a registration waits for witnesses, so that it can be proven at "
        "once.",
    )
    max_waiting: Count = Field(
        default=50_000, ge=1, description="Entries that wait to be logged; more are refused."
    )
    quorum: Count | None = Field(
        default=None,
        ge=0,
        description="Cosignatures without which no checkpoint is published; absent: 1 with "
        "witnesses, else 0.",
    )
    witness: tuple[LogWitness, ...] = Field(
        default=(), max_length=16, description="The witnesses asked."
    )

    @model_validator(mode="after")
    def _quorum_is_there(self) -> Self:
        if self.quorum is not None and self.quorum > len(self.witness):
            raise ValueError("quorum is more than there are witnesses")
        return self


EXAMPLES: Final = {
    "transparency_log.origin": "dp.example/log",
    "transparency_log.folder": "state-directory/log",
    "transparency_log.key": "keys/log.key",
    "transparency_log.quorum": 1,
    "transparency_log.witness.url": "https://witness.example/",
    "transparency_log.witness.key": (
        "witness.example/w1+ea2ad007+BNYvAWoe/R5P33k+tCzYRHHhup8M8E0Sh7XMcfYWKHy4"
    ),
}
