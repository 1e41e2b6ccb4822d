"""`spingate directory register|opt-out|remove|object|release|lookup`: for owners and senders."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.markup import escape

from discovery.directory.client import CheckedAnswer
from discovery.directory.identifier import Identifier, identifier_of
from discovery.directory.reason import Refused
from discovery.directory.record import MAX_LIFETIME, Map, Record, Selection
from discovery.directory.sealed_maps import SealedMap, open_maps, seal_maps
from discovery.model import Service
from discovery.service_uri import MalformedServiceUri, parse_service_uri
from gateway.cli import directory_sealing
from gateway.cli.output import EXIT_FAILED, console, emit_json, failure, usage_error
from gateway.cli.run import Json
from gateway.config.base import split_endpoint
from gateway.directory.keys import TrustedChains
from gateway.directory.owner import (
    CodeNeeded,
    OwnerClient,
    OwnerFailed,
    OwnerFile,
    make_release,
)
from gateway.directory_client import DirectoryConnection, DirectoryFailed, PlainWay
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.http.fetch import client_context
from gateway.http.service_client import ServiceClient

_TIMEOUT: Final = 10.0
_STEP: Final = 10
R = TypeVar("R")

Csi = Annotated[str, typer.Argument(metavar="NUMBER", help="The number (+E.164) or mail address.")]
Directory = Annotated[str, typer.Option("--directory", help="https URL of the directory.")]
AuthorityUrl = Annotated[
    str | None, typer.Option("--authority", help="URL of the authority; the directory's if absent.")
]
KeyFile = Annotated[
    Path, typer.Option("--key", help="Your key for this number; made where there is none.")
]
Trust = Annotated[
    Path | None, typer.Option("--trust-anchors", help="PEM roots of the server; the system's.")
]
Nameserver = Annotated[
    list[str] | None, typer.Option("--nameserver", help="DNS server as ADDRESS:PORT.")
]
Code = Annotated[
    str | None,
    typer.Option("--code", help="The code that came by message; two of them one after the other."),
]
ReleaseFile = Annotated[
    Path | None, typer.Option("--release", help="The former key's release (JSON).", exists=True)
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of owners and senders to the group."""
    app.command()(register)
    app.command(name="opt-out")(opt_out)
    app.command()(remove)
    app.command(name="object")(object_to_claims)
    app.command()(release)
    app.command()(lookup)
    directory_sealing.add_commands(app)


def register(
    csi: Csi,
    directory: Directory,
    key: KeyFile,
    uri: Annotated[
        list[str] | None,
        typer.Option("--uri", help="SERVICE[,SERVICE]=URI, the preferred one first; repeat."),
    ] = None,
    sealed_for: directory_sealing.SealedFor = None,
    group: directory_sealing.Group = None,
    authority: AuthorityUrl = None,
    code: Code = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Tag of the URIs.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Let senders use every URI, not just the first.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Drop what former owners of the number registered.")
    ] = False,
    release: ReleaseFile = None,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Prove control over a number, and register where it is reached."""
    maps = tuple(_map(text, place, tuple(tag or ())) for place, text in enumerate(uri or (), 1))
    sealed = directory_sealing.read_sealed(sealed_for or (), group or (), _map)
    if not maps and not sealed:
        usage_error("give a --uri, or --sealed-for or --group")
    selection = Selection.ALL if every else Selection.FIRST
    _put(
        _Owner(csi, directory, authority, key, trust_anchors, nameserver, release, as_json),
        maps,
        code,
        selection=selection,
        new=new,
        sealed=sealed,
    )


def opt_out(
    csi: Csi,
    directory: Directory,
    key: KeyFile,
    authority: AuthorityUrl = None,
    code: Code = None,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Register that the number wants to be found nowhere."""
    owner = _Owner(csi, directory, authority, key, trust_anchors, nameserver, None, as_json)
    _put(owner, (), code)


