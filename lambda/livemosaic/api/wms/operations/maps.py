"""GetMap: an image of a box, as `/bbox` has it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import services_of
from livemosaic.api.responses.picture import (
    GRAY,
    MISSING,
    OVERVIEW,
    SCENES,
    SKIPPED,
    TRUNCATED,
    Encoder,
    image,
    joined,
)
from livemosaic.api.wms.layers import DrawnLayer, the_layers
from livemosaic.api.wms.request import WmsRequest
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import OffGlobeError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid
from livemosaic.model.render import Render
from livemosaic.render.encode import LOSSY, encode, encode_image
from livemosaic.render.exports.png8 import Png8Encoder, encode_png8
from livemosaic.render.sheets import Sheet, laid
from livemosaic.render.stack.compose import empty
from livemosaic.tiler.views import ROUNDED, View, canvas_view, zoom_like

_TOO_COARSE: Final = "minzoom"
"""What `X-Truncated` says of an empty map beyond the layer's MaxScaleDenominator."""
_OF_LAYERS: Final = (SCENES, SKIPPED, GRAY, MISSING, TRUNCATED, OVERVIEW)
"""Headers of the layers of a map that it has of each of them, bottom first."""


async def get_map(request: Request, asked: WmsRequest, only: Mosaic | None) -> Response:
    """Renders a map with the headers and ETags of tiles; several layers on each other.

    A map coarser than the mosaic's minzoom is empty, and `X-Truncated` says so: clients ask for
    such maps, and would report an error for each.
    """
    layers = await the_layers(request, asked, only)
    grid = asked.grid(services_of(request).settings, len(layers))
    if len(layers) > 1:
        return await _on_each_other(request, asked, layers, grid)
    etags = request.headers.getlist("If-None-Match")
    encoder: Encoder = Png8Encoder() if asked.is_paletted else encode
    return await _of_layer(request, asked, layers[0], grid, asked.background(), etags, encoder)


async def _of_layer(
    request: Request,
    asked: WmsRequest,
    layer: DrawnLayer,
    grid: Grid,
    background: tuple[int, int, int] | None,
    etags: list[str],
    encoder: Encoder,
) -> Response:
    services = services_of(request)
    read, render = layer.appearance.look(asked.format())
    render = replace(render, background=background)
    services.tiler.of_scenes(layer.mosaic, read, layer.rule)  # what raises does so anywhere
    try:
        view = canvas_view(grid, layer.mosaic, f"BBOX {asked.get('bbox')[:80]}")
    except OffGlobeError:
        return await run_in_threadpool(_empty, render, grid, encoder)
    if layer.rule.method != "lock" and is_too_coarse(layer.mosaic, view):
        return await run_in_threadpool(_empty, render, grid, encoder, _TOO_COARSE)
    return await image(services, layer.mosaic, view, read, render, layer.rule, etags, encoder)


async def _on_each_other(
    request: Request, asked: WmsRequest, layers: Sequence[DrawnLayer], grid: Grid
) -> Response:
    """Renders layers, the first one at the bottom. Caches ask for the map again each time."""
    chosen = asked.format()
    if chosen == "tif":
        raise InvalidRequestError("image/tiff has the values of one layer: ask for each alone")
    sheets = [Sheet() for _ in layers]
    answers = [
        await _of_layer(request, asked, layer, grid, None, [], sheet)
        for layer, sheet in zip(layers, sheets, strict=True)
    ]
    _, look = layers[0].appearance.look(chosen)
    quality = (look.quality or layers[0].mosaic.quality) if chosen in LOSSY else None
    render = replace(look, background=asked.background(), quality=quality)
    images = [sheet.image for sheet in sheets if sheet.image is not None]
    encoded = encode_png8 if asked.is_paletted else encode_image
    made = await run_in_threadpool(lambda: encoded(laid(images), render, grid))
    headers = {"Cache-Control": "no-cache"}
    for name in _OF_LAYERS:
        found = [answer.headers[name] for answer in answers if answer.headers.get(name)]
        headers |= {name: joined(found)} if found else {}
    return Response(made.body, media_type=made.media_type, headers=headers)


def is_too_coarse(mosaic: Mosaic, view: View) -> bool:
    """Whether a view is coarser than tiles of the mosaic's minzoom; never where that is 0."""
    return mosaic.minzoom > 0 and zoom_like(view) < mosaic.minzoom - ROUNDED


def _empty(render: Render, grid: Grid, encoder: Encoder, why: str = "") -> Response:
    """Returns a map without any scene; `why` is the limit that keeps them out, if one does."""
    encoded = encoder(empty(grid), replace(render, algorithm=None), grid, {})
    headers = {"Cache-Control": "no-cache", SCENES: ""} | ({TRUNCATED: why} if why else {})
    return Response(encoded.body, media_type=encoded.media_type, headers=headers)
