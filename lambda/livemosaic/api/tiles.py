"""Tiles, and what a tile is made of."""

import math
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from livemosaic.api.access import OfMosaic
from livemosaic.api.assets import explained
from livemosaic.api.images import RESPONSES, Held, image
from livemosaic.api.lean import Lean
from livemosaic.api.params import Has, HowRead, HowRender, format_of
from livemosaic.api.rule import HowRule
from livemosaic.errors import InvalidRequestError
from livemosaic.settings import Settings
from livemosaic.views import TileAddress

router = APIRouter(tags=["tiles"], route_class=Lean)

_PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"

TileSize = Annotated[int, Query(description="Pixels of an edge, before `@{n}x`")]
Buffer = Annotated[
    float, Query(description="More pixels on each side, in halves: 0.5 makes 257 of 256")
]
Padding = Annotated[
    int,
    Query(
        ge=0,
        le=1024,
        description="Changes nothing: resampling always reads as far around as it needs",
    ),
]


@router.get(_PATH + "/assets")
async def tile_assets(
    mosaic: OfMosaic, tms: str, z: int, x: int, y: int, has: Has, rule: HowRule
) -> dict[str, Any]:
    """What the tile would read, top first, and which scenes those hide, by footprints alone."""
    return await explained(has, mosaic, TileAddress(tms, z, x, y).view(mosaic, 256), rule)


async def tile(
    mosaic: OfMosaic,
    tms: str,
    z: int,
    x: int,
    y: int,
    has: Has,
    read: HowRead,
    render: HowRender,
    rule: HowRule,
    scale: int = 1,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
    tilesize: TileSize = 256,
    buffer: Buffer = 0.0,
    padding: Padding = 0,  # noqa: ARG001 (see there)
    if_none_match: Held = None,
) -> Response:
    """A map tile: the newest pixels on top.

    Its `ETag` changes when scenes that it is made of do; `If-None-Match` is answered from the index
    alone. `X-Scenes` names the scenes that show, `X-Skipped-Scenes` those that could not be read
    and why, `X-Truncated` the limit that left scenes out.
    """
    size = edge_of(tilesize, scale, buffer, has.settings)
    render = replace(render, format=format_of(format))
    view = TileAddress(tms, z, x, y).view(mosaic, size, buffer)
    return await image(has, mosaic, view, read, render, rule, held=if_none_match)


for _suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", ""):
    router.get(
        _PATH + _suffix,
        response_class=Response,
        responses=RESPONSES,
    )(tile)


def edge_of(tilesize: int, scale: int, buffer: float, settings: Settings) -> int:
    """Pixels of an edge without the buffer, which counts where it is limited."""
    if not 1 <= scale <= 4:
        raise InvalidRequestError(f"scale @{scale}x must be @1x to @4x")
    if not (math.isfinite(buffer) and buffer >= 0 and (2 * buffer).is_integer()):
        raise InvalidRequestError(f"buffer {buffer:g} must be a multiple of 0.5, and not below 0")
    size = tilesize * scale
    whole = size + int(2 * buffer)
    if not 1 <= size <= whole <= settings.max_tile_size:
        raise InvalidRequestError(
            f"tilesize {tilesize} at @{scale}x makes {whole} pixels with its buffer, this server "
            f"allows 1 to {settings.max_tile_size}"
        )
    return size
