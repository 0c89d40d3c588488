"""exportImage: an image of a box, in any CRS, format and pixel type; and the tiles of a service."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from rasterio.crs import CRS
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.responses.picture import image
from livemosaic.api.routes.arcgis.values.answers import document
from livemosaic.api.routes.arcgis.values.asked import FORMAT, Asked, number_of
from livemosaic.api.routes.arcgis.values.geometry import crs_param, envelope
from livemosaic.api.routes.arcgis.values.rendering import Rendering, drawing_param, pixel_type
from livemosaic.api.routes.arcgis.values.rules import rule_param
from livemosaic.api.routes.arcgis.values.samples import ServiceSample, ServiceSamples, service_crs
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import FARTHEST, Box
from livemosaic.geo.frame import around
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox, Grid, Pixels
from livemosaic.model.render import Render, Resampling
from livemosaic.model.rule import Rule
from livemosaic.render.encode import QUALITY
from livemosaic.render.exports.encoder import (
    FORMATS,
    Cut,
    ExportEncoder,
    ExportFormat,
    PixelType,
    RasterStep,
    Sides,
)
from livemosaic.render.functions.colors import Stretch, stretch
from livemosaic.tiler.views import TileAddress, View, box_view, check_zoom

_SIDE: Final = 400
"""Pixels of an edge, if no size is given."""
_ALMOST: Final = 1e-6
"""Part of a pixel by which edges of the world may be missed."""
INTERPOLATIONS: Final[dict[str, Resampling]] = {
    "RSP_NearestNeighbor": "nearest",
    "RSP_BilinearInterpolation": "bilinear",
    "RSP_CubicConvolution": "cubic",
    "RSP_Majority": "mode",
}
_MATCH: Final = ("esriNoDataMatchAny", "esriNoDataMatchAll")
_SHOWN_AS_THEY_ARE: Final = ("uint8",)
_EDGE: Final = 256
"""Pixels of a tile's edge."""


@dataclass(frozen=True, slots=True)
class ExportFrame:
    """The place of an image: a box in a CRS, and its size in pixels."""

    crs: CRS
    bounds: BBox
    width: int
    height: int

    @property
    def step(self) -> tuple[float, float]:
        """The width and the height of a pixel."""
        left, bottom, right, top = self.bounds
        return (right - left) / self.width, (top - bottom) / self.height

    def view(self, mosaic: Mosaic, margin: int) -> tuple[View, Sides, Cut | None]:
        """Returns the pixels that have a place on the globe, and where they are in the image.

        There are up to `margin` pixels more on each side, as many as returned: none beyond a pole,
        nor more than once around the world. No cut where all pixels have a place.
        """
        first, above, inner = self.placed()
        sides = self._sides(inner.bounds, self.step, margin)
        grid = inner.grown(*sides)
        view = box_view(Box(self.crs, grid.bounds), mosaic, grid.width, grid.height)
        is_whole = (inner.width, inner.height) == (self.width, self.height)
        return view, sides, None if is_whole else Cut(first, above, self.width, self.height)

    def placed(self) -> tuple[int, int, Grid]:
        """Returns the pixels that have a place on the globe, and the column and row of the first.

        Raises `InvalidRequestError` where none has.
        """
        left, _, _, top = self.bounds
        x, y = self.step
        (first, last), (above, below) = self._within(x, y)
        if last <= first or below <= above:
            raise InvalidRequestError(f"bbox {_text(self.bounds)} has no place on the globe")
        bounds = left + first * x, top - below * y, left + last * x, top - above * y
        return first, above, Grid(self.crs, bounds, last - first, below - above)

    def _sides(self, bounds: BBox, step: tuple[float, float], margin: int) -> Sides:
        """Returns the pixels around a box that have a place, `margin` at most on each side."""
        world = around(self.crs)
        if world is None:
            return margin, margin, margin, margin
        left, bottom, right, top = bounds
        (x, y), reach, pole = step, 1.5 * world, world / 4
        spare = _whole((world - (right - left)) / x, 2 * margin)
        west = min(spare, _whole((left + reach) / x, margin))
        east = min(spare - west, _whole((reach - right) / x, margin))
        if not self.crs.is_geographic:
            return west, margin, east, margin
        return west, _whole((pole - top) / y, margin), east, _whole((bottom + pole) / y, margin)

    def _within(self, x: float, y: float) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns columns and rows, from and to, of the pixels within the world."""
        left, _, right, top = self.bounds
        world = around(self.crs)
        if world is None:
            return (0, self.width), (0, self.height)
        reach = 1.5 * world if right - left <= world * (1 + 1e-9) else world / 2
        columns = _pixels((-reach - left) / x, (reach - left) / x, self.width)
        if not self.crs.is_geographic:
            return columns, (0, self.height)
        pole = world / 4
        return columns, _pixels((top - pole) / y, (top + pole) / y, self.height)


def _whole(pixels: float, most: int) -> int:
    return min(most, max(0, math.floor(pixels)))


def _pixels(first: float, last: float, count: int) -> tuple[int, int]:
    return max(0, math.ceil(first - _ALMOST)), min(count, math.floor(last + _ALMOST))


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that decides on an image, but its place."""

    rendering: Rendering
    rule: Rule
    encoder: ExportEncoder

    @classmethod
    async def of(cls, asked: Asked, mosaic: Mosaic, samples: ServiceSamples) -> "Drawing":
        """Parses a request; raises `InvalidRequestError`, which names the parameter."""
        rule = await rule_param(asked, mosaic)
        drawing = drawing_param(asked, mosaic, rule, FORMATS[_format(asked)])
        rendering = _read(asked, drawing)
        encoder = _encoder(asked, rendering)
        if _is_unsaid(encoder, rendering):
            sample = await samples.find(asked.services, mosaic, rendering.read, rule)
            encoder = _shown(encoder, sample)
        return cls(rendering, rule, encoder)

    async def image(
        self, asked: Asked, mosaic: Mosaic, view: View, encoder: ExportEncoder
    ) -> Response:
        """Draws the image of a view."""
        render = _render(asked, self.rendering, encoder, mosaic)
        etags = asked.request.headers.getlist("If-None-Match")
        return await image(
            asked.services, mosaic, view, self.rendering.read, render, self.rule, etags, encoder
        )


