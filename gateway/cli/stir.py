"""`spingate stir`: sign, verify and explain PASSporTs."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.cli.run import read_config
from gateway.cli.stir_explain import explain
from gateway.cli.stir_fetch import fetch_credentials
from gateway.cli.stir_input import (
    read_anchors,
    read_claims,
    read_credential,
    read_file,
    read_subject,
    read_time,
    with_numbers,
)
from gateway.cli.stir_judge import Judge, make_policy, urls
from gateway.cli.stir_options import (
    Anchors,
    At,
    Cert,
    CodeNumbers,
    Codes,
    Dest,
    Fetch,
    Freshness,
    GatewayConfig,
    Json,
    Key,
    Message,
    Orig,
)
from gateway.cli.stir_report import call_record, show_checks, signed_record
from stir.authentication import AuthenticationService, CannotSign, SigningRequest
from stir.certificates.certificate import KeyMismatch, MalformedCredential
from stir.media_keys import Fingerprint

app = typer.Typer(no_args_is_help=True, help="Sign, verify and explain PASSporTs (RFC 8224).")


@app.command()
def verify(
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="FILE", help="An Identity header value.")
    ] = None,
    token: Annotated[str | None, typer.Option("--token", help="A bare PASSporT.")] = None,
    message: Message = None,
    orig: Orig = None,
    dest: Dest = None,
    cert: Cert = None,
    key: Key = None,
    trust_anchor: Anchors = None,
    at: At = None,
    freshness: Freshness = 60,
    accept_spc: Codes = None,
    spc_number: CodeNumbers = None,
    fetch: Fetch = False,
    config: GatewayConfig = None,
    json: Json = False,
) -> None:
    """Check a PASSporT step by step; what is not given is skipped, and says so."""
    subject = with_numbers(read_subject(token, identity, message), orig, dest)
    policy = make_policy(freshness, accept_spc, spc_number)
    settings = None if config is None else read_config(config)
    fetched = fetch_credentials(urls(subject, policy), settings) if fetch else {}
    judge = Judge(
        policy, read_anchors(trust_anchor or (), settings), read_credential(cert, key), fetched
    )
    call = judge.verdict(subject, read_time(at))
    if json:
        emit_json(call_record(call))
    else:
        show_checks(call)
    raise typer.Exit(0 if call.outcome == "valid" else EXIT_FAILED)


@app.command()
def sign(
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key, PEM.")],
    x5u: Annotated[str, typer.Option("--x5u", metavar="URL", help="Where the chain is served.")],
    orig: Annotated[str, typer.Option("--orig", metavar="TN", help="The calling number.")],
    dest: Annotated[
        list[str], typer.Option("--dest", metavar="TN", help="A called number or URI; repeatable.")
    ],
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="The chain, to check the key against."),
    ] = None,
    attest: Annotated[
        Literal["A", "B", "C"] | None,
        typer.Option("--attest", help="Make a shaken PASSporT; without it, a plain one."),
    ] = None,
    origid: Annotated[
        str | None, typer.Option("--origid", metavar="UUID", help="Random where not given.")
    ] = None,
    iat: Annotated[
        int | None,
        typer.Option("--iat", metavar="SECONDS", help="Epoch seconds; now if not given."),
    ] = None,
    mky: Annotated[
        list[str] | None,
        typer.Option("--mky", metavar="'sha-256 AB:..'", help="An SDP fingerprint; repeatable."),
    ] = None,
    ppt: Annotated[
        Literal["rcd", "rph", "msg"] | None,
        typer.Option("--ppt", help="Make a PASSporT of this type, its claims from --claims."),
    ] = None,
    claims: Annotated[
        Path | None,
        typer.Option(
            "--claims", metavar="FILE", help="More claims, a JSON object; rcd may go into any type."
        ),
    ] = None,
    body: Annotated[
        Path | None,
        typer.Option("--body", metavar="FILE", help="The body of a MESSAGE, for msgi."),
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="The signature alone; plain PASSporTs only.")
    ] = False,
    json: Json = False,
) -> None:
    """Sign an Identity header value with a key file; the key itself is never shown."""
    certificate = None if cert is None else read_file(cert)
    try:
        service = AuthenticationService(read_file(key), certificate, x5u)
        value = service.sign(
            SigningRequest(
                orig_tn=orig,
                dest_tns=tuple(text for text in dest if ":" not in text),
                dest_uris=tuple(text for text in dest if ":" in text),
                iat=int(time.time()) if iat is None else iat,
                attest=attest,
                origid=str(uuid.uuid4()) if attest is not None and origid is None else origid,
                fingerprints=tuple(_fingerprint(text) for text in mky or ()),
                ppt=ppt,
                claims=read_claims(claims, body),
            ),
            compact=compact,
        )
    except (MalformedCredential, KeyMismatch) as error:
        usage_error(f"{key}: {error}")
    except CannotSign as error:
        usage_error(str(error))
    if json:
        emit_json(signed_record(value))
    else:
        console.out(value, highlight=False)


def _fingerprint(text: str) -> Fingerprint:
    algorithm, space, value = text.strip().partition(" ")
    if not space:
        usage_error("--mky: a hash name and a fingerprint, as in an a=fingerprint line")
    return algorithm, value.strip()


app.command()(explain)
