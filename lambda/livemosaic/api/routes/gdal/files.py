"""Files of GDAL's drivers and of QGIS, made for a mosaic and the parameters of tiles."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from livemosaic.api.dependencies import (
    AppearanceParams,
    CachedMosaic,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.documents.sample import SampleImage, sample_of
from livemosaic.api.documents.source import TileSource, gdal_format, native_zoom
from livemosaic.api.documents.window import DataWindow
from livemosaic.api.documents.xml import Xml, written
from livemosaic.api.params.pixels import EdgeQuery, format_of
from livemosaic.api.routes.tilejson import MaxZoom, MinZoom
from livemosaic.api.urls import CheckedTileURLsDep
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.tiler.tilesets import Reach, reached

router = APIRouter(tags=["describe"])


TileFormat = Annotated[
    str | None,
    Query(description="File extension of tiles; one that keeps every value by default"),
]


async def sample_image(
    mosaic: CachedMosaic,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
    tile_format: TileFormat = None,
) -> SampleImage:
    """Reads a sample; raises `NotFoundError` where no scene takes part."""
    read, render = appearance.look(format_of(tile_format) if tile_format else "auto")
    found = await sample_of(services, mosaic, read, render, rule)
    if found is None:
        raise NotFoundError(
            f"no scene of mosaic {mosaic.id!r} takes part or can be read, so the data type and the "
            "bands of its tiles are not known"
        )
    return found


async def tile_source(
    mosaic: CachedMosaic,
    services: ServicesDep,
    tiles: CheckedTileURLsDep,
    edge: Annotated[EdgeQuery, Query()],
    sample: Annotated[SampleImage, Depends(sample_image)],
    appearance: AppearanceParams,
    tms: Annotated[
        str | None, Query(max_length=100, description="TileMatrixSet; the mosaic's own by default")
    ] = None,
    tile_format: TileFormat = None,
    minzoom: MinZoom = None,
    maxzoom: MaxZoom = None,
) -> TileSource:
    """Describes the tiles of a request as a raster, by default as fine as a scene's own pixels."""
    if edge.buffer:
        raise InvalidRequestError(f"buffer {edge.buffer:g}: tiles that overlap are no raster")
    size, extension = edge.edge(1, services.settings), gdal_format(tile_format, sample, mosaic)
    profile = await run_in_threadpool(sample.profile, format_of(extension))
    found = await run_in_threadpool(reached, mosaic, tms or mosaic.tms)
    shown = _between(found.between(minzoom, maxzoom), sample, size, is_given=maxzoom is not None)
    return TileSource(
        mosaic=mosaic.id,
        title=mosaic.title or mosaic.id,
        reach=shown,
        window=DataWindow.of(shown, size),
        profile=profile,
        extension=extension,
        edge=size,
        tiles=tiles if tile_format else tiles.of_format(extension, appearance),
    )


def _between(reach: Reach, sample: SampleImage, edge: int, *, is_given: bool) -> Reach:
    """Returns a reach down to the zoom that was given, or that shows a scene's own pixels."""
    if reach.tms.is_variable:
        raise InvalidRequestError(f"{reach.tms.id} has rows of different widths: it is no raster")
    return reach if is_given else reach.between(None, native_zoom(sample, reach, edge))


GivenSource = Annotated[TileSource, Depends(tile_source)]


@router.get("/mosaics/{mosaic}/gdal/{driver}.xml", response_class=Xml)
def gdal_file(driver: Literal["wms", "tms", "wmts"], source: GivenSource) -> Xml:
    """Returns a file that GDAL opens as a raster of the mosaic, with the parameters of tiles.

    `wms` and `tms` are one file, of the TMS minidriver of GDAL's WMS driver, which QGIS opens, too;
    it has the nodata value. `wmts` is of GDAL's WMTS driver: its extent is the mosaic's to the
    pixel, in every TileMatrixSet. Data type, bands, nodata value and the deepest zoom are the ones
    of a scene; 404 without scenes.
    """
    template = "gdal_wmts.xml" if driver == "wmts" else "gdal_wms.xml"
    return Xml(written(template, source=source))


@router.get("/mosaics/{mosaic}/gdal/mosaic.vrt", response_class=Xml)
def vrt_file(source: GivenSource) -> Xml:
    """Returns a file of GDAL's VRT driver: `wms.xml`, cut to the pixels that the mosaic covers.

    It has the nodata value, and knows which band is alpha.
    """
    tiles, cut = written("gdal_wms.xml", source=source), source.window.cut(source.extent)
    return Xml(written("mosaic.vrt", source=source, tiles=tiles, cut=cut))


@router.get("/mosaics/{mosaic}/gdal/mosaic.qlr", response_class=Xml)
def qgis_layer(source: GivenSource, request: Request) -> Xml:
    """Returns a layer definition file of QGIS, of a layer that GDAL reads.

    GDAL reads `mosaic.vrt` anew whenever QGIS opens or refreshes the layer, and keeps no tile.
    """
    file = request.url.replace(path=request.url.path.removesuffix("qlr") + "vrt")
    document = written("mosaic.qlr", source=source, datasource=f"/vsicurl/{file}")
    named = {"Content-Disposition": f'attachment; filename="{source.mosaic}.qlr"'}
    return Xml(document, headers=named)
