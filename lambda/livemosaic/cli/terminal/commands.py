"""Commands that are imported when they are run: all of them together take a second."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand
from typer.main import get_group

from livemosaic.cli.terminal.help import PlainGroup, use_plain_help
from livemosaic.process import starting


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """Where a command is, and what lists of commands show of it."""

    module: str
    attribute: str
    """A function, or a `typer.Typer` with commands of its own."""
    summary: str
    """The first paragraph of its help."""


class CommandsOnDemand(Mapping[str, Any]):
    """Commands of click by their names, each imported when it is first asked for."""

    def __init__(self, places: Mapping[str, CommandPlace]) -> None:
        self._places = places
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class GroupOnDemand(PlainGroup):
    """A group of commands that imports the one that is run, and none for a list of them."""

    places: ClassVar[Mapping[str, CommandPlace]] = {}

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.commands: Any = CommandsOnDemand(self.places)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # click's signature
        """Returns the names of all commands; see click."""
        return list(self.places)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # click's signature
        """Returns what lists show of a command; `resolve_command` finds the one to run."""
        place = self.places.get(cmd_name)
        return TyperCommand(cmd_name, help=place.summary) if place else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Returns the command to run, its name and its arguments; see click."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and self.commands[name], rest


def _load(name: str, place: CommandPlace) -> Any:
    with starting():
        found = getattr(import_module(place.module), place.attribute)
    alone = typer.Typer(rich_markup_mode="markdown")
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    use_plain_help(alone)
    return get_group(alone).commands[name]
