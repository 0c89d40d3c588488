"""Options of commands in a file; the command line and the environment take precedence."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

from livemosaic.errors import InvalidRequestError
from livemosaic.model.names import suggested

_NOT_HERE: Final = ("config", "help", "version")
"""Options that mean the one command they are given to."""


def default_file() -> Path:
    """Returns the file that is read where none is named: `~/.config/livemosaic/config.toml` on
    Linux, the folder of applications' settings elsewhere."""
    return Path(typer.get_app_dir("livemosaic")) / "config.toml"


def read_options(path: Path, command: Any) -> dict[str, Any]:
    """Reads the options of a command, and of its subcommands in tables of their names.

    Returns a `default_map` of click. Raises `InvalidRequestError` for what is no TOML, and for a
    name that is no option.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidRequestError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{str(path)!r} is no TOML: {error}") from error
    return _defaults(document, command, str(path))


def _defaults(document: Mapping[str, Any], command: Any, where: str) -> dict[str, Any]:
    options = _options(command)
    commands = getattr(command, "commands", {})
    found: dict[str, Any] = {}
    for name, value in document.items():
        if name in commands and isinstance(value, Mapping):
            found[name] = _defaults(value, commands[name], f"[{name}] of {where}")
        elif name in options and not isinstance(value, Mapping):
            found[options[name]] = value
        else:
            raise InvalidRequestError(
                f"{where}: there is no option {suggested(name, [*options, *commands])}"
            )
    return found


def _options(command: Any) -> dict[str, str]:
    """Returns the parameters of a command by the names of their options, `max-items`."""
    return {
        text.lstrip("-"): param.name
        for param in command.params
        if param.param_type_name == "option"
        for text in param.opts
        if text.startswith("--") and text.lstrip("-") not in _NOT_HERE
    }
