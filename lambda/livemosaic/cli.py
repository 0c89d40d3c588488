"""The command `livemosaic`."""

import json
import logging
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
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
from livemosaic.api.mosaics import MosaicOut, NewMosaic
from livemosaic.client import ApiClient, checked
from livemosaic.credentials import use_profile
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.events import Message
from livemosaic.remote import Remote
from livemosaic.services import running
from livemosaic.serving import listening, server
from livemosaic.settings import Settings
from livemosaic.signing import AwsSignature, Bearer
from livemosaic.sources import Source
from livemosaic.table.open import open_table
from livemosaic.target import Local, Target, Told

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


@dataclass(frozen=True, slots=True)
class _Common:
    """What is common to all commands."""

    settings: Settings
    api: str | None
    """The URL of the API to work on; None for the index of the settings."""


@app.callback(
    epilog="Examples:\n\n"
    "`livemosaic --profile prod --index dynamodb://eu-central-1/maps mosaics list`\n\n"
    "`livemosaic --profile prod --api https://HOST ingest items.ndjson`\n\n"
    "`livemosaic --token TOKEN --api http://localhost:8000 mosaics create alps`"
)
def common(
    context: typer.Context,
    index: Annotated[
        str | None,
        typer.Option(
            envvar="LIVEMOSAIC_INDEX",
            help="Where the index is: `sqlite:///FILE` or `dynamodb://REGION/TABLE`.",
        ),
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(
            envvar="LIVEMOSAIC_API",
            metavar="URL",
            help="Work on a deployed API instead. What writes is signed with AWS credentials.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="AWS profile of --api, dynamodb:// and s3://. Without it, AWS_PROFILE and all "
            "else that the AWS CLI reads.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LIVEMOSAIC_TOKEN",
            help="Bearer token for an --api that is not on AWS, such as `livemosaic serve`.",
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
    if profile:
        use_profile(profile)
    given: dict[str, Any] = {}
    if index:
        given["index"] = index
    if token:
        given["token"] = token
    if allow:
        given["allowed_prefixes"] = tuple(_prefix(text) for text in allow)
    with _clear_errors():
        chosen = _api(context, api, index)
        if chosen and allow:
            raise InvalidRequestError(
                "--allow is for an index; an API has an allow-list of its own"
            )
        context.obj = _Common(Settings(**given), chosen)


def _api(context: typer.Context, api: str | None, index: str | None) -> str | None:
    """The API where that is what to work on: what is typed goes before the environment."""
    if api and index:
        typed = [name for name in ("api", "index") if _is_typed(context, name)]
        if len(typed) != 1:
            names = "--api and --index" if typed else "LIVEMOSAIC_API and LIVEMOSAIC_INDEX"
            raise InvalidRequestError(f"{names} exclude each other: give one of --api and --index")
        api = api if typed == ["api"] else None
    return checked(api) if api else None


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


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
    max_age: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="How long caches keep a tile; 0: they ask each time."),
    ] = 0,
    stale_while_revalidate: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="How much longer they may show it while they ask."),
    ] = 0,
    create_table: Annotated[
        bool, typer.Option(help="Make the DynamoDB table first, if it is not there (on demand).")
    ] = False,
) -> None:
    """Create a mosaic.

    Examples:

    `livemosaic mosaics create alps --collection sentinel-2-c1-l2a --asset visual`

    `livemosaic mosaics create clear --filter "eo:cloud_cover < 10" --sortby eo:cloud_cover`

    `livemosaic --index dynamodb://eu-central-1/maps mosaics create alps --create-table`

    `livemosaic --api https://HOST --profile prod mosaics create alps`
    """
    with _target(context, create_table=create_table) as target:
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
            max_age_s=max_age,
            stale_while_revalidate_s=stale_while_revalidate,
        )
        _print(target.create(new))


