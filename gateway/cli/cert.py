"""`spingate cert`: look into certificates, run a development authority, make requests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli import cert_acme, trust_list
from gateway.cli.cert_inspect import certificate_record, show_record, unreadable_record
from gateway.cli.cert_options import (
    Codes,
    Exclude,
    Include,
    ListUrl,
    Numbers,
    Permit,
    Ranges,
    read_constraints,
    read_tn_auth_list,
)
from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.cli.stir_input import read_file, read_time
from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    load_certificates,
    load_private_key,
)
from stir.certificates.claim_constraints import ClaimConstraints
from stir.certificates.issuing import (
    DAY,
    Authority,
    Issued,
    issue_sti_certificate,
    issue_tls_certificate,
    key_to_pem,
    load_authority,
    make_csr,
    make_intermediate,
    make_root,
    new_key,
    read_csr,
    to_pem,
)
from stir.certificates.tn_auth_list import TnAuthList

app = typer.Typer(no_args_is_help=True, help="Certificates: inspect, development CA, requests.")
app.add_typer(trust_list.app, name="trust-list")

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, nothing else.")]
DnsNames = Annotated[
    list[str] | None, typer.Option("--dns", metavar="NAME", help="A DNS name; repeatable.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write.")]
KeyOut = Annotated[
    Path | None, typer.Option("--key-out", metavar="FILE", help="Where a new key goes, mode 0600.")
]
Days = Annotated[float, typer.Option("--days", help="Validity in days.")]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the options ask for; lifetime in seconds."""

    numbers: TnAuthList | None
    list_url: str | None
    constraints: ClaimConstraints | None
    name: str
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    lifetime: float


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A PEM chain or a DER certificate.")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Judge at this time, not now.")
    ] = None,
    json: Json = False,
) -> None:
    """Show each certificate of a file, and what makes it unfit for STIR."""
    now = read_time(at)
    try:
        certificates = load_certificates(read_file(file))
    except MalformedCredential as error:
        if json:
            emit_json(unreadable_record(str(error)))
        else:
            console.print(Text(f"{file}: {error}", style="bold red"))
        raise typer.Exit(EXIT_FAILED) from None
    records = [certificate_record(certificate, now) for certificate in certificates]
    for record in records:
        if json:
            emit_json(record)
        else:
            show_record(record)
    raise typer.Exit(EXIT_FAILED if any(record["problems"] for record in records) else 0)


@app.command()
def authority(
    out: Annotated[Path, typer.Option("--out", metavar="DIRECTORY", help="Where its files go.")],
    name: Annotated[str, typer.Option("--name", help="The authority's name.")] = "Development",
    parent: Annotated[
        Path | None,
        typer.Option("--parent", metavar="DIRECTORY", help="An authority to be certified by."),
    ] = None,
    path_length: Annotated[
        int, typer.Option("--path-length", min=0, help="Authorities that may stand below it.")
    ] = 0,
    tn: Numbers = None,
    range_: Ranges = None,
    spc: Codes = None,
    tn_auth_list_url: ListUrl = None,
    json: Json = False,
) -> None:
    """Create a development STI authority: a root and an issuer, or a delegate below --parent."""
    now = time.time()
    out.mkdir(parents=True, exist_ok=True)
    files = {"authority": out / "authority.pem", "authority_key": out / "authority-key.pem"}
    root = None
    if parent is None:
        root = above = make_root(f"{name} STI Root", now)
        files = {"root": out / "root.pem", "root_key": out / "root-key.pem", **files}
    else:
        above = _load_authority(parent)
    _refuse_existing(files.values())
    try:
        issuer = make_intermediate(
            above,
            f"{name} STI Issuing CA",
            now,
            path_length=path_length,
            tn_auth_list=read_tn_auth_list(tn, range_, spc),
            tn_auth_list_url=tn_auth_list_url,
        )
    except ValueError as error:
        usage_error(str(error))
    if root is not None:
        write_public(files["root"], root.certificate_pem)
        write_private(files["root_key"], root.key_pem)
    write_public(files["authority"], to_pem(issuer.certificates))
    write_private(files["authority_key"], issuer.key_pem)
    _report(json, {key: str(path) for key, path in files.items()})


