"""`spingate stir sign`: an Identity header value made with a key file."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.stir_input import read_claims, read_file
from gateway.cli.stir_options import Json
from gateway.cli.stir_report import signed_record
from stir.authentication import AuthenticationService, CannotSign, SigningRequest
from stir.certificates.certificate import KeyMismatch, MalformedCredential
from stir.media_keys import Fingerprint

_Key = Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key, PEM.")]
_X5u = Annotated[str, typer.Option("--x5u", metavar="URL", help="Where the chain is served.")]
_Orig = Annotated[str, typer.Option("--orig", metavar="TN", help="The calling number.")]
_Dest = Annotated[
    list[str], typer.Option("--dest", metavar="TN", help="A called number or URI; repeatable.")
]
_Cert = Annotated[
    Path | None,
    typer.Option("--cert", metavar="FILE", help="The chain, to check the key against."),
]
_Attest = Annotated[
    Literal["A", "B", "C"] | None,
    typer.Option("--attest", help="Make a shaken PASSporT; without it, a plain one."),
]
_Origid = Annotated[
    str | None, typer.Option("--origid", metavar="UUID", help="Random where not given.")
]
_Iat = Annotated[
    int | None,
    typer.Option("--iat", metavar="SECONDS", help="Epoch seconds; now if not given."),
]
_Mky = Annotated[
    list[str] | None,
    typer.Option("--mky", metavar="'sha-256 AB:..'", help="An SDP fingerprint; repeatable."),
]
_Ppt = Annotated[
    Literal["rcd", "rph", "msg", "msec"] | None,
    typer.Option("--ppt", help="Make a PASSporT of this type, its claims from --claims."),
]
_Claims = Annotated[
    Path | None,
    typer.Option(
        "--claims", metavar="FILE", help="More claims, a JSON object; rcd may go into any type."
    ),
]
_Body = Annotated[
    Path | None,
    typer.Option("--body", metavar="FILE", help="The body of a MESSAGE, for msgi."),
]
_Compact = Annotated[
    bool, typer.Option("--compact", help="The signature alone; plain PASSporTs only.")
]


def sign(
    key: _Key,
    x5u: _X5u,
    orig: _Orig,
    dest: _Dest,
    cert: _Cert = None,
    attest: _Attest = None,
    origid: _Origid = None,
    iat: _Iat = None,
    mky: _Mky = None,
    ppt: _Ppt = None,
    claims: _Claims = None,
    body: _Body = None,
    compact: _Compact = False,
    json: Json = False,
) -> None:
    """Sign an Identity header value with a key file; the key itself is never shown."""
    service = _service(key, cert, x5u)
    request = SigningRequest(
        orig_tn=orig,
        dest_tns=tuple(text for text in dest if ":" not in text),
        dest_uris=tuple(text for text in dest if ":" in text),
        iat=int(time.time()) if iat is None else iat,
        attest=attest,
        origid=str(uuid.uuid4()) if attest is not None and origid is None else origid,
        fingerprints=_fingerprints(mky or ()),
        ppt=ppt,
        claims=read_claims(claims, body),
    )
    try:
        value = service.sign(request, compact=compact)
    except CannotSign as error:
        usage_error(str(error))
    if json:
        emit_json(signed_record(value))
    else:
        console.out(value, highlight=False)


def _service(key: Path, cert: Path | None, x5u: str) -> AuthenticationService:
    chain = None if cert is None else read_file(cert)
    try:
        return AuthenticationService(read_file(key), chain, x5u)
    except (MalformedCredential, KeyMismatch) as error:
        usage_error(f"{key}: {error}")
    except CannotSign as error:
        usage_error(str(error))


def _fingerprints(texts: Iterable[str]) -> tuple[Fingerprint, ...]:
    found = []
    for text in texts:
        algorithm, space, value = text.strip().partition(" ")
        if not space:
            usage_error("--mky: a hash name and a fingerprint, as in an a=fingerprint line")
        found.append((algorithm, value.strip()))
    return tuple(found)
