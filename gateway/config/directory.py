"""The configuration of a directory service: everything `spingate directory run` reads."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.config.base import (
    Count,
    Domain,
    FilePath,
    IpAddress,
    NumberPrefix,
    NumberRange,
    Port,
    Seconds,
    Section,
    Text,
)
from gateway.config.discovery import Dns, Smpp
from gateway.config.enum_publishing import EnumPublishing
from gateway.config.known_clients import NamedClient, check_told_apart
from gateway.config.mail import SubmissionServer
from gateway.config.oob import ServiceUrl
from gateway.config.root import Admin, Log
from gateway.config.split_storage import EXAMPLES as SPLIT_EXAMPLES
from gateway.config.split_storage import SHOWN as SPLIT_SHOWN
from gateway.config.split_storage import SplitStorageFilling
from gateway.config.transparency_log import EXAMPLES as LOG_EXAMPLES
from gateway.config.transparency_log import TransparencyLog


def _database_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        raise ValueError("begins with neither 'sqlite+aiosqlite:///' nor 'postgresql+asyncpg://'")
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]


class DirectoryPeer(NamedClient):
    """A provider that may look identifiers up."""

    name: Text = Field(min_length=1, max_length=64, description="Name in logs and counters.")
    lookups_per_day: Count = Field(default=100_000, ge=1, description="Lookups in a day (UTC).")
    lookups_per_second: Seconds = Field(default=100.0, gt=0, description="Lookups on average.")
    lookups_burst: Count = Field(default=1_000, ge=1, description="Lookups at once.")


class NumberProvider(Section):
    """Which numbers a provider code of a certificate stands for."""

    code: Text = Field(pattern="^[!-~]{1,32}$", description="Service provider code (OCN, SPID).")
    numbers: tuple[NumberRange, ...] = Field(
        min_length=1, description="Numbers and ranges assigned to that provider."
    )


class DirectorySection(Section):
    """The directory role: records and lookups."""

    url: ServiceUrl = Field(
        description="Public https URL, without path, which is its name in answers and orders."
    )
    address: IpAddress = Field(description="Address to bind.")
    port: Port = Field(default=8446, ge=1, le=65535, description="Port to bind.")
    certificate: FilePath = Field(description="PEM chain of the HTTPS server certificate.")
    key: FilePath = Field(description="PEM private key of that certificate.")
    client_trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of peers' TLS client certificates."
    )
    state_directory: FilePath = Field(
        description="Folder of the database and the generated keys; relative to this file."
    )
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="Database, such as postgresql+asyncpg://user:password@host/directory; absent: "
        "a SQLite file in the state directory.",
    )
    signing_key: FilePath | None = Field(
        default=None,
        description="PEM private key (P-256) that signs answers; absent: one is made in the state "
        "directory.",
    )
    owner_trust_anchors: tuple[FilePath, ...] = Field(
        default=(),
        description="PEM roots of authorities for single numbers and mailboxes, besides the one "
        "of [authority].",
    )
    provider_trust_anchors: tuple[FilePath, ...] = Field(
        default=(),
        description="PEM roots whose certificates for ranges, provider codes or mail domains may "
        "remove and release what they cover.",
    )
    hold_seconds: Seconds = Field(
        default=259_200.0,
        ge=0,
        description="How long a key waits for an identifier that another key has.",
    )
    sweep_seconds: Seconds = Field(
        default=60.0, ge=1, description="How often expired records are deleted."
    )
    beat_seconds: Seconds = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Answers to lookups go at whole multiples of this after the question, so that "
        "their time does not tell which numbers are known; 0: at once.",
    )
    changes_per_second: Seconds = Field(
        default=1.0, gt=0, description="Requests that change something, from one address."
    )
    changes_burst: Count = Field(default=60, ge=1, description="The same, at once.")
    peer: tuple[DirectoryPeer, ...] = Field(default=(), description="Who may look up.")
    number_provider: tuple[NumberProvider, ...] = Field(
        default=(), description="Provider codes and their numbers."
    )

    @model_validator(mode="after")
    def _peers_are_told_apart(self) -> Self:
        check_told_apart(self.peer, "peer", self.client_trust_anchors)
        return self


class AuthoritySection(Section):
    """The authority role: certificates for single numbers and mailboxes, after a challenge."""

    certificate: FilePath = Field(
        description="PEM chain of the issuing certificate, its own first, the root last."
    )
    key: FilePath = Field(description="PEM private key of the issuing certificate.")
    certificate_days: Seconds = Field(
        default=7.0, gt=0, le=90, description="How long a certificate lives."
    )
    prove_again_days: Seconds = Field(
        default=90.0,
        gt=0,
        le=400,
        description="How long certificates are renewed by the key alone.",
    )
    prefixes: tuple[NumberPrefix, ...] = Field(
        default=(),
        description="Countries and areas that text messages are sent to, such as +1 or +44; none "
        "if empty. Text messages to premium ranges are a known fraud.",
    )
    mail_domains: tuple[Domain, ...] = Field(
        default=(), description="Mail domains that challenges are sent to; any if empty."
    )
    challenges_per_number_hour: Count = Field(
        default=3, ge=1, le=100, description="Challenges to one number or mailbox in an hour."
    )
    challenges_per_source_hour: Count = Field(
        default=20, ge=1, description="Challenges asked for from one address in an hour."
    )
    challenges_per_prefix_hour: Count = Field(
        default=100,
        ge=1,
        description="Challenges to one prefix of 5 digits, or one mail domain, in an hour.",
    )
    challenges_per_day: Count = Field(
        default=20_000, ge=1, description="Challenges in all in a day."
    )
    least_completed: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2,
        description="Share of a prefix' challenges of a day that has to be answered; below it no "
        "more are sent there.",
    )
    breaker_after: Count = Field(
        default=20, ge=1, description="Challenges after which that share is looked at."
    )


class Mail(SubmissionServer):
    """Submission of mail that carries challenges."""

    sender: Text = Field(
        pattern="^[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,253}$", description="Address mail comes from."
    )


class TokenIssuerSection(Section):
    """An issuer of Privacy Pass tokens (RFC 9578 type 2), each worth one lookup or evaluation."""

    name: Domain = Field(description="The issuer's host name.")
    key_file: FilePath = Field(
        description="Its public key: SubjectPublicKeyInfo with the RSASSA-PSS identifier, DER."
    )


class Oblivious(Section):
    """Lookups through a relay of somebody else (RFC 9458), paid by tokens that name nobody."""

    key_days: Count = Field(
        default=30, ge=1, le=90, description="After so many days another key is advertised."
    )
    max_spent_tokens: Count = Field(
        default=100_000_000,
        ge=1,
        description="Spent tokens kept, some 40 octets each, until 30 days after their key is "
        "taken out here; full, no token is taken.",
    )
    issuer: tuple[TokenIssuerSection, ...] = Field(
        min_length=1, max_length=64, description="Issuers whose tokens are taken."
    )


class DirectoryConfig(Section):
    """Everything `spingate directory run` reads."""

    reference: ClassVar = "configs/directory.toml"

    directory: DirectorySection = Field(description="The directory: records and lookups.")
    authority: AuthoritySection | None = Field(
        default=None, description="The authority; absent: other services certify."
    )
    sms: tuple[Smpp, ...] = Field(
        default=(),
        max_length=2,
        description="SMSCs that carry challenges. With two, each carries a part, so that neither "
        "can answer alone.",
    )
    mail: Mail | None = Field(default=None, description="Mail; absent: no challenges by mail.")
    transparency_log: TransparencyLog | None = Field(
        default=None, description="The transparency log; absent: nothing is logged."
    )
    oblivious: Oblivious | None = Field(
        default=None, description="Oblivious HTTP and tokens; absent: neither."
    )
    split_storage: SplitStorageFilling | None = Field(
        default=None,
        description="Split storage that is filled with our records; absent: none.",
    )
    enum: EnumPublishing | None = Field(
        default=None, description="Publishing opted-in numbers over DNS; absent: none."
    )
    dns: Dns = Field(default=Dns(), description="The DNS servers asked.")
    admin: Admin | None = Field(
        default=None, description="Metrics and health for the operator; absent: none."
    )
    log: Log = Field(default=Log(), description="Logs.")

    @model_validator(mode="after")
    def _can_be_asked_and_filled(self) -> Self:
        if self.authority is None and not self.directory.owner_trust_anchors:
            raise ValueError("[directory] needs owner_trust_anchors, or an [authority] beside it")
        if self.authority is not None and not (self.sms or self.mail):
            raise ValueError("[authority] needs [[sms]] or [mail] to send challenges by")
        if self.authority is not None and self.sms and not self.authority.prefixes:
            raise ValueError("[authority] needs prefixes: the countries text messages are sent to")
        return self


EXAMPLES: Final = {
    **LOG_EXAMPLES,
    **SPLIT_EXAMPLES,
    "directory.url": "https://dp.example",
    "directory.address": "192.0.2.20",
    "directory.certificate": "keys/https.pem",
    "directory.key": "keys/https.key",
    "directory.client_trust_anchors": "keys/clients.pem",
    "directory.state_directory": "state-directory",
    "directory.database_url": "postgresql+asyncpg://directory@db.example/directory",
    "directory.signing_key": "keys/answers.key",
    "directory.owner_trust_anchors": [],
    "directory.provider_trust_anchors": ["keys/sti-root.pem"],
    "directory.peer.name": "alpha",
    "directory.peer.token": "change-me-please-16",
    "directory.peer.token_file": "keys/alpha.token",
    "directory.peer.domain": "gateway.alpha.example",
    "directory.number_provider.code": "1234",
    "directory.number_provider.numbers": ["+12125550100-+12125550199"],
    "authority.certificate": "keys/number-ca.pem",
    "authority.key": "keys/number-ca.key",
    "authority.prefixes": ["+1"],
    "sms.host": "smsc.example",
    "sms.system_id": "directory",
    "sms.password": "change",
    "sms.password_file": "keys/smpp.password",
    "sms.source_address": "+12125550100",
    "enum.suffix": "e164.dp.example",
    "enum.address": "192.0.2.20",
    "enum.nameservers": ["ns1.dp.example"],
    "enum.hostmaster": "hostmaster.dp.example",
    "enum.key": "keys/enum.key",
    "enum.next_key": "keys/enum-next.key",
    "oblivious.issuer.name": "tokens.alpha.example",
    "oblivious.issuer.key_file": "keys/alpha-tokens.der",
    "mail.host": "submission.example",
    "mail.trust_anchors": "keys/https-roots.pem",
    "mail.user": "directory",
    "mail.password": "change-me",
    "mail.password_file": "keys/mail.password",
    "mail.sender": "challenge@dp.example",
}
SHOWN: Final = frozenset(
    {
        "directory.peer.token_file",
        "sms.password_file",
        "mail.password_file",
        "mail.user",
        *SPLIT_SHOWN,
    }
)
