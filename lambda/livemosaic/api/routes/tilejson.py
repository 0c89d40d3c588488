"""A mosaic in short: what it is, where it lies, and where its tiles are."""

import math
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from shapely.geometry import box, mapping

from livemosaic.api.dependencies import CachedMosaic, CurrentMosaic, InCrs
from livemosaic.api.params.crs import uri_of
from livemosaic.api.schemas import MosaicOut, shown
from livemosaic.api.urls import CheckedTileURLsDep, Suffix
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT, NoTransformError, transformer
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.tiler.tilesets import WORLD, reached

router = APIRouter(tags=["describe"])


@router.get("/mosaics/{mosaic}/info")
def info(mosaic: CurrentMosaic) -> MosaicOut:
    """The mosaic as it is now: settings, bounds, levels."""
    return shown(mosaic)


class _GeoJson(JSONResponse):
    media_type = "application/geo+json"


@router.get("/mosaics/{mosaic}/info.geojson", response_class=_GeoJson)
def info_geojson(mosaic: CurrentMosaic, crs: InCrs) -> dict[str, Any]:
    """The same as a GeoJSON feature, its bounds as geometry; of an empty mosaic there is none."""
    known = bounds_in(mosaic, crs) if mosaic.bounds else None
    return {
        "type": "Feature",
        "id": mosaic.id,
        "geometry": mapping(box(*known)) if known else None,
        "properties": shown(mosaic).model_dump(mode="json"),
    } | ({"bbox": known} if known else {})


@router.get("/mosaics/{mosaic}/bounds")
def bounds(mosaic: CachedMosaic, crs: InCrs) -> dict[str, Any]:
    """Left, bottom, right, top, x before y; of an empty mosaic the world's."""
    return {"bounds": bounds_in(mosaic, crs), "crs": uri_of(crs)}


def bounds_in(mosaic: Mosaic, crs: CRS) -> BBox:
    """The bounds of a mosaic in a CRS, x before y; `InvalidRequestError` where they have none."""
    known = mosaic.bounds or WORLD
    if crs == LONLAT:
        return known
    with suppress(NoTransformError, ProjError):
        left, bottom, right, top = transformer(LONLAT, crs).transform_bounds(*known)
        if all(map(math.isfinite, (left, bottom, right, top))):
            return left, bottom, right, top
    raise InvalidRequestError(f"mosaic {mosaic.id!r} does not lie within {uri_of(crs)}")


@router.get("/mosaics/{mosaic}/tiles/{tms}/tilejson.json")
def tilejson(
    mosaic: CachedMosaic,
    tms: str,
    tiles: CheckedTileURLsDep,
    suffix: Suffix,
    minzoom: Annotated[int | None, Query(ge=0, le=30, description="Instead of its own")] = None,
    maxzoom: Annotated[int | None, Query(ge=0, le=30, description="Instead of its own")] = None,
) -> dict[str, Any]:
    """TileJSON 3.0.0; parameters of tiles are checked here and go into the tile URL."""
    found = reached(mosaic, tms)
    if minzoom is not None and maxzoom is not None and minzoom > maxzoom:
        raise InvalidRequestError(f"minzoom {minzoom} is above maxzoom {maxzoom}")
    found = found.between(minzoom, maxzoom)
    low = max(0, found.minzoom)
    west, south, east, north = mosaic.bounds or WORLD
    return {
        "tilejson": "3.0.0",
        "name": mosaic.title or mosaic.id,
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [tiles.template(tms, suffix=suffix)],
        "minzoom": low,
        "maxzoom": max(low, found.maxzoom),
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2, (south + north) / 2, low],
    }


@router.get(
    "/mosaics/{mosaic}/{tms}/tilejson.json", status_code=307, response_class=RedirectResponse
)
def tilejson_of_titiler(mosaic: str, tms: str, request: Request) -> RedirectResponse:
    """The same, where TiTiler has it."""
    # Not by the same function: FastAPI takes long at start for each route with so many parameters.
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"../../{quote(mosaic)}/tiles/{quote(tms)}/tilejson.json{query}", 307)
