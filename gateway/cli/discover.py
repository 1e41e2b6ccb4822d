"""`spingate discover`: ask a running gateway which provider serves a number."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import aiohttp
import typer
from rich.markup import escape

from gateway.cli.output import EXIT_FAILED, console, emit_json, error_console, usage_error
from gateway.cli.run import ConfigFile, Json, read_config
from gateway.config import Config, ConfigError
from gateway.config.files import read_secret

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
    """Find the provider of a number through the running gateway: cache first, then SPIN."""
    settings = read_config(config)
    first = sender or settings.provider.numbers[0].partition("-")[0]
    try:
        resolution = asyncio.run(_ask(settings, number, service, first))
    except ConfigError as error:
        usage_error(escape(str(error)))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        error_console.print(
            "[bold red]spingate:[/] no gateway answers at the admin address of this "
            f"configuration ({escape(str(error))}); start it with 'spingate run -c FILE'"
        )
        raise typer.Exit(EXIT_FAILED) from None
    if as_json:
        emit_json(resolution)
    else:
        _tell(resolution)
    raise typer.Exit(0 if resolution.get("uris") else EXIT_FAILED)


async def _ask(config: Config, number: str, service: Service, sender: str) -> dict[str, Any]:
    admin = config.admin
    if admin is None:
        raise ConfigError("admin", "is missing: a gateway is asked over its admin interface")
    token = read_secret(admin.token, admin.token_file, "admin.token")
    url = f"http://{admin.address}:{admin.port}/v1/discover"
    timeout = aiohttp.ClientTimeout(config.discovery.budget_seconds + 5.0)
    question = {"number": number, "service": service, "from": sender}
    async with (
        aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"}, timeout=timeout
        ) as session,
        session.post(url, json=question) as answer,
    ):
        answered: dict[str, Any] = await answer.json()
        if answer.status == 400:
            usage_error(escape(str(answered.get("detail"))))
        answer.raise_for_status()
        return answered


def _tell(resolution: dict[str, Any]) -> None:
    for source in resolution["asked"]:
        detail = f" ({source['detail']})" if source["detail"] else ""
        console.print(
            f" {source['source']:6} {source['outcome']}{escape(detail)} "
            f"[dim]{source['seconds'] * 1000:.1f} ms[/]"
        )
    for found in resolution["uris"]:
        console.print(f" [bold green]{escape(found['uri'])}[/] [dim]({found['assurance']})[/]")
    if not resolution["uris"]:
        console.print(" [red]not found[/]")