def _encoder(asked: Asked, rendering: Rendering) -> ExportEncoder:
    return ExportEncoder(
        format=_format(asked),
        bands=_bands(asked),
        no_data=tuple(asked.numbers("noData")),
        match_all=_match_all(asked),
        steps=rendering.steps,
        pixel_type=_pixel_type(asked),
    )


def _render(asked: Asked, rendering: Rendering, encoder: ExportEncoder, mosaic: Mosaic) -> Render:
    usual = rendering.render.quality or mosaic.quality or QUALITY
    quality = asked.whole("compressionQuality", usual, 0, 100)
    return replace(rendering.render, format=FORMATS[encoder.format], quality=max(1, quality))


def frame_param(asked: Asked, mosaic: Mosaic) -> ExportFrame:
    """Returns the place that `bbox`, `size` and their CRSs give an image.

    A box of another shape than the image grows around its middle, so that pixels are square, unless
    `adjustAspectRatio` is false or that is a pixel or less.
    """
    own = service_crs(mosaic)
    source = crs_param(asked, "bboxSR", own)
    crs = crs_param(asked, "imageSR", source if asked.get("imageSR") else own)
    width, height = size_param(asked)
    bounds = _bbox(asked)
    if source != crs:
        inside = ExportFrame(source, bounds, 1000, 1000)
        bounds = Box(source, on_globe_bounds(inside)).to(crs).bounds
    if asked.flag("adjustAspectRatio", default=True):
        bounds = _squared(bounds, width, height)
    return ExportFrame(crs, bounds, width, height)


def _bbox(asked: Asked) -> BBox:
    edges = (
        asked.numbers("bbox") if (asked.get("bbox") or "").lstrip()[:1] != "{" else _envelope(asked)
    )
    if len(edges) != 4:
        raise InvalidRequestError("bbox must be xmin,ymin,xmax,ymax")
    # esri-leaflet has north before south; ArcGIS Server sorts them.
    (left, right), (bottom, top) = sorted(edges[::2]), sorted(edges[1::2])
    if not (left < right and bottom < top and max(map(abs, edges)) < FARTHEST):
        raise InvalidRequestError(f"bbox {_text(edges)} is empty or far off the globe")
    return left, bottom, right, top


def _envelope(asked: Asked) -> list[float]:
    given = asked.object("bbox")
    if not isinstance(given, dict):
        raise InvalidRequestError("bbox must be xmin,ymin,xmax,ymax, or an envelope")
    return [number_of("bbox", given.get(edge)) for edge in ("xmin", "ymin", "xmax", "ymax")]


def _text(edges: Any) -> str:
    return ",".join(f"{edge:.12g}" for edge in edges)


def on_globe_bounds(frame: ExportFrame) -> BBox:
    """Returns the part of a box that has a place on the globe, to a thousandth of it."""
    *_, grid = frame.placed()
    return grid.bounds


def _squared(bounds: BBox, width: int, height: int) -> BBox:
    left, bottom, right, top = bounds
    x, y = (right - left) / width, (top - bottom) / height
    pixel = max(x, y)
    more_x, more_y = pixel * width - (right - left), pixel * height - (top - bottom)
    if more_x <= pixel and more_y <= pixel:
        return bounds
    return left - more_x / 2, bottom - more_y / 2, right + more_x / 2, top + more_y / 2


def size_param(asked: Asked) -> tuple[int, int]:
    """Returns width and height of an image; raises `InvalidRequestError` for too many pixels."""
    numbers = asked.numbers("size") or [float(_SIDE)] * 2
    if len(numbers) != 2 or not all(n.is_integer() and n >= 1 for n in numbers):
        raise InvalidRequestError(f"size {asked.get('size')!r} must be width,height in pixels")
    width, height = map(int, numbers)
    most = asked.services.settings.max_image_pixels
    if width * height > most:
        raise InvalidRequestError(
            f"size {width},{height} is {width * height:,} pixels; this server allows {most:,}"
        )
    return width, height


