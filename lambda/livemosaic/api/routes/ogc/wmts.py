"""WMTS capabilities of a mosaic, for GIS programs (WMTS 1.0.0, OGC 07-057r7, RESTful)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse

from livemosaic.api.dependencies import (
    AppearanceParams,
    CachedMosaic,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.documents.matrices import EARTH, WmtsMatrixSet, extents
from livemosaic.api.documents.sample import format_that_shows
from livemosaic.api.documents.xml import Xml, written
from livemosaic.api.params.pixels import allowed_format, format_of
from livemosaic.api.urls import CheckedTileURLsDep, TileURLs
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.geo.crs import body_of
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.render.encode import MEDIA_TYPES
from livemosaic.render.named_renders import parameters_of
from livemosaic.tiler.tilesets import WORLD, Reach, every_reach, reach

router = APIRouter(tags=["describe"])

Zooms = Mapping[str, tuple[int, int]]
"""Minimum and maximum zoom by TileMatrixSet; `*` stands for all."""

_MAX_ZOOMS: Final = 50
_ZOOMS: Final = re.compile(r"(\w{1,64}|\*)::(-?\d{1,2}),(-?\d{1,2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class WmtsLayer:
    """A layer: a mosaic in the colors of the request, or of a named render."""

    id: str
    title: str
    media_type: str
    template: str
    """URL of a tile, with `{TileMatrixSet}` and so on."""


async def kvp(request: Request) -> None:
    """Refuses operations, services and versions other than GetCapabilities of WMTS 1.0.0."""
    given = {name.lower(): value for name, value in request.query_params.items()}
    for name, only in (("service", "WMTS"), ("request", "GetCapabilities"), ("version", "1.0.0")):
        value = given.get(name, only)
        if value.lower() != only.lower():
            raise InvalidRequestError(
                f"{name} {value[:80]!r} is not offered here: this is {only}; tiles are RESTful, as "
                "the ResourceURL of these capabilities describes them"
            )


async def layer_formats(
    mosaic: CachedMosaic,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
    tile_format: Annotated[
        str | None,
        Query(description="File extension in tile URLs; one that shows the values if not given"),
    ] = None,
) -> dict[str, str]:
    """Returns the file extension of tiles by named render; of the request's own by an empty name.

    Raises `InvalidRequestError` for a format that is none, or that depends on the tile.
    """
    if tile_format is not None:
        _media_type(tile_format)
        allowed_format(mosaic, format_of(tile_format))
        return dict.fromkeys(("", *mosaic.renders), tile_format)
    drawn = {"": appearance.look("auto")}
    for name in mosaic.renders:
        parameters = parameters_of(mosaic, name)
        drawn[name] = parameters.read(), parameters.render()
    return {
        name: await format_that_shows(services, mosaic, *how, rule) for name, how in drawn.items()
    }


@router.get(
    "/mosaics/{mosaic}/WMTSCapabilities.xml", response_class=Xml, dependencies=[Depends(kvp)]
)
def capabilities(
    mosaic: CachedMosaic,
    request: Request,
    tiles: CheckedTileURLsDep,
    formats: Annotated[dict[str, str], Depends(layer_formats)],
    appearance: AppearanceParams,
    tms: Annotated[
        str | None,
        Query(
            max_length=100,
            description="TileMatrixSet to include; all if not given, the mosaic's own first",
        ),
    ] = None,
    zooms: Annotated[
        list[str] | None,
        Query(
            max_length=_MAX_ZOOMS, description="Zoom range: `TMS::MIN,MAX`, or `*::MIN,MAX` for all"
        ),
    ] = None,
    use_epsg: Annotated[
        bool, Query(description="Name CRS like `EPSG:3857`, as ArcMap requires, not by URN")
    ] = False,
) -> Xml:
    """Returns WMTS 1.0.0 capabilities, for tiles in all TileMatrixSets that cover the mosaic.

    Parameters of tiles are checked and added to the tile URL of the first layer; named renders are
    separate layers. TileMatrixSets have the mosaic's zooms alone, and tiles of values that PNG
    cannot hold are TIFF.
    """
    reached = list(_reached(mosaic, tms, dict(map(_zoom_range, zooms or ()))))
    if not reached:
        raise NotFoundError(f"mosaic {mosaic.id!r} lies outside {tms}")
    own = tiles.without("tilesize")
    if "tile_format" not in request.query_params:
        own = own.of_format(formats[""], appearance)
    matrix_sets = [WmtsMatrixSet.of(one, use_epsg=use_epsg) for one in reached]
    document = written(
        "wmts.xml",
        title=mosaic.title or mosaic.id,
        attribution=mosaic.attribution,
        license=mosaic.license,
        url=str(request.url),
        bounds=_shown(mosaic.described or WORLD, reached),
        layers=list(_layers(mosaic, own, formats)),
        matrix_sets=matrix_sets,
        extents=extents(matrix_sets),
    )
    return Xml(document)


@router.get(
    "/mosaics/{mosaic}/{tms}/WMTSCapabilities.xml",
    status_code=307,
    response_class=RedirectResponse,
)
def capabilities_of_titiler(mosaic: CachedMosaic, tms: str, request: Request) -> RedirectResponse:
    """Redirects TiTiler's URL of the capabilities of one TileMatrixSet to ours."""
    query = f"&{request.url.query}" if request.url.query else ""
    path = f"../../{quote(mosaic.id)}/WMTSCapabilities.xml?tms={quote(tms)}{query}"
    return RedirectResponse(path, 307)


