"""Sections about certificates that are revoked or were never logged."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.base import Count, FilePath, Flag, Seconds, Section, Text

_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")


def _list_url(text: str) -> str:
    if _URL.fullmatch(text) is None:
        raise ValueError(f"'{text}' is not a plain https URL with a host name")
    return text


class Administrator(Section):
    """A policy administrator, whose one list is about the certificates of many authorities."""

    url: Annotated[Text, AfterValidator(_list_url)] = Field(
        description="https URL of the revocation list (ATIS-1000080)."
    )
    certificates: tuple[FilePath, ...] = Field(
        min_length=1, description="PEM files of the certificates the list is signed with."
    )


class Revocation(Section):
    """Whether certificates of peers are revoked (RFC 5280 section 6.3, RFC 6960)."""

    mode: Literal["soft", "hard", "off"] = Field(
        default="soft",
        description="soft: a call passes whose certificates could not be checked. hard: it is "
        "refused with 437. off: nobody is asked. Revoked certificates are refused by both.",
    )
    max_stale_seconds: Count = Field(
        default=86_400,
        ge=0,
        le=2_592_000,
        description="soft: how long a list is believed after its nextUpdate; then 437.",
    )
    refresh_seconds: Count = Field(
        default=3_600,
        ge=1,
        le=86_400,
        description="Lists in use are fetched again after that time, sooner if they expire sooner.",
    )
    wait_seconds: Seconds = Field(
        default=2.0,
        ge=0,
        le=10,
        description="How long a call waits for a list that was never fetched.",
    )
    fetch_timeout_seconds: Seconds = Field(
        default=10.0, gt=0, le=120, description="Time for fetching one list, DNS included."
    )
    max_crl_bytes: Count = Field(
        default=8_388_608,
        ge=1_024,
        le=67_108_864,
        description="Largest list of a policy administrator.",
    )
    max_named_crl_bytes: Count = Field(
        default=1_048_576,
        ge=1_024,
        le=67_108_864,
        description="Largest list or OCSP answer at a URL that a peer's certificate names.",
    )
    max_lists: Count = Field(
        default=256, ge=16, le=10_000, description="Lists kept that peers' certificates name."
    )
    allow_http: Flag = Field(
        default=False,
        description="Also fetch lists and OCSP answers by http, port 80; they are signed.",
    )
    administrator: tuple[Administrator, ...] = Field(
        default=(), max_length=16, description="A policy administrator's list."
    )


class TransparencyLog(Section):
    """A transparency log whose timestamps count."""

    name: Text = Field(min_length=1, max_length=64, description="Name of the log, for people.")
    key: FilePath = Field(description="PEM public key of the log (P-256, or RSA of 2048 bits).")
    operator: Text = Field(
        default="", max_length=64, description="Who runs it; absent: nobody who runs another one."
    )


class Transparency(Section):
    """Whether peers' certificates were logged (draft-ietf-stir-certificate-transparency).

    Timestamps of the logs below are checked wherever a certificate has any.
    """

    require: Count = Field(
        default=0,
        ge=0,
        le=8,
        description="Logs of different operators that must vouch for a certificate, else 437.",
    )
    log: tuple[TransparencyLog, ...] = Field(
        default=(), max_length=64, description="A transparency log whose timestamps count."
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        operators = {log.operator or log.name for log in self.log}
        if self.require > len(operators):
            raise ValueError(
                f"'require' is {self.require}, but only {len(operators)} operators' logs are given"
            )
        return self
