"""Tiles, and what a tile is made of."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from livemosaic.api.access import OfMosaic
from livemosaic.api.images import RESPONSES, Held, image
from livemosaic.api.params import Has, HowRead, HowRender, format_of
from livemosaic.errors import InvalidRequestError
from livemosaic.hrefs import redact
from livemosaic.settings import Settings
from livemosaic.views import TileAddress

router = APIRouter(tags=["tiles"])

_PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


@router.get(_PATH + "/assets")
async def tile_assets(
    mosaic: OfMosaic, tms: str, z: int, x: int, y: int, has: Has
) -> dict[str, Any]:
    """What the tile would read, top first, and which scenes those hide, by footprints alone."""
    explained = await has.tiler.explain(mosaic, TileAddress(tms, z, x, y).view(mosaic, 256))
    return {
        "scenes": [
            {
                "id": scene.id,
                "collection": scene.collection or None,
                "datetime": scene.datetime,
                "version": scene.version,
                "read": why == "shows",
                "why": why,
                "assets": {name: redact(href) for name, href in scene.assets.items()},
            }
            for scene, why in explained
        ]
    }


async def tile(
    mosaic: OfMosaic,
    tms: str,
    z: int,
    x: int,
    y: int,
    has: Has,
    read: HowRead,
    render: HowRender,
    scale: int = 1,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
    tilesize: Annotated[int, Query(description="Pixels of an edge, before `@{n}x`")] = 256,
    if_none_match: Held = None,
) -> Response:
    """A map tile: the newest pixels on top.

    Its `ETag` changes when scenes that it is made of do; `If-None-Match` is answered from the index
    alone. `X-Scenes` names the scenes that show, `X-Skipped-Scenes` those that could not be read
    and why, `X-Truncated` the limit that left scenes out.
    """
    size = _size(tilesize, scale, has.settings)
    render = replace(render, format=format_of(format))
    view = TileAddress(tms, z, x, y).view(mosaic, size)
    return await image(has, mosaic, view, read, render, held=if_none_match)


for _suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", ""):
    router.get(
        _PATH + _suffix,
        response_class=Response,
        responses=RESPONSES,
    )(tile)


def _size(tilesize: int, scale: int, settings: Settings) -> int:
    if not 1 <= scale <= 4:
        raise InvalidRequestError(f"scale @{scale}x must be @1x to @4x")
    size = tilesize * scale
    if not 1 <= size <= settings.max_tile_size:
        raise InvalidRequestError(
            f"tilesize {tilesize} at @{scale}x makes {size} pixels, this server allows 1 to "
            f"{settings.max_tile_size}"
        )
    return size