def _format(asked: Asked) -> ExportFormat:
    named = (asked.get("format") or "jpgpng").lower()
    named = {"tif": "tiff", "jpeg": "jpg"}.get(named, named)
    for known in FORMATS:
        if named == known:
            return known
    raise InvalidRequestError(f"format {named[:20]!r} is not known; known are {', '.join(FORMATS)}")


def _bands(asked: Asked) -> tuple[int, ...]:
    numbers = asked.numbers("bandIds")
    most = asked.services.settings.max_bands
    if len(numbers) > most or not all(n.is_integer() and n >= 0 for n in numbers):
        raise InvalidRequestError(
            f"bandIds {asked.get('bandIds')!r} must be at most {most} bands, counted from 0"
        )
    return tuple(map(int, numbers))


def _pixel_type(asked: Asked) -> PixelType | None:
    named = asked.get("pixelType")
    return None if named is None or named.upper() == "UNKNOWN" else pixel_type(named)


def _read(asked: Asked, rendering: Rendering) -> Rendering:
    read = rendering.read
    named = asked.get("interpolation")
    if named is not None:
        kernels = {name.lower(): kernel for name, kernel in INTERPOLATIONS.items()}
        kernel = kernels.get(named.strip().lower())
        if kernel is None:
            raise InvalidRequestError(
                f"interpolation {named[:40]!r} is not known; known are {', '.join(INTERPOLATIONS)}"
            )
        read = replace(read, resampling=kernel)
    return replace(rendering, read=read)


def _match_all(asked: Asked) -> bool:
    named = asked.get("noDataInterpretation") or _MATCH[0]
    if named not in _MATCH:
        raise InvalidRequestError(
            f"noDataInterpretation {named[:40]!r} must be one of {', '.join(_MATCH)}"
        )
    return named == _MATCH[1]


def _is_unsaid(encoder: ExportEncoder, rendering: Rendering) -> bool:
    """Whether an image is a picture, and the request says not how values are shown by it."""
    says_how = rendering != Rendering(read=rendering.read) or encoder.pixel_type is not None
    return FORMATS[encoder.format] != "tif" and not says_how


def _shown(encoder: ExportEncoder, sample: ServiceSample) -> ExportEncoder:
    """Stretches values that no picture can show.

    By the range of a sample of these values, as ArcGIS does by the statistics of a service: so all
    images of a service are alike.
    """
    if sample.dtype in _SHOWN_AS_THEY_ARE or not sample.ranges:
        return encoder
    chosen = [sample.ranges[n] for n in encoder.bands if n < len(sample.ranges)] or sample.ranges
    how = Stretch(kind="min_max", bands=tuple(chosen))
    step = RasterStep(repr(how), partial(_stretched, how=how))
    return replace(encoder, steps=(step,))


def _stretched(pixels: Pixels, _: Grid, *, how: Stretch) -> Pixels:
    return stretch(pixels, how)


async def export_image(request: Request) -> Response:
    """Exports an image, or with `f=json` its URL and extent."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    frame = frame_param(asked, mosaic)
    drawing = await Drawing.of(asked, mosaic, request.app.state.samples)
    if asked.f == "image":
        return await _exported(asked, mosaic, frame, drawing)
    size = {"width": frame.width, "height": frame.height}
    extent = {"extent": envelope(frame.bounds, frame.crs), "scale": 0}
    return document(asked, {"href": _href(asked), **size, **extent})


async def _exported(asked: Asked, mosaic: Mosaic, frame: ExportFrame, drawing: Drawing) -> Response:
    view, sides, cut = frame.view(mosaic, drawing.encoder.margin)
    # Locked scenes are visible at every scale, and maps show several worlds at once.
    if drawing.rule.method != "lock" and mosaic.minzoom > 0:
        check_zoom(mosaic, view)
    return await drawing.image(asked, mosaic, view, replace(drawing.encoder, sides=sides, cut=cut))


def _href(asked: Asked) -> str:
    kept = {name: text for name, text in asked.linked.items() if name != "f"}
    url = asked.request.url.replace(query="")
    return str(url.include_query_params(**kept, f="image"))


async def tile(request: Request) -> Response:
    """Draws a tile of the service: a tile of the mosaic's TileMatrixSet, row before column.

    Takes the parameters of `export_image` that are not of the place.
    """
    asked = await Asked.of(request)
    request.scope[FORMAT] = "image"
    mosaic = await asked.mosaic()
    path = request.path_params
    address = TileAddress(mosaic.tms, path["level"], path["col"], path["row"])
    drawing = await Drawing.of(asked, mosaic, request.app.state.samples)
    view = address.view(mosaic, _EDGE, drawing.encoder.margin)
    return await drawing.image(asked, mosaic, view, drawing.encoder)
