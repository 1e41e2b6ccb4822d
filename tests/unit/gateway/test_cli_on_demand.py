"""The command line lists its commands without importing them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gateway.cli.main import Commands, DirectoryCommands, app
from gateway.cli.on_demand import OnDemand

GROUPS = (Commands, DirectoryCommands)


def _first_paragraph(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_the_list_says_what_each_command_says_of_itself(group: type[OnDemand]) -> None:
    said = {name: _first_paragraph(of.load(name)) for name, of in group.members.items()}
    assert said == {name: of.help for name, of in group.members.items()}


@pytest.mark.parametrize("words", [[], ["directory"]])
def test_help_imports_no_command(words: list[str]) -> None:
    asked = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from gateway.cli.main import app\n"
        f"assert CliRunner().invoke(app, {[*words, '--help']!r}).exit_code == 0\n"
        "print(*(name for name in sys.modules if name.startswith(('gateway.', 'discovery'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True)
    assert set(done.stdout.split()) == {"gateway.cli", "gateway.cli.main", "gateway.cli.on_demand"}


@pytest.mark.parametrize(
    "words", [["sip", "check"], ["directory", "relay"], ["cert", "renew"], ["show"]]
)
def test_a_command_shows_its_own_options(words: list[str]) -> None:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0, done.output
    assert "--json" in done.output
    assert f"Usage: spingate {' '.join(words)} " in done.output
    assert "--install-completion" not in done.output


def test_a_mistyped_command_is_told_its_neighbours() -> None:
    done = CliRunner().invoke(app, ["directory", "isuer"])
    assert done.exit_code == 2
    assert "'issuer'" in done.output


def test_every_command_of_a_group_is_on_the_list() -> None:
    root: Any = get_command(app)
    assert set(root.commands) == {*Commands.members, "directory", "version"}
    assert set(root.commands["directory"].commands) == set(DirectoryCommands.members)
