"""`livemosaic export`: whole mosaics for other tools."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final, Literal, TypeVar

import typer

from livemosaic.cli.gis.pmtiles import ArchiveOptions, export_tiles, export_vectors, show_status
from livemosaic.cli.session import console, progress, target
from livemosaic.cli.terminal.results import AsJson
from livemosaic.client.exports import MosaicExport, export_of
from livemosaic.errors import InvalidRequestError
from livemosaic.export.files import put_at
from livemosaic.export.mosaic_json import mosaic_json, only_asset
from livemosaic.model.render import TileFormat

T = TypeVar("T")

ExportFormat = Literal["mosaicjson", "gti", "stac-geoparquet", "pmtiles"]
_SUFFIXES: Final[dict[str, ExportFormat]] = {
    ".gpkg": "gti",
    ".parquet": "stac-geoparquet",
    ".pmtiles": "pmtiles",
}

Counted = Callable[[Iterable[T]], Iterator[T]]
"""Passes values on, and moves the progress bar."""


def export(
    context: typer.Context,
    mosaic: str,
    to: Annotated[
        str,
        typer.Argument(
            help="File or s3://BUCKET/KEY: *.json and *.json.gz are MosaicJSON, *.gti.gpkg is a "
            "tile index of GDAL, *.parquet is stac-geoparquet, *.pmtiles are tiles. MosaicJSON "
            "goes to any backend of cogeo-mosaic, too: dynamodb://REGION/TABLE:NAME, "
            "sqlite:///FILE.db:NAME. Without: PMTiles where the API serves them, at "
            "/mosaics/NAME/mosaic.pmtiles"
        ),
    ] = "",
    format_: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Where the name does not say it; else MosaicJSON."),
    ] = None,
    asset: Annotated[
        str,
        typer.Option(help="Asset of each scene, not of stac-geoparquet; by default the shown one."),
    ] = "",
    quadkey_zoom: Annotated[
        int | None,
        typer.Option(min=0, max=24, help="Zoom of the cells of a MosaicJSON."),
    ] = None,
    render: Annotated[
        str, typer.Option(help="Named render of the mosaic, of the tiles of PMTiles.")
    ] = "",
    zooms: Annotated[
        str | None, typer.Option(help="Zooms of PMTiles: 0-14 unless given, or one.")
    ] = None,
    tiles: Annotated[
        TileFormat | None, typer.Option(help="Format of the tiles of PMTiles; webp unless given.")
    ] = None,
    vector: Annotated[
        bool,
        typer.Option(
            "--vector", help="Vector tiles as PMTiles, not images; served at …/vector.pmtiles."
        ),
    ] = False,
    layers: Annotated[
        str,
        typer.Option(
            help="Layers of vector tiles, of footprints,density,coverage; unless given the ones of "
            "`exports` of the mosaic without a file, else the first two, as coverage reads pixels."
        ),
    ] = "",
    keep: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1000,
            help="Copies of PMTiles, alps.2026-11-30.pmtiles, that are kept of the last days; none "
            "unless given.",
        ),
    ] = None,
    status: Annotated[
        bool,
        typer.Option(
            "--status",
            help="Make nothing: show the PMTiles that are made on a schedule, `exports` of the "
            "mosaic: made when, due when, and the last error.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a whole mosaic for other tools, as of now; what is there is replaced.

    MosaicJSON 0.0.3 is for cogeo-mosaic and titiler.mosaic, a tile index (GTI) for GDAL 3.9 and
    later, stac-geoparquet for DuckDB, rustac and `livemosaic ingest` (docs/stac.md). PMTiles are
    all tiles of some zooms in one file, of which the next export draws only what changed
    (docs/pmtiles.md).

    Examples:

    `livemosaic export alps alps.json.gz`

    `livemosaic export alps alps.gti.gpkg --asset visual`

    `livemosaic --api https://HOST export alps s3://BUCKET/alps.parquet`

    `livemosaic export alps dynamodb://eu-central-1/mosaics:alps`

    `livemosaic export alps`

    `livemosaic --api https://HOST export alps --status`

    `livemosaic export alps alps.pmtiles --zooms 0-12 --render ndvi --tiles png --keep 7`

    `livemosaic export alps scenes.pmtiles --vector --zooms 0-10`
    """
    if status:
        with target(context) as mosaics:
            show_status(mosaics, mosaic, as_json)
        return
    if as_json:
        raise typer.BadParameter("--json is for --status", context)
    kind = format_ or (_format(to) if to else "pmtiles")
    if quadkey_zoom is not None and kind != "mosaicjson":
        raise typer.BadParameter("--quadkey-zoom is for MosaicJSON", context)
    of_images = {"--render": render, "--tiles": tiles}
    of_tiles = {"--zooms": zooms, "--keep": keep, "--vector": vector, "--layers": layers}
    of_tiles |= of_images
    if kind == "pmtiles":
        if asset:
            raise typer.BadParameter("--asset is not for PMTiles: name a --render", context)
        if layers and not vector:
            raise typer.BadParameter("--layers is for vector tiles: add --vector", context)
        if vector and (given := [name for name, value in of_images.items() if value]):
            raise typer.BadParameter(f"{given[0]} is for images, not for --vector", context)
        with target(context) as mosaics:
            options = ArchiveOptions.of(to, render, zooms, tiles, keep)
            if vector:
                export_vectors(mosaics, mosaic, options, layers)
            else:
                export_tiles(mosaics, mosaic, options)
        return
    if not to:
        raise typer.BadParameter(f"name a file for {kind}", context)
    if given := [name for name, value in of_tiles.items() if value]:
        raise typer.BadParameter(f"{given[0]} is for PMTiles: a file *.pmtiles", context)
    with target(context) as mosaics, progress() as bar:
        found = export_of(mosaics, mosaic)
        task = bar.add_task("reading scenes", total=None)

        def counted(values: Iterable[T]) -> Iterator[T]:
            for value in values:
                bar.advance(task)
                yield value

        match kind:
            case "gti":
                wrote = f"{_tile_index(found, to, asset, counted):,} scenes"
            case "stac-geoparquet":
                wrote = f"{_geoparquet(found, to, asset, counted):,} scenes"
            case _:
                scenes = counted(found.scenes())
                document = mosaic_json(found.mosaic, scenes, asset=asset, quadkey_zoom=quadkey_zoom)
                bar.update(task, description=f"writing {to}")
                _write(document, to)
                wrote = f"{len(document['tiles']):,} cells"
    console.print(f"wrote {wrote} of [bold]{mosaic}[/bold] to {to}")


