"""`spingate conformance`: good and bad PASSporTs for a target, and what it made of them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.conformance_report import outcome_record, show_outcome, show_summary
from gateway.cli.conformance_setup import Setup, conduct, prepare
from gateway.cli.output import EXIT_FAILED, emit_json, failure, usage_error
from gateway.conformance.case import Outcome
from gateway.conformance.cases import CASES

_File = Path | None


def conformance(
    target: Annotated[
        str,
        typer.Argument(
            help="sip:NUMBER@HOST:PORT;transport=udp|tcp|tls to call, or the URL of an "
            "ATIS-1000082 service: https://HOST/stir/v1/verification or .../signing."
        ),
    ],
    caller: Annotated[
        str, typer.Option("--from", metavar="TN", help="The calling number; the suite signs it.")
    ],
    called: Annotated[
        str | None, typer.Option("--to", metavar="TN", help="The called number, for a URL.")
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS:PORT", help="Serve the suite's certificates here."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="How the target reaches them, such as https://lab:8443."),
    ] = None,
    tls_cert: Annotated[
        _File, typer.Option(metavar="FILE", help="HTTPS certificate of that server, PEM chain.")
    ] = None,
    tls_key: Annotated[_File, typer.Option(metavar="FILE", help="Its private key.")] = None,
    authority: Annotated[
        _File,
        typer.Option(
            metavar="DIRECTORY",
            help="Issue from this authority (`spingate cert authority`), which the target trusts.",
        ),
    ] = None,
    export_root: Annotated[
        _File, typer.Option(metavar="FILE", help="Write the suite's root, for the target to trust.")
    ] = None,
    cert: Annotated[
        _File, typer.Option(metavar="FILE", help="Your own good chain, with --key and --x5u.")
    ] = None,
    key: Annotated[_File, typer.Option(metavar="FILE", help="Its private key.")] = None,
    x5u: Annotated[str | None, typer.Option(metavar="URL", help="Where it is published.")] = None,
    receiver: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="Be the callee here (UDP and TCP), to see the verstat the target adds.",
        ),
    ] = None,
    bind: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Call from this address of this machine.")
    ] = None,
    domain: Annotated[
        str, typer.Option(metavar="NAME", help="The domain of the caller's URI.")
    ] = "conformance.invalid",
    ca: Annotated[
        _File, typer.Option(metavar="FILE", help="Who vouches for the target's TLS certificate.")
    ] = None,
    token_file: Annotated[
        _File, typer.Option(metavar="FILE", help="Bearer token for an HTTP service.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CASE", help="Run this case; may be repeated.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.5, max=60, metavar="SECONDS", help="Wait so long for an answer.")
    ] = 10.0,
    pause: Annotated[
        float, typer.Option(min=0.0, max=60, metavar="SECONDS", help="Rest between two cases.")
    ] = 0.2,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a case, nothing else.")
    ] = False,
) -> None:
    """Test anybody's verification or signing service with good and bad PASSporTs.

    The cases are run one after the other. A call that is let through is cancelled at once.
    """
    unknown = set(only or ()) - {case.name for case in CASES}
    if unknown:
        usage_error(f"--only {', '.join(sorted(unknown))}: no such case")
    setup = prepare(
        Setup(target, caller, called, bind, domain, ca, timeout, pause, tuple(only or ())),
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
    outcomes = asyncio.run(_run(setup, json))
    results = Counter(outcome.result for outcome in outcomes)
    if not json:
        show_summary(outcomes)
    raise typer.Exit(EXIT_FAILED if results["fail"] or not outcomes else 0)


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