def remove(
    csi: Csi,
    directory: Directory,
    key: KeyFile,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Take the record of a number out of the directory."""
    owner = _Owner(csi, directory, None, key, trust_anchors, nameserver, None, as_json)

    async def work(client: OwnerClient) -> dict[str, Any]:
        await client.certify()
        await client.remove()
        return {"state": "removed"}

    owner.run(work)


def object_to_claims(
    csi: Csi,
    directory: Directory,
    key: KeyFile,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Refuse the claims of other keys on your number."""
    owner = _Owner(csi, directory, None, key, trust_anchors, nameserver, None, as_json)

    async def work(client: OwnerClient) -> dict[str, Any]:
        await client.object_to_claims()
        return {"state": "refused"}

    owner.run(work)


def release(
    csi: Csi,
    key: KeyFile,
    to: Annotated[str, typer.Option("--to", help="Thumbprint of the key that takes over.")],
) -> None:
    """Print, as JSON, what lets another key take the number over without waiting."""
    identifier = _identifier(csi)
    try:
        emit_json(make_release(OwnerFile.open(key, identifier), identifier, to, time.time()))
    except OwnerFailed as error:
        failure(str(error))


def lookup(
    csi: Csi,
    directory: Directory,
    owner_trust_anchors: Annotated[
        Path, typer.Option("--owner-trust-anchors", help="PEM roots of number authorities.")
    ],
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with our bearer token.")
    ] = None,
    service: Annotated[Service | None, typer.Option(help="What the number is wanted for.")] = None,
    sealed_key: directory_sealing.SealedKey = None,
    group_secret: directory_sealing.GroupSecret = None,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Look a number up in one directory, and show how each record is proven."""
    identifier = _identifier(csi)
    keys = directory_sealing.read_keys(sealed_key or (), group_secret or ())
    try:
        token = token_file.read_text("utf-8").partition("\n")[0].strip() if token_file else None
        anchors = x509.load_pem_x509_certificates(owner_trust_anchors.read_bytes())
    except OSError as error:
        usage_error(f"{error.filename}: {error.strerror}")
    except ValueError:
        usage_error(f"{owner_trust_anchors} holds no PEM certificate")

    async def ask(client: ServiceClient) -> CheckedAnswer:
        connection = DirectoryConnection(
            directory.rstrip("/"),
            None,
            PlainWay(client, token),
            client,
            TrustedChains(anchors),
            time.time,
        )
        return await connection.ask(identifier, service, timeout=_TIMEOUT)

    try:
        answer = asyncio.run(_with_client(trust_anchors, nameserver, ask))
    except DirectoryFailed as error:
        failure(str(error))
    _show(answer, as_json, keys)
    raise typer.Exit(0 if answer.records else EXIT_FAILED)


class _Owner:
    """One command of an owner: its options, and what is printed at the end."""

    def __init__(
        self,
        csi: str,
        directory: str,
        authority: str | None,
        key: Path,
        trust_anchors: Path | None,
        nameserver: list[str] | None,
        release: Path | None,
        as_json: bool,
    ) -> None:
        self.csi = _identifier(csi)
        self._directory = directory.rstrip("/")
        self._authority = (authority or directory).rstrip("/")
        self._key = key
        self._trust_anchors = trust_anchors
        self._nameserver = nameserver
        self._release = _read_release(release)
        self.as_json = as_json

    def run(self, work: Callable[[OwnerClient], Awaitable[dict[str, Any]]]) -> None:
        """Do it, print what came of it, or exit with 1."""
        try:
            said = self._do(work)
        except OwnerFailed as error:
            failure(str(error))
        if self.as_json:
            emit_json({"csi": str(self.csi), **said})
        else:
            console.print(f"{escape(str(self.csi))}: [bold]{said.get('state', 'done')}[/]")

    def _do(self, work: Callable[[OwnerClient], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        file = OwnerFile.open(self._key, self.csi)

        async def with_client(client: ServiceClient) -> dict[str, Any]:
            owner = OwnerClient(client, self._directory, self._authority, self.csi, file, time.time)
            owner.present(self._release)
            return await work(owner)

        return asyncio.run(_with_client(self._trust_anchors, self._nameserver, with_client))


def _put(
    owner: _Owner,
    maps: tuple[Map, ...],
    code: str | None,
    *,
    selection: Selection = Selection.FIRST,
    new: bool = False,
    sealed: tuple[SealedMap, ...] = (),
) -> None:
    """Certify, asking for the code where it is needed, then register."""

    def record(seq: int, now: int, x5u: str) -> Record:
        return Record(
            csi=owner.csi,
            seq=seq,
            issued_at=now,
            expires_at=now + MAX_LIFETIME,
            maps=maps,
            x5u=x5u,
            new=new,
            selection=selection,
            sealed=seal_maps(owner.csi, seq, sealed) if sealed else (),
        )

    def with_code(given: str | None) -> Callable[[OwnerClient], Awaitable[dict[str, Any]]]:
        async def work(client: OwnerClient) -> dict[str, Any]:
            await client.certify(given)
            return dict(await client.register(record))

        return work

    try:
        owner.run(with_code(code))
    except CodeNeeded as needed:
        if not sys.stdin.isatty() or owner.as_json:
            failure(f"{needed}: give it with --code")
        console.print(f"{needed}.")
        owner.run(with_code(typer.prompt("Code")))


def _map(text: str, place: int, tags: tuple[str, ...]) -> Map:
    names, equals, uri = text.partition("=")
    try:
        services = tuple(Service(name.strip()) for name in names.split(","))
        host = parse_service_uri(uri).host
    except MalformedServiceUri as error:
        usage_error(f"--uri: {error}")
    except ValueError:
        usage_error("--uri begins with voice, video or im, such as voice,video=sip:...")
    if not equals:
        usage_error("--uri is SERVICE[,SERVICE]=URI")
    return Map(host, services, uri, _STEP * place, tags)


def _identifier(text: str) -> Identifier:
    try:
        return identifier_of(text)
    except Refused as refused:
        usage_error(refused.detail)


def _read_release(path: Path | None) -> dict[str, object] | None:
    if path is None:
        return None
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or set(document) != {"token", "chain"}:
        usage_error(f"{path} is no release")
    return document


async def _with_client(
    trust_anchors: Path | None,
    nameserver: list[str] | None,
    work: Callable[[ServiceClient], Awaitable[R]],
) -> R:
    servers = tuple(split_endpoint(server) for server in nameserver or ())
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


def _show(answer: CheckedAnswer, as_json: bool, keys: Sequence[X25519PrivateKey]) -> None:
    for proven in answer.records:
        record = proven.record
        if as_json:
            continue
        console.print(
            f"[bold]{escape(str(record.csi))}[/] seq {record.seq}, key {proven.thumbprint[:16]}, "
            f"{'logged' if proven.logged else 'not logged'}"
        )
        for each in sorted(record.maps, key=lambda one: one.prio):
            names = ",".join(each.services)
            console.print(f"  {each.prio:5} {names:12} [green]{escape(each.uri)}[/]")
        for each in open_maps(record, keys):
            names = ",".join(each.services)
            console.print(f"  sealed for you: {names:12} [green]{escape(each.uri)}[/]")
    if as_json:
        emit_json(_document(answer, keys))
    else:
        for why in answer.refused:
            console.print(f"[red]record refused:[/] {escape(str(why))}")
        console.print(f"{answer.directory}: [bold]{answer.status}[/]")


def _document(answer: CheckedAnswer, keys: Sequence[X25519PrivateKey]) -> dict[str, object]:
    return {
        "directory": answer.directory,
        "status": str(answer.status),
        "records": [
            {
                "claims": proven.record.claims(),
                **proven.evidence.document(),
                "key": proven.thumbprint,
                "logged": proven.logged,
                "opened": [each.claim() for each in open_maps(proven.record, keys)],
                "usable_until": int(proven.usable_until),
            }
            for proven in answer.records
        ],
        "refused": [str(why.reason) for why in answer.refused],
    }
