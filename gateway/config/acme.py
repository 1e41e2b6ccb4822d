"""Section [stir.acme]: certificates obtained and renewed over ACME (RFC 8555, RFC 9448)."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from gateway.config.base import (
    Domain,
    FilePath,
    Flag,
    NumberRange,
    Seconds,
    Section,
    Text,
)
from gateway.http.guard import GuardPolicy, UrlRefused, check_url
from stir.certificates.tn_auth_list import (
    Entry,
    MalformedTnAuthList,
    One,
    Range,
    Spc,
    TnAuthList,
    build_tn_auth_list,
)

_ANY_PORT: Final = GuardPolicy(ports=frozenset(range(1, 65_536)))
_CONTACT: Final = re.compile(r"mailto:[!-~]+@[!-~]+")


def _https(text: str) -> str:
    try:
        check_url(text, _ANY_PORT)
    except UrlRefused as error:
        raise ValueError(f"'{text}' is not an https URL as it is needed here ({error})") from None
    return text


def _contact(text: str) -> str:
    if not _CONTACT.fullmatch(text):
        raise ValueError(f"'{text}' is not a contact such as mailto:certificates@edge.example")
    return text


HttpsUrl = Annotated[str, Strict(), AfterValidator(_https)]
Contact = Annotated[str, Strict(), AfterValidator(_contact)]


class ExternalAccount(Section):
    """What binds the ACME account to one the authority knows otherwise (RFC 8555 section 7.3.4)."""

    key_id: Text = Field(description="Key identifier the authority gave.")
    mac_key_file: FilePath = Field(description="File with the MAC key it gave, in base64url.")


class TokenSource(Section):
    """Who gives authority tokens (RFC 9447): exactly one of `file`, `command` and `url`."""

    file: FilePath | None = Field(
        default=None, description="File with the token, read at each order: put a new one there."
    )
    command: tuple[Text, ...] = Field(
        default=(),
        description='Program and arguments: reads {"atc": ...} on standard input, '
        "writes the token on standard output.",
    )
    url: HttpsUrl | None = Field(
        default=None, description='Where {"atc": ...} is posted to, as the STI-PA has it.'
    )
    login_url: HttpsUrl | None = Field(
        default=None, description="Where user and password are posted to for an access token."
    )
    user: Text | None = Field(default=None, description="User of login_url.")
    password_file: FilePath | None = Field(
        default=None, description="File whose first line is that user's password."
    )
    bearer_token_file: FilePath | None = Field(
        default=None, description="File whose first line is a bearer token, instead of login_url."
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of these servers; the system's if absent."
    )
    timeout_seconds: Seconds = Field(
        default=30.0, gt=0, le=300, description="Time for the command, or for one request."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum((self.file is not None, bool(self.command), self.url is not None)) != 1:
            raise ValueError("give exactly one of 'file', 'command' and 'url'")
        if self.url is None and (self.login_url or self.bearer_token_file):
            raise ValueError("'login_url' and 'bearer_token_file' go with 'url'")
        if self.login_url and not (self.user and self.password_file):
            raise ValueError("'login_url' needs 'user' and 'password_file'")
        if self.login_url and self.bearer_token_file:
            raise ValueError("give only one of 'login_url' and 'bearer_token_file'")
        return self


class Acme(Section):
    """Certificates from an STI-CA, renewed before they expire, with a new key and x5u each time."""

    directory: HttpsUrl = Field(description="URL of the authority's ACME directory.")
    publish_url: HttpsUrl = Field(
        description="Public https URL of the folder that chains are published in; x5u is it with "
        "a new name each time."
    )
    publish_directory: FilePath | None = Field(
        default=None, description="That folder; stir.repository.directory if absent."
    )
    service_provider_codes: tuple[Text, ...] = Field(
        default=(), description="Service provider codes of the TNAuthList."
    )
    numbers: tuple[NumberRange, ...] = Field(
        default=(), description="Numbers and ranges of the TNAuthList."
    )
    common_name: Text = Field(
        default="SHAKEN", min_length=1, max_length=64, description="Common name asked for."
    )
    organization: Text | None = Field(
        default=None, min_length=1, max_length=64, description="Organization asked for."
    )
    country: Text | None = Field(
        default=None, pattern="^[A-Z]{2}$", description="Country asked for (ISO 3166)."
    )
    dns_names: tuple[Domain, ...] = Field(
        default=(),
        description="DNS names asked for besides, such as the host of spin.callback_url; few "
        "authorities grant them, spin.trusted_agents of the other side does without.",
    )
    account_key: FilePath | None = Field(
        default=None,
        description="PEM key of the account (P-256), made where absent; acme/account.key in the "
        "state directory if not given.",
    )
    contact: tuple[Contact, ...] = Field(
        default=(), description="mailto: URLs the authority may write to."
    )
    agree_terms_of_service: Flag = Field(
        default=False, description="You agree to the authority's terms of service."
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the ACME server; the system's if absent."
    )
    further_hosts: tuple[Domain, ...] = Field(
        default=(), description="Hosts besides the directory's that the server's URLs may name."
    )
    identifier_encoding: Literal["base64url", "base64"] = Field(
        default="base64url",
        description="Of the TNAuthList; RFC 9448 has base64url, some authorities base64.",
    )
    token_member: Literal["tkauth", "atc"] = Field(
        default="tkauth",
        description="Where the token stands in the answer to the challenge; RFC 9447 has tkauth.",
    )
    fingerprint: Literal["thumbprint", "public-key"] = Field(
        default="thumbprint",
        description="What of the account key a token is bound to; RFC 9448 has the thumbprint.",
    )
    lifetime_days: Seconds | None = Field(
        default=None, gt=0, le=3_650, description="Lifetime asked for; the authority's if absent."
    )
    renew_life_left: Seconds = Field(
        default=0.33,
        gt=0,
        lt=1,
        description="Renew when this part of the certificate's life is left; 0.97 renews a "
        "30-day certificate daily.",
    )
    check_published: Flag = Field(
        default=True,
        description="Fetch a new x5u before signing with it; false only where the gateway cannot "
        "reach its own public address.",
    )
    publish_timeout_seconds: Seconds = Field(
        default=60.0, gt=0, le=3_600, description="How long a new x5u may take to be served."
    )
    keep_key_seconds: Seconds = Field(
        default=3_600.0, ge=0, description="A replaced key is deleted after this time."
    )
    keep_chain_seconds: Seconds = Field(
        default=86_400.0,
        ge=0,
        description="A replaced chain stays published so long after it expired.",
    )
    timeout_seconds: Seconds = Field(
        default=30.0, gt=0, le=300, description="Time for one request to the authority."
    )
    external_account: ExternalAccount | None = Field(
        default=None, description="Account the authority knows already; absent: none."
    )
    token: TokenSource = Field(description="Who gives authority tokens (RFC 9447).")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        try:
            build_tn_auth_list(self.tn_auth_list().entries)
        except MalformedTnAuthList as error:
            raise ValueError(
                f"'service_provider_codes' and 'numbers' make no TNAuthList: {error}"
            ) from None
        if not self.publish_url.endswith("/"):
            raise ValueError("'publish_url' ends with '/'")
        return self

    def tn_auth_list(self) -> TnAuthList:
        """Return the TNAuthList that is asked for."""
        entries: list[Entry] = [Spc(code) for code in self.service_provider_codes]
        for text in self.numbers:
            first, _, last = text.partition("-")
            start = first.removeprefix("+")
            count = int(last) - int(first) + 1 if last else 1
            entries.append(One(start) if count == 1 else Range(start, count))
        return TnAuthList(tuple(entries))
