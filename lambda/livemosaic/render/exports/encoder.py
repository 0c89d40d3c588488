"""Images as ArcGIS exports them: formats, pixel types, the order of bands. Pure."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels, trimmed
from livemosaic.model.render import Colors, Format, Render
from livemosaic.render.encode import MEDIA_TYPES, Encoded, encode, styled
from livemosaic.render.exports.lerc import DTYPES, encode_lerc
from livemosaic.render.exports.png8 import encode_png8
from livemosaic.render.functions.bands import extract_bands
from livemosaic.render.functions.sizes import check_size

ExportFormat = Literal[
    "jpgpng", "png", "png8", "png24", "png32", "jpg", "tiff", "lerc", "bsq"
]  # fmt: skip
PixelType = Literal["U1", "U2", "U4", "U8", "S8", "U16", "S16", "U32", "S32", "F32", "F64"]

FORMATS: Final[dict[ExportFormat, Format]] = {
    "jpgpng": "auto",
    "png": "png",
    "png8": "png",
    "png24": "png",
    "png32": "png",
    "jpg": "jpeg",
    "tiff": "tif",
    "lerc": "tif",
    "bsq": "tif",
}
"""Our format of each: how its pixels are read."""
DTYPES_OF: Final[dict[PixelType, str]] = {
    "U1": "uint8", "U2": "uint8", "U4": "uint8", "U8": "uint8", "S8": "int8", "U16": "uint16",
    "S16": "int16", "U32": "uint32", "S32": "int32", "F32": "float32", "F64": "float64",
}  # fmt: skip
"""numpy's data type of each pixel type; the ones below a byte are bytes of fewer values."""
_MOST_OF: Final[dict[PixelType, int]] = {"U1": 1, "U2": 3, "U4": 15}
_MAX_SAMPLES: Final = 48_000_000
"""Values in the windows of all focal functions of an image, some seconds of work."""
_RAW: Final = "application/octet-stream"


Sides = tuple[int, int, int, int]
"""Pixels on the left, top, right and bottom of an image."""


