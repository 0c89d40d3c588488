"""`livemosaic export`: whole mosaics for other tools."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, TypeVar

import typer

from livemosaic.cli.session import clear_errors, console, progress, without_api
from livemosaic.errors import InvalidRequestError
from livemosaic.export.mosaic_json import all_scenes, mosaic_json
from livemosaic.services import running

T = TypeVar("T")


def export(
    context: typer.Context,
    mosaic: str,
    to: Annotated[
        str,
        typer.Argument(
            help="File (mosaic.json, mosaic.json.gz), or any URL that cogeo-mosaic writes to: "
            "s3://BUCKET/KEY.json, dynamodb://REGION/TABLE:NAME, sqlite:///FILE.db:NAME"
        ),
    ],
    asset: Annotated[str, typer.Option(help="Asset of each scene; by default the shown one.")] = "",
    quadkey_zoom: Annotated[
        int | None, typer.Option(min=0, max=24, help="Zoom of the cells that list assets.")
    ] = None,
) -> None:
    """Write a mosaic as MosaicJSON 0.0.3, for cogeo-mosaic and titiler.mosaic.

    A scene is listed where its footprint has area, the top one first. What is there is replaced.

    Example: `livemosaic export alps alps.json.gz`
    """
    settings = without_api(context, "export")
    with clear_errors(), running(settings) as services, progress() as bar:
        found = services.mosaics.get(mosaic)
        task = bar.add_task("reading scenes", total=None)
        scenes = _counted(all_scenes(services.index, found), lambda: bar.advance(task))
        document = mosaic_json(found, scenes, asset=asset, quadkey_zoom=quadkey_zoom)
        bar.update(task, description=f"writing {to}")
        _write(document, to)
    console.print(f"wrote {len(document['tiles']):,} cells of [bold]{mosaic}[/bold] to {to}")


def _counted(values: Iterable[T], count: Any) -> Iterator[T]:
    for value in values:
        count()
        yield value


def _write(document: dict[str, Any], to: str) -> None:
    from cogeo_mosaic.backends import MosaicBackend
    from cogeo_mosaic.errors import MosaicError
    from cogeo_mosaic.mosaic import MosaicJSON

    try:
        with MosaicBackend(to, mosaic_def=MosaicJSON(**document)) as backend:
            backend.write(overwrite=True)
    except (MosaicError, OSError, ValueError, NotImplementedError) as error:
        raise InvalidRequestError(f"cannot write {to}: {str(error)[:300]}") from error
