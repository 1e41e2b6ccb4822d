"""Sections about STIR: the authentication service, the verification service, fetching."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.config.acme import Acme
from gateway.config.base import (
    Count,
    FilePath,
    Flag,
    IpAddress,
    Network,
    Port,
    Seconds,
    Section,
    Text,
)
from gateway.config.oob import CallPlacement, OutOfBand
from gateway.config.revocation import Revocation, Transparency
from gateway.config.rich_call_data import CallerDisplay, Priority, RichCallData
from gateway.config.signing_api import Remote, SigningApi
from gateway.config.trust_list import TrustList


class Authentication(Section):
    """The authentication service signs outgoing calls (RFC 8224 section 4)."""

    enabled: Flag = Field(default=True, description="Sign outgoing calls.")
    certificate: FilePath | None = Field(
        default=None,
        description="PEM chain of the STI certificate; its TNAuthList must cover the own numbers. "
        "Absent only with [stir.acme].",
    )
    key: FilePath | None = Field(
        default=None, description="PEM private key of the STI certificate (P-256)."
    )
    x5u: Text | None = Field(
        default=None, description="Public https URL of that chain, put into every PASSporT."
    )
    origid: Literal["call", "caller"] = Field(
        default="call",
        description="Origination identifiers (RFC 8588 section 5). call: a random one for each "
        "call. caller: one for each user and trunk, that names them to nobody but us; two calls "
        "to one number within a second then have one PASSporT, which verifiers take for a replay.",
    )

    sign_answers: Flag = Field(
        default=False,
        description="Sign in answers to verified callers that the called number answered (rsp, "
        "draft-ietf-stir-rfc4916-update).",
    )

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = [name for name in ("certificate", "key", "x5u") if getattr(self, name) is not None]
        if given and len(given) < 3:
            raise ValueError("'certificate', 'key' and 'x5u' go together")
        return self


class Verification(Section):
    """The verification service checks incoming calls (RFC 8224 section 6.2)."""

    trust_anchors: tuple[FilePath, ...] = Field(
        default=(),
        description="PEM files of the STI root certificates that are trusted, read again when "
        "they change; may be empty beside [stir.trust_list].",
    )
    policy: Literal["require", "mark", "observe"] = Field(
        default="require",
        description="require: refuse a call without a valid Identity. mark: deliver it with "
        "verstat. observe: deliver it unmarked and record what would have happened.",
    )
    freshness_seconds: Count = Field(
        default=60, ge=1, le=3_600, description="How far iat may be from now (RFC 8224 6.2.4)."
    )
    accept_service_provider_codes: tuple[Text, ...] = Field(
        default=(),
        description="Service provider codes whose certificates may sign any number; '*' for "
        "all. Certificates with numbers or ranges need no entry.",
    )
    accept_asserted_identity: Flag = Field(
        default=False,
        description="Let P-Asserted-Identity stand for a From that shows another number. Else it "
        "counts only where From shows no number: what devices display is what is proven.",
    )
    anonymous_callers: Literal["accept", "refuse"] = Field(
        default="accept",
        description="Callers who are not shown, verified or not; refuse: 433 (RFC 5079).",
    )
    verstat: Text = Field(
        default="3gpp",
        description="Name of the [[verstat]] dialect in which devices are told the verdict.",
    )
    require_media_keys: Flag = Field(
        default=False,
        description="Refuse a call whose SDP has fingerprints that no mky claim holds.",
    )
    max_diversions: Count = Field(
        default=5, ge=1, le=7, description="How often a call may have been forwarded (RFC 8946)."
    )
    diverted_freshness_seconds: Count | None = Field(
        default=None,
        ge=1,
        le=10_800,
        description="How old the PASSporT of a forwarded call may be, under a fresh div PASSporT: "
        "calls ring before they are forwarded (RFC 8946 4.2); as freshness_seconds if absent.",
    )
    require_p256_issuers: Flag = Field(
        default=False,
        description="Demand P-256 keys of the authorities too, not just of signing certificates, "
        "as the SHAKEN certificate profile does (ATIS-1000080).",
    )
    require_message_digest: Flag = Field(
        default=False,
        description="Refuse a MESSAGE that no msg PASSporT binds to its text (RFC 9475).",
    )
    replay_entries: Count = Field(
        default=100_000, ge=1_000, description="PASSporTs remembered to refuse a replay."
    )


class Fetch(Section):
    """Guard of every HTTPS request made because a peer named a URL (x5u, SPIN callback)."""

    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the HTTPS servers; the system's if absent."
    )
    allow_networks: tuple[Network, ...] = Field(
        default=(),
        description="Special-purpose networks that may be connected to all the same; none in "
        "production.",
    )
    ports: tuple[Port, ...] = Field(default=(443, 8443), description="Ports a URL may name.")
    timeout_seconds: Seconds = Field(
        default=2.0, gt=0, le=30, description="Time for one request, DNS included."
    )
    max_body_bytes: Count = Field(
        default=65_536, ge=1_024, le=1_048_576, description="Largest answer."
    )
    max_per_host: Count = Field(default=4, ge=1, description="Requests at once to one host.")
    max_total: Count = Field(default=32, ge=1, description="Requests at once.")
    cache_entries: Count = Field(default=5_000, ge=10, description="Certificate chains cached.")
    stale_if_error_seconds: Count = Field(
        default=3_600,
        ge=0,
        le=86_400,
        description="How long an expired copy of a certificate serves on while its server is out "
        "of order; never past notAfter, less if the server says so (RFC 5861). 0: not at all.",
    )


class Repository(Section):
    """The own public certificate repository, where x5u points to."""

    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8443, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    directory: FilePath = Field(description="Folder of the PEM chains that are served.")


class Stir(Section):
    """Signing and verification of calls."""

    authentication: Authentication | None = Field(
        default=None, description="The authentication service; absent: calls go out unsigned."
    )
    verification: Verification | None = Field(
        default=None,
        description="The verification service; absent: calls from peers are refused.",
    )
    revocation: Revocation = Field(
        default=Revocation(), description="Whether certificates of peers are revoked."
    )
    transparency: Transparency = Field(
        default=Transparency(), description="Whether certificates of peers were logged."
    )
    repository: Repository | None = Field(
        default=None, description="The own certificate repository; absent: served elsewhere."
    )
    acme: Acme | None = Field(
        default=None,
        description="Obtaining and renewing the STI certificate; absent: files are all there is.",
    )
    rich_call_data: tuple[RichCallData, ...] = Field(
        default=(), description="Names, icons and reasons of own callers."
    )
    caller_display: CallerDisplay = Field(
        default=CallerDisplay(), description="What own devices are shown of other callers."
    )
    priority: Priority = Field(default=Priority(), description="Calls with priority.")
    oob: OutOfBand | None = Field(
        default=None,
        description="PASSporTs by way of call placement services (RFC 8816); absent: none.",
    )
    api: SigningApi | None = Field(
        default=None, description="The own STI-AS/VS for other switches (ATIS-1000082)."
    )
    remote: Remote | None = Field(
        default=None,
        description="Somebody else's STI-AS/VS that signs and verifies for us; absent: none.",
    )
    call_placement: CallPlacement | None = Field(
        default=None, description="The own call placement service; absent: none."
    )
    trust_list: TrustList | None = Field(
        default=None, description="The list of trusted STI-CAs; absent: only trust_anchors."
    )

    @model_validator(mode="after")
    def _certificates_have_an_origin(self) -> Self:
        signing, acme = self.authentication, self.acme
        if acme is not None and signing is None:
            raise ValueError("[stir.acme] needs [stir.authentication], which may be empty")
        if acme is None and signing is not None and signing.certificate is None:
            raise ValueError(
                "[stir.authentication] needs 'certificate', 'key' and 'x5u', or [stir.acme]"
            )
        if acme is not None and not acme.publish_directory and not self.repository:
            raise ValueError("[stir.acme] needs 'publish_directory' or [stir.repository]")
        return self

    @model_validator(mode="after")
    def _somebody_is_trusted(self) -> Self:
        files = self.verification is None or self.verification.trust_anchors
        if not files and self.trust_list is None:
            raise ValueError("verification.trust_anchors is empty and there is no trust_list")
        return self
