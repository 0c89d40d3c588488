"""Tiles, and what a tile is made of."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from livemosaic.api.dependencies import (
    CachedMosaic,
    IfNoneMatchHeader,
    ReadParams,
    RenderParams,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.params.pixels import EdgeQuery, format_of
from livemosaic.api.responses.explain import explained
from livemosaic.api.responses.picture import RESPONSES, image
from livemosaic.api.routing import SparseParamsRoute
from livemosaic.tiler.views import TileAddress

router = APIRouter(tags=["tiles"], route_class=SparseParamsRoute)

_PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


@router.get(_PATH + "/assets")
async def tile_assets(
    mosaic: CachedMosaic, tms: str, z: int, x: int, y: int, services: ServicesDep, rule: RuleParams
) -> dict[str, Any]:
    """What the tile would read, top first, and which scenes those hide, by footprints alone."""
    return await explained(services, mosaic, TileAddress(tms, z, x, y).view(mosaic, 256), rule)


async def tile(
    mosaic: CachedMosaic,
    tms: str,
    z: int,
    x: int,
    y: int,
    services: ServicesDep,
    read: ReadParams,
    render: RenderParams,
    rule: RuleParams,
    edge: Annotated[EdgeQuery, Query()],
    scale: int = 1,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """A map tile: the newest pixels on top.

    Its `ETag` changes when scenes that it is made of do; `If-None-Match` is answered from the index
    alone. `X-Scenes` names the scenes that show, `X-Skipped-Scenes` those that could not be read
    and why, `X-Truncated` the limit that left scenes out.
    """
    size = edge.edge(scale, services.settings)
    render = replace(render, format=format_of(format))
    view = TileAddress(tms, z, x, y).view(mosaic, size, edge.buffer)
    return await image(services, mosaic, view, read, render, rule, held=if_none_match)


for _suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", ""):
    router.get(
        _PATH + _suffix,
        response_class=Response,
        responses=RESPONSES,
    )(tile)
