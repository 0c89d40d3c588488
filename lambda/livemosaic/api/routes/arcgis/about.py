"""What a service says of itself beside its description: legend, properties, raster functions."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.routes.arcgis.service import raster_functions
from livemosaic.api.routes.arcgis.values.answers import document
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.api.routes.arcgis.values.rendering import Rendering, drawing_param
from livemosaic.api.routes.arcgis.values.samples import ServiceSample
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Colors
from livemosaic.render.colormaps import apply_colormap
from livemosaic.render.exports.encoder import ExportEncoder, RasterStep
from livemosaic.render.png import encode_png
from livemosaic.tiler.rules.parameters import rule_of

_SWATCH: Final = 20
"""Pixels of the edge of a legend's image."""
_STEPS: Final = 5
"""Colors that stand for a continuous colormap."""
_PRIMARY: Final = {"Red": (255, 0, 0), "Green": (0, 255, 0), "Blue": (0, 0, 255)}
_LARGEST: Final = 255

Entry = tuple[str, tuple[int, ...]]
"""A label, and red, green, blue and perhaps alpha."""
Shown = tuple[tuple[str, ...], str | Colors | None, tuple[tuple[float, float], ...]]
"""Names of bands, a colormap, and the ranges of values."""


async def raster_function_infos(request: Request) -> Response:
    """Lists the renders and raster functions that rendering rules may name."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    return document(asked, {"rasterFunctionInfos": raster_functions(mosaic)})


async def key_properties(request: Request) -> Response:
    """Describes the bands."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    sample = await request.app.state.samples.find(asked.services, mosaic)
    bands = [{"BandName": name} for name in sample.names]
    return document(asked, {"BandProperties": bands, "Title": mosaic.title or mosaic.id})


async def legend(request: Request) -> Response:
    """Shows what colors mean: of the rendering rule, or of the values as they are."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    default = rule_of({}, mosaic)
    rendering = drawing_param(asked, mosaic, default, "auto")
    samples = request.app.state.samples
    sample = await samples.find(asked.services, mosaic, rendering.read, default)
    render = await asked.services.stretched(mosaic, rendering.read, rendering.render, default)
    rendering = replace(rendering, render=render)
    return document(asked, await run_in_threadpool(_legend, mosaic, rendering, sample))


def _legend(mosaic: Mosaic, rendering: Rendering, sample: ServiceSample) -> dict[str, Any]:
    kind, entries = _entries(rendering, sample)
    layer = {
        "layerId": 0,
        "layerName": mosaic.title or mosaic.id,
        "layerType": "Raster Layer",
        "minScale": 0,
        "maxScale": 0,
        "legendType": kind,
        "legend": [_swatch(label, color) for label, color in entries],
    }
    return {"layers": [layer]}


def _entries(rendering: Rendering, sample: ServiceSample) -> tuple[str, list[Entry]]:
    names, colors, ranges = sample.names, rendering.render.colormap, rendering.render.rescale
    if rendering.steps:
        names, colors, ranges = _of_steps(rendering.steps, sample)
    if isinstance(colors, str):
        low, high = ranges[0] if ranges else (0.0, float(_LARGEST))
        return "Stretched", list(_ramp(colors, low, high))
    if colors is not None:
        return "Unique Values", [(_label(value), color) for value, color in colors]
    if len(names) >= 3:
        pairs = zip(_PRIMARY, names, strict=False)
        return "RGB Composite", [(f"{color}: {band}", _PRIMARY[color]) for color, band in pairs]
    low, high = ranges[0] if ranges else _range_of(sample)
    grays = [(high, (_LARGEST,) * 3), (low, (0,) * 3)]
    return "Stretched", [(f"{value:g}", color) for value, color in grays]


def _of_steps(steps: tuple[RasterStep, ...], sample: ServiceSample) -> Shown:
    """Returns what raster functions make of an image of the service, by running them on zeros.

    Raises `InvalidRequestError` where they make values of which no picture shows the range.
    """
    encoder = ExportEncoder(format="tiff", steps=steps)
    side = 2 * encoder.margin + 1
    zeros = np.zeros((len(sample.names), side, side), sample.dtype)
    pixels = Pixels(zeros, np.ones((side, side), np.bool_), sample.names)
    made, _ = encoder.made(pixels, Grid(LONLAT, (0, 0, 1, 1), side, side))
    colors = steps[-1].colors
    if colors is None and made.data.dtype != np.uint8:
        raise InvalidRequestError(
            f"renderingRule makes {made.data.dtype} values, which have no legend: end it in a "
            "Stretch or Colormap"
        )
    return made.names, colors, ((0.0, float(_LARGEST)),)


def _range_of(sample: ServiceSample) -> tuple[float, float]:
    if sample.dtype == "uint8" or not sample.ranges:
        return 0.0, float(_LARGEST)
    return sample.ranges[0].least, sample.ranges[0].largest


def _ramp(name: str, low: float, high: float) -> Iterator[Entry]:
    places = np.linspace(_LARGEST, 0, _STEPS).round().astype(np.uint8)
    rgb, alpha = apply_colormap(places.reshape(1, 1, -1), name)
    for number, place in enumerate(places):
        value = low + (high - low) * int(place) / _LARGEST
        yield f"{value:g}", (*map(int, rgb[:, 0, number]), int(alpha[0, number]))


def _label(value: object) -> str:
    return f"{value[0]:g} – {value[1]:g}" if isinstance(value, tuple) else str(value)


def _swatch(label: str, color: Sequence[int]) -> dict[str, Any]:
    bands = np.array([*color, _LARGEST][:4], np.uint8).reshape(4, 1, 1)
    png = encode_png(np.broadcast_to(bands, (4, _SWATCH, _SWATCH)))
    return {
        "label": label,
        "imageData": base64.b64encode(png).decode(),
        "contentType": "image/png",
        "height": _SWATCH,
        "width": _SWATCH,
    }
