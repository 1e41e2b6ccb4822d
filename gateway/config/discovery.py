"""Sections about discovery: DNS, the sources asked, SPIN, short messages."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    Flag,
    HostPort,
    IpAddress,
    Number,
    NumberPrefix,
    NumberRange,
    Port,
    Seconds,
    Section,
    Text,
)
from gateway.config.carriages import HttpSms, Mms, Network, SmsRoute
from gateway.config.directory_client import DirectoryClientSection
from gateway.config.enum_trees import EnumTrees
from gateway.config.spin_limits import SpinLimits

SourceName = Literal["cache", "directory", "enum", "spin"]


class Dns(Section):
    """The DNS servers asked, with an own cache and time-out."""

    nameservers: tuple[HostPort, ...] = Field(
        default=(), description="Servers as ADDRESS:PORT; those of /etc/resolv.conf if empty."
    )
    timeout_seconds: Seconds = Field(
        default=2.0,
        gt=0,
        le=30,
        description="Time for one question, all servers together, and for all the questions "
        "of one call's next hop.",
    )
    cache_entries: Count = Field(default=10_000, ge=10, description="Answers cached.")
    max_ttl_seconds: Count = Field(
        default=3_600, ge=1, description="Answers are cached no longer, whatever their TTL."
    )


AssuranceName = Literal["signed", "dnssec", "logged"]


class RequiredAssurance(Section):
    """How well a found URI has to be assured, by service: `signed` by the holder of a number's
    certificate, `dnssec` from a validated tree, `logged` in a transparency log."""

    voice: AssuranceName = Field(default="signed", description="For calls.")
    video: AssuranceName = Field(default="signed", description="For video calls.")
    message: AssuranceName = Field(default="signed", description="For messages.")


class Discovery(Section):
    """From a number to the provider that serves it."""

    order: tuple[SourceName, ...] = Field(
        default=("cache", "directory", "enum", "spin"),
        description="Sources in the order they are asked; those without their section are left "
        "out.",
    )
    together: tuple[SourceName, ...] = Field(
        default=("directory", "enum"),
        description="Sources that are asked at the same time where they follow each other; their "
        "answers are merged, the best assured first.",
    )
    required_assurance: RequiredAssurance = Field(
        default=RequiredAssurance(), description="The assurance a service needs."
    )
    directory: DirectoryClientSection | None = Field(
        default=None, description="Directories asked; absent: none."
    )
    enum: EnumTrees | None = Field(default=None, description="Private ENUM trees; absent: none.")
    budget_seconds: Seconds = Field(
        default=30.0, gt=0, description="Time for all sources together; then 404."
    )
    cache_entries: Count = Field(default=100_000, ge=10, description="Mappings cached.")
    cache_seconds: Seconds = Field(
        default=86_400.0, ge=0, description="Lifetime of a mapping found, soft state."
    )
    negative_seconds: Seconds = Field(
        default=10.0, ge=0, description="How long a number not found is not asked for again."
    )


class Agent(Section):
    """The HTTP interface where apps register as handlers for their users' numbers."""

    address: IpAddress = Field(
        default="127.0.0.1", description="Address to bind; beyond loopback TLS is needed."
    )
    port: Port = Field(default=8087, ge=1, le=65535, description="Port to bind.")
    socket: FilePath | None = Field(
        default=None, description="Path of a Unix socket, instead of address and port."
    )
    socket_group: Flag = Field(
        default=False, description="Let the socket's group speak (mode 0660), not its owner alone."
    )
    certificate: FilePath | None = Field(
        default=None, description="PEM chain of the HTTPS server; needed beyond loopback."
    )
    key: FilePath | None = Field(default=None, description="PEM private key of that certificate.")
    client_trust_anchors: FilePath | None = Field(
        default=None,
        description="PEM trust anchors of client certificates, which everybody has to show then "
        "(mutual TLS), besides the token.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the provider, which opens user sessions and lets apps in.",
    )
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is the bearer token."
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("give exactly one of 'token' and 'token_file'")
        return self

    @model_validator(mode="after")
    def _only_here_without_tls(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if self.client_trust_anchors is not None and self.certificate is None:
            raise ValueError("client_trust_anchors needs certificate and key")
        if self.socket is not None and self.certificate is not None:
            raise ValueError("a socket has no TLS: give certificate or socket")
        open_to_others = self.socket is None and not ip_address(self.address).is_loopback
        if open_to_others and self.certificate is None:
            raise ValueError(f"address {self.address} is not loopback: certificate and key needed")
        return self


class Spin(Section):
    """SPIN: signed invitations to numbers and their answers."""

    callback_url: Text = Field(
        description="Public https URL, without path, that answers are sent to."
    )
    address: IpAddress = Field(description="Address the callback server binds.")
    port: Port = Field(default=8443, ge=1, le=65535, description="Port the callback server binds.")
    certificate: FilePath = Field(description="PEM chain of the callback server's certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    answer_timeout_seconds: Seconds = Field(
        default=20.0, gt=0, le=110, description="How long a call waits for the answer."
    )
    accept_range_certificates: Flag = Field(
        default=False,
        description="Accept invitations and answers signed for a range that covers the number, "
        "not just for the number.",
    )
    trusted_agents: tuple[Domain, ...] = Field(
        default=(),
        description="Domains of agents: their callbacks are trusted beside those that the "
        "signer's certificate names, and so is what they say of their users' applications (omsp).",
    )
    unknown_senders: Literal["answer", "silent", "declined"] = Field(
        default="silent",
        description="Whether invitations from senders outside known_senders and the user's "
        "contacts are answered, where the user has no rule for them; silence looks like a phone "
        "that is off.",
    )
    known_senders: tuple[NumberRange, ...] = Field(
        default=(),
        description="Numbers and ranges whose invitations are answered.",
    )
    invite_prefixes: tuple[NumberPrefix, ...] = Field(
        default=(),
        description="Countries and areas that invitations are sent to, as prefixes such as +1 or "
        "+44; any if empty. Text messages to premium ranges are a known fraud.",
    )
    invitations_per_number_hour: Count = Field(
        default=10, ge=1, description="Invitations sent to one number in an hour."
    )
    invitations_per_sender_hour: Count = Field(
        default=60, ge=1, description="Invitations taken from one number in an hour."
    )
    language: Literal["en", "fr", "de", "es"] = Field(
        default="en", description="Language of the fallback text people see."
    )
    together: tuple[Literal["voice", "video", "im"], ...] = Field(
        default=(),
        description="Services that are asked for in every invitation beside the one that is "
        "needed; what is answered for them is kept in the cache.",
    )
    message_lifetime_seconds: Count = Field(
        default=72 * 3600,
        ge=60,
        le=72 * 3600,
        description="How long an invitation for messages alone may be answered; one for calls "
        "120 seconds.",
    )
    network: tuple[Network, ...] = Field(
        default=(), description="Networks that take more than text, by prefix."
    )
    reference_hosts: tuple[Domain, ...] = Field(
        default=(),
        description="Hosts that invitations by reference are fetched from; none if empty.",
    )
    mms: Mms | None = Field(default=None, description="An MMSC; absent: no multimedia messages.")
    limits: SpinLimits = Field(default=SpinLimits(), description="Further limits of invitations.")
    agent: Agent | None = Field(
        default=None, description="The agent API; absent: no app can register."
    )


class Smpp(Section):
    """The connection to the short message service centre (SMPP 3.4 transceiver)."""

    host: Text = Field(description="Host name or address of the SMSC.")
    port: Port = Field(default=2775, ge=1, le=65535, description="Port of the SMSC.")
    system_id: Text = Field(max_length=15, description="System identifier (bind_transceiver).")
    password: SecretStr | None = Field(default=None, description="Password, at most 8 characters.")
    password_file: FilePath | None = Field(
        default=None, description="File whose first line is the password."
    )
    source_address: Number | None = Field(
        default=None, description="Sender shown to people; the caller's number if absent."
    )
    tls: Flag = Field(
        default=False,
        description="TLS from the first octet; the SMSC's certificate has to prove `host`.",
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the SMSC; the system's if absent."
    )
    certificate: FilePath | None = Field(
        default=None, description="PEM chain of our TLS client certificate."
    )
    key: FilePath | None = Field(default=None, description="PEM private key of that certificate.")
    window: Count = Field(default=10, ge=1, le=200, description="Messages sent but unanswered.")
    submit_timeout_seconds: Seconds = Field(
        default=5.0, gt=0, description="Time for the SMSC to take one message."
    )
    reconnect_seconds: Seconds = Field(
        default=2.0, gt=0, description="First pause before a new bind; it doubles up to a minute."
    )

    @model_validator(mode="after")
    def _files_of_tls(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if not self.tls and (self.trust_anchors or self.certificate):
            raise ValueError("trust_anchors and certificate are of tls = true")
        return self


class Sms(Section):
    """Short messages that carry invitations."""

    smpp: Smpp | None = Field(default=None, description="An SMSC reached over SMPP.")
    http: HttpSms | None = Field(default=None, description="A provider reached over HTTP.")
    order: tuple[Literal["smpp", "http"], ...] = Field(
        default=("smpp", "http"),
        min_length=1,
        description="Carriers in the order they are tried: the next only where the one before is "
        "not bound, throttles, or has certainly not taken the message.",
    )
    route: tuple[SmsRoute, ...] = Field(
        default=(), description="Another order for numbers with a prefix."
    )
