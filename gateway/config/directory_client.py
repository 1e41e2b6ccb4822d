"""Section [discovery.directory]: the directories this gateway asks."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from gateway.config.base import Count, FilePath, Flag, Seconds, Section, Text
from gateway.config.oblivious import ObliviousServer
from gateway.config.oob import ServiceUrl
from gateway.config.sealed_maps import SealedKeySection
from gateway.config.split_storage import SplitStorageWay


class DirectoryServer(Section):
    """A directory and how we may ask it."""

    url: ServiceUrl = Field(description="https URL of the directory, which is its name.")
    key: Text | None = Field(
        default=None,
        pattern="^[A-Za-z0-9_-]{43}$",
        description="Thumbprint (RFC 7638) of the key that signs its answers; absent: whatever key "
        "it publishes, for which its TLS certificate stands.",
    )
    token: SecretStr | None = Field(default=None, description="Bearer token we present.")
    token_file: FilePath | None = Field(
        default=None, description="File whose first line is that token."
    )

    log_keys: tuple[Text, ...] = Field(
        default=(),
        max_length=4,
        description="Public keys (name+id+key) of its transparency log, several while one is "
        "replaced; none: nothing of it counts as logged.",
    )
    log_witnesses: tuple[Text, ...] = Field(
        default=(),
        max_length=16,
        description="Public keys (name+id+key) of witnesses whose cosignatures count.",
    )
    log_quorum: Count | None = Field(
        default=None,
        ge=0,
        description="How many of them must have cosigned; absent: 1 with witnesses, else 0, which "
        "cannot tell how old a checkpoint is.",
    )
    log_labels: Text | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="Public key (hexadecimal, RFC 9381) of the labels in its log; absent: labels "
        "are not checked, and a binding could be logged where its owner does not look.",
    )
    log_max_age_seconds: Seconds = Field(
        default=86_400.0, ge=60, description="A checkpoint cosigned longer ago does not count."
    )
    oblivious: ObliviousServer | None = Field(
        default=None,
        description="Ask it through a relay, with tokens instead of our own; absent: plainly. "
        "Never plainly where this is given, whatever fails.",
    )

    split_storage: SplitStorageWay | None = Field(
        default=None,
        description="Look its records up in split storage instead of asking it, obliviously or "
        "not; absent: it is asked.",
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("give one of 'token' and 'token_file'")
        if self.oblivious is not None:
            if self.token is not None or self.token_file is not None:
                raise ValueError("'token' would tell the directory who asks: not with 'oblivious'")
            if urlsplit(self.oblivious.relay).hostname == urlsplit(self.url).hostname:
                raise ValueError("the relay is the directory's own: it would see who asks for what")
        return self


class DirectoryClientSection(Section):
    """Directories: records signed by the owners of numbers, with proof."""

    owner_trust_anchors: tuple[FilePath, ...] = Field(
        min_length=1,
        description="PEM roots of authorities for single numbers, whose certificates may sign "
        "records.",
    )
    budget_seconds: Seconds = Field(
        default=1.0, gt=0, le=30, description="Time for all directories, asked at the same time."
    )
    require_logged: Flag = Field(
        default=False,
        description="Use only records whose proof of being in a trusted log holds.",
    )
    tags: tuple[Text, ...] = Field(
        default=(),
        max_length=8,
        description="Tags of records that are preferred, such as business.",
    )
    trust_anchors: FilePath | None = Field(
        default=None, description="PEM trust anchors of the servers; the system's if absent."
    )
    certificate: FilePath | None = Field(
        default=None, description="PEM chain of our TLS client certificate."
    )
    private_key: FilePath | None = Field(
        default=None, description="PEM private key of that certificate."
    )
    prefix_map: FilePath | None = Field(
        default=None,
        description="Signed map of prefixes to directories; absent: all are asked for every "
        "number.",
    )
    prefix_map_key: FilePath | None = Field(
        default=None, description="PEM public key (P-256) of whoever signs the map."
    )
    sealed_key: tuple[SealedKeySection, ...] = Field(
        default=(),
        max_length=1_000,
        description="Keys that open maps which owners sealed for some of our callers.",
    )
    ask_unlisted: Flag | None = Field(
        default=None,
        description="Ask directories of the prefix map that have no [[discovery.directory.server]] "
        "plainly, with our TLS client certificate; absent: only where no server is oblivious or in "
        "split storage.",
    )
    server: tuple[DirectoryServer, ...] = Field(
        default=(), max_length=64, description="The directories, and how we may ask them."
    )

    @model_validator(mode="after")
    def _has_somebody_to_ask(self) -> Self:
        if not self.server and self.prefix_map is None:
            raise ValueError("needs a [[discovery.directory.server]] or a prefix_map")
        if (self.prefix_map is None) != (self.prefix_map_key is None):
            raise ValueError("prefix_map and prefix_map_key go together")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together")
        if self.require_logged and not all(server.log_keys for server in self.server):
            raise ValueError("require_logged needs the log_keys of each server")
        urls = [server.url for server in self.server]
        if len(set(urls)) < len(urls):
            raise ValueError("a directory is named twice")
        return self
