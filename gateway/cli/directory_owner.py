"""`spingate directory register|opt-out|remove|object|release`: for owners, and `lookup`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from discovery.directory.record import MAX_LIFETIME, Map, Record, Selection
from discovery.directory.sealed_maps import SealedMap, seal_maps
from discovery.model import Service
from discovery.service_uri import MalformedServiceUri, parse_service_uri
from gateway.cli import directory_provider, directory_sealing
from gateway.cli.directory_options import (
    Csi,
    Directory,
    Nameserver,
    Trust,
    read_identifier,
    with_client,
)
from gateway.cli.gateway_options import Json
from gateway.cli.output import console, emit_json, failure, usage_error
from gateway.directory.owner import (
    CodeNeeded,
    OwnerClient,
    OwnerFailed,
    OwnerFile,
    make_release,
)
from gateway.http.service_client import ServiceClient

_STEP: Final = 10

AuthorityUrl = Annotated[
    str | None, typer.Option("--authority", help="URL of the authority; the directory's if absent.")
]
KeyFile = Annotated[
    Path, typer.Option("--key", help="Your key for this number; made where there is none.")
]
Code = Annotated[
    str | None,
    typer.Option("--code", help="The code that came by message; two of them one after the other."),
]
ReleaseFile = Annotated[
    Path | None, typer.Option("--release", help="The former key's release (JSON).", exists=True)
]


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
    directory: Annotated[
        list[str],
        typer.Option("--directory", help="https URL of the directory; providers repeat."),
    ],
    key: KeyFile,
    certificate: Annotated[
        Path | None,
        typer.Option(help="A provider's chain (PEM) for the number's range or mail domain."),
    ] = None,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Take a number out of the directory: your own, or as its provider with --certificate."""
    if certificate is not None:
        directory_provider.withdraw(
            read_identifier(csi), directory, key, certificate, trust_anchors, nameserver, as_json
        )
        return
    if len(directory) != 1:
        usage_error("an owner removes from one --directory at a time")
    owner = _Owner(csi, directory[0], None, key, trust_anchors, nameserver, None, as_json)

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
    identifier = read_identifier(csi)
    try:
        emit_json(make_release(OwnerFile.open(key, identifier), identifier, to, time.time()))
    except OwnerFailed as error:
        failure(str(error))


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
        self.csi = read_identifier(csi)
        self._directory = directory.rstrip("/")
        self._authority = (authority or directory).rstrip("/")
        self._key = key
        self._trust_anchors = trust_anchors
        self._nameserver = nameserver
        self._release = _read_release(release)
        self.as_json = as_json

    def run(
        self,
        work: Callable[[OwnerClient], Awaitable[dict[str, Any]]],
        words: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Do it, print what came of it, or exit with 1; words: what people read for a state."""
        try:
            said = self._do(work)
        except OwnerFailed as error:
            failure(str(error))
        if self.as_json:
            emit_json({"csi": str(self.csi), **said})
        else:
            state = str(said.get("state", "done"))
            console.print(f"{escape(str(self.csi))}: [bold]{words.get(state, state)}[/]")

    def _do(self, work: Callable[[OwnerClient], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        file = OwnerFile.open(self._key, self.csi)

        async def as_owner(client: ServiceClient) -> dict[str, Any]:
            owner = OwnerClient(client, self._directory, self._authority, self.csi, file, time.time)
            owner.present(self._release)
            return await work(owner)

        return asyncio.run(with_client(self._trust_anchors, self._nameserver, as_owner))


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

    words = {} if maps or sealed else {"live": "opted out"}
    try:
        owner.run(with_code(code), words)
    except CodeNeeded as needed:
        if not sys.stdin.isatty() or owner.as_json:
            failure(f"{needed}: give the same command again, with --code")
        console.print(f"{needed}.")
        owner.run(with_code(typer.prompt("Code")), words)


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
