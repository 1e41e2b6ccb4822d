"""`spingate cert`: look into certificates, run a development authority, make requests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from rich.text import Text

from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.cli.stir_input import read_file, read_time
from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    is_authority,
    key_name,
    load_certificates,
    load_private_key,
    tn_auth_list_of,
    unfitness,
    validity_problem,
)
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
from stir.certificates.tn_auth_list import Entry, MalformedTnAuthList, One, Range, Spc, TnAuthList
from stir.reason import Reason

app = typer.Typer(no_args_is_help=True, help="Certificates: inspect, development CA, requests.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, nothing else.")]
Numbers = Annotated[
    list[str] | None, typer.Option("--tn", metavar="TN", help="One number; repeatable.")
]
Ranges = Annotated[
    list[str] | None,
    typer.Option("--range", metavar="START:COUNT", help="Consecutive numbers; repeatable."),
]
Codes = Annotated[
    list[str] | None, typer.Option("--spc", metavar="CODE", help="A provider code; repeatable.")
]
DnsNames = Annotated[
    list[str] | None, typer.Option("--dns", metavar="NAME", help="A DNS name; repeatable.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write.")]
KeyOut = Annotated[
    Path | None, typer.Option("--key-out", metavar="FILE", help="Where a new key goes, mode 0600.")
]
Days = Annotated[float, typer.Option("--days", help="Validity in days.")]


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
            emit_json(_unreadable(str(error)))
        else:
            console.print(Text(f"{file}: {error}", style="bold red"))
        raise typer.Exit(EXIT_FAILED) from None
    records = [_record(certificate, now) for certificate in certificates]
    for record in records:
        if json:
            emit_json(record)
        else:
            _show(record)
    raise typer.Exit(EXIT_FAILED if any(record["problems"] for record in records) else 0)


@app.command()
def authority(
    out: Annotated[Path, typer.Option("--out", metavar="DIRECTORY", help="Where its files go.")],
    name: Annotated[str, typer.Option("--name", help="The authority's name.")] = "Development",
    json: Json = False,
) -> None:
    """Create a development STI authority: a root, and an intermediate that issues."""
    now = time.time()
    root = make_root(f"{name} STI Root", now)
    issuer = make_intermediate(root, f"{name} STI Issuing CA", now)
    out.mkdir(parents=True, exist_ok=True)
    files = {
        "root": out / "root.pem",
        "root_key": out / "root-key.pem",
        "authority": out / "authority.pem",
        "authority_key": out / "authority-key.pem",
    }
    _refuse_existing(files.values())
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
    json: Json = False,
) -> None:
    """Issue an STI or TLS certificate from a development authority."""
    issuer, now = _load_authority(authority), time.time()
    numbers = _tn_auth_list(tn, range_, spc)
    try:
        if tls:
            issued = issue_tls_certificate(
                issuer, now, dns_names=dns or (), addresses=ip or (), lifetime=days * DAY
            )
        elif csr is not None:
            issued = _issue_for(csr, issuer, numbers, now, days)
        elif numbers is None:
            usage_error("give --tn, --range or --spc, or --tls")
        else:
            issued = issue_sti_certificate(
                issuer, numbers, now, name=name, dns_names=dns or (), lifetime=days * DAY
            )
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
    numbers = _tn_auth_list(tn, range_, spc)
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
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        usage_error(f"{path}: {error.strerror}")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def write_public(path: Path, data: bytes) -> None:
    """Write a new file; an existing one is never replaced."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        usage_error(f"{path}: {error.strerror}")


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


def _issue_for(
    path: Path, issuer: Authority, numbers: TnAuthList | None, now: float, days: float
) -> Issued:
    """Issue for a request's key; --tn, --range and --spc come before its own list."""
    request = read_csr(read_file(path))
    granted = numbers or request.tn_auth_list
    if granted is None:
        usage_error(f"{path} asks for no TNAuthList; give --tn, --range or --spc")
    return issue_sti_certificate(
        issuer,
        granted,
        now,
        name=request.name,
        dns_names=request.dns_names,
        lifetime=days * DAY,
        public_key=request.public_key,
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


def _tn_auth_list(
    numbers: list[str] | None, ranges: list[str] | None, codes: list[str] | None
) -> TnAuthList | None:
    entries: list[Entry] = [Spc(code) for code in codes or ()]
    entries += [One(number.removeprefix("+")) for number in numbers or ()]
    for text in ranges or ():
        start, _, count = text.removeprefix("+").partition(":")
        if not (count.isascii() and count.isdigit() and len(count) <= 15):
            usage_error(f"--range {text}: write START:COUNT")
        entries.append(Range(start, int(count)))
    return TnAuthList(tuple(entries)) if entries else None


def _record(certificate: x509.Certificate, now: float) -> dict[str, object]:
    authority = is_authority(certificate)
    try:
        numbers = tn_auth_list_of(certificate)
    except MalformedTnAuthList:
        numbers = None
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "key": key_name(certificate),
        "is_ca": authority,
        "tn_auth_list": [_entry(entry) for entry in numbers.entries] if numbers else [],
        "problems": _problems(certificate, now, authority),
    }


def _problems(certificate: x509.Certificate, now: float, authority: bool) -> list[str]:
    """An issuer signs no PASSporTs itself, so only its validity is held against it."""
    if authority:
        problem = validity_problem(certificate, now)
        return [] if problem is None else [problem.reason.code]
    return [problem.reason.code for problem in unfitness(certificate, now)]


def _unreadable(why: str) -> dict[str, object]:
    return {
        "subject": None,
        "issuer": None,
        "not_before": None,
        "not_after": None,
        "key": None,
        "is_ca": False,
        "tn_auth_list": [],
        "problems": [Reason.CREDENTIAL_MALFORMED.code],
        "detail": why,
    }


def _entry(entry: Entry) -> dict[str, object]:
    if isinstance(entry, Spc):
        return {"spc": entry.code}
    if isinstance(entry, Range):
        return {"range": entry.start, "count": entry.count}
    return {"one": entry.number}


def _show(record: dict[str, object]) -> None:
    console.print(Text(str(record["subject"]), style="bold"))
    for name in ("issuer", "not_before", "not_after", "key", "is_ca", "tn_auth_list"):
        console.print(Text(f"  {name:<13} {record[name]}"))
    problems = record["problems"]
    assert isinstance(problems, list)
    if not problems:
        console.print(Text("  fit", style="green"))
    for code in problems:
        reason = Reason[code.upper()]
        console.print(Text(f"  {code}: {reason.prose} ({reason.clause})", style="bold red"))
        console.print(Text(f"    fix: {reason.fix}"))


def _report(json: bool, written: dict[str, str]) -> None:
    if json:
        emit_json(dict(written))
        return
    for name, path in written.items():
        console.print(Text(f"{name:<14} {path}"))
