"""`livemosaic items`: lists, shows and deletes the scenes of a mosaic."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from livemosaic.cli.session import Session, clear_errors, console
from livemosaic.errors import InvalidRequestError

if TYPE_CHECKING:
    from livemosaic.client.mosaic import OpenMosaic

_LISTED: Final = 100

app = typer.Typer(no_args_is_help=True, help="List, show and delete the scenes of a mosaic.")

Collection = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The collection of the Item, unless it has none."),
]


@contextmanager
def _mosaic(context: typer.Context, mosaic: str) -> Iterator["OpenMosaic"]:
    """Opens a mosaic of the index or API of a command."""
    from livemosaic.client.connection import open_mosaics  # as slow to import as all the rest

    session: Session = context.obj
    with clear_errors(), open_mosaics(session.api, settings=session.settings) as mosaics:
        yield mosaics[mosaic]


@app.command("list")
def list_(
    context: typer.Context,
    mosaic: str,
    *,
    bbox: Annotated[
        str | None,
        typer.Option(metavar="W,S,E,N", help="Scenes in a box, in degrees: the topmost first."),
    ] = None,
    datetime: Annotated[
        str | None, typer.Option(metavar="A/B", help="Scenes of these times: 2025-07, 2025-01-01/…")
    ] = None,
    cql2: Annotated[
        str | None, typer.Option("--filter", metavar="CQL2", help="Scenes that a filter passes.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="List no more than so many.")] = _LISTED,
    as_json: Annotated[
        bool, typer.Option("--json", help="As STAC Items, one a line, for programs.")
    ] = False,
) -> None:
    """List the scenes of a mosaic.

    Examples:

    `livemosaic items list alps --bbox 7,45,8,46 --datetime 2025-07`

    `livemosaic --api https://HOST items list alps --filter "eo:cloud_cover < 10"`

    `livemosaic items list alps --limit 1000000 --json > items.ndjson`
    """
    rule: Any = {name: value for name, value in (("datetime", datetime), ("filter", cql2)) if value}
    with _mosaic(context, mosaic) as found, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scenes = found.scenes(_box(bbox) if bbox else None, limit=limit + 1, **rule)
    if as_json:
        for scene in scenes[:limit]:
            typer.echo(json.dumps(scene, ensure_ascii=False))
    else:
        Console().print(_table(scenes[:limit]))
    if len(scenes) > limit:
        console.print(f"there are more than {limit:,}: --limit lists more")
    for warning in caught:
        console.print(str(warning.message), style="yellow", markup=False)


def _box(text: str) -> tuple[float, ...]:
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError as error:
        raise InvalidRequestError(f"--bbox must be W,S,E,N in degrees; it is {text!r}") from error
    return west, south, east, north


def _table(scenes: list[dict[str, Any]]) -> Table:
    table = Table("id", "collection", "datetime", "assets")
    for scene in scenes:
        time = scene["properties"].get("datetime") or scene["properties"].get("start_datetime")
        table.add_row(scene["id"], scene.get("collection"), time, ", ".join(scene["assets"]))
    return table


@app.command()
def show(context: typer.Context, mosaic: str, item: str, collection: Collection = None) -> None:
    """Show a scene as a STAC Item, with what the mosaic keeps of it.

    Example: `livemosaic items show alps S2B_32TLS_20250713 --collection sentinel-2-c1-l2a`
    """
    with _mosaic(context, mosaic) as found:
        typer.echo(json.dumps(found.scene(item, collection), indent=2, ensure_ascii=False))


@app.command()
def delete(
    context: typer.Context,
    mosaic: str,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Ids of scenes.")],
    *,
    collection: Collection = None,
    force: Annotated[
        bool,
        typer.Option(help="Also where a version is there that is newer, such as of the future."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete scenes of a mosaic. What an event brings later is shown again.

    Example: `livemosaic items delete alps S2B_32TLS_20250713 --collection sentinel-2-c1-l2a --yes`
    """
    if not yes:
        typer.confirm(f"Delete {', '.join(items)} of mosaic {mosaic!r}?", abort=True)
    with _mosaic(context, mosaic) as found:
        for item in items:
            found.delete(item, collection, force=force)
            console.print(f"deleted [bold]{item}[/bold]")
