"""Help texts as users of a command line know them: `-h`, and values in plain words."""

from typing import Any, Final

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

CONTEXT: Final = {"help_option_names": ["--help", "-h"]}
"""Settings of the outermost application, which all commands inherit."""
_VALUES: Final = {"<int>": "N", "<float>": "X", "<file>": "FILE", "<directory>": "FOLDER"}
"""What stands for the value of an option, by typer's text for its type."""


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        """Returns what the help lists; see click."""
        return [_plain(param, ctx) for param in super().get_params(ctx)]


class PlainGroup(TyperGroup):
    """A group of commands whose help is plain."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Returns what the help lists; see click."""
        return [_plain(param, ctx) for param in super().get_params(ctx)]


def use_plain_help(app: typer.Typer) -> None:
    """Makes the help of an application's commands plain: no `<bool>`, no `<list[str]>`."""
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        group.cls = PlainGroup
        if group.typer_instance:
            use_plain_help(group.typer_instance)


def _plain(param: Any, ctx: Any) -> Any:
    """Names the value of an option; a flag has none, and an argument has a name already."""
    kind = param.display_type(ctx)
    if isinstance(param, TyperOption) and param.metavar is None:
        param.metavar = "" if param.is_flag else _value(kind)
    if isinstance(param, TyperArgument) and "|" not in kind:
        vars(param)["display_type_rich"] = _untyped
    return param


def _untyped(**_: Any) -> None:
    """Returns what is shown of the type of an argument."""


def _value(kind: str) -> str:
    """Choices, as in `<image|data>`, stay as they are."""
    if kind.endswith(" range>"):
        return "N"
    return kind if "|" in kind else _VALUES.get(kind, "PATH" if kind == "<path>" else "TEXT")