@dataclass(frozen=True, slots=True)
class RasterStep:
    """A raster function with its arguments."""

    text: str
    """The function as a request has it; its `repr` stands for the step in ETags."""
    run: Callable[[Pixels, Grid], Pixels] = field(repr=False, compare=False)
    margin: int = 0
    """Pixels around that it needs."""
    window: int = 0
    """Pixels that it looks at for each one, of a focal function."""
    colors: str | Colors | None = field(default=None, repr=False)
    """The colormap by which it makes colors of values, for a legend."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of an image that is drawn; the rest of it has no place on the globe."""

    left: int
    top: int
    width: int
    height: int
    """Of the whole image, of which the drawn pixels begin at column `left` and row `top`."""

    def pad(self, pixels: Pixels) -> Pixels:
        """Returns the whole image, with no data around the drawn part."""
        bands, height, width = pixels.data.shape
        data = np.zeros((bands, self.height, self.width), pixels.data.dtype)
        valid = np.zeros((self.height, self.width), np.bool_)
        rows, columns = slice(self.top, self.top + height), slice(self.left, self.left + width)
        data[:, rows, columns], valid[rows, columns] = pixels.data, pixels.valid
        return Pixels(data, valid, pixels.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportEncoder:
    """Encodes pixels of a grid that is larger on each side. Its `repr` is in ETags."""

    format: ExportFormat
    bands: tuple[int, ...] = ()
    """Counted from 0, before all functions; empty for all."""
    no_data: tuple[float, ...] = ()
    """Values, of all bands or of each, where pixels have no data, before all functions."""
    match_all: bool = False
    """Whether all bands must have that value; else one of them is enough."""
    steps: tuple[RasterStep, ...] = ()
    """Raster functions, the first one first."""
    pixel_type: PixelType | None = None
    """None keeps the type that the functions make."""
    sides: Sides | None = None
    """Pixels around the image on the grid; None for `margin` on each side."""
    cut: Cut | None = None

    @property
    def margin(self) -> int:
        """Pixels around the image that its functions need."""
        return sum(step.margin for step in self.steps)

    def __call__(
        self, pixels: Pixels, render: Render, grid: Grid, tags: Mapping[str, str]
    ) -> Encoded:
        """Encodes pixels as `render.encode.encode` does, apart from what the format has of its own.

        Raises `InvalidRequestError` where they do not suit it.
        """
        pixels, grid = self.made(pixels, grid)
        if self.steps or self.pixel_type is not None:
            render = replace(render, nodata=None)  # the number of the scenes' own values
        if self.cut is not None:
            pixels, grid = self.cut.pad(pixels), _whole(grid, self.cut)
        if self.format == "lerc":
            return _bare(_lerc(pixels), grid)
        if self.format == "bsq":
            return _bare(_bsq(pixels), grid)
        if self.format == "png8":
            return _png8(pixels, render, grid)
        if self.format == "png24":
            render = replace(render, return_mask=False)
        return encode(pixels, render, grid, tags)

    def made(self, pixels: Pixels, grid: Grid) -> tuple[Pixels, Grid]:
        """Returns the pixels after all functions, without the margin, and their grid.

        An image without a valid pixel never raises: it stays as it is where functions do not fit.
        """
        if pixels.valid.any():
            pixels = self._computed(pixels, grid)
        else:
            with suppress(InvalidRequestError):
                pixels = self._computed(pixels, grid)
        if self.margin:
            pixels, grid = trimmed(pixels, grid, *(self.sides or (self.margin,) * 4))
        if self.pixel_type is not None:
            pixels = as_type(pixels, self.pixel_type)
        return pixels, grid

    def _computed(self, pixels: Pixels, grid: Grid) -> Pixels:
        if self.bands:
            pixels = extract_bands(pixels, self.bands)
        if self.no_data:
            pixels = self._without(pixels)
        return _run(self.steps, pixels, grid)

    def _without(self, pixels: Pixels) -> Pixels:
        """Returns pixels without the ones that have a value for no data."""
        if len(self.no_data) not in (1, len(pixels.data)):
            raise InvalidRequestError(
                f"noData has {len(self.no_data)} values for {len(pixels.data)} bands; give 1, or "
                "one for each"
            )
        values = np.array(self.no_data).reshape(-1, 1, 1)
        if pixels.data.dtype.kind == "f":
            with np.errstate(over="ignore"):
                values = values.astype(pixels.data.dtype)  # 0.1 is another number in float32
        same = pixels.data == values
        hidden = same.all(axis=0) if self.match_all else same.any(axis=0)
        valid = pixels.valid & ~hidden
        return Pixels(np.where(valid, pixels.data, pixels.data.dtype.type(0)), valid, pixels.names)


def _run(steps: tuple[RasterStep, ...], pixels: Pixels, grid: Grid) -> Pixels:
    """Runs raster functions, within one limit of the values that all focal ones look at."""
    samples = 0
    for step in steps:
        samples += step.window * pixels.data.size
        if samples > _MAX_SAMPLES:
            raise InvalidRequestError(
                f"the focal functions of renderingRule look at {samples:,} values or more, of "
                f"{_MAX_SAMPLES:,} at most: ask for a smaller image or window, or for fewer bands"
            )
        pixels = step.run(pixels, grid)
    return pixels


def as_type(pixels: Pixels, kind: PixelType) -> Pixels:
    """Returns pixels of a type: values beyond it become its least or largest one.

    Whole numbers are the nearest ones, of halves the one farther from 0, as in GDAL.
    """
    dtype = np.dtype(DTYPES_OF[kind])
    data = pixels.data
    if np.iscomplexobj(data):
        raise InvalidRequestError(f"{data.dtype} pixels cannot be {kind}")
    check_size(data, len(data), dtype)
    if dtype.kind in "iu":
        least, most = np.iinfo(dtype).min, _MOST_OF.get(kind, np.iinfo(dtype).max)
        data = np.clip(_rounded(np.nan_to_num(data.astype(np.float64))), least, most)
    elif data.dtype.itemsize > dtype.itemsize:
        ends = np.finfo(dtype)
        data = np.where(np.isfinite(data), np.clip(data, ends.min, ends.max), data)
    return Pixels(data.astype(dtype), pixels.valid, pixels.names)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def _whole(grid: Grid, cut: Cut) -> Grid:
    right, bottom = cut.width - cut.left - grid.width, cut.height - cut.top - grid.height
    return grid.grown(cut.left, cut.top, right, bottom)


def _bare(body: bytes, grid: Grid) -> Encoded:
    return Encoded(body, _RAW, "npy", grid)


def _lerc(pixels: Pixels) -> bytes:
    if pixels.data.dtype.name not in DTYPES:
        raise InvalidRequestError(f"lerc cannot hold {pixels.data.dtype}; give a pixelType")
    return encode_lerc(pixels.data, pixels.valid)


def _bsq(pixels: Pixels) -> bytes:
    """Returns the bands in turn, little-endian, and then a bit for each pixel: 1 if valid."""
    little = pixels.data.astype(pixels.data.dtype.newbyteorder("<"), copy=False)
    return b"".join((np.ascontiguousarray(little).data, np.packbits(pixels.valid).data))


def _png8(pixels: Pixels, render: Render, grid: Grid) -> Encoded:
    """Encodes up to 255 colors, and transparency where pixels are invalid."""
    shown = Render(
        algorithm=render.algorithm, rescale=render.rescale, color_formula=render.color_formula,
        colormap=render.colormap, format="png",
    )  # fmt: skip
    image, grid = styled(pixels, shown, grid)
    return replace(encode_png8(image, shown, grid), media_type=MEDIA_TYPES["png"])
