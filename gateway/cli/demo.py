"""`spingate demo`: two providers on loopback and a verified call between them."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.output import EXIT_FAILED, console, emit_json, error_console, failure
from gateway.demo.directory_call import directory_call
from gateway.demo.directory_report import DirectoryReport, print_directory
from gateway.demo.directory_scene import TWO_PROVIDERS, DirectoryScene
from gateway.demo.provider import SceneError
from gateway.demo.report import CallReport, print_parts, print_report
from gateway.demo.scene import ALICE, BOB
from gateway.demo.verified_call import PARTIES, verified_call
from gateway.softphone.phone import SoftphoneError

Folder = Annotated[
    Path, typer.Option("--folder", help="Where keys, logs and recordings are put (emptied first).")
]


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the call.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with everything.")
    ] = False,
    folder: Folder = Path("demo"),
) -> None:
    """Two providers on loopback, one call found by nothing but a number, and a report."""
    stay = not once and not as_json and sys.stdout.isatty()
    try:
        ok = asyncio.run(_demo(folder.resolve(), as_json=as_json, stay=stay))
    except (SceneError, SoftphoneError, OSError) as error:
        failure(str(error))
    except KeyboardInterrupt:
        ok = True
    raise typer.Exit(0 if ok else EXIT_FAILED)


async def _demo(folder: Path, *, as_json: bool, stay: bool) -> bool:
    def progress(text: str) -> None:
        if not as_json:
            console.print(f" [green]•[/] {text}")

    if not as_json:
        console.rule("[bold]Two providers on loopback", align="left")
    async with DirectoryScene(folder, progress) as scene:
        try:
            report, found = await _calls(scene, progress, as_json)
        except (SceneError, SoftphoneError, OSError) as error:
            # What a process that died has said, rather than what that did to others.
            dead = await scene.dead()
            raise SceneError(f"{dead} ({error})" if dead else str(error)) from None
        if not (report.ok and found.ok) and (dead := await scene.dead()):
            error_console.print(f"[bold red]spingate:[/] {escape(dead)}", soft_wrap=True)
        if stay:
            await _stay(folder)
    return report.ok and found.ok


async def _calls(
    scene: DirectoryScene, progress: Callable[[str], None], as_json: bool
) -> tuple[CallReport, DirectoryReport]:
    await scene.tokens_ready()
    progress(f"alice dials {BOB}; alpha.example does not know the number")
    report = await verified_call(scene)
    if not as_json:
        print_report(console, report, PARTIES)
    progress(f"owners register; bob dials {ALICE}, which beta.example does not know")
    found = await directory_call(scene)
    _tell(report, found, as_json)
    return report, found


def _tell(report: CallReport, found: DirectoryReport, as_json: bool) -> None:
    parts = report.parts | found.parts
    if as_json:
        ok = report.ok and found.ok
        emit_json(report.as_json() | {"ok": ok, "parts": parts, "directory": found.as_json()})
    else:
        print_directory(console, found)
        print_parts(console, parts)


def _typed(program: str) -> str:
    """Return what a person in this folder types to call this program."""
    if Path(program).name != "spingate":
        return "python -m gateway"
    found = shutil.which("spingate")
    if found is not None and Path(found).resolve() == Path(program).resolve():
        return "spingate"
    return str(_shown(Path(program).absolute()))


def _shown(path: Path) -> Path:
    """Return a path as it is named from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


async def _stay(folder: Path) -> None:
    command, configuration = _typed(sys.argv[0]), f"{_shown(folder)}/alpha/gateway.toml"
    console.print(
        "\nBoth providers stay up. In another terminal:\n"
        f"  [bold]{command} call {BOB} --from {ALICE} -c {configuration}[/]\n"
        f"  [bold]{command} discover {BOB} --from {ALICE} -c {configuration}[/]\n"
        f"  [bold]{command} discover {TWO_PROVIDERS} --from {ALICE} -c {configuration}[/]\n"
        f"Traces, logs and recordings are in {_shown(folder)}/. Ctrl-C ends it.",
        soft_wrap=True,
    )
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    await done.wait()
    console.print("\nStopping.")
