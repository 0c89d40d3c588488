"""Where the pixels of a grid lie in a raster, and how they are taken from it. No I/O.

Nearest is done here, not by GDAL: PROJ is asked for the nodes of a lattice, positions between them
are interpolated and checked, and each output pixel takes the source pixel that contains its centre.
`rasterio.warp.reproject` interpolates over whole rows with an error of up to 1/8 pixel, which it
offers no way to lower; that is a systematic shift of up to 0.06 source pixels over a UTM tile. The
smooth resamplings are GDAL's, in one step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling as GdalResampling
from rasterio.session import DummySession
from rasterio.warp import reproject

from livemosaic.model import Grid, Resampling
from livemosaic.projection import transformer

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

_SPACINGS: Final = (16, 4)
"""Output pixels between the nodes of the lattice: the first that is good enough is taken."""
_MAX_ERROR: Final = 0.02
"""Largest error of interpolation, in source pixels or output pixels, whichever is larger."""
_TIE: Final = 1e-6
"""A centre this close below a pixel's edge counts as beyond it, so that noise does not decide."""
_OPAQUE: Final = 255
_WEB_MERCATOR_WORLD: Final = 40075016.685578488
"""Metres around the equator in EPSG:3857."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a raster lies: what positions are relative to."""

    crs: CRS
    transform: Affine
    """Pixel corner (column, row) → CRS (x, y)."""
    width: int
    height: int

    @property
    def period(self) -> float | None:
        """Pixels around the world, where columns run along it and x repeats."""
        if self.transform.b or self.transform.d:
            return None
        if self.crs.is_geographic:
            # GeoTIFF stores nearly every geographic CRS in degrees; the factor is radians per unit.
            return float(2 * np.pi / self.crs.units_factor[1] / abs(self.transform.a))
        if self.crs == _WEB_MERCATOR:
            return _WEB_MERCATOR_WORLD / abs(self.transform.a)
        return None


_WEB_MERCATOR: Final = CRS.from_epsg(3857)


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """The centres of a grid's pixels in a raster, in pixels of its full resolution."""

    cols: Floats
    """Shape (height, width); 0.5 is the centre of the first column; NaN where there is none."""
    rows: Floats
    step: float
    """Source pixels per output pixel, the root of the ratio of areas."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The part of a grid that lies in a raster without passing the edge of the world."""

    inside: Bools
    """Shape of the grid; the pixels whose centres lie in the raster."""
    cols: NDArray[np.int64]
    """One per pixel inside, in the order of `inside`: the column that contains it."""
    rows: NDArray[np.int64]
    shift: float
    """Columns to add to the raster's to meet the grid: a multiple of the world's circumference."""

    def window(self, level: Frame, pad: int) -> tuple[int, int, int, int]:
        """First column, first row, width and height of what must be read of a level."""
        left, right = max(self.cols.min() - pad, 0), min(self.cols.max() + pad + 1, level.width)
        top, bottom = max(self.rows.min() - pad, 0), min(self.rows.max() + pad + 1, level.height)
        return int(left), int(top), int(right - left), int(bottom - top)


