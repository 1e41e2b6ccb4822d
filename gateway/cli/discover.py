"""`spingate discover`: ask a running gateway which provider serves a number."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from gateway.cli.gateway_options import ConfigFile, Json, read_config
from gateway.cli.output import EXIT_FAILED, console, emit_json, failure, usage_error
from gateway.config import ConfigError
from gateway.http.admin_client import NoGateway, WrongQuestion, ask_admin

Service = Literal["voice", "video", "message"]


def discover(
    number: Annotated[str, typer.Argument(help="The number to look up.")],
    config: ConfigFile,
    service: Annotated[Service, typer.Option(help="What the number is wanted for.")] = "voice",
    sender: Annotated[
        str | None, typer.Option("--from", help="Own number that invites; the first by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find the provider of a number through the running gateway, and say who was asked."""
    settings = read_config(config)
    first = sender or settings.provider.numbers[0].partition("-")[0]
    try:
        question = {"number": number, "service": service, "from": first}
        patience = settings.discovery.budget_seconds + 5.0
        resolution = asyncio.run(ask_admin(settings, "/v1/discover", question, timeout=patience))
    except (ConfigError, WrongQuestion) as error:
        usage_error(str(error))
    except NoGateway as error:
        failure(str(error))
    if as_json:
        emit_json(resolution)
    else:
        _tell(resolution)
    raise typer.Exit(0 if resolution.get("uris") else EXIT_FAILED)


def _tell(resolution: dict[str, Any]) -> None:
    for source in resolution["asked"]:
        detail = f" ({source['detail']})" if source["detail"] else ""
        console.print(
            f" {source['source']:9} {source['outcome']}{escape(detail)} "
            f"[dim]{source['seconds'] * 1000:.1f} ms[/]"
        )
    for found in resolution["uris"]:
        console.print(f" [bold green]{escape(found['uri'])}[/] [dim]({found['assurance']})[/]")
    if not resolution["uris"]:
        declined = any(source["outcome"] == "declined" for source in resolution["asked"])
        console.print(f" [red]{'its owner wants not to be found' if declined else 'not found'}[/]")
