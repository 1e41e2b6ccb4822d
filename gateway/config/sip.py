"""Sections about SIP: listeners, limits, users, trunks, routes and peers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.attestation import Uuid
from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    Flag,
    IpAddress,
    Network,
    Number,
    NumberPrefix,
    NumberRange,
    NumberSet,
    Port,
    Seconds,
    Section,
    Text,
)
from sip.host import parse_host, write_host
from sip.uri import MalformedUri, SipUri, parse_uri


class Listen(Section):
    """One address where the gateway receives SIP."""

    name: Text = Field(
        pattern="^[!-~]{1,64}$",
        description="Name of the listener, used in logs, routes and the trace.",
    )
    role: Literal["access", "peers"] = Field(
        description="access: own users and trunks, authenticated. peers: other providers, "
        "trusted for nothing but what their Identity header proves."
    )
    transport: Literal["udp", "tcp", "tls"] = Field(description="Transport protocol.")
    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(ge=1, le=65535, description="Port to bind.")
    advertise: Text | None = Field(
        default=None,
        description="Host name or address others reach this listener at (Via, Record-Route); "
        "the bound address if absent.",
    )
    certificate: FilePath | None = Field(
        default=None, description="PEM chain of the domain certificate (RFC 5922), for tls."
    )
    key: FilePath | None = Field(
        default=None, description="PEM private key of that certificate, for tls."
    )
    client_trust_anchors: FilePath | None = Field(
        default=None,
        description="PEM trust anchors to check client certificates against where a client "
        "offers one, for tls.",
    )

    @model_validator(mode="after")
    def _advertise_is_a_host(self) -> Self:
        if self.advertise is not None and parse_host(write_host(self.advertise)) is None:
            raise ValueError("'advertise' is a host name or address, without port or brackets")
        return self

    @model_validator(mode="after")
    def _tls_needs_a_certificate(self) -> Self:
        if self.transport == "tls" and (self.certificate is None or self.key is None):
            raise ValueError("transport 'tls' needs both 'certificate' and 'key'")
        return self


class Sip(Section):
    """Limits and timers of the SIP stack."""

    trust_anchors: FilePath | None = Field(
        default=None,
        description="PEM trust anchors for the domain certificates of other providers; the "
        "system's if absent.",
    )
    allow_networks: tuple[Network, ...] = Field(
        default=(),
        description="Special-purpose networks (private, loopback) where calls may be sent to "
        "other providers all the same; none in production.",
    )
    t1_seconds: Seconds = Field(
        default=0.5, gt=0, le=5, description="Timer T1, the round-trip estimate (RFC 3261 17.1)."
    )
    invite_timeout_seconds: Seconds = Field(
        default=180.0, ge=1, description="Timer C: how long a call may ring (RFC 3261 16.6)."
    )
    max_transactions: Count = Field(
        default=50_000, ge=100, description="Transactions at once; beyond it new requests get 503."
    )
    max_message_bytes: Count = Field(
        default=64_000, ge=2_048, le=64_000, description="Largest message; beyond it 513."
    )
    max_connections: Count = Field(
        default=2_000, ge=1, description="TCP and TLS connections at once, a listener."
    )
    max_connections_per_source: Count = Field(
        default=50, ge=1, description="TCP and TLS connections at once from one address."
    )
    connect_timeout_seconds: Seconds = Field(
        default=3.0, gt=0, description="TCP connect and TLS handshake with one target."
    )
    header_timeout_seconds: Seconds = Field(
        default=5.0, gt=0, description="Time a started message may take to arrive whole."
    )
    idle_timeout_seconds: Seconds = Field(
        default=120.0, gt=0, description="A connection without traffic is closed after this."
    )
    max_calls: Count = Field(default=20_000, ge=1, description="Calls at once; beyond it 503.")
    max_calls_per_stranger: Count = Field(
        default=1_000,
        ge=1,
        description="Calls at once from one address that is no [[peer]]; beyond it 503.",
    )
    max_call_seconds: Seconds = Field(
        default=43_200.0, ge=60, description="A call whose end was never seen is forgotten then."
    )


class Registrar(Section):
    """The registrar of the own users (RFC 3261 section 10)."""

    min_expires_seconds: Count = Field(
        default=60, ge=1, description="Shorter registrations get 423 with Min-Expires."
    )
    max_expires_seconds: Count = Field(
        default=3_600, ge=1, description="Longer registrations are shortened to this."
    )
    max_contacts: Count = Field(default=10, ge=1, description="Contacts an address of record.")
    digest_algorithms: tuple[Literal["SHA-512-256", "SHA-256", "MD5"], ...] = Field(
        default=("SHA-256", "MD5"),
        min_length=1,
        description="Digest algorithms offered, the strongest first (RFC 8760). Some old devices "
        "give up when they see any but MD5.",
    )


class User(Section):
    """A user of this provider: what they authenticate with and which numbers are theirs."""

    username: Text = Field(min_length=1, description="User name of the digest authentication.")
    password: SecretStr | None = Field(
        default=None, description="Password; keep it out of this file with password_file."
    )
    password_file: FilePath | None = Field(
        default=None, description="File whose first line is the password."
    )
    numbers: tuple[Number, ...] = Field(
        min_length=1, description="The user's numbers; the first is the default caller number."
    )
    attest: Literal["A", "B", "C"] = Field(
        default="A",
        description="Attestation level of the user's calls (RFC 8588 section 4); [[attestation]] "
        "comes first.",
    )
    origid: Uuid | None = Field(
        default=None, description="Origination identifier of the user's calls; made by "
        "stir.authentication.origid if absent."
    )  # fmt: skip
    refuse_anonymous: Flag = Field(
        default=False, description="Refuse calls whose caller is not shown, with 433 (RFC 5079)."
    )
    verstat: Text | None = Field(
        default=None,
        description="Name of the dialect the user's devices read verdicts in; "
        "stir.verification.verstat if absent.",
    )
    max_calls: Count = Field(default=10, ge=1, description="Calls at once; beyond it 403.")
    media: Literal["rtp", "sdes", "pass"] = Field(
        default="sdes",
        description="What the user's device is offered: plain RTP, SDES-SRTP, or (pass) the "
        "caller's SDP untouched.",
    )
    behind_nat: Flag = Field(
        default=False,
        description="The user's devices are behind NAT: their media may come from another address "
        "than their SDP says, if it is the one their SIP comes from or proves itself by SRTP.",
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("give exactly one of 'password' and 'password_file'")
        return self


class Trunk(Section):
    """A PBX, softswitch or load generator that is known by its address."""

    name: Text = Field(description="Name of the trunk.")
    sources: tuple[Network, ...] = Field(
        min_length=1,
        description="Networks the trunk sends from, in CIDR form. This is all that is known of "
        "it: over udp, let no network pass that source from elsewhere.",
    )
    domain: Domain | None = Field(
        default=None,
        description="Domain that the trunk's TLS client certificate must prove, besides coming "
        "from 'sources'; the listener needs client_trust_anchors.",
    )
    numbers: tuple[NumberRange, ...] = Field(
        min_length=1, description="Numbers and ranges the trunk may call from."
    )
    unknown_numbers: Literal["refuse", "B", "C"] = Field(
        default="refuse",
        description="Calls from numbers that are not the trunk's, such as calls in transit: refuse "
        "them with 403, or sign them with this level. The own certificate has to permit them.",
    )
    may_divert: Flag = Field(
        default=False,
        description="Let the trunk forward calls it was given to its numbers: it sends them with "
        "the caller's From and the Identity header fields it received, which are verified, and a "
        "div PASSporT (RFC 8946) is added. Calls whose Identity is not valid get its status.",
    )
    default_number: Number | None = Field(
        default=None,
        description="The number that calls without any are signed for; absent: they get 433.",
    )
    allow_prefixes: tuple[NumberPrefix, ...] = Field(
        default=("+",), description="Prefixes of numbers the trunk may call; others get 403."
    )
    max_calls: Count = Field(default=50, ge=1, description="Calls at once; beyond it 403.")
    attest: Literal["A", "B", "C"] = Field(
        default="B",
        description="Attestation level of the trunk's calls (RFC 8588 section 4); [[attestation]] "
        "comes first.",
    )
    origid: Uuid | None = Field(
        default=None, description="Origination identifier of the trunk's calls; made by "
        "stir.authentication.origid if absent."
    )  # fmt: skip
    media: Literal["bridge", "pass"] = Field(
        default="bridge", description="Bridge the trunk's media, or pass its SDP untouched."
    )
    mode: Literal["call", "redirect"] = Field(
        default="call",
        description="call: calls of the trunk go on from here. redirect: each gets a 302 with its "
        "Identity, and the trunk routes it itself.",
    )
    redirect_identity: Literal["header", "contact", "both"] = Field(
        default="header",
        description="Where Identity and Date stand in the 302: as its header fields, in the header "
        "part of the Contact URI, or both.",
    )
    redirect_host: Text | None = Field(
        default=None,
        description="HOST or HOST:PORT of the Contact URI; that of the Request-URI if absent.",
    )

    @model_validator(mode="after")
    def _redirects_or_diverts(self) -> Self:
        if self.mode == "redirect" and self.may_divert:
            raise ValueError("mode 'redirect' signs calls that begin here: no 'may_divert'")
        host, _, port = (self.redirect_host or "host").partition(":")
        if parse_host(host) is None or (port and not port.isdecimal()):
            raise ValueError("'redirect_host' is HOST or HOST:PORT")
        return self

    @model_validator(mode="after")
    def _default_number_is_its_own(self) -> Self:
        if self.default_number is not None and self.default_number not in NumberSet(self.numbers):
            raise ValueError("'default_number' must be one of 'numbers'")
        return self


class Route(Section):
    """Where calls to own numbers go that no registration serves: a PBX or an agent platform."""

    numbers: tuple[NumberRange, ...] = Field(
        min_length=1, description="Own numbers and ranges the route serves."
    )
    uri: Text = Field(description="SIP URI of the next hop; {number} stands for the called number.")
    media: Literal["rtp", "sdes", "pass"] = Field(
        default="rtp", description="What the next hop is offered, as for a user."
    )
    verstat: Text | None = Field(
        default=None, description="Name of the dialect the next hop reads verdicts in, as for a "
        "user."
    )  # fmt: skip

    @model_validator(mode="after")
    def _uri_can_be_called(self) -> Self:
        try:
            uri = parse_uri(self.uri.replace("{number}", "+12125550100"))
        except MalformedUri as error:
            raise ValueError(f"'uri' is no URI: {error.why}") from None
        if not isinstance(uri, SipUri):
            raise ValueError("'uri' must be a sip: or sips: URI")
        if (uri.params.text("transport") or "udp").lower() not in ("udp", "tcp", "tls"):
            raise ValueError("'uri' must ask for transport udp, tcp or tls")
        return self


class Peer(Section):
    """What a provider's calls must prove; the first peer that matches counts."""

    domain: Domain | None = Field(
        default=None, description="Domain proven by the peer's TLS client certificate."
    )
    sources: tuple[Network, ...] = Field(
        default=(), description="Networks the peer sends from, in CIDR form."
    )
    identity: Literal["require", "mark", "observe"] | None = Field(
        default=None, description="Policy for the verdict; stir.verification.policy if absent."
    )
    anonymous_callers: Literal["accept", "refuse"] | None = Field(
        default=None,
        description="Callers who are not shown; stir.verification.anonymous_callers if absent.",
    )
    trust_verstat: Flag = Field(
        default=False,
        description="Believe the verstat parameter of calls that come without Identity: the peer "
        "verifies for us, in a network of our own.",
    )
    max_calls: Count = Field(default=1_000, ge=1, description="Calls at once; beyond it 503.")
    out_of_band: Flag = Field(
        default=False,
        description="Identity gets lost on the way to and from this peer: use [stir.oob] for calls "
        "to its domain, and for those from it that come without.",
    )

    @model_validator(mode="after")
    def _matches_something(self) -> Self:
        if self.domain is None and not self.sources:
            raise ValueError("give 'domain' or 'sources', or the peer matches nobody")
        return self
