"""Raster functions over a pixel and the ones around it: terrain, and focal statistics. Pure.

The surface functions are Horn's (1981), as in GDAL's `gdaldem` and ArcGIS. Pixels whose eight
neighbors are not all valid are invalid: an image is drawn larger by `margin` and cut.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import metres_per_unit
from livemosaic.model.raster import Grid, Mask, Pixels

Floats = NDArray[np.float32]
FocalType = Literal["min", "max", "mean", "std"]


@dataclass(frozen=True, slots=True)
class Surface:
    """The steepness of one band, as heights in metres."""

    east: Floats
    """Rise per metre towards the east; shape (height, width)."""
    north: Floats
    valid: Mask

    @classmethod
    def of(cls, pixels: Pixels, grid: Grid, z_factor: float) -> "Surface":
        """Computes the surface of the only band; `InvalidRequestError` if there are several."""
        if len(pixels.data) != 1:
            raise InvalidRequestError(
                f"a surface needs one band, of heights; there are {len(pixels.data)}"
            )
        z = np.pad(pixels.data[0].astype(np.float32) * np.float32(z_factor), 1, mode="edge")
        (a, b, c), (d, _, f), (g, h, i) = _neighbors(z)
        across, down = _steps(grid)
        east = ((c + 2 * f + i) - (a + 2 * d + g)) / (8 * across)
        north = ((a + 2 * b + c) - (g + 2 * h + i)) / (8 * down)
        return cls(east.astype(np.float32), north.astype(np.float32), _whole(pixels.valid, 1))


def hillshade(
    pixels: Pixels, grid: Grid, *, azimuth: float, altitude: float, z_factor: float
) -> Pixels:
    """Computes the light on a surface, 0 to 255.

    Angles are in degrees, the azimuth from north clockwise.
    """
    surface = Surface.of(pixels, grid, z_factor)
    light, height = np.radians(azimuth), np.radians(altitude)
    towards = surface.east * np.sin(light) + surface.north * np.cos(light)
    steep = np.sqrt(1 + surface.east**2 + surface.north**2)
    shade = 255 * (np.sin(height) - np.cos(height) * towards) / steep
    return _band(np.clip(shade, 0, 255).astype(np.uint8), surface.valid, "hillshade")


def slope(pixels: Pixels, grid: Grid, *, percent: bool, z_factor: float) -> Pixels:
    """Computes the slope in degrees, or in percent of rise."""
    surface = Surface.of(pixels, grid, z_factor)
    rise = np.hypot(surface.east, surface.north)
    values = 100 * rise if percent else np.degrees(np.arctan(rise))
    return _band(values.astype(np.float32), surface.valid, "slope")


def aspect(pixels: Pixels, grid: Grid) -> Pixels:
    """Computes the direction in which a surface falls, degrees from north clockwise; -1 if flat."""
    surface = Surface.of(pixels, grid, 1)
    # Uphill is (east, north); downhill is the opposite.
    angle = np.degrees(np.arctan2(-surface.east, -surface.north)) % 360
    flat = (surface.east == 0) & (surface.north == 0)
    return _band(np.where(flat, -1, angle).astype(np.float32), surface.valid, "aspect")


def focal(pixels: Pixels, kind: FocalType, columns: int, rows: int) -> Pixels:
    """Computes statistics of each band in a window around each pixel, of its valid pixels.

    The least and the largest have the data type of the pixels; means and deviations are float32.
    """
    across, down = (columns - 1) // 2, (rows - 1) // 2
    room = (down, rows - 1 - down), (across, columns - 1 - across)
    reduce, fill, dtype = _focal_of(kind, pixels.data.dtype)
    made = []
    for band in pixels.data:
        known = pixels.valid & (band == band)
        values = np.where(known, band.astype(dtype), fill)
        padded = np.pad(values, room, constant_values=fill)
        made.append(_by_strips(padded, (rows, columns), reduce))
    data = np.where(pixels.valid, np.array(made), 0)
    kept = pixels.data.dtype if kind in ("min", "max") else np.dtype(np.float32)
    return Pixels(data.astype(kept), pixels.valid, pixels.names)


def _focal_of(kind: FocalType, dtype: np.dtype[Any]) -> tuple[Any, Any, np.dtype[Any]]:
    """Returns a function over windows, what stands in for missing values, and their data type."""
    if kind in ("min", "max"):
        ends: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        return (np.min, ends.max, dtype) if kind == "min" else (np.max, ends.min, dtype)
    is_exact = np.can_cast(dtype, np.float32)
    return _MEANS[kind], np.nan, np.dtype(np.float32 if is_exact else np.float64)


_MEANS: Final[dict[FocalType, Any]] = {"mean": np.nanmean, "std": np.nanstd}
_STRIP: Final = 64
"""Rows whose windows are copied at once."""


def _by_strips(values: NDArray[Any], window: tuple[int, int], reduce: Any) -> NDArray[Any]:
    found = sliding_window_view(values, window)
    starts = range(0, len(found), _STRIP)
    with np.errstate(all="ignore"):
        parts = [_reduced(found[start : start + _STRIP], reduce) for start in starts]
    return np.concatenate(parts)


def _reduced(windows: NDArray[Any], reduce: Any) -> NDArray[Any]:
    """Reduces windows; of ones without a number the result is 0, and nothing warns."""
    if reduce in _MEANS.values():
        empty = np.asarray(np.isnan(windows).all(axis=(2, 3)))
        windows = np.where(empty[..., None, None], windows.dtype.type(0), windows)
    found: NDArray[Any] = reduce(windows, axis=(2, 3))
    return found


def _neighbors(z: Floats) -> list[list[Floats]]:
    """Returns the nine pixels around each, by row and column; `z` has one more on each side."""
    height, width = z.shape[0] - 2, z.shape[1] - 2
    return [[z[y : y + height, x : x + width] for x in range(3)] for y in range(3)]


def _whole(valid: Mask, reach: int) -> Mask:
    """Returns where a pixel and its neighbors are valid; beyond the edge all are."""
    size = 2 * reach + 1
    padded = np.pad(valid, reach, constant_values=True)
    return np.asarray(sliding_window_view(padded, (size, size)).all(axis=(2, 3)))


def _steps(grid: Grid) -> tuple[NDArray[np.float64], float]:
    """Returns the widths of the pixels of each row, shape (height, 1), and their height, in metres.

    Degrees of longitude are shorter towards the poles; steps of a projection are taken as they are.
    """
    left, bottom, right, top = grid.bounds
    unit = metres_per_unit(grid.crs)
    across, down = (right - left) / grid.width, (top - bottom) / grid.height
    widths = np.full((grid.height, 1), across * unit)
    if grid.crs.is_geographic:
        latitudes = top - down * (np.arange(grid.height)[:, None] + 0.5)
        shrunk = np.cos(latitudes * grid.crs.units_factor[1])
        widths *= np.maximum(shrunk, np.finfo(np.float32).tiny)
    return widths, down * unit


def _band(values: NDArray[Any], valid: Mask, name: str) -> Pixels:
    data = np.where(valid, values, values.dtype.type(0))
    return Pixels(data[np.newaxis], valid, (name,))
