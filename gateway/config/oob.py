"""Sections about out-of-band STIR (RFC 8816): our use of call placement services, and our own."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    Flag,
    IpAddress,
    NumberRange,
    Port,
    Seconds,
    Section,
    Text,
)

_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_ISSUER: Final = re.compile(r"[!-~]{1,32}")


def _service_url(text: str) -> str:
    if _URL.fullmatch(text) is None:
        raise ValueError(f"'{text}' is not a plain https URL with a host name")
    return text.rstrip("/")


def _issuer(text: str) -> str:
    if _ISSUER.fullmatch(text) is None:
        raise ValueError("'issuer' is a provider code or number of 1 to 32 characters")
    return text.removeprefix("+")


ServiceUrl = Annotated[str, AfterValidator(_service_url)]
When = Literal["never", "peers", "always"]


class Recipient(Section):
    """A provider that reads PASSporTs encrypted to it."""

    numbers: tuple[NumberRange, ...] = Field(
        min_length=1, description="Called numbers and ranges that the provider serves."
    )
    key: FilePath = Field(description="PEM public key (P-256), or a certificate that holds it.")


class OutOfBand(Section):
    """PASSporTs by way of call placement services, for calls that lose the Identity header."""

    urls: tuple[ServiceUrl, ...] = Field(
        min_length=1,
        max_length=4,
        description="https URLs of the call placement services: all are published to and asked.",
    )
    issuer: Annotated[Text, AfterValidator(_issuer)] = Field(
        description="Who we are there: a provider code of the STI certificate, or a number it "
        "covers."
    )
    publish: When = Field(
        default="peers",
        description="Calls whose PASSporT is published. peers: to a [[peer]] with out_of_band.",
    )
    retrieve: When = Field(
        default="peers",
        description="Calls without Identity that are looked up. peers: from a [[peer]] with "
        "out_of_band.",
    )
    plain: Flag = Field(
        default=True,
        description="Speak the interface of ATIS-1000096, where a service sees who calls whom, "
        "for numbers without a [[stir.oob.recipient]]; false: encrypted only.",
    )
    budget_seconds: Seconds = Field(
        default=0.5, gt=0, le=5, description="How long a call waits for all services together."
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the services; the system's if absent."
    )
    decryption_keys: tuple[FilePath, ...] = Field(
        default=(),
        max_length=4,
        description="PEM private keys (P-256) that PASSporTs for our numbers are encrypted to; "
        "the next one may stand beside the present one.",
    )
    recipient: tuple[Recipient, ...] = Field(
        default=(), description="Providers whose encryption key is known."
    )


class CallPlacement(Section):
    """The own call placement service (CPS)."""

    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8444, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    names: tuple[Domain, ...] = Field(
        min_length=1, description="Host names of this service: what tokens name in aud."
    )
    trust_anchors: tuple[FilePath, ...] = Field(
        default=(),
        description="PEM files of STI root certificates whose holders may use it; those of "
        "[stir.verification] if empty.",
    )
    plain: Flag = Field(default=True, description="Serve /passports (ATIS-1000096).")
    encrypted: Flag = Field(default=True, description="Serve /encrypted (RFC 8816).")
    accept_service_provider_codes: tuple[Text, ...] = Field(
        default=("*",),
        description="Provider codes whose certificates may sign any published PASSporT; '*' for "
        "all, as is usual where codes are all that certificates name.",
    )
    retrieve_service_provider_codes: tuple[Text, ...] = Field(
        default=(),
        description="Provider codes that may retrieve for any called number, '*' for all. "
        "Certificates with numbers or ranges need no entry.",
    )
    lifetime_seconds: Seconds = Field(
        default=15.0, ge=1, le=60, description="How long an entry lives."
    )
    freshness_seconds: Count = Field(
        default=60, ge=1, le=300, description="How far iat of tokens and PASSporTs may be from now."
    )
    max_entries: Count = Field(default=100_000, ge=100, description="Entries in all.")
    max_bytes: Count = Field(
        default=67_108_864, ge=1_048_576, description="Memory of all entries together."
    )
    max_per_number: Count = Field(
        default=32, ge=1, le=256, description="Entries for one called number (or pair of numbers)."
    )
    max_per_publisher_and_number: Count = Field(
        default=4, ge=1, le=64, description="Of these, entries of one certificate."
    )
    max_per_publisher: Count = Field(
        default=10_000, ge=1, description="Entries of one certificate."
    )
    requests_per_second: Seconds = Field(
        default=100.0, gt=0, description="Requests of one certificate, on average."
    )
    requests_burst: Count = Field(
        default=200, ge=1, description="Requests of one certificate at once."
    )
    source_per_second: Seconds = Field(
        default=200.0, gt=0, description="Requests from one address, on average."
    )
    source_burst: Count = Field(default=400, ge=1, description="Requests from one address at once.")