def locate(grid: Grid, frame: Frame) -> Positions:
    """Where the grid's pixels lie in a raster; NoTransformError if nowhere on that planet."""
    step = _step(grid, frame)
    error = _MAX_ERROR * max(1.0, step)
    for spacing in _SPACINGS:
        if grid.width * grid.height > 4 * spacing * spacing and (
            found := _interpolated(grid, frame, spacing, error)
        ):
            return Positions(*found, step)
    exact = _project(grid, frame, np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    return Positions(*exact, step)


def _project(grid: Grid, frame: Frame, px: Floats, py: Floats) -> tuple[Floats, Floats]:
    """Source column and row at each crossing of the grid's columns `px` and rows `py`."""
    to_map = grid.transform
    x, y = np.meshgrid(to_map.c + px * to_map.a, to_map.f + py * to_map.e)
    if grid.crs != frame.crs:
        x, y = transformer(grid.crs, frame.crs).transform(x, y)
    to_pixel = ~frame.transform
    with np.errstate(invalid="ignore"):  # PROJ says inf where a point has no image
        cols = to_pixel.a * x + to_pixel.b * y + to_pixel.c
        rows = to_pixel.d * x + to_pixel.e * y + to_pixel.f
    lost = ~(np.isfinite(cols) & np.isfinite(rows))
    cols[lost] = rows[lost] = np.nan
    return cols, rows


def _step(grid: Grid, frame: Frame) -> float:
    """Median over the grid of the source pixels under one output pixel, along one side."""
    samples = min(5, grid.width, grid.height)
    px = np.linspace(0.5, grid.width - 0.5, samples) if samples > 1 else np.array([grid.width / 2])
    py = np.linspace(0.5, grid.height - 0.5, samples) if samples > 1 else np.array([0.5])
    pairs = np.stack([px - 0.5, px + 0.5], 1).ravel(), np.stack([py - 0.5, py + 0.5], 1).ravel()
    cols, rows = _project(grid, frame, *pairs)
    here, east, south = np.s_[::2, ::2], np.s_[::2, 1::2], np.s_[1::2, ::2]
    east_cols = _shortest(cols[east] - cols[here], frame.period)
    south_cols = _shortest(cols[south] - cols[here], frame.period)
    east_rows, south_rows = rows[east] - rows[here], rows[south] - rows[here]
    areas = np.abs(east_cols * south_rows - east_rows * south_cols)
    areas = areas[np.isfinite(areas)]
    return float(np.sqrt(np.median(areas))) if areas.size else 1.0


def _shortest(distance: Floats, period: float | None) -> Floats:
    """Distances between columns, the short way around the world."""
    if period is None:
        return distance
    return (distance + period / 2) % period - period / 2


def _interpolated(
    grid: Grid, frame: Frame, spacing: int, error: float
) -> tuple[Floats, Floats] | None:
    """Columns and rows from a lattice; None if it misses its own midpoints by more than `error`."""
    px, py = _nodes(grid.width, spacing), _nodes(grid.height, spacing)
    mx, my = (px[1:] + px[:-1]) / 2, (py[1:] + py[:-1]) / 2
    cols, rows = _project(grid, frame, px, py)
    true_cols, true_rows = _project(grid, frame, mx, my)
    if not all(np.isfinite(a).all() for a in (cols, true_cols)):
        return None
    if frame.period is not None:
        cols = np.unwrap(np.unwrap(cols, period=frame.period, axis=1), period=frame.period, axis=0)
    off_cols = _shortest(_between(cols, px, py, mx, my) - true_cols, frame.period)
    off_rows = _between(rows, px, py, mx, my) - true_rows
    if max(np.abs(off_cols).max(), np.abs(off_rows).max()) > error:
        return None
    out_x, out_y = np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5
    return _between(cols, px, py, out_x, out_y), _between(rows, px, py, out_x, out_y)


def _nodes(size: int, spacing: int) -> Floats:
    """From the first to the last pixel centre: never on the edge of the world, where x is moot."""
    return np.linspace(0.5, size - 0.5, max(2, -(-(size - 1) // spacing) + 1))


def _between(values: Floats, px: Floats, py: Floats, x: Floats, y: Floats) -> Floats:
    """Bilinear interpolation on a lattice, one axis after the other."""
    # Not as products of matrices: BLAS would wake threads that cost more than the sums.
    row, down = _cells(py, y)
    col, along = _cells(px, x)
    lines = values[row] * (1 - down)[:, None] + values[row + 1] * down[:, None]
    return lines[:, col] * (1 - along) + lines[:, col + 1] * along


def _cells(nodes: Floats, at: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The node before each place, and how far the place is on the way to the next, 0 to 1."""
    way = (at - nodes[0]) / (nodes[1] - nodes[0])
    before = np.clip(way.astype(np.int64), 0, len(nodes) - 2)
    return before, way - before


def level_frame(frame: Frame, width: int, height: int) -> Frame:
    """The frame of an overview of that size."""
    scale = Affine.scale(frame.width / width, frame.height / height)
    return Frame(frame.crs, frame.transform @ scale, width, height)


def pieces(positions: Positions, frame: Frame, level: Frame) -> Iterator[Piece]:
    """Split a grid where it passes the edge of the world, and keep what lies in the level."""
    cols = positions.cols * (level.width / frame.width) + _TIE
    rows = positions.rows * (level.height / frame.height) + _TIE
    period = level.period
    if period is None:
        yield from _piece(_inside(cols, rows, level), cols, rows, 0.0)
        return
    turns = np.floor(cols / period)
    cols = cols - turns * period
    inside = _inside(cols, rows, level)
    for turn in np.unique(turns[inside]):
        yield from _piece(inside & (turns == turn), cols, rows, float(turn * period))


def _inside(cols: Floats, rows: Floats, level: Frame) -> Bools:
    with np.errstate(invalid="ignore"):  # NaN is outside, as it should be
        found: Bools = (cols >= 0) & (cols < level.width) & (rows >= 0) & (rows < level.height)
    return found


def _piece(inside: Bools, cols: Floats, rows: Floats, shift: float) -> Iterator[Piece]:
    """The pixels that are inside, if there are any."""
    if inside.all():  # most tiles of a large scene: nothing to pick out
        yield Piece(inside, cols.ravel().astype(np.int64), rows.ravel().astype(np.int64), shift)
    elif inside.any():
        yield Piece(inside, cols[inside].astype(np.int64), rows[inside].astype(np.int64), shift)


def take_nearest(
    block: NDArray[Any], window: tuple[int, int, int, int], piece: Piece
) -> NDArray[Any]:
    """Values of a block (bands, h, w) under each pixel of a piece: (bands, pixels inside)."""
    left, top, width, _ = window
    flat = (piece.rows - top) * width + (piece.cols - left)
    return np.take(block.reshape(block.shape[0], -1), flat, axis=1)


def take_smooth(
    data: NDArray[Any],
    valid: Bools,
    window: tuple[int, int, int, int],
    level: Frame,
    piece: Piece,
    grid: Grid,
    resampling: Resampling,
) -> tuple[NDArray[Any], Bools]:
    """Resample a block onto the grid; data (bands, h, w) and validity, both of the grid's size.

    Invalid source pixels have no weight. A pixel is valid where its centre is in the raster and at
    least half of its weight is of valid pixels, so that all resamplings have about the same edge.
    """
    # int8 cannot hold an opaque alpha.
    source = data.astype(np.int16) if data.dtype == np.int8 else data
    alpha = np.where(valid, _OPAQUE, 0).astype(source.dtype)
    out = np.zeros((len(source) + 1, grid.height, grid.width), source.dtype)
    # No AWS session: where credentials are in the environment, rasterio would make one each time.
    with rasterio.Env(DummySession()):
        reproject(
            np.concatenate([np.where(valid, source, 0), alpha[None]]),
            out,
            src_transform=level.transform @ Affine.translation(window[0] + piece.shift, window[1]),
            src_crs=level.crs,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            resampling=GdalResampling[resampling],
            src_alpha=len(out),
            dst_alpha=len(out),
            SRC_ALPHA_MAX=_OPAQUE,
            DST_ALPHA_MAX=_OPAQUE,
        )
    real = piece.inside & (out[-1] >= _OPAQUE / 2)
    return np.where(real, out[:-1], 0).astype(data.dtype), real