def _format(to: str) -> ExportFormat:
    found = (kind for suffix, kind in _SUFFIXES.items() if to.lower().endswith(suffix))
    return next(found, "mosaicjson")


def _tile_index(found: MosaicExport, to: str, asset: str, counted: Counted[Any]) -> int:
    from livemosaic.export.whole.tile_index import write_tile_index

    name = asset or only_asset(found.mosaic)
    raster = found.raster(name)
    try:
        with put_at(to) as path:
            return write_tile_index(found.mosaic, counted(found.scenes()), name, raster, path)
    except sqlite3.Error as error:
        raise InvalidRequestError(f"cannot write {to}: {error}") from error


def _geoparquet(found: MosaicExport, to: str, asset: str, counted: Counted[Any]) -> int:
    from livemosaic.export.whole.geoparquet import write_geoparquet

    if asset:
        raise InvalidRequestError("--asset is not for stac-geoparquet, which has all assets")
    with put_at(to) as path:
        return write_geoparquet(found.mosaic, counted(found.items()), path)


def _write(document: dict[str, Any], to: str) -> None:
    if "://" in to:
        write_mosaic_json(document, to)
        return
    with put_at(to) as path:
        write_mosaic_json(document, str(path))


def write_mosaic_json(document: dict[str, Any], to: str) -> None:
    """Writes a MosaicJSON by the backend of cogeo-mosaic that `to` names; replaces what is there.

    Raises `InvalidRequestError` where that fails.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from cogeo_mosaic.backends import MosaicBackend
    from cogeo_mosaic.errors import MosaicError
    from cogeo_mosaic.mosaic import MosaicJSON

    try:
        with MosaicBackend(to, mosaic_def=MosaicJSON(**document)) as backend:
            if to.startswith("dynamodb://"):
                _delete_cells(backend)
            backend.write(overwrite=True)
    except (MosaicError, BotoCoreError, ClientError, ValueError, NotImplementedError) as error:
        raise InvalidRequestError(f"cannot write {to}: {str(error)[:300]}") from error
    except OSError as error:
        if "://" not in to:
            raise
        raise InvalidRequestError(f"cannot write {to}: {str(error)[:300]}") from error


def _delete_cells(backend: Any) -> None:
    """Deletes all cells of a mosaic in DynamoDB, of which cogeo-mosaic finds the first page."""
    while backend._table_exists() and (keys := backend._quadkeys):
        with backend.table.batch_writer() as batch:
            for key in keys:
                batch.delete_item(Key={"mosaicId": backend.mosaic_name, "quadkey": key})
