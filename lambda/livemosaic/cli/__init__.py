"""The command `livemosaic`."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

import livemosaic
from livemosaic import logs
from livemosaic.cli.terminal.commands import CommandPlace, GroupOnDemand
from livemosaic.cli.terminal.config import default_file, read_options
from livemosaic.cli.terminal.help import CONTEXT


class _Commands(GroupOnDemand):
    """The commands, whose arguments must be text: the system passes on any bytes."""

    places: ClassVar = {
        "ingest": CommandPlace(
            "livemosaic.cli.ingest",
            "ingest",
            "Put STAC Items into the mosaics that subscribe to them.",
        ),
        "load": CommandPlace(
            "livemosaic.cli.load.command",
            "load",
            "Load an archive of stac-geoparquet into a new table of DynamoDB at once.",
        ),
        "verify": CommandPlace(
            "livemosaic.cli.verify",
            "verify",
            "Check the rows of a mosaic against its scenes, and its scenes against a STAC API.",
        ),
        "migrate": CommandPlace(
            "livemosaic.cli.migrate",
            "migrate",
            "Bring mosaics that an earlier release stored to the format of this one.",
        ),
        "cost": CommandPlace(
            "livemosaic.cli.cost.command",
            "cost",
            "Show what a mosaic costs a month on AWS, at list prices of us-east-1.",
        ),
        "gdal": CommandPlace(
            "livemosaic.cli.gis.gdal",
            "gdal",
            "Print a file by which GDAL, rasterio or QGIS open a mosaic (docs/gdal.md).",
        ),
        "export": CommandPlace(
            "livemosaic.cli.gis.export",
            "export",
            "Write a whole mosaic for other tools, as of now; what is there is replaced.",
        ),
        "token": CommandPlace(
            "livemosaic.cli.token",
            "token",
            "Create an access token, whose holders see a private mosaic until it expires.",
        ),
        "serve": CommandPlace(
            "livemosaic.cli.serve.command",
            "serve",
            "Serve tiles, maps and the API from this machine.",
        ),
        "demo": CommandPlace(
            "livemosaic.cli.serve.command",
            "demo",
            "Watch a mosaic come alive: made-up satellite scenes arrive one by one on a map.",
        ),
        "mosaics": CommandPlace(
            "livemosaic.cli.mosaics", "app", "Create, list, show, change and delete mosaics."
        ),
        "items": CommandPlace(
            "livemosaic.cli.items", "app", "List, show and delete the scenes of a mosaic."
        ),
        "overviews": CommandPlace(
            "livemosaic.cli.overviews", "app", "Make overviews, and keep them up to date."
        ),
        "dlq": CommandPlace(
            "livemosaic.cli.dlq", "app", "Events that failed for good: list, redrive."
        ),
    }

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


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"livemosaic {livemosaic.__version__}")
        raise typer.Exit


def _configure(context: typer.Context, path: Path | None) -> None:
    """Takes defaults of options from a file."""
    found = path or default_file()
    if path is None and not found.is_file():
        return
    from livemosaic.cli.session import clear_errors

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
    from livemosaic.cli.session import begin  # with all that a command works on, which is slow

    begin(context, index=index, api=api, profile=profile, token=token, allow=allow, quiet=quiet)


def main() -> None:
    """Run the command."""
    logs.configure_terminal()
    app()
