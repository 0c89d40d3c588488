"""What map clients ask before they ask for tiles."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from livemosaic.api.access import OfMosaic
from livemosaic.api.mosaics import MosaicOut, shown
from livemosaic.api.params import Has, HowRead, HowRender, format_of
from livemosaic.cells import tile_matrix_set
from livemosaic.expression import Expression

router = APIRouter(tags=["describe"])

_OWN: Final = ("tile_format", "tile_scale", "minzoom", "maxzoom")
"""Parameters of the description, not of its tiles."""


@router.get("/mosaics/{mosaic}/info")
def info(mosaic: str, has: Has) -> MosaicOut:
    """The mosaic as it is now: settings, bounds, levels."""
    return shown(has.mosaics.get(mosaic))


@router.get("/mosaics/{mosaic}/tiles/{tms}/tilejson.json", name="tilejson")
def tilejson(
    mosaic: OfMosaic,
    tms: str,
    request: Request,
    read: HowRead,
    _render: HowRender,
    tile_format: Annotated[str | None, Query(description="Extension of the tile URL")] = None,
    tile_scale: Annotated[int, Query(ge=1, le=4, description="2 for `@2x` tiles")] = 1,
) -> dict[str, Any]:
    """TileJSON 3.0.0; parameters of tiles are checked here and go into the tile URL."""
    if read.expression:
        Expression.parse(read.expression)
    limits = tile_matrix_set(tms)
    west, south, east, north = mosaic.bounds or (-180.0, -90.0, 180.0, 90.0)
    return {
        "tilejson": "3.0.0",
        "name": mosaic.title or mosaic.id,
        "scheme": "xyz",
        "tiles": [_template(request, mosaic.id, tms, tile_format, tile_scale)],
        "minzoom": max(mosaic.minzoom, limits.minzoom),
        "maxzoom": min(mosaic.maxzoom, limits.maxzoom),
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2, (south + north) / 2, mosaic.minzoom],
    }


def _template(
    request: Request, mosaic_id: str, tms: str, tile_format: str | None, scale: int
) -> str:
    suffix = "" if scale == 1 else f"@{scale}x"
    if tile_format is not None:
        format_of(tile_format)
        suffix += f".{tile_format}"
    base = f"{request.base_url}mosaics/{mosaic_id}/tiles/{tms}/{{z}}/{{x}}/{{y}}{suffix}"
    query = request.url.remove_query_params(_OWN).query
    return f"{base}?{query}" if query else base
