"""`spingate cert trust-list`: take over the policy administrator's list of trusted STI-CAs."""

from __future__ import annotations

import asyncio
import datetime
import time
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from rich.text import Text

from gateway.cli.output import console, emit_json, failure, usage_error
from gateway.cli.stir_input import read_file
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.http.fetch import FetchFailed, FetchLimits, FetchRefused, GuardedClient
from gateway.trust_list_file import KeptList, load_list, save_list
from stir.certificates.certificate import MalformedCredential, load_certificates, name_of
from stir.certificates.issuing import to_pem
from stir.certificates.trust_list import (
    MAX_LIST,
    SignedList,
    TrustListRefused,
    open_trust_list,
    read_trust_list,
)

app = typer.Typer(no_args_is_help=True, help="The administrator's list of trusted STI-CAs.")
_SECONDS = 10.0

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, nothing else.")]
Administrator = Annotated[
    Path,
    typer.Option(
        "--pa-certificate", metavar="FILE", help="PEM of the certificate it is signed with."
    ),
]
State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIRECTORY", help="The gateway's state directory."),
]
TlsRoots = Annotated[
    Path | None,
    typer.Option("--tls-roots", metavar="FILE", help="PEM to trust the list's server by."),
]


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="The list, or where it is.")],
    pa_certificate: Administrator,
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write its roots as a PEM bundle."),
    ] = None,
    tls_roots: TlsRoots = None,
    json: Json = False,
) -> None:
    """Check a list and keep it: for the running gateway (--state), as a PEM bundle (--out)."""
    administrator = _administrator(pa_certificate)
    try:
        last = None if state is None else load_list(state, administrator)
    except TrustListRefused as error:
        usage_error(f"{error}: remove it")
    now = time.time()
    try:
        signed, chain = _obtain(source, tls_roots)
        found = read_trust_list(
            signed, administrator, now, chain=chain, last=last.trust_list if last else None
        )
    except TrustListRefused as error:
        failure(f"{source}: {error}")
    kept = KeptList(found, now, chain)
    try:
        if state is not None:
            save_list(state, kept)
        if out is not None:
            _replace(out, to_pem(found.anchors))
    except OSError as error:
        usage_error(f"{error.filename}: {error.strerror}")
    _report(kept, json)


@app.command()
def show(
    source: Annotated[
        Path, typer.Argument(metavar="FILE|DIRECTORY", help="A list, or the state directory.")
    ],
    pa_certificate: Administrator,
    json: Json = False,
) -> None:
    """Show a list that verifies, also one that has expired."""
    administrator = _administrator(pa_certificate)
    try:
        if source.is_dir():
            kept = load_list(source, administrator)
            if kept is None:
                failure(f"{source} holds no list")
        else:
            signed = open_trust_list(read_file(source))
            now = time.time()
            kept = KeptList(read_trust_list(signed, administrator, now, expired=True), now)
    except TrustListRefused as error:
        failure(f"{source}: {error}")
    _report(kept, json)


def _administrator(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return load_certificates(read_file(path))
    except MalformedCredential as error:
        usage_error(f"{path}: {error}")


def _obtain(source: str, tls_roots: Path | None) -> tuple[SignedList, bytes | None]:
    """Read or fetch a list, and its signer's chain where it is fetched and names one."""
    if not source.lower().startswith("https://"):
        signed = open_trust_list(read_file(Path(source)))
        return signed, signed.chain
    return asyncio.run(_fetch(source, tls_roots))


async def _fetch(url: str, tls_roots: Path | None) -> tuple[SignedList, bytes | None]:
    resolver = DnsResolver(DnsSettings(nameservers=system_nameservers()))
    limits = FetchLimits(timeout=_SECONDS, max_body=MAX_LIST)
    try:
        client = GuardedClient(resolver, limits=limits, trust_file=tls_roots)
        signed = open_trust_list(await _get(client, url))
        chain = signed.chain
        if chain is None and signed.signer_url is not None:
            chain = await _get(client, signed.signer_url)
        return signed, chain
    except OSError:
        usage_error(f"{tls_roots}: not certificates in PEM")
    finally:
        await resolver.close()


async def _get(client: GuardedClient, url: str) -> bytes:
    try:
        fetched = await client.get(url)
    except (FetchFailed, FetchRefused) as error:
        raise TrustListRefused(str(error)) from None
    if fetched.status != 200:
        raise TrustListRefused(f"{url.split('/', 3)[2]}: HTTP status {fetched.status}")
    return fetched.body


def _replace(path: Path, data: bytes) -> None:
    """Replace the file as a whole: a gateway may be reading it."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(data)
    partial.replace(path)


def _report(kept: KeptList, json: bool) -> None:
    found = kept.trust_list
    anchors = [
        {"subject": name_of(anchor), "not_after": f"{anchor.not_valid_after_utc:%Y-%m-%d}"}
        for anchor in found.anchors
    ]
    record: dict[str, object] = {
        "sequence": found.sequence,
        "version": found.version,
        "expires": _moment(found.expires),
        "fetched": _moment(kept.fetched),
        "expired": found.expires is not None and found.expires < time.time(),
        "anchors": anchors,
    }
    if json:
        emit_json(record)
        return
    for name in ("sequence", "version", "expires", "fetched"):
        console.print(Text(f"{name:<9} {record[name]}"))
    if record["expired"]:
        console.print(Text("expired", style="bold red"))
    for anchor in anchors:
        console.print(Text(f"  {anchor['subject']}, until {anchor['not_after']}"))


def _moment(epoch: float | None) -> str | None:
    if epoch is None:
        return None
    try:
        moment = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return str(epoch)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
