"""Tiles, and what a tile is made of."""

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from livemosaic.api.params import FORMATS, Has, HowRead, HowRender, OfMosaic, format_of
from livemosaic.errors import InvalidRequestError
from livemosaic.hrefs import redact
from livemosaic.render import encode
from livemosaic.settings import Settings
from livemosaic.tiler import Tile, TileAddress

router = APIRouter(tags=["tiles"])

SCENES: Final = "X-Scenes"
SKIPPED: Final = "X-Skipped-Scenes"
TRUNCATED: Final = "X-Truncated"
_MAX_HEADER: Final = 2000
_PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


@router.get(_PATH + "/assets")
async def tile_assets(
    mosaic: OfMosaic, tms: str, z: int, x: int, y: int, has: Has
) -> dict[str, Any]:
    """What the tile would read, top first, and which scenes those hide, by footprints alone."""
    explained = await has.tiler.explain(mosaic, TileAddress(tms, z, x, y), 256)
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
) -> Response:
    """A map tile: the newest pixels on top.

    Headers say what it is made of: `X-Scenes` the scenes that show, `X-Skipped-Scenes` those that
    could not be read and why, `X-Truncated` the limit that left scenes out.
    """
    size = _size(tilesize, scale, has.settings)
    render = replace(render, format=format_of(format))
    if render.format in ("tif", "npy"):
        read = replace(read, palette=False)
    made = await has.tiler.tile(mosaic, TileAddress(tms, z, x, y), size, read)
    encoded = await run_in_threadpool(encode, made.pixels, render, made.grid)
    return Response(encoded.body, media_type=encoded.media_type, headers=_headers(made))


for _suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", ""):
    router.get(
        _PATH + _suffix,
        response_class=Response,
        responses={
            200: {
                "content": {
                    "image/png": {},
                    "image/jpeg": {},
                    "image/webp": {},
                    "image/tiff; application=geotiff": {},
                    "application/x-binary": {},
                },
                "description": f"An image; `format` is one of {', '.join(sorted(FORMATS))}",
            }
        },
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


def _headers(made: Tile) -> dict[str, str]:
    # A mosaic is live: nobody may keep a tile without asking again.
    headers = {"Cache-Control": "no-cache", SCENES: _listed(made.scenes)}
    if made.skipped:
        headers[SKIPPED] = _listed([f"{name}={why}" for name, why in made.skipped])
    if made.truncated:
        headers[TRUNCATED] = made.truncated
    return headers


def _listed(names: Any) -> str:
    """Comma-separated, percent-encoded (headers are ASCII), cut between names."""
    text = ",".join(quote(name, safe=" =:/()'") for name in names)
    return text if len(text) <= _MAX_HEADER else text[:_MAX_HEADER].rpartition(",")[0] + ",..."
