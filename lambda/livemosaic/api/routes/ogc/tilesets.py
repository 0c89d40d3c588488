"""Tilesets of a mosaic, one for each TileMatrixSet (OGC API - Tiles, 20-057)."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from rasterio.crs import CRS

from livemosaic.api.dependencies import CachedMosaic, InCrs, ServicesDep
from livemosaic.api.params.crs import name_of
from livemosaic.api.params.items import find_items
from livemosaic.api.params.pixels import Appearance
from livemosaic.api.responses.negotiation import DOCUMENT_RESPONSES, Negotiated
from livemosaic.api.routes.tilejson import MaxZoom, MinZoom, bounds_in
from livemosaic.api.routes.tiles import TileRequest
from livemosaic.api.urls import TileURLs, TileURLsDep
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services
from livemosaic.tiler.tilesets import MatrixLimits, Reach, every_reach, reached, web_map_tms
from livemosaic.tiler.views import lonlat_on

router = APIRouter(tags=["describe"])

TILING_SCHEME: Final = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
Link = dict[str, Any]
_TILE: Final = {"tms": "WebMercatorQuad", "z": 0, "x": 0, "y": 0}
"""Path of a tile, as its parameters are parsed with one."""


@router.get("/mosaics/{mosaic}/tiles", response_class=Response, responses=DOCUMENT_RESPONSES)
def tilesets(
    mosaic: CachedMosaic,
    tiles: TileURLsDep,
    crs: InCrs,
    request: Request,
    responder: Negotiated,
    services: ServicesDep,
) -> Response:
    """Lists a tileset per TileMatrixSet that covers the mosaic; links keep tile parameters, which
    are checked.
    """
    _check_tiles(request, mosaic, services)
    listed = [_tileset(mosaic, one, tiles, request, crs) for one in every_reach(mosaic)]
    return responder.answer(f"Tilesets of {mosaic.title or mosaic.id}", {"tilesets": listed})


@router.get("/mosaics/{mosaic}/tiles/{tms}", response_class=Response, responses=DOCUMENT_RESPONSES)
def tileset(
    mosaic: CachedMosaic,
    tms: str,
    tiles: TileURLsDep,
    request: Request,
    responder: Negotiated,
    services: ServicesDep,
    minzoom: MinZoom = None,
    maxzoom: MaxZoom = None,
) -> Response:
    """Shows a tileset, with the range of tiles at each zoom; links keep the parameters of tiles,
    which are checked.
    """
    _check_tiles(request, mosaic, services)
    found = reached(mosaic, tms)
    limits = found.between(minzoom, maxzoom).limits()
    document = _tileset(mosaic, found, tiles, request, lonlat_on(mosaic))
    document["links"] += _more_links(mosaic, tms, tiles)
    document["tileMatrixSetLimits"] = [_limits(found, one) for one in limits]
    return responder.answer(document["title"], document)


def _check_tiles(request: Request, mosaic: Mosaic, services: Services) -> None:
    """Raises what the tiles would raise that links lead to.

    Not by dependencies: each route with so many parameters slows down the start of FastAPI.
    """
    params = TileRequest.of(request, _TILE | {"mosaic": mosaic.id})
    rule = params.to_rule(mosaic)
    read, _ = Appearance.of(mosaic, rule, params).look("auto")
    services.tiler.of_scenes(mosaic, read, rule)
    params.edge(1, services.settings)
    find_items(request, mosaic, params.items_named(mosaic, rule))


def _tileset(
    mosaic: Mosaic, reached: Reach, tiles: TileURLs, request: Request, crs: CRS
) -> dict[str, Any]:
    tms, tms_id = reached.tms, str(reached.tms.id)
    left, bottom, right, top = bounds_in(mosaic, crs)
    return {
        "title": f"{mosaic.title or mosaic.id}, tiled as {tms_id}",
        "dataType": "map",
        "crs": tms.model_dump(mode="json", include={"crs"})["crs"],
        **({"tileMatrixSetURI": str(tms.uri)} if tms.uri else {}),
        "links": [
            _link(tiles.at(tms_id), "self", f"Tileset of {tms_id}"),
            _tiles(tiles, f"{tms_id}/{{z}}/{{x}}/{{y}}", "tile"),
            _tiles(tiles, f"{tms_id}/{{tileMatrix}}/{{tileCol}}/{{tileRow}}", "item"),
            _link(_definition(request, tms_id), TILING_SCHEME, f"Definition of {tms_id}"),
        ],
        "boundingBox": {
            "lowerLeft": [left, bottom],
            "upperRight": [right, top],
            "crs": name_of(crs),
        },
    }


def _more_links(mosaic: Mosaic, tms: str, tiles: TileURLs) -> list[Link]:
    links = [
        _link(tiles.at(f"{tms}/tilejson.json"), "alternate", "TileJSON"),
    ]
    if tms == web_map_tms(mosaic):
        links.append(_link(tiles.at(f"{tms}/map.html"), "data", "Map", "text/html"))
    return links


def _tiles(tiles: TileURLs, path: str, rel: str) -> Link:
    """Returns a URL template: `item` has the variables of OGC 20-057, `tile` TiTiler's."""
    return {"href": tiles.at(path), "rel": rel, "title": "Tiles", "templated": True}


def _definition(request: Request, tms: str) -> str:
    return f"{request.base_url}tileMatrixSets/{tms}"


def _link(href: str, rel: str, title: str, media_type: str = "application/json") -> Link:
    return {"href": href, "rel": rel, "type": media_type, "title": title}


def _limits(reached: Reach, at: MatrixLimits) -> dict[str, Any]:
    return {
        "tileMatrix": reached.tms.matrix(at.zoom).id,
        "minTileRow": at.rows[0],
        "maxTileRow": at.rows[1],
        "minTileCol": at.columns[0],
        "maxTileCol": at.columns[1],
    }
