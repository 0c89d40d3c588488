"""`livemosaic serve` and `livemosaic demo`: tiles, maps and the API from this machine."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, Self

import typer
from pydantic import SecretStr

from livemosaic import logs
from livemosaic.cli.backfill.ledger import Ledger
from livemosaic.cli.demo import run as demonstration
from livemosaic.cli.ingest import put_in
from livemosaic.cli.serve.archives import archives
from livemosaic.cli.serve.beside import SideWork, beside
from livemosaic.cli.serve.server import application, listening, server
from livemosaic.cli.serve.upkeep import upkeep
from livemosaic.cli.session import clear_errors, console, is_typed, progress, stop, without_api
from livemosaic.client.target import Local
from livemosaic.index_url import SQLITE
from livemosaic.ingest.sources.open import open_names
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services, running
from livemosaic.settings import Settings
from livemosaic.storage.allowlist import AllowList

_MOSAIC: Final = "files"
"""The mosaic of files that are served without an index."""


def serve(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="COGs or STAC Items to serve without an index, as `livemosaic ingest` reads them: "
            "`*.tif`, a folder, `s3://BUCKET/PREFIX/*.tif`, … Nothing of it is kept."
        ),
    ] = None,
    *,
    tms: Annotated[
        str, typer.Option(help="TileMatrixSet in which SOURCE is served.")
    ] = "WebMercatorQuad",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
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
    make_archives: Annotated[
        bool | None,
        typer.Option(
            "--make-archives/--no-make-archives",
            help="Make PMTiles that are due (`exports` of mosaics) in a process of low priority. "
            "By default with an SQLite index.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve tiles, maps and the API from this machine.

    Examples:

    `livemosaic --index sqlite:///my.db --allow /data/scenes serve`

    `livemosaic --index dynamodb://eu-central-1/maps --profile prod serve`

    `livemosaic serve scenes/*.tif`

    `livemosaic serve mars/*.tif --tms MarsMercatorSphere`
    """
    given = without_api(context, "serve")
    logs.configure()
    if source:
        if is_typed(context, "index"):
            stop("files are served without --index: `livemosaic ingest` puts them into one")
        with clear_errors(), _index_of(source, tms, given) as made:
            _serve(made, host, port, token, _Works.of(made, build_overviews, make_archives))
        return
    _serve(given, host, port, token, _Works.of(given, build_overviews, make_archives))


@contextmanager
def _index_of(names: Sequence[str], tms: str, settings: Settings) -> Iterator[Settings]:
    """Yields settings for an index that has one mosaic of some files, until the block ends.

    The folders of local files are allowed in them.
    """
    local = [Path(name).resolve() for name in names if "://" not in name and name != "-"]
    folders = {str(path if path.is_dir() else path.parent) + "/" for path in local}
    allowed = (*settings.allowed_prefixes, *sorted(folders))
    with TemporaryDirectory(prefix="livemosaic-") as folder:
        index = f"sqlite:///{folder}/index.db"
        made = settings.model_copy(update={"index": index, "allowed_prefixes": allowed})
        with running(made) as services, Ledger(None, None, {}) as ledger:
            mosaic = Mosaic(id=_MOSAIC, title=_title(names), tms=tms)
            services.create(mosaic, is_overviews_open=True)
            put_in(Local(services), open_names(names, AllowList(allowed)), ledger, _MOSAIC)
        if ledger.done.refused == ledger.done.items:
            stop("there is nothing to serve")
        yield made


def _title(names: Sequence[str]) -> str:
    first = names[0].rstrip("/").rpartition("/")[2]
    return first if len(names) == 1 else f"{first} and {len(names) - 1:,} more"


@dataclass(frozen=True, slots=True)
class _Works:
    """What is done beside the server."""

    builds_overviews: bool
    makes_archives: bool

    @classmethod
    def of(cls, settings: Settings, builds: bool | None, makes: bool | None) -> Self:
        """Both by default with an SQLite index."""
        is_local = SQLITE.fullmatch(settings.index) is not None
        if makes and not settings.archives:
            stop(
                "there is no place for archives: set LIVEMOSAIC_ARCHIVE_STORE to s3://BUCKET/PREFIX"
            )
        return cls(
            is_local if builds is None else builds,
            is_local if makes is None else makes,
        )

    def works(self, services: Services) -> Iterator[SideWork]:
        if self.builds_overviews:
            yield upkeep(services)
        if self.makes_archives:
            yield archives(services)


def _serve(given: Settings, host: str, port: int, token: str | None, how: _Works) -> None:
    if token is None and given.token is not None:
        token = given.token.get_secret_value()
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
        with ExitStack() as others:
            for work in how.works(services):
                others.enter_context(beside(services, work))
            server(application(services)).run([listener])


def demo(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option(help="Folder of scenes and index; reused next time.")
    ] = Path("demo"),
    count: Annotated[int, typer.Option(min=1, max=96, help="How many scenes.")] = 24,
    every: Annotated[float, typer.Option(min=0, max=3600, help="Seconds between arrivals.")] = 2.0,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
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
