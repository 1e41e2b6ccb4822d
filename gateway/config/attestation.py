"""Sections about what calls are attested, and how own devices are told of a verdict."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, Strict

from gateway.config.base import Flag, NumberRange, Section, Text

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Only names like these: a verdict must not overwrite what calls are routed by.
_FIELD_NAME: Final = re.compile(
    r"(?=.{1,64}\Z)[A-Za-z0-9-]*(?:attest|orig|verstat)[A-Za-z0-9-]*", re.IGNORECASE
)


def _uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError(f"'{text}' is not a UUID such as 123e4567-e89b-42d3-a456-426614174000")
    return text.lower()


def _field_name(text: str) -> str:
    if not _FIELD_NAME.fullmatch(text):
        raise ValueError(
            f"'{text}' is no name for a verdict's header field, as Attestation-Info is"
        )
    return text


Uuid = Annotated[str, Strict(), AfterValidator(_uuid)]
FieldName = Annotated[str, Strict(), AfterValidator(_field_name)]
Strength = Literal["address", "connection", "digest", "digest-tls", "certificate"]


class AttestationRule(Section):
    """What some of the own calls are attested; the first rule that fits a call counts."""

    users: tuple[Text, ...] = Field(
        default=(), description="Names of the users the rule is for; with 'trunks', either."
    )
    trunks: tuple[Text, ...] = Field(
        default=(), description="Names of the trunks the rule is for; neither: all callers."
    )
    numbers: tuple[NumberRange, ...] = Field(
        default=(), description="Calling numbers and ranges the rule is for; absent: all."
    )
    directions: tuple[Literal["outbound", "local"], ...] = Field(
        default=("outbound",),
        min_length=1,
        description="outbound: to other providers. local: to own users, which are signed only "
        "where a rule says so.",
    )
    at_least: Strength = Field(
        default="address",
        description="The weakest proof of who calls that the rule accepts. address: a trunk's "
        "source over udp. connection: the same over tcp or tls. digest: a password. digest-tls: "
        "a password over tls. certificate: a trunk's tls client certificate.",
    )
    attest: Literal["A", "B", "C", "none"] = Field(
        description="Attestation level (RFC 8588 section 4); none: the call goes out unsigned."
    )
    origid: Uuid | None = Field(
        default=None, description="Origination identifier of these calls; that of the caller if "
        "absent."
    )  # fmt: skip


class Verstat(Section):
    """A dialect in which devices and switches read verdicts; '3gpp' and 'none' are built in."""

    name: Text = Field(pattern="^[!-~]{1,64}$", description="Name to refer to it by.")
    header: Literal["P-Asserted-Identity", "From", "both", "neither"] = Field(
        default="P-Asserted-Identity", description="Header fields that carry the parameter."
    )
    place: Literal["user", "uri", "header"] = Field(
        default="user",
        description="Where the verstat parameter stands. user: before the @ (3GPP TS 24.229). "
        "uri: a parameter of the URI. header: a parameter of the header field.",
    )
    levels: Literal["none", "lower", "all"] = Field(
        default="none",
        description="Whether TN-Validation-Passed shows the attestation level: lower adds -B and "
        "-C, all adds -A as well.",
    )
    attestation_headers: tuple[FieldName, ...] = Field(
        default=(),
        max_length=4,
        description="Header fields that get the verified level, such as Attestation-Info.",
    )
    origid_headers: tuple[FieldName, ...] = Field(
        default=(),
        max_length=4,
        description="Header fields that get the verified origid, such as P-Origination-Id.",
    )
    pass_identity: Flag = Field(
        default=True, description="Leave the Identity header fields in for the device to see."
    )
