"""`spingate stir`: sign, verify and explain PASSporTs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.gateway_options import read_config
from gateway.cli.output import EXIT_FAILED, emit_json
from gateway.cli.stir_explain import explain
from gateway.cli.stir_fetch import fetch_credentials
from gateway.cli.stir_input import (
    read_anchors,
    read_credential,
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
from gateway.cli.stir_report import call_record, show_checks
from gateway.cli.stir_sign import sign

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


app.command()(sign)
app.command()(explain)
