"""`spingate conformance`: good and bad PASSporTs for a target, and what it made of them."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

import typer

from gateway.cli import conformance_options as options
from gateway.cli.conformance_report import outcome_record, show_outcome, show_summary
from gateway.cli.conformance_setup import Setup, conduct, prepare
from gateway.cli.output import EXIT_FAILED, emit_json, failure, usage_error
from gateway.conformance.case import Outcome
from gateway.conformance.cases import CASES


def conformance(
    target: options.Target,
    caller: options.Caller,
    called: options.Called = None,
    serve: options.Serve = None,
    base_url: options.BaseUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    authority: options.FromAuthority = None,
    export_root: options.ExportRoot = None,
    cert: options.Cert = None,
    key: options.Key = None,
    x5u: options.X5u = None,
    receiver: options.Receiver = None,
    bind: options.Bind = None,
    domain: options.Domain = "conformance.invalid",
    ca: options.Ca = None,
    token_file: options.TokenFile = None,
    only: options.Only = None,
    timeout: options.Timeout = 10.0,
    pause: options.Pause = 0.2,
    json: options.Json = False,
) -> None:
    """Test anybody's verification or signing service with good and bad PASSporTs.

    The cases are run one after the other. A call that is let through is cancelled at once.
    """
    chosen = _chosen(only)
    setup = prepare(
        Setup(target, caller, called, bind, domain, ca, timeout, pause, chosen),
        token_file=token_file,
        serve=serve,
        base_url=base_url,
        tls=(tls_cert, tls_key),
        authority=authority,
        own=(cert, key, x5u),
        receiver=receiver,
        export_root=export_root,
    )
    if export_root is not None and authority is None and sys.stdin.isatty():
        # the root was made just now: nobody can trust it yet
        typer.prompt(f"Let the target trust {export_root}, then press Enter", "", err=True)
    _report(setup, json)


def _chosen(only: list[str] | None) -> tuple[str, ...]:
    unknown = set(only or ()) - {case.name for case in CASES}
    if unknown:
        usage_error(f"--only {', '.join(sorted(unknown))}: no such case")
    return tuple(only or ())


def _report(setup: Setup, json: bool) -> NoReturn:
    outcomes = asyncio.run(_run(setup, json))
    if not json:
        show_summary(outcomes)
    failed = any(outcome.result == "fail" for outcome in outcomes)
    raise typer.Exit(EXIT_FAILED if failed or not outcomes else 0)


async def _run(setup: Setup, json: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    try:
        async for outcome in conduct(setup):
            outcomes.append(outcome)
            if json:
                emit_json(outcome_record(outcome))
            else:
                show_outcome(outcome)
    except OSError as error:
        failure(f"cannot be run: {error.strerror or error}")
    return outcomes