def _zoom_range(text: str) -> tuple[str, tuple[int, int]]:
    found = _ZOOMS.fullmatch(text)
    if not found or int(found[2]) > int(found[3]):
        raise InvalidRequestError(
            f"zooms {text[:80]!r} must be like WebMercatorQuad::0,5 or *::0,5"
        )
    if found[1] != "*":
        tile_matrix_set(found[1])
    return found[1], (int(found[2]), int(found[3]))


def _reached(mosaic: Mosaic, tms_id: str | None, zooms: Zooms) -> Iterable[Reach]:
    """Yields what the mosaic covers of a TileMatrixSet, or of all: of its own first.

    Clients that are not asked for one take the first.
    """
    for found in [reach(mosaic, tms_id)] if tms_id else every_reach(mosaic):
        if found is None or found.tms.is_variable:
            continue  # WMTS has no rows of variable width
        yield found.between(*zooms.get(str(found.tms.id), zooms.get("*", (None, None))))


def _shown(bounds: BBox, reached: Sequence[Reach]) -> BBox | None:
    """Returns bounds in degrees without latitudes that none of the TileMatrixSets shows.

    None on other bodies: they have no place in WGS 84.
    """
    if body_of(reached[0].tms.rasterio_crs) != EARTH:
        return None
    west, south, east, north = bounds
    shown = [one.tms.bbox for one in reached]
    lowest, highest = min(box[1] for box in shown), max(box[3] for box in shown)
    return west, max(south, lowest), east, min(north, highest)


def _layers(mosaic: Mosaic, tiles: TileURLs, formats: Mapping[str, str]) -> Iterable[WmtsLayer]:
    """Yields a layer with the request's parameters, and one per named render."""
    title = mosaic.title or mosaic.id
    named = {
        name: (f"{title}: {render.get('title') or name}", tiles.for_render(name))
        for name, render in mosaic.renders.items()
    }
    for name, (layer_title, tile_urls) in ({"": (title, tiles)} | named).items():
        extension = formats[name]
        place = f"{{TileMatrixSet}}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.{extension}"
        yield WmtsLayer(
            id=f"{mosaic.id}_{name}" if name else mosaic.id,
            title=layer_title,
            media_type=_media_type(extension),
            template=tile_urls.at(place),
        )


def _media_type(extension: str) -> str:
    image_format = format_of(extension)
    if image_format == "auto":
        raise InvalidRequestError("a WMTS layer has one format: tile_format=png, jpg, webp or tif")
    return MEDIA_TYPES[image_format]