@mosaics.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List the mosaics.

    Example: `livemosaic --api https://HOST mosaics list`
    """
    with _target(context) as target:
        found = target.all()
    if as_json:
        typer.echo(json.dumps([mosaic.model_dump() for mosaic in found], indent=2))
        return
    table = Table("id", "title", "collections", "bounds", "zooms")
    for mosaic in found:
        bounds = ", ".join(f"{degree:.2f}" for degree in mosaic.bounds or ()) or "empty"
        zooms = f"{mosaic.minzoom}–{mosaic.maxzoom}"
        table.add_row(mosaic.id, mosaic.title, ", ".join(mosaic.collections), bounds, zooms)
    Console().print(table)


@mosaics.command()
def show(context: typer.Context, mosaic: str) -> None:
    """Show one mosaic as JSON.

    Example: `livemosaic --api https://HOST mosaics show alps`
    """
    with _target(context) as target:
        _print(target.get(mosaic))


@mosaics.command()
def delete(
    context: typer.Context,
    mosaic: str,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a mosaic and all its scenes; run it again if it was cut off on the way.

    Example: `livemosaic --api https://HOST --profile prod mosaics delete alps --yes`
    """
    if not yes:
        typer.confirm(f"Delete mosaic {mosaic!r} and all its scenes?", abort=True)
    with _target(context) as target, _progress() as progress:
        task = progress.add_task("deleting scenes", total=None)
        for count in target.drop(mosaic):
            progress.advance(task, count)
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

    `livemosaic --api https://HOST --profile prod ingest items.ndjson`
    """
    counts: dict[str, int] = {}
    reasons = 0
    with _target(context) as target:
        for told in _ingested(target, source, mosaic):
            for word in told.words:
                counts[word] = counts.get(word, 0) + 1
            if not told.ok:
                reasons += 1
                if reasons <= _MAX_REASONS:
                    console.print(f"{told.name}: {told.reason}", style="red", markup=False)
    _summary(counts, reasons)
    if reasons:
        raise typer.Exit(1)


def _ingested(target: Target, names: Sequence[str], mosaic: str | None) -> Iterator[Told]:
    sources = [Source(name) for name in names]
    sizes = [source.size for source in sources]
    total = None if None in sizes else sum(filter(None, sizes))
    with _progress() as progress:
        task = progress.add_task("", total=total)

        def messages() -> Iterator[tuple[Message, int]]:
            for source in sources:
                progress.update(task, description=source.name)
                yield from source.messages()

        for told, size in target.ingest(messages(), mosaic):
            progress.advance(task, size)
            yield told


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

    Examples:

    `livemosaic --index sqlite:///my.db --allow /data/scenes serve`

    `livemosaic --index dynamodb://eu-central-1/maps --profile prod serve`
    """
    given = _without_api(context, "serve")
    logs.configure()
    if token is None and given.token is not None:
        token = given.token.get_secret_value()
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
    context: typer.Context,
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
    _without_api(context, "demo")
    with _clear_errors(), _progress() as progress:
        demonstration.run(
            demonstration.Demo(folder, count, every, port, browser, stay), progress, console
        )


def _without_api(context: typer.Context, command: str) -> Settings:
    common: _Common = context.obj
    if common.api:
        _stop(
            f"`{command}` works on an index of its own machine, not on the API {common.api}: leave "
            "out --api and LIVEMOSAIC_API"
        )
    return common.settings


@contextmanager
def _target(context: typer.Context, *, create_table: bool = False) -> Iterator[Target]:
    common: _Common = context.obj
    with _clear_errors():
        if common.api:
            if create_table:
                raise InvalidRequestError("--create-table is for an index; an API has its table")
            token = common.settings.token
            how = Bearer(token.get_secret_value()) if token else AwsSignature()
            with closing(ApiClient(common.api, how)) as client:
                yield Remote(client)
            return
        table = open_table(common.settings.index, create=create_table)
        with running(common.settings, table) as services:
            yield Local(services)


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


def _print(mosaic: MosaicOut) -> None:
    typer.echo(mosaic.model_dump_json(indent=2))


def main() -> None:
    """Run the command."""
    logging.getLogger("livemosaic").addHandler(logging.NullHandler())
    app()
