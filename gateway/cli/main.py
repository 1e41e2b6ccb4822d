"""The `spingate` command: which commands there are, and the module of each."""

from __future__ import annotations

from typing import ClassVar

import typer

import gateway
from gateway.cli.on_demand import Member, OnDemand


class Commands(OnDemand):
    """What stands behind `spingate`."""

    members: ClassVar = {
        "demo": Member(
            "gateway.cli.demo",
            "demo",
            "Two providers on loopback, one call found by nothing but a number, and a report.",
        ),
        "run": Member(
            "gateway.cli.run",
            "run",
            "Run the gateway until it is told to stop (SIGTERM drains, SIGINT stops).",
        ),
        "check": Member(
            "gateway.cli.run",
            "check",
            "Check a configuration and its world: keys, certificates, DNS, directories, clock.",
        ),
        "call": Member(
            "gateway.cli.call",
            "call",
            "Place a call from a user's number with a softphone, and tell what was heard.",
        ),
        "discover": Member(
            "gateway.cli.discover",
            "discover",
            "Find the provider of a number through the running gateway, and say who was asked.",
        ),
        "show": Member(
            "gateway.cli.show",
            "show",
            "Show what a running gateway holds: calls, peers, configuration, caches, revocation.",
        ),
        "conformance": Member(
            "gateway.cli.conformance",
            "conformance",
            "Test anybody's verification or signing service with good and bad PASSporTs.",
        ),
        "stir": Member(
            "gateway.cli.stir",
            "app",
            "Sign, verify and explain PASSporTs (RFC 8224).",
        ),
        "cert": Member(
            "gateway.cli.cert",
            "app",
            "Certificates: inspect, development CA, requests.",
        ),
        "cache": Member(
            "gateway.cli.cache",
            "app",
            "Certificates behind x5u URLs that a running gateway keeps: preload, list, clear.",
        ),
        "cps": Member(
            "gateway.cli.cps",
            "app",
            "A call placement service for out-of-band STIR.",
        ),
        "sip": Member(
            "gateway.cli.sip",
            "app",
            "Check SIP messages and URIs.",
        ),
        "sdp": Member(
            "gateway.cli.sdp",
            "app",
            "Check session descriptions.",
        ),
    }


class DirectoryCommands(OnDemand):
    """What stands behind `spingate directory`."""

    members: ClassVar = {
        "run": Member(
            "gateway.cli.directory",
            "run",
            "Run a directory, and the authority beside it, until it is told to stop.",
        ),
        "check": Member(
            "gateway.cli.directory_check",
            "check",
            "Check the file of a directory, token issuer, relay, evaluator or bucket store.",
        ),
        "authority": Member(
            "gateway.cli.directory",
            "authority",
            "Make the authority's root and issuing certificate; keep the root's key elsewhere.",
        ),
        "register": Member(
            "gateway.cli.directory_owner",
            "register",
            "Prove control over a number, and register where it is reached.",
        ),
        "opt-out": Member(
            "gateway.cli.directory_owner",
            "opt_out",
            "Register that the number wants to be found nowhere.",
        ),
        "remove": Member(
            "gateway.cli.directory_owner",
            "remove",
            "Take a number out of the directory: your own, or as its provider with --certificate.",
        ),
        "object": Member(
            "gateway.cli.directory_owner",
            "object_to_claims",
            "Refuse the claims of other keys on your number.",
        ),
        "release": Member(
            "gateway.cli.directory_owner",
            "release",
            "Print, as JSON, what lets another key take the number over without waiting.",
        ),
        "lookup": Member(
            "gateway.cli.directory_lookup",
            "lookup",
            "Look a number up in one directory, and show how each record is proven.",
        ),
        "sealing-key": Member(
            "gateway.cli.directory_sealing",
            "show_sealing_key",
            "Print the public key under which others can seal maps for you.",
        ),
        "evaluator": Member(
            "gateway.cli.directory_split",
            "evaluator",
            "Run an evaluator, server A of split storage, until it is told to stop.",
        ),
        "evaluator-key": Member(
            "gateway.cli.directory_split",
            "evaluator_key",
            "Print the public keys that directory and gateways pin (evaluator_keys).",
        ),
        "buckets": Member(
            "gateway.cli.directory_split",
            "buckets",
            "Run a bucket store, server B of split storage, until it is told to stop.",
        ),
        "monitor": Member(
            "gateway.cli.directory_monitor",
            "monitor",
            "Watch a log for your number: bindings by others, removals, a log that forks.",
        ),
        "witness": Member(
            "gateway.cli.directory_witness",
            "witness",
            "Run a witness until it is told to stop; its public key is printed first.",
        ),
        "issuer": Member(
            "gateway.cli.directory_oblivious",
            "issuer",
            "Run an issuer of tokens until it is told to stop; SIGHUP reads its keys again.",
        ),
        "issuer-key": Member(
            "gateway.cli.directory_oblivious",
            "issuer_key",
            "Show an issuer's keys; makes the first if there is none, with --new the next one.",
        ),
        "relay": Member(
            "gateway.cli.directory_oblivious",
            "relay",
            "Run a relay of Oblivious HTTP until it is told to stop.",
        ),
    }


app = typer.Typer(
    name="spingate",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reach another provider's users by telephone number, verified.",
)
directory = typer.Typer(
    cls=DirectoryCommands,
    no_args_is_help=True,
    help="The directory: numbers and addresses to providers.",
)
app.add_typer(directory, name="directory")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(gateway.__version__)


@app.callback()
def _root() -> None:
    """Reach another provider's users by telephone number, verified."""


@directory.callback()
def _directory() -> None:
    """The directory: numbers and addresses to providers."""


def main() -> None:
    """Run the command line (console script)."""
    app()
