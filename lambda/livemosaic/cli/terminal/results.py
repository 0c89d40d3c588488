"""Results of commands for programs: what `--json` prints, in one way."""

import json
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, TypeAlias

import typer

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, for programs.")
]


def print_json(result: Any) -> None:
    """Prints a result to standard output: JSON values, dataclasses, models of the API."""
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.model_dump(mode="json")
