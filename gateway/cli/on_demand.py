"""Command groups that import the module of a command when it is called, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


class Member(NamedTuple):
    """A command: the module it is in, its name there (a function or a Typer), what help says."""

    module: str
    attribute: str
    help: str

    def load(self, name: str) -> Any:
        """Import the module and return the command of this name."""
        found = getattr(import_module(self.module), self.attribute)
        if isinstance(found, typer.Typer):
            command: Any = get_group(found)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(name)(found)
            command = get_command(alone)
        command.name = name
        return command


class OnDemand(TyperGroup):
    """A group that knows its commands by name and help alone; subclasses say which they are."""

    members: ClassVar[dict[str, Member]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        own = self.commands
        listed = {name: TyperCommand(name, help=of.help) for name, of in self.members.items()}
        self.commands = {**listed, **own}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of the first argument, as the group does, and import it now."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.members:
            command = self.members[name].load(name)
        return name, command, rest
