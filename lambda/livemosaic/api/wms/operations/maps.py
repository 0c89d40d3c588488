"""GetMap: an image of a box, as `/bbox` has it."""

from dataclasses import replace
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import services_of
from livemosaic.api.responses.picture import SCENES, TRUNCATED, image
from livemosaic.api.wms.layers import the_layer
from livemosaic.api.wms.request import WmsRequest
from livemosaic.geo.box import OffGlobeError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid
from livemosaic.model.render import Render
from livemosaic.render.encode import encode
from livemosaic.render.stack.compose import empty
from livemosaic.tiler.views import ROUNDED, View, canvas_view, zoom_like

_TOO_COARSE: Final = "minzoom"
"""What `X-Truncated` says of an empty map beyond the layer's MaxScaleDenominator."""


async def get_map(request: Request, asked: WmsRequest, only: Mosaic | None) -> Response:
    """Renders a map with the headers and ETags of tiles.

    A map coarser than the mosaic's minzoom is empty, and `X-Truncated` says so: clients ask for
    such maps, and would report an error for each.
    """
    services = services_of(request)
    layer = await the_layer(request, asked, only)
    read, render = layer.appearance.look(asked.format())
    render = replace(render, background=asked.background())
    grid = asked.grid(services.settings)
    services.tiler.of_scenes(layer.mosaic, read, layer.rule)  # what raises does so anywhere
    try:
        view = canvas_view(grid, layer.mosaic, f"BBOX {asked.get('bbox')[:80]}")
    except OffGlobeError:
        return await run_in_threadpool(_empty, render, grid)
    if layer.rule.method != "lock" and is_too_coarse(layer.mosaic, view):
        return await run_in_threadpool(_empty, render, grid, _TOO_COARSE)
    etags = request.headers.getlist("If-None-Match")
    return await image(services, layer.mosaic, view, read, render, layer.rule, etags)


def is_too_coarse(mosaic: Mosaic, view: View) -> bool:
    """Whether a view is coarser than tiles of the mosaic's minzoom; never where that is 0."""
    return mosaic.minzoom > 0 and zoom_like(view) < mosaic.minzoom - ROUNDED


def _empty(render: Render, grid: Grid, why: str = "") -> Response:
    """Returns a map without any scene; `why` is the limit that keeps them out, if one does."""
    encoded = encode(empty(grid), replace(render, algorithm=None), grid)
    headers = {"Cache-Control": "no-cache", SCENES: ""} | ({TRUNCATED: why} if why else {})
    return Response(encoded.body, media_type=encoded.media_type, headers=headers)
