"""The command `livemosaic`."""

import json
import logging
import secrets
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import livemosaic
from livemosaic import demo as demonstration
from livemosaic import logs
from livemosaic.api.mosaics import NewMosaic, shown, values
from livemosaic.errors import LivemosaicError
from livemosaic.ingest import Outcome
from livemosaic.model import Mosaic
from livemosaic.services import Services, running
from livemosaic.serving import listening, server
from livemosaic.settings import Settings
from livemosaic.sources import Source
from livemosaic.table.open import open_table

_CHUNK = 64
_WORKERS = 8
_MAX_REASONS = 20

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Live mosaics of Cloud-Optimized GeoTIFFs: STAC items go in, map tiles come out.",
)
mosaics = typer.Typer(no_args_is_help=True, help="Create, list, show and delete mosaics.")
app.add_typer(mosaics, name="mosaics")
console = Console(stderr=True, soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"livemosaic {livemosaic.__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    index: Annotated[
        str | None,
        typer.Option(
            envvar="LIVEMOSAIC_INDEX",
            help="Where the index is: `sqlite:///FILE` or `dynamodb://REGION/TABLE`.",
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Where assets may be: a folder, `s3://BUCKET/PREFIX` or `https://HOST/PATH`; "
            "may be repeated. Without it, LIVEMOSAIC_ALLOWED_PREFIXES, else any s3:// and "
            "https://."
        ),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Read what is common to all commands."""
    given: dict[str, Any] = {}
    if index:
        given["index"] = index
    if allow:
        given["allowed_prefixes"] = tuple(_prefix(text) for text in allow)
    with _clear_errors():
        context.obj = Settings(**given)


def _prefix(text: str) -> str:
    return text if "://" in text else str(Path(text).resolve()) + "/"


@mosaics.command("create")
def create(
    context: typer.Context,
    mosaic: Annotated[str, typer.Argument(help="Its id: letters, digits, `_`, `.`, `-`.")],
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    collection: Annotated[
        list[str] | None, typer.Option(help="STAC collection it takes; repeat it. Any by default.")
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", help="CQL2 that an Item must pass: `eo:cloud_cover < 10`."),
    ] = None,
    asset: Annotated[
        list[str] | None, typer.Option(help="Asset it keeps; repeat it. Every GeoTIFF by default.")
    ] = None,
    default_asset: Annotated[
        list[str] | None, typer.Option(help="Asset of a tile that names none; repeat it.")
    ] = None,
    property_: Annotated[
        list[str] | None, typer.Option("--property", help="Item property it keeps; repeat it.")
    ] = None,
    sortby: Annotated[
        str, typer.Option(help="What is on top: `-datetime` newest, `eo:cloud_cover` clearest.")
    ] = "-datetime",
    tms: Annotated[str, typer.Option(help="TileMatrixSet of its index.")] = "WebMercatorQuad",
    minzoom: Annotated[int, typer.Option(help="Smallest zoom of its tiles.")] = 0,
    maxzoom: Annotated[int, typer.Option(help="Largest zoom that its TileJSON names.")] = 22,
    quadkey_zoom: Annotated[int, typer.Option(help="Deepest zoom of an index cell.")] = 14,
    max_cells: Annotated[int, typer.Option(help="Index cells of one scene, at most.")] = 16,
    create_table: Annotated[
        bool, typer.Option(help="Make the DynamoDB table first, if it is not there (on demand).")
    ] = False,
) -> None:
    """Create a mosaic.

    Examples:

    `livemosaic mosaics create alps --collection sentinel-2-c1-l2a --asset visual`

    `livemosaic mosaics create clear --filter "eo:cloud_cover < 10" --sortby eo:cloud_cover`
    """
    with _services(context, create_table=create_table) as services:
        new = NewMosaic(
            id=mosaic,
            title=title,
            collections=collection or ["*"],
            filter=filter_,
            assets=asset or [],
            default_assets=default_asset or [],
            properties=property_ or [],
            sortby=sortby,
            tms=tms,
            minzoom=minzoom,
            maxzoom=maxzoom,
            quadkey_zoom=quadkey_zoom,
            max_cells=max_cells,
        )
        _print(services.mosaics.create(Mosaic(id=new.id, **values(new))))


@mosaics.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List the mosaics."""
    with _services(context) as services:
        found = services.mosaics.all()
    if as_json:
        typer.echo(json.dumps([shown(mosaic).model_dump() for mosaic in found], indent=2))
        return
    table = Table("id", "title", "collections", "bounds", "zooms")
    for mosaic in found:
        bounds = ", ".join(f"{degree:.2f}" for degree in mosaic.bounds or ()) or "empty"
        zooms = f"{mosaic.minzoom}–{mosaic.maxzoom}"
        table.add_row(mosaic.id, mosaic.title, ", ".join(mosaic.collections), bounds, zooms)
    Console().print(table)


@mosaics.command()
def show(context: typer.Context, mosaic: str) -> None:
    """Show one mosaic as JSON."""
    with _services(context) as services:
        _print(services.mosaics.get(mosaic))


@mosaics.command()
def delete(
    context: typer.Context,
    mosaic: str,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a mosaic and all its scenes; run it again if it was cut off on the way."""
    if not yes:
        typer.confirm(f"Delete mosaic {mosaic!r} and all its scenes?", abort=True)
    with _services(context) as services, _progress() as progress:
        task = progress.add_task("deleting scenes", total=None)
        for _ in services.index.drop(mosaic):
            progress.advance(task)
    console.print(f"deleted [bold]{mosaic}[/bold]")


@app.command()
def ingest(
    context: typer.Context,
    source: Annotated[
        list[str], typer.Argument(help="Files of STAC Items, ItemCollections or ndjson; `-`.")
    ],
    mosaic: Annotated[
        str | None, typer.Option(help="Touch this mosaic only; all that want the Item by default.")
    ] = None,
) -> None:
    """Put STAC Items into the mosaics that want them.

    An Item that cannot be taken is named with the reason; the others go on, and the exit code is 1.

    Examples:

    `livemosaic ingest items.ndjson`

    `livemosaic --allow /data/scenes ingest /data/scenes/*.json`

    `curl -s …/search | livemosaic ingest --mosaic alps -`
    """
    with _services(context) as services:
        only = services.mosaics.get(mosaic) if mosaic else None
        counts: dict[str, int] = {}
        reasons = 0
        for outcome in _ingested(services, source, only):
            told: set[str] = {c.change for c in outcome.changes} or {outcome.status}
            for word in told:
                counts[word] = counts.get(word, 0) + 1
            if not outcome.ok:
                reasons += 1
                if reasons <= _MAX_REASONS:
                    console.print(
                        f"{outcome.message_id}: {outcome.reason}", style="red", markup=False
                    )
    _summary(counts, reasons)
    if reasons:
        raise typer.Exit(1)


def _ingested(services: Services, sources: Iterable[str], only: Mosaic | None) -> Iterator[Outcome]:
    with ThreadPoolExecutor(_WORKERS) as pool, _progress() as progress:
        for source in map(Source, sources):
            messages = source.messages()
            task = progress.add_task(source.name, total=source.size)
            while chunk := list(islice(messages, _CHUNK)):
                yield from services.ingest.batch([m for m, _ in chunk], only=only, pool=pool)
                progress.advance(task, sum(length for _, length in chunk))


def _summary(counts: dict[str, int], reasons: int) -> None:
    told = ", ".join(f"{count} {change}" for change, count in sorted(counts.items()))
    console.print(told or "nothing there")
    if reasons > _MAX_REASONS:
        console.print(f"{reasons - _MAX_REASONS} more could not be taken", style="red")


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="LIVEMOSAIC_TOKEN", help="Bearer token of writes; made if not given."),
    ] = None,
) -> None:
    """Serve tiles, maps and the API from this machine.

    Example: `livemosaic --index sqlite:///my.db --allow /data/scenes serve`
    """
    logs.configure()
    given: Settings = context.obj
    chosen = token or secrets.token_urlsafe(16)
    settings = given.model_copy(update={"token": SecretStr(chosen)})
    with _clear_errors(), listening(host, port) as listener, running(settings) as services:
        url = f"http://{host}:{listener.getsockname()[1]}"
        console.print(f"livemosaic on {url}/docs; Ctrl-C ends it")
        for mosaic in services.mosaics.all():
            console.print(f"  {url}/mosaics/{mosaic.id}/map.html")
        if token is None:
            console.print(f"writes need the header  Authorization: Bearer {chosen}")
        server(services).run([listener])


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where scenes and index go; used again next time.")
    ] = Path("demo"),
    count: Annotated[int, typer.Option(min=1, max=96, help="How many scenes.")] = 24,
    every: Annotated[float, typer.Option(min=0, help="Seconds between arrivals.")] = 2.0,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the map in the browser.")] = True,
    stay: Annotated[bool, typer.Option(help="Go on serving when all have arrived.")] = True,
) -> None:
    """Watch a mosaic come alive: made-up satellite scenes arrive one by one on a map.

    Everything stays in one folder on this machine: scenes (COGs), STAC Items and the index.

    Example: `livemosaic demo --count 12 --every 1`
    """
    with _clear_errors(), _progress() as progress:
        demonstration.run(
            demonstration.Demo(folder, count, every, port, browser, stay), progress, console
        )


@contextmanager
def _services(context: typer.Context, *, create_table: bool = False) -> Iterator[Services]:
    settings: Settings = context.obj
    with _clear_errors():
        table = open_table(settings.index, create=create_table)
        with running(settings, table) as services:
            yield services


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except LivemosaicError as error:
        _stop(str(error))
    except ValidationError as error:
        told = [f"{p['loc'][0]}: {p['msg']} (it is {p['input']!r})" for p in error.errors()]
        _stop("; ".join(told))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _stop(reason: str) -> NoReturn:
    console.print(f"error: {reason}", style="red", markup=False, highlight=False)
    raise typer.Exit(1)


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())


def _print(mosaic: Mosaic) -> None:
    typer.echo(shown(mosaic).model_dump_json(indent=2))


def main() -> None:
    """Run the command."""
    logging.getLogger("livemosaic").addHandler(logging.NullHandler())
    app()
