"""`spingate directory lookup`: what a sender finds in one directory, and how it is proven."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.markup import escape

from discovery.directory.client import CheckedAnswer
from discovery.directory.identifier import Identifier
from discovery.directory.merging import ProvenRecord
from discovery.directory.sealed_maps import open_maps
from discovery.log.checkpoint import parse_checkpoint
from discovery.log.logged import parse_proof
from discovery.log.relying import TrustedLogs
from discovery.model import Service
from gateway.cli import directory_sealing
from gateway.cli.directory_options import (
    Csi,
    Directory,
    LogKeys,
    LogLabels,
    MaxAge,
    Nameserver,
    Quorum,
    Trust,
    Witnesses,
    log_policy,
    read_identifier,
    with_client,
)
from gateway.cli.gateway_options import Json
from gateway.cli.output import EXIT_FAILED, console, emit_json, failure, usage_error
from gateway.directory.keys import TrustedChains
from gateway.directory_client import DirectoryConnection, DirectoryFailed, PlainWay
from gateway.http.service_client import ServiceClient

_TIMEOUT: Final = 10.0


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
    directory_key: Annotated[
        str | None, typer.Option(help="Thumbprint of the directory's key; any it publishes.")
    ] = None,
    log_key: LogKeys = None,
    log_labels: LogLabels = "",
    witness: Witnesses = None,
    quorum: Quorum = None,
    max_age: MaxAge = 86_400.0,
    sealed_key: directory_sealing.SealedKey = None,
    group_secret: directory_sealing.GroupSecret = None,
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Look a number up in one directory, and show how each record is proven.

    With --log-key the proof that a record is in the directory's log is checked too.
    """
    identifier = read_identifier(csi)
    keys = directory_sealing.read_keys(sealed_key or (), group_secret or ())
    url = directory.rstrip("/")
    logs = None
    if log_key:
        policy = log_policy(log_key, witness or (), quorum, max_age, log_labels)
        logs = _ToldLogs(TrustedLogs({url: policy}))
    elif witness or quorum or log_labels:
        usage_error("--witness, --quorum and --log-labels need --log-key")
    token, anchors = _token(token_file), _anchors(owner_trust_anchors)

    async def ask(client: ServiceClient) -> CheckedAnswer:
        way, chains = PlainWay(client, token), TrustedChains(anchors)
        connection = DirectoryConnection(
            url, directory_key, way, client, chains, time.time, logs=logs
        )
        return await connection.ask(identifier, service, timeout=_TIMEOUT)

    try:
        answer = asyncio.run(with_client(trust_anchors, nameserver, ask))
    except DirectoryFailed as error:
        failure(str(error))
    shown = [_record(each, keys, logs) for each in answer.records]
    if as_json:
        refused = [str(why.reason) for why in answer.refused]
        emit_json(
            {
                "directory": answer.directory,
                "status": str(answer.status),
                "records": shown,
                "refused": refused,
            }
        )
    else:
        _show(answer, keys, logs)
    raise typer.Exit(0 if answer.records else EXIT_FAILED)


class _ToldLogs:
    """Checks proofs, and remembers why one does not hold."""

    def __init__(self, logs: TrustedLogs) -> None:
        self._logs = logs
        self._why: dict[str, str] = {}

    def is_logged(
        self,
        directory: str,
        csi: Identifier,
        digest: str,
        proof: Mapping[str, object],
        now: float,
    ) -> bool:
        refused = self._logs.refusal(directory, csi, digest, proof, now)
        if refused is not None:
            self._why[digest] = f"{refused.reason}: {refused.detail}"
        return refused is None

    def why(self, digest: str) -> str:
        """Why a record does not count as logged."""
        return self._why.get(digest, "it came without a proof")


def _token(file: Path | None) -> str | None:
    try:
        return file.read_text("utf-8").partition("\n")[0].strip() if file else None
    except (OSError, UnicodeDecodeError) as error:
        usage_error(f"{file}: {getattr(error, 'strerror', 'is no text')}")


def _anchors(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        usage_error(f"{error.filename}: {error.strerror}")
    except ValueError:
        usage_error(f"{file} holds no PEM certificate")


def _checkpoint(proven: ProvenRecord) -> dict[str, object]:
    """What a proof that holds says: where in which tree, and who has cosigned it."""
    text = (proven.evidence.proof or {}).get("inclusion")
    inclusion = parse_proof(str(text))
    signed = parse_checkpoint(inclusion.checkpoint)
    tree = signed.checkpoint
    names = [line.name for line in signed.note.signatures if line.name != tree.origin]
    return {
        "origin": tree.origin,
        "index": inclusion.index,
        "size": tree.size,
        "root": tree.root.hex(),
        "cosigned_by": names,
    }


def _why_not(proven: ProvenRecord, logs: _ToldLogs | None) -> str:
    return "not checked: give --log-key" if logs is None else logs.why(proven.digest)


def _record(
    proven: ProvenRecord, keys: Sequence[X25519PrivateKey], logs: _ToldLogs | None
) -> dict[str, object]:
    checked: dict[str, object] = (
        {"checkpoint": _checkpoint(proven)} if proven.logged else {"why": _why_not(proven, logs)}
    )
    return {
        "claims": proven.record.claims(),
        **proven.evidence.document(),
        "key": proven.thumbprint,
        "logged": proven.logged,
        "log": checked,
        "opened": [each.claim() for each in open_maps(proven.record, keys)],
        "usable_until": int(proven.usable_until),
    }


def _show(answer: CheckedAnswer, keys: Sequence[X25519PrivateKey], logs: _ToldLogs | None) -> None:
    for proven in answer.records:
        record = proven.record
        console.print(
            f"[bold]{escape(str(record.csi))}[/] seq {record.seq}, key {proven.thumbprint[:16]}"
        )
        for each in sorted(record.maps, key=lambda one: one.prio):
            names = ",".join(each.services)
            console.print(f"  {each.prio:5} {names:12} [green]{escape(each.uri)}[/]")
        for each in open_maps(record, keys):
            names = ",".join(each.services)
            console.print(f"  sealed for you: {names:12} [green]{escape(each.uri)}[/]")
        if proven.logged:
            seen = _checkpoint(proven)
            names = _listed(seen["cosigned_by"])
            console.print(
                f"  [green]logged[/]: entry {seen['index']} of {seen['size']} in "
                f"{escape(str(seen['origin']))}{escape(names)}"
            )
        else:
            console.print(f"  [yellow]not logged[/]: {escape(_why_not(proven, logs))}")
    for why in answer.refused:
        console.print(f"[red]record refused:[/] {escape(str(why))}")
    console.print(f"{escape(answer.directory)}: [bold]{answer.status}[/]")


def _listed(names: object) -> str:
    return (
        f", cosigned by {', '.join(map(str, names))}" if isinstance(names, list) and names else ""
    )
