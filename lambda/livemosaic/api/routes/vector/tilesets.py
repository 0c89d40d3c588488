"""Descriptions of vector tiles: TileJSON, and a tileset of OGC API - Tiles (20-057)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from livemosaic.api.dependencies import CachedMosaic, ReadParams, RuleParams, ServicesDep
from livemosaic.api.params.crs import name_of
from livemosaic.api.responses.negotiation import DOCUMENT_RESPONSES, Negotiated
from livemosaic.api.routes.ogc.tilesets import TILING_SCHEME
from livemosaic.api.routes.tilejson import bounds_in, tilejson_of
from livemosaic.api.routes.vector.tiles import MVT, Layers
from livemosaic.api.urls import TileURLs, TileURLsDep
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import LayerName
from livemosaic.tiler.tilesets import reached
from livemosaic.tiler.views import lonlat_on
from livemosaic.vector.layers import TEXTS, fields_of, vector_layers

router = APIRouter(tags=["vector tiles"])


async def vector_urls(
    tiles: TileURLsDep,
    request: Request,
    mosaic: CachedMosaic,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
) -> TileURLs:
    """Returns URLs of vector tiles with this request's parameters, after the checks of tiles."""
    services.tiler.of_scenes(mosaic, read, rule)
    return TileURLs(f"{request.base_url}mosaics/{mosaic.id}/vector", tiles.query)


VectorURLs = Annotated[TileURLs, Depends(vector_urls)]


@router.get("/mosaics/{mosaic}/vector/{tms}/tilejson.json")
def vector_tilejson(
    mosaic: CachedMosaic, tms: str, urls: VectorURLs, layers: Layers
) -> dict[str, Any]:
    """Returns TileJSON 3.0.0 of vector tiles; its parameters are checked and added to their URL.

    Footprints and density begin at the first zoom, coverage at the mosaic's minzoom.
    """
    found = reached(mosaic, tms)
    low = found.minzoom if set(layers) == {"coverage"} else found.tms.minzoom
    zooms = found.tms.minzoom, found.maxzoom
    shown = {"vector_layers": vector_layers(mosaic, layers, zooms, found.minzoom)}
    return tilejson_of(mosaic, urls.template(tms, ".mvt"), low, found.maxzoom) | shown


@router.get("/mosaics/{mosaic}/vector/{tms}", response_class=Response, responses=DOCUMENT_RESPONSES)
def vector_tileset(
    mosaic: CachedMosaic,
    tms: str,
    urls: VectorURLs,
    request: Request,
    responder: Negotiated,
    layers: Layers,
) -> Response:
    """Shows the tileset of vector tiles; links keep the parameters of tiles, which are checked."""
    found = reached(mosaic, tms)
    title = f"Scenes of {mosaic.title or mosaic.id}, tiled as {tms}"
    left, bottom, right, top = bounds_in(mosaic, lonlat_on(mosaic))
    document = {
        "title": title,
        "dataType": "vector",
        "crs": found.tms.model_dump(mode="json", include={"crs"})["crs"],
        **({"tileMatrixSetURI": str(found.tms.uri)} if found.tms.uri else {}),
        "layers": [_geometry(mosaic, name) for name in layers],
        "links": _links(urls, tms, f"{request.base_url}tileMatrixSets/{tms}"),
        "boundingBox": {
            "lowerLeft": [left, bottom],
            "upperRight": [right, top],
            "crs": name_of(lonlat_on(mosaic)),
        },
    }
    return responder.answer(title, document)


def _geometry(mosaic: Mosaic, name: LayerName) -> dict[str, Any]:
    """Returns a layer as OGC 17-083r4 describes it (`geometryDimension` 2: polygons)."""
    return {
        "id": name,
        "dataType": "vector",
        "description": TEXTS[name],
        "geometryDimension": 2,
        "propertiesSchema": {
            "type": "object",
            "properties": {field: {} for field in fields_of(mosaic, name)},
        },
    }


def _links(urls: TileURLs, tms: str, definition: str) -> Sequence[Mapping[str, Any]]:
    tiles = {"rel": "item", "type": MVT, "title": "Tiles", "templated": True}
    return [
        {"href": urls.at(tms), "rel": "self", "type": "application/json", "title": "Tileset"},
        {"href": urls.at(f"{tms}/{{tileMatrix}}/{{tileCol}}/{{tileRow}}.mvt"), **tiles},
        {"href": urls.at(f"{tms}/tilejson.json"), "rel": "alternate", "title": "TileJSON"},
        {"href": definition, "rel": TILING_SCHEME, "title": f"Definition of {tms}"},
    ]
