"""Options that the commands of `spingate directory` share, and what is made of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from discovery.directory.identifier import Identifier, identifier_of
from discovery.directory.reason import Refused
from discovery.log.cosignature import parse_witness
from discovery.log.logged import LogPolicy
from discovery.log.note import parse_verifier
from discovery.log.reason import LogRefused
from discovery.log.vrf import VrfPublic
from gateway.cli.output import usage_error
from gateway.config.base import split_endpoint
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.http.fetch import client_context
from gateway.http.service_client import ServiceClient

R = TypeVar("R")

Csi = Annotated[str, typer.Argument(metavar="NUMBER", help="The number (+E.164) or mail address.")]
Directory = Annotated[str, typer.Option("--directory", help="https URL of the directory.")]
Trust = Annotated[
    Path | None, typer.Option("--trust-anchors", help="PEM roots of the server; the system's.")
]
Nameserver = Annotated[
    list[str] | None, typer.Option("--nameserver", help="DNS server as ADDRESS:PORT.")
]
LogKeys = Annotated[
    list[str] | None,
    typer.Option("--log-key", help="Public key of its log (name+id+key); may be repeated."),
]
LogLabels = Annotated[
    str,
    typer.Option(
        "--log-labels", help="Public key of the labels in its log, 64 hexadecimal digits."
    ),
]
Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", help="Public key of a witness (name+id+key); may be repeated."),
]
Quorum = Annotated[
    int | None,
    typer.Option(help="Cosignatures needed; one where witnesses are given, else none.", min=0),
]
MaxAge = Annotated[float, typer.Option(help="Seconds after which a checkpoint is stale.", min=1)]


def log_policy(
    keys: Sequence[str],
    witnesses: Sequence[str],
    quorum: int | None,
    max_age: float,
    labels: str = "",
) -> LogPolicy:
    """Return what is demanded of a log; wrong options end the command with 2."""
    try:
        cosigners = tuple(map(parse_witness, witnesses))
        return LogPolicy(
            tuple(map(parse_verifier, keys)),
            cosigners,
            min(len(cosigners), 1) if quorum is None else quorum,
            max_age,
            label_key(labels),
        )
    except LogRefused as error:
        usage_error(f"--log-key or --witness: {error.detail}")
    except ValueError as error:
        usage_error(f"--log-key or --quorum: {error}")


def label_key(text: str) -> VrfPublic | None:
    """Return the key of labels, None without; a wrong one ends the command with 2."""
    try:
        return VrfPublic(bytes.fromhex(text)) if text else None
    except ValueError:
        usage_error("--log-labels is not a key of 64 hexadecimal digits")


def read_identifier(text: str) -> Identifier:
    """Return the identifier a person wrote; a wrong one ends the command with 2."""
    try:
        return identifier_of(text)
    except Refused as refused:
        usage_error(f"'{text}' is no number (+14155550123) or mail address: {refused.detail}")


async def with_client(
    trust_anchors: Path | None,
    nameserver: list[str] | None,
    work: Callable[[ServiceClient], Awaitable[R]],
) -> R:
    """Do some work with an HTTPS client of services."""
    try:
        servers = tuple(split_endpoint(server) for server in nameserver or ())
    except ValueError:
        usage_error("--nameserver is ADDRESS:PORT")
    try:
        context = client_context(trust_anchors)
    except OSError:
        usage_error(f"{trust_anchors} cannot be read as PEM certificates")
    resolver = DnsResolver(DnsSettings(nameservers=servers or system_nameservers()))
    client = ServiceClient(resolver, context)
    try:
        return await work(client)
    finally:
        await client.close()
        await resolver.close()
