"""`livemosaic serve` and `livemosaic demo`: tiles, maps and the API from this machine."""

import secrets
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from livemosaic import logs
from livemosaic.cli.demo import run as demonstration
from livemosaic.cli.server import listening, server
from livemosaic.cli.session import clear_errors, console, progress, without_api
from livemosaic.cli.upkeep import beside
from livemosaic.index_url import SQLITE
from livemosaic.services import running


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LIVEMOSAIC_TOKEN", help="Bearer token of writes; generated if not given."
        ),
    ] = None,
    build_overviews: Annotated[
        bool | None,
        typer.Option(
            "--build-overviews/--no-build-overviews",
            help="Keep overviews up to date in a process of low priority. By default with an "
            "SQLite index.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve tiles, maps and the API from this machine.

    Examples:

    `livemosaic --index sqlite:///my.db --allow /data/scenes serve`

    `livemosaic --index dynamodb://eu-central-1/maps --profile prod serve`
    """
    given = without_api(context, "serve")
    logs.configure()
    if token is None and given.token is not None:
        token = given.token.get_secret_value()
    is_local = SQLITE.fullmatch(given.index) is not None
    builds = is_local if build_overviews is None else build_overviews
    chosen = token or secrets.token_urlsafe(16)
    settings = given.model_copy(update={"token": SecretStr(chosen)})
    with clear_errors(), listening(host, port) as listener, running(settings) as services:
        here = f"http://{host}:{listener.getsockname()[1]}"
        url = settings.public_url or here
        console.print(f"livemosaic on {url}/; Ctrl-C ends it")
        if url != here:
            console.print(f"it listens on {here}/, where a proxy has to send requests")
        for mosaic in services.mosaics.all():
            private = "?access_token=…" if mosaic.access == "private" else ""
            console.print(f"  {url}/mosaics/{mosaic.id}/map.html{private}")
        if token is None:
            console.print(f"writes need the header  Authorization: Bearer {chosen}")
        with beside(services) if builds else nullcontext():
            server(services).run([listener])


def demo(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option(help="Folder of scenes and index; reused next time.")
    ] = Path("demo"),
    count: Annotated[int, typer.Option(min=1, max=96, help="How many scenes.")] = 24,
    every: Annotated[float, typer.Option(min=0, help="Seconds between arrivals.")] = 2.0,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the map in the browser.")] = True,
    stay: Annotated[bool, typer.Option(help="Keep serving when all have arrived.")] = True,
) -> None:
    """Watch a mosaic come alive: made-up satellite scenes arrive one by one on a map.

    Everything stays in one folder on this machine: scenes (COGs), STAC Items and the index.

    Example: `livemosaic demo --count 12 --every 1`
    """
    without_api(context, "demo")
    with clear_errors(), progress() as bar:
        demonstration.run(
            demonstration.Demo(folder, count, every, port, browser, stay), bar, console
        )
