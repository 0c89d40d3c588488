"""GetLegendGraphic: the colors of a style by value."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import services_of
from livemosaic.api.wms.exceptions import ServiceError
from livemosaic.api.wms.layers import the_layer
from livemosaic.api.wms.request import WmsRequest
from livemosaic.api.wms.text import HEIGHT, WIDTH, put
from livemosaic.geo.crs import LONLAT
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Colors, Format, Render, Rgba
from livemosaic.render.encode import encode
from livemosaic.render.style import apply_colors

_RAMP: Final = 128
"""Pixels of the height of the colors of a continuous colormap."""
_SWATCH: Final = 20
_LINE: Final = 14
_SPACE: Final = 4
_MOST_SWATCHES: Final = 64
_LONGEST: Final = 40
"""Letters of a label."""
_OPAQUE: Final = 255

Canvas = NDArray[np.uint8]
"""Red, green, blue and alpha, shape (4, height, width)."""


async def get_legend_graphic(request: Request, asked: WmsRequest, only: Mosaic | None) -> Response:
    """Draws the colors of a style by value; of one without a colormap its name alone."""
    layer = await the_layer(request, asked, only)
    style = asked.get("style") or layer.mosaic.title or layer.mosaic.id
    image_format = asked.format() if asked.get("format") else "png"
    if image_format == "tif":
        raise ServiceError("InvalidFormat", "a legend is image/png, image/jpeg or image/webp")
    services = services_of(request)
    read, colors = layer.appearance.look("auto")
    render = await services.stretched(layer.mosaic, read, colors, layer.rule)
    return await run_in_threadpool(_response, render, style, image_format)


def _response(render: Render, title: str, image_format: Format) -> Response:
    canvas = legend_of(render, title)
    height, width = canvas.shape[1:]
    pixels = Pixels(canvas[:3], canvas[3] > 0, ("red", "green", "blue"))
    white = (_OPAQUE, _OPAQUE, _OPAQUE)
    shown = Render(format=image_format, background=white if image_format == "jpeg" else None)
    made = encode(pixels, shown, Grid(LONLAT, (0, 0, width, height), width, height))
    return Response(made.body, media_type=made.media_type)


def legend_of(render: Render, title: str) -> Canvas:
    """Returns the legend of a style."""
    if render.colormap is None:
        return _of_labels([title])
    if isinstance(render.colormap, str):
        return _of_ramp(render)
    return _of_swatches(render.colormap)


def _of_ramp(render: Render) -> Canvas:
    """Returns a continuous colormap, the largest value on top, with the values at its ends."""
    low, high = render.rescale[0] if render.rescale else (0.0, 255.0)
    steps = np.linspace(_OPAQUE, 0, _RAMP).round().astype(np.uint8).reshape(1, _RAMP, 1)
    pixels = Pixels(steps, np.ones((_RAMP, 1), np.bool_), ("b1",))
    image = apply_colors(pixels, replace(render, rescale=(), color_formula=None), 1)
    labels = [f"{value:.6g}" for value in (high, (low + high) / 2, low)]
    canvas = _blank(_RAMP + HEIGHT, labels)
    colors = np.concatenate((image.data, image.alpha[np.newaxis]))
    canvas[:, HEIGHT // 2 : HEIGHT // 2 + _RAMP, :_SWATCH] = colors
    for label, top in zip(labels, (0, _RAMP // 2, _RAMP), strict=True):
        _write(canvas, label, top)
    return canvas


def _of_swatches(colors: Colors) -> Canvas:
    """Returns the color of each value or interval, in the order of the colormap."""
    shown, hidden = colors[:_MOST_SWATCHES], len(colors) - _MOST_SWATCHES
    labels = [_label(value) for value, _ in shown]
    labels += [f"... {hidden} more"] if hidden > 0 else []
    canvas = _of_labels(labels)
    for number, (_, color) in enumerate(shown):
        _fill(canvas, number * _LINE, color)
    return canvas


def _label(value: int | tuple[float, float]) -> str:
    return f"{value[0]:g} - {value[1]:g}" if isinstance(value, tuple) else str(value)


def _fill(canvas: Canvas, top: int, color: Rgba) -> None:
    place = canvas[:, top + 1 : top + _LINE - 1, :_SWATCH]
    place[:] = np.array(color, np.uint8).reshape(4, 1, 1)


def _of_labels(labels: Sequence[str]) -> Canvas:
    canvas = _blank(len(labels) * _LINE, labels)
    for number, label in enumerate(labels):
        _write(canvas, label, number * _LINE + (_LINE - HEIGHT) // 2)
    return canvas


def _blank(height: int, labels: Sequence[str]) -> Canvas:
    letters = max(min(_LONGEST, len(label)) for label in labels)
    return np.zeros((4, height, _SWATCH + 2 * _SPACE + letters * WIDTH), np.uint8)


def _write(canvas: Canvas, label: str, top: int) -> None:
    ink = np.zeros(canvas.shape[1:], np.bool_)
    put(ink, label[:_LONGEST], _SWATCH + _SPACE, top)
    canvas[3, ink] = _OPAQUE
