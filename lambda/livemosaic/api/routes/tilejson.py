"""Descriptions of a mosaic: info, bounds and TileJSON."""

import math
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, mapping
from shapely.geometry.base import BaseGeometry

from livemosaic.api.dependencies import CachedMosaic, CurrentMosaic, InCrs
from livemosaic.api.documents.credits import credit_html
from livemosaic.api.params.crs import name_of
from livemosaic.api.schemas import MosaicOut
from livemosaic.api.urls import CheckedTileURLsDep, Suffix
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import lonlat_boxes, middle
from livemosaic.geo.crs import NoTransformError, transformer
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.tiler.tilesets import WORLD, reached
from livemosaic.tiler.views import lonlat_on

router = APIRouter(tags=["describe"])

MinZoom = Annotated[
    int | None, Query(ge=0, le=30, description="Minimum zoom, instead of the mosaic's")
]
MaxZoom = Annotated[
    int | None, Query(ge=0, le=30, description="Maximum zoom, instead of the mosaic's")
]


@router.get("/mosaics/{mosaic}/info")
def info(mosaic: CurrentMosaic) -> MosaicOut:
    """Shows the current settings, bounds and levels of a mosaic."""
    return MosaicOut.of(mosaic)


class _GeoJson(JSONResponse):
    media_type = "application/geo+json"


@router.get("/mosaics/{mosaic}/info.geojson", response_class=_GeoJson)
def info_geojson(mosaic: CurrentMosaic, crs: InCrs) -> dict[str, Any]:
    """Shows a mosaic as a GeoJSON Feature with its bounds as geometry, null if it is empty."""
    known = bounds_in(mosaic, crs) if mosaic.described else None
    return {
        "type": "Feature",
        "id": mosaic.id,
        "geometry": mapping(_outline(known)) if known else None,
        "properties": MosaicOut.of(mosaic).model_dump(mode="json"),
    } | ({"bbox": known} if known else {})


def _outline(bounds: BBox) -> BaseGeometry:
    """Returns a box as a polygon, cut in two where it crosses ±180 (RFC 7946, 3.1.9)."""
    parts = lonlat_boxes(bounds)
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


@router.get("/mosaics/{mosaic}/bounds")
def bounds(mosaic: CachedMosaic, crs: InCrs) -> dict[str, Any]:
    """Returns a mosaic's left, bottom, right and top, x before y; an empty one has the world's.

    In degrees, left > right crosses the antimeridian (RFC 7946, 5.2).
    """
    return {"bounds": bounds_in(mosaic, crs), "crs": name_of(crs)}


def bounds_in(mosaic: Mosaic, crs: CRS) -> BBox:
    """Returns a mosaic's bounds in a CRS, x before y; `InvalidRequestError` if outside of it."""
    known = mosaic.described or WORLD
    lonlat = lonlat_on(mosaic)
    if crs == lonlat:
        return known
    with suppress(NoTransformError, ProjError):
        to_crs = transformer(lonlat, crs)
        parts = [to_crs.transform_bounds(*part.bounds) for part in lonlat_boxes(known)]
        left, bottom, right, top = zip(*parts, strict=True)
        if all(map(math.isfinite, (*left, *bottom, *right, *top))):
            return min(left), min(bottom), max(right), max(top)
    raise InvalidRequestError(f"mosaic {mosaic.id!r} does not lie within {name_of(crs)[:200]}")


@router.get("/mosaics/{mosaic}/tiles/{tms}/tilejson.json")
def tilejson(
    mosaic: CachedMosaic,
    tms: str,
    tiles: CheckedTileURLsDep,
    suffix: Suffix,
    minzoom: MinZoom = None,
    maxzoom: MaxZoom = None,
) -> dict[str, Any]:
    """Returns TileJSON 3.0.0; parameters of tiles are checked and added to the tile URL.

    `shown_assets` are the mosaic's, which tiles show unless the URL names others.
    """
    found = reached(mosaic, tms)
    if minzoom is not None and maxzoom is not None and minzoom > maxzoom:
        raise InvalidRequestError(f"minzoom {minzoom} is above maxzoom {maxzoom}")
    found = found.between(minzoom, maxzoom)
    low = max(0, found.minzoom)
    shown = {"shown_assets": list(mosaic.shown_assets)}
    template = tiles.template(tms, suffix=suffix)
    return tilejson_of(mosaic, template, low, max(low, found.maxzoom)) | shown


def tilejson_of(mosaic: Mosaic, template: str, low: int, high: int) -> dict[str, Any]:
    """Returns TileJSON 3.0.0 of tiles of some zooms of a mosaic."""
    west, south, east, north = known = mosaic.described or WORLD
    if west > east:  # TileJSON's bounds must not wrap around the antimeridian (3.0.0, 3.5)
        west, east = -180.0, 180.0
    return {
        "tilejson": "3.0.0",
        "name": mosaic.title or mosaic.id,
        **({"attribution": credit} if (credit := credit_html(mosaic)) else {}),
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [template],
        "minzoom": low,
        "maxzoom": high,
        "bounds": [west, south, east, north],
        "center": [*middle(known), low],
    }


@router.get(
    "/mosaics/{mosaic}/{tms}/tilejson.json", status_code=307, response_class=RedirectResponse
)
def tilejson_of_titiler(mosaic: str, tms: str, request: Request) -> RedirectResponse:
    """Redirects TiTiler's URL of the TileJSON to ours."""
    # Not the same function: each route with so many parameters slows down the start of FastAPI.
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"../../{quote(mosaic)}/tiles/{quote(tms)}/tilejson.json{query}", 307)