@app.command()
def issue(
    authority: Annotated[
        Path, typer.Option("--authority", metavar="DIRECTORY", help="From `cert authority`.")
    ],
    out: Out,
    key_out: KeyOut = None,
    tn: Numbers = None,
    range_: Ranges = None,
    spc: Codes = None,
    dns: DnsNames = None,
    ip: Annotated[
        list[str] | None, typer.Option("--ip", help="An address, for TLS; repeatable.")
    ] = None,
    csr: Annotated[
        Path | None, typer.Option("--csr", metavar="FILE", help="Issue for this request's key.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="A TLS certificate, not an STI one.")] = False,
    name: Annotated[str, typer.Option("--name", help="Common name.")] = "SHAKEN development",
    days: Days = 30,
    tn_auth_list_url: ListUrl = None,
    must_include: Include = None,
    permit: Permit = None,
    must_exclude: Exclude = None,
    json: Json = False,
) -> None:
    """Issue an STI or TLS certificate from a development authority."""
    issuer = _load_authority(authority)
    wanted = _Wanted(
        numbers=read_tn_auth_list(tn, range_, spc),
        list_url=tn_auth_list_url,
        constraints=read_constraints(must_include, permit, must_exclude),
        name=name,
        dns_names=tuple(dns or ()),
        addresses=tuple(ip or ()),
        lifetime=days * DAY,
    )
    try:
        issued = _issued_tls(issuer, wanted) if tls else _issued_sti(issuer, wanted, csr)
    except ValueError as error:
        usage_error(str(error))
    _write_issued(issued, out, key_out, json)


@app.command()
def csr(
    out: Out,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="An existing P-256 key.")
    ] = None,
    key_out: KeyOut = None,
    tn: Numbers = None,
    range_: Ranges = None,
    spc: Codes = None,
    dns: DnsNames = None,
    name: Annotated[str, typer.Option("--name", help="Common name.")] = "SHAKEN",
    json: Json = False,
) -> None:
    """Make a certificate signing request with a TNAuthList, for an STI-CA."""
    numbers = read_tn_auth_list(tn, range_, spc)
    if numbers is None:
        usage_error("give --tn, --range or --spc")
    if (key is None) == (key_out is None):
        usage_error("give --key for an existing key, or --key-out for a new one")
    written = {"csr": str(out)}
    try:
        if key is not None:
            _refuse_existing([out])
            private = load_private_key(read_file(key))
        else:
            assert key_out is not None
            _refuse_existing([out, key_out])
            private = new_key()
            write_private(key_out, key_to_pem(private))
            written["key"] = str(key_out)
    except MalformedCredential as error:
        usage_error(f"{key}: {error}")
    write_public(out, make_csr(private, name, numbers, dns or ()))
    _report(json, written)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner may read, from the first moment on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        usage_error(f"{error.filename or path}: {error.strerror}")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def write_public(path: Path, data: bytes) -> None:
    """Write a new file, in a new folder if need be; an existing one is never replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        usage_error(f"{error.filename or path}: {error.strerror}")


def _refuse_existing(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists():
            usage_error(f"{path} exists; nothing was written")


def _load_authority(directory: Path) -> Authority:
    certificate, key = directory / "authority.pem", directory / "authority-key.pem"
    try:
        return load_authority(read_file(certificate), read_file(key))
    except (MalformedCredential, KeyMismatch) as error:
        usage_error(f"{directory}: {error}")


def _issued_tls(issuer: Authority, wanted: _Wanted) -> Issued:
    return issue_tls_certificate(
        issuer,
        time.time(),
        dns_names=wanted.dns_names,
        addresses=wanted.addresses,
        lifetime=wanted.lifetime,
    )


def _issued_sti(issuer: Authority, wanted: _Wanted, csr: Path | None) -> Issued:
    """Issue for a new key, or for a request's; the options come before the request's own list."""
    numbers, name, dns_names, public_key = wanted.numbers, wanted.name, wanted.dns_names, None
    missing = "give --tn, --range, --spc or --tn-auth-list-url, or --tls"
    if csr is not None:
        request = read_csr(read_file(csr))
        numbers = numbers or request.tn_auth_list
        name, dns_names, public_key = request.name, request.dns_names, request.public_key
        missing = f"{csr} asks for no TNAuthList; give --tn, --range or --spc"
    if numbers is None and wanted.list_url is None:
        usage_error(missing)
    return issue_sti_certificate(
        issuer,
        numbers,
        time.time(),
        name=name,
        dns_names=dns_names,
        lifetime=wanted.lifetime,
        public_key=public_key,
        tn_auth_list_url=wanted.list_url,
        claim_constraints=wanted.constraints,
    )


def _write_issued(issued: Issued, out: Path, key_out: Path | None, json: bool) -> None:
    written = {"certificate": str(out)}
    if issued.key_pem is None:
        _refuse_existing([out])
    elif key_out is None:
        usage_error("give --key-out for the new key")
    else:
        _refuse_existing([out, key_out])
        write_private(key_out, issued.key_pem)
        written["key"] = str(key_out)
    write_public(out, issued.chain_pem)
    _report(json, written)


def _report(json: bool, written: dict[str, str]) -> None:
    if json:
        emit_json(dict(written))
        return
    for name, path in written.items():
        console.print(Text(f"{name:<14} {path}"))


cert_acme.add_commands(app)
