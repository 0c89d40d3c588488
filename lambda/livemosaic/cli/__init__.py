"""The command `livemosaic`."""

from pathlib import Path
from typing import Annotated, Any

import typer

import livemosaic
from livemosaic import logs
from livemosaic.auth.credentials import use_profile
from livemosaic.cli.cost.command import cost
from livemosaic.cli.dlq import app as dlq
from livemosaic.cli.gis.export import export
from livemosaic.cli.gis.gdal import gdal
from livemosaic.cli.ingest import ingest
from livemosaic.cli.items import app as items
from livemosaic.cli.load.command import load
from livemosaic.cli.migrate import migrate
from livemosaic.cli.mosaics import app as mosaics
from livemosaic.cli.overviews import app as overviews
from livemosaic.cli.serve.command import demo, serve
from livemosaic.cli.session import Session, clear_errors, console, is_typed
from livemosaic.cli.terminal.config import default_file, read_options
from livemosaic.cli.terminal.help import CONTEXT, PlainGroup, use_plain_help
from livemosaic.cli.token import token as mint
from livemosaic.cli.verify import verify
from livemosaic.client.http import check_url
from livemosaic.errors import InvalidRequestError
from livemosaic.settings import Settings


class _Commands(PlainGroup):
    """The commands, whose arguments must be text: the system passes on any bytes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for arg in args:
            try:
                arg.encode()
            except UnicodeEncodeError as error:
                raise typer.BadParameter(f"{arg[:200]!r} is not UTF-8") from error
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    help="Live mosaics of Cloud-Optimized GeoTIFFs: STAC items go in, map tiles come out.",
)
app.add_typer(mosaics, name="mosaics")
app.add_typer(items, name="items")
app.add_typer(overviews, name="overviews")
app.add_typer(dlq, name="dlq")
app.command()(ingest)
app.command()(load)
app.command()(verify)
app.command()(migrate)
app.command()(cost)
app.command()(gdal)
app.command()(export)
app.command()(mint)
app.command()(serve)
app.command()(demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"livemosaic {livemosaic.__version__}")
        raise typer.Exit


def _configure(context: typer.Context, path: Path | None) -> None:
    """Takes defaults of options from a file."""
    found = path or default_file()
    if path is None and not found.is_file():
        return
    with clear_errors():
        context.default_map = read_options(found, context.command)


@app.callback(
    epilog="Examples:\n\n"
    "`livemosaic --profile prod --index dynamodb://eu-central-1/maps mosaics list`\n\n"
    "`livemosaic --profile prod --api https://HOST ingest items.ndjson`\n\n"
    '`livemosaic --allow "s3://usgs-landsat/ requester-pays region=us-west-2" serve`\n\n'
    '`livemosaic --allow "https://data.lpdaac.earthdatacloud.nasa.gov/ earthdata" serve`\n\n'
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
            help="Work on a deployed API instead. Writes are signed with AWS credentials.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="AWS profile of --api, dynamodb:// and s3://. Without it, AWS_PROFILE and the "
            "other settings of the AWS CLI.",
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
            help="Where assets may be: a folder, `s3://BUCKET/PREFIX` or `https://HOST/PATH`, and "
            "how to get in, as in `s3://BUCKET/ requester-pays` (docs/prefixes.md); "
            "may be repeated. Without it, LIVEMOSAIC_ALLOWED_PREFIXES, else any s3:// and "
            "https://."
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings, errors and results alone.")
    ] = False,
    _config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="LIVEMOSAIC_CONFIG",
            callback=_configure,
            is_eager=True,
            metavar="FILE",
            help="TOML with options, such as `api`, and in tables options of commands, such as "
            "`[serve]` with `port`. Without it, "
            "`~/.config/livemosaic/config.toml` where that exists.",
        ),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Reads the options that are common to all commands."""
    console.is_quiet = quiet
    if profile:
        use_profile(profile)
    given: dict[str, Any] = {}
    if index:
        given["index"] = index
    if token:
        given["token"] = token
    if allow:
        given["allowed_prefixes"] = tuple(_prefix(text) for text in allow)
    with clear_errors():
        chosen = _api(context, api, index)
        if chosen and allow:
            raise InvalidRequestError(
                "--allow is for an index; an API has an allow-list of its own"
            )
        context.obj = Session(Settings(**given), chosen)


def _api(context: typer.Context, api: str | None, index: str | None) -> str | None:
    """Returns the API to work on, if any: options take precedence over the environment."""
    if api and index:
        typed = [name for name in ("api", "index") if is_typed(context, name)]
        if len(typed) != 1:
            names = "--api and --index" if typed else "LIVEMOSAIC_API and LIVEMOSAIC_INDEX"
            raise InvalidRequestError(f"{names} exclude each other: give one of --api and --index")
        api = api if typed == ["api"] else None
    return check_url(api) if api else None


def _prefix(text: str) -> str:
    return text if "://" in text else str(Path(text).resolve()) + "/"


use_plain_help(app)


def main() -> None:
    """Run the command."""
    logs.configure_terminal()
    app()
