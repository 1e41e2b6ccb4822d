"""The `spingate` command: it only gathers the command groups."""

from __future__ import annotations

import typer

import gateway
from gateway.cli import (
    cache,
    call,
    cert,
    cert_acme,
    conformance,
    cps,
    demo,
    directory,
    discover,
    run,
    sdp,
    show,
    sip,
    stir,
)

app = typer.Typer(
    name="spingate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reach another provider's users by telephone number, verified.",
)

app.command()(demo.demo)
app.command()(run.run)
app.command()(run.check)
app.command()(call.call)
app.command()(discover.discover)
app.command()(conformance.conformance)
app.command()(show.show)
app.add_typer(sip.app)
app.add_typer(sdp.app)
app.add_typer(stir.app, name="stir")
cert_acme.add_commands(cert.app)
app.add_typer(cert.app, name="cert")
app.add_typer(cps.app, name="cps")
app.add_typer(cache.app, name="cache")
app.add_typer(directory.app, name="directory")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(gateway.__version__)


@app.callback()
def _root() -> None:
    """Reach another provider's users by telephone number, verified."""


def main() -> None:
    """Run the command line (console script)."""
    app()
