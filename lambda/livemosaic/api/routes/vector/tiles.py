"""Vector tiles of the index: footprints of scenes, how dense they lie, where pixels are valid."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from starlette.concurrency import run_in_threadpool

from livemosaic.api.dependencies import (
    CachedMosaic,
    IfNoneMatchHeader,
    ReadParams,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.responses.digest import tagged
from livemosaic.api.responses.picture import SKIPPED, TRUNCATED, reason_list
from livemosaic.model.render import LayerName
from livemosaic.tiler.views import TileAddress
from livemosaic.vector.layers import USUAL

router = APIRouter(tags=["vector tiles"])

MVT: Final = "application/vnd.mapbox-vector-tile"
PATH: Final = "/mosaics/{mosaic}/vector/{tms}"


async def layers_param(
    layers: Annotated[
        list[LayerName] | None,
        Query(
            max_length=3,
            description="Layers of the tile: `footprints` of scenes; `density`, squares that count "
            "scenes, in place of more than 2,000 footprints; `coverage`, where the image of the "
            "tile has valid pixels, which are read for it. The first two by default",
        ),
    ] = None,
) -> tuple[LayerName, ...]:
    """Returns the layers to show, each once."""
    return tuple(dict.fromkeys(layers or USUAL))


Layers = Annotated[tuple[LayerName, ...], Depends(layers_param)]
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {MVT: {}}, "description": "A Mapbox Vector Tile, version 2.1"},
    304: {"description": "The tile still has an ETag of `If-None-Match`"},
}


@router.get(PATH + "/{z}/{x}/{y}.mvt", response_class=Response, responses=_RESPONSES)
async def vector_tile(
    mosaic: CachedMosaic,
    tms: str,
    z: int,
    x: int,
    y: int,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
    layers: Layers,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """Returns a vector tile of the scenes that the rule selects, at any zoom.

    Features of `footprints` have `id`, `collection`, `datetime` and the kept properties; the last
    one is on top. Where a tile has more than 2,000, `density` counts scenes in squares four zooms
    deeper, each scene once, with `count` and `newest`. `X-Truncated` names a limit that left scenes
    out. The `ETag` changes with the content.
    """
    from livemosaic.vector import tiles  # which no other route needs

    request = tiles.VectorRequest(mosaic, TileAddress(tms, z, x, y), layers, read, rule)
    made = await tiles.vector_tile(services.tiler, request)
    skipped = [*made.image.skipped, *made.image.left_out] if made.image else []
    headers = {TRUNCATED: made.truncated} if made.truncated else {}
    if skipped:
        headers[SKIPPED] = reason_list(skipped)
    brief = not made.body or bool(made.image and made.image.skipped)
    of = mosaic, services.settings, if_none_match
    return await run_in_threadpool(
        tagged, made.body, MVT, *of, about=headers, brief=brief, weak=True
    )
