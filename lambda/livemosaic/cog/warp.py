"""Where the pixels of a grid lie in a raster, and their resampling. No I/O.

Nearest is done here, not by GDAL: PROJ transforms the nodes of a lattice, positions between them
are interpolated and checked, and each output pixel takes the source pixel that contains its centre.
`rasterio.warp.reproject` interpolates over whole rows with an error of up to 1/8 pixel, which
cannot be lowered: a systematic shift of up to 0.06 source pixels over a UTM tile. The smooth
resamplings are GDAL's, in one step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling as GdalResampling
from rasterio.session import DummySession
from rasterio.warp import reproject

from livemosaic.geo.crs import transformer
from livemosaic.geo.frame import Frame, around
from livemosaic.model.raster import Grid
from livemosaic.model.render import Resampling

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Number = TypeVar("Number", np.float64, np.intp)

_SPACINGS: Final = (16, 4)
"""Output pixels between the nodes of the lattice: the first accurate spacing is used."""
_MAX_ERROR: Final = 0.02
"""Largest error of interpolation, in source pixels or output pixels, whichever is larger."""
_STRIP: Final = 32
"""Rows interpolated at once."""
_TIE: Final = 1e-6
"""A center this close below a pixel's edge counts as beyond it, so that noise does not decide."""
_OPAQUE: Final = 255


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Positions at the crossings of columns and rows of a grid; between them they are linear."""

    px: Floats
    """Columns of the nodes, in pixels of the grid: 0.5 is the centre of the first; ascending."""
    py: Floats
    x: Floats
    """Shape (rows of nodes, columns of nodes); NaN where there is no position."""
    y: Floats

    def transformed(self, to: Affine) -> "Lattice":
        """Returns the positions after an affine transformation, which interpolation preserves."""
        x, y = to.a * self.x + to.b * self.y + to.c, to.d * self.x + to.e * self.y + to.f
        return Lattice(self.px, self.py, x, y)

    def interpolate(
        self, grid: Grid, dtype: type[Number]
    ) -> tuple[NDArray[Number], NDArray[Number]]:
        """Returns x and y at each pixel's centre, shape (height, width); as integers, their floor.

        Integers require positions that are not negative.
        """
        if self.x.shape == (grid.height, grid.width):
            return self.x.astype(dtype), self.y.astype(dtype)
        px, py = _centres(grid)
        x, y = (_between(values, self.px, self.py, px, py, dtype) for values in (self.x, self.y))
        return x, y


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A grid's positions in a CRS, which all rasters in that CRS share."""

    area: float
    """Median area of a pixel of the grid, in CRS units squared; NaN if there is none."""
    coarse: Lattice | None
    """Lattice of the first spacing; None if it has holes, or the grid is too small for it."""
    miss: tuple[float, float]
    """Error of the lattice halfway between its nodes, in x and in y, in CRS units."""


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Centres of a grid's pixels in a raster, in pixels of its full resolution."""

    grid: Grid
    lattice: Lattice
    """Columns as x, rows as y; 0.5 is the centre of the first."""
    step: float
    """Source pixels per output pixel, the root of the ratio of areas."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The part of a grid that lies in a raster without crossing the edge of the world."""

    inside: Bools
    """Shape of the grid; the pixels whose centres lie in the raster."""
    cols: NDArray[np.intp]
    """Shape of the grid: the source column of each pixel; arbitrary, but valid, outside."""
    rows: NDArray[np.intp]
    shift: float
    """Columns to add to the raster's to meet the grid: a multiple of the world's circumference."""

    def window(self, level: Frame, pad: int) -> tuple[int, int, int, int]:
        """Returns first column, first row, width and height of the window to read of a level."""
        left, right = max(self.cols.min() - pad, 0), min(self.cols.max() + pad + 1, level.width)
        top, bottom = max(self.rows.min() - pad, 0), min(self.rows.max() + pad + 1, level.height)
        return int(left), int(top), int(right - left), int(bottom - top)

    def flat_indices(self, window: tuple[int, int, int, int]) -> NDArray[np.intp]:
        """Returns each pixel's flat index into an array that fills a window."""
        left, top, width, _ = window
        flat = self.rows * width
        flat += self.cols
        flat -= top * width + left
        return flat


def locate(grid: Grid, frame: Frame) -> Positions:
    """Locates the grid's pixels in a raster; NoTransformError if PROJ has no transformation."""
    to_pixel, wraps = ~frame.transform, frame.period is not None
    ground = _ground(grid, frame.crs, wraps)
    area = ground.area * abs(to_pixel.determinant)
    step = float(np.sqrt(area)) if np.isfinite(area) else 1.0
    error = _MAX_ERROR * max(1.0, step)
    lattice = ground.coarse
    if lattice is None or _in_pixels(ground.miss, to_pixel) > error:
        lattice = _fine(grid, frame.crs, wraps, lambda miss: _in_pixels(miss, to_pixel) <= error)
    return Positions(grid, lattice.transformed(to_pixel), step)


def _in_pixels(miss: tuple[float, float], to_pixel: Affine) -> float:
    x, y = miss
    return max(abs(to_pixel.a) * x + abs(to_pixel.b) * y, abs(to_pixel.d) * x + abs(to_pixel.e) * y)


# Scenes of one tile often share a CRS, and PROJ is the expensive part. The arrays are of nodes: an
# entry takes 5 KB for 256 × 256 pixels. Entries never go stale: their keys are values.
@lru_cache(maxsize=64)
def _ground(grid: Grid, crs: CRS, wraps: bool) -> Ground:
    coarse, miss = _checked(grid, crs, _SPACINGS[0], wraps) or (None, (np.inf, np.inf))
    return Ground(_area(grid, crs, wraps), coarse, miss)


def _fine(
    grid: Grid, crs: CRS, wraps: bool, fits: Callable[[tuple[float, float]], bool]
) -> Lattice:
    """Returns the first finer lattice whose error fits, else one node per pixel."""
    for spacing in _SPACINGS[1:]:
        found = _checked(grid, crs, spacing, wraps)
        if found and fits(found[1]):
            return found[0]
    return _lattice(grid, crs, *_centres(grid))


def _centres(grid: Grid) -> tuple[Floats, Floats]:
    return np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5


def _lattice(grid: Grid, crs: CRS, px: Floats, py: Floats) -> Lattice:
    """Returns the positions in a CRS where the grid's columns `px` and rows `py` cross."""
    to_map = grid.transform
    x, y = np.meshgrid(to_map.c + px * to_map.a, to_map.f + py * to_map.e)
    if grid.crs != crs:
        x, y = transformer(grid.crs, crs).transform(x, y)
    lost = ~(np.isfinite(x) & np.isfinite(y))  # PROJ gives inf where a point has no image
    x[lost] = y[lost] = np.nan
    return Lattice(px, py, x, y)


def _area(grid: Grid, crs: CRS, wraps: bool) -> float:
    """Returns the median area of an output pixel, in square units of the CRS."""
    samples = min(5, grid.width, grid.height)
    px = np.linspace(0.5, grid.width - 0.5, samples) if samples > 1 else np.array([grid.width / 2])
    py = np.linspace(0.5, grid.height - 0.5, samples) if samples > 1 else np.array([0.5])
    pairs = np.stack([px - 0.5, px + 0.5], 1).ravel(), np.stack([py - 0.5, py + 0.5], 1).ravel()
    at, turn = _lattice(grid, crs, *pairs), around(crs) if wraps else None
    here, east, south = np.s_[::2, ::2], np.s_[::2, 1::2], np.s_[1::2, ::2]
    east_x, south_x = (_shortest(at.x[to] - at.x[here], turn) for to in (east, south))
    east_y, south_y = (at.y[to] - at.y[here] for to in (east, south))
    areas = np.abs(east_x * south_y - east_y * south_x)
    areas = areas[np.isfinite(areas)]
    return float(np.median(areas)) if areas.size else np.nan


def _shortest(distance: Floats, period: float | None) -> Floats:
    """Returns distances along x, the short way around the world."""
    return distance if period is None else distance - period * np.round(distance / period)


def _checked(
    grid: Grid, crs: CRS, spacing: int, wraps: bool
) -> tuple[Lattice, tuple[float, float]] | None:
    """Returns a lattice and its error at midpoints; None if it has holes or the grid is small."""
    if grid.width * grid.height <= 4 * spacing * spacing or 1 in (grid.width, grid.height):
        return None
    px, py = _nodes(grid.width, spacing), _nodes(grid.height, spacing)
    mx, my = (px[1:] + px[:-1]) / 2, (py[1:] + py[:-1]) / 2
    nodes, true = _lattice(grid, crs, px, py), _lattice(grid, crs, mx, my)
    if not (np.isfinite(nodes.x).all() and np.isfinite(true.x).all()):
        return None
    x, turn = nodes.x, around(crs) if wraps else None
    if turn is not None:
        x = np.unwrap(np.unwrap(x, period=turn, axis=1), period=turn, axis=0)
    off_x = _shortest(_between(x, px, py, mx, my, np.float64) - true.x, turn)
    off_y = _between(nodes.y, px, py, mx, my, np.float64) - true.y
    miss = float(np.abs(off_x).max()), float(np.abs(off_y).max())
    return Lattice(px, py, x, nodes.y), miss


def _nodes(size: int, spacing: int) -> Floats:
    """Spans the first to the last pixel centre: never the edge of the world, where x jumps."""
    return np.linspace(0.5, size - 0.5, max(2, -(-(size - 1) // spacing) + 1))


def _between(
    values: Floats, px: Floats, py: Floats, x: Floats, y: Floats, dtype: type[Number]
) -> NDArray[Number]:
    """Interpolates bilinearly on a lattice, one axis after the other."""
    # Not as products of matrices: BLAS would wake threads that cost more than the sums.
    row, down = _cells(py, y)
    col, along = _cells(px, x)
    lines = values[row] * (1 - down)[:, None] + values[row + 1] * down[:, None]
    steps, out = np.diff(lines, axis=1), np.empty((len(y), len(x)), dtype)
    # In strips: large arrays come from the kernel and return to it, at four times the cost.
    for top in range(0, len(y), _STRIP):
        strip = np.take(steps[top : top + _STRIP], col, axis=1)
        strip *= along
        strip += np.take(lines[top : top + _STRIP], col, axis=1)
        out[top : top + _STRIP] = strip
    return out


def _cells(nodes: Floats, at: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Returns the node before each position, and its fraction of the way to the next, 0 to 1."""
    way = (at - nodes[0]) / (nodes[1] - nodes[0])
    before = np.clip(way.astype(np.int64), 0, len(nodes) - 2)
    return before, way - before


def pieces(positions: Positions, frame: Frame, level: Frame) -> Iterator[Piece]:
    """Splits a grid at the edge of the world, and yields the parts that lie in the level."""
    scale = Affine.scale(level.width / frame.width, level.height / frame.height)
    lattice = positions.lattice.transformed(Affine.translation(_TIE, _TIE) @ scale)
    grid, period = positions.grid, level.period
    first, last = (0, 0) if period is None else _turns(lattice.x, period)
    shift = first * (period or 0.0)
    if first == last and _surrounds(level, lattice, shift):  # most tiles of a large scene
        cols, rows = lattice.transformed(Affine.translation(-shift, 0)).interpolate(grid, np.intp)
        yield Piece(np.ones(cols.shape, np.bool_), cols, rows, shift)
        return
    x, y = lattice.interpolate(grid, np.float64)
    for turn in range(first, last + 1):
        shift = turn * (period or 0.0)
        inside = _inside(x - shift, y, level)
        if period is not None:
            inside &= np.floor(x / period) == turn
        if inside.any():
            yield _piece(inside, x - shift, y, shift)


def _turns(cols: Floats, period: float) -> tuple[int, int]:
    """Returns how often the first and the last column have crossed the edge of the world."""
    known = cols[np.isfinite(cols)]
    if not known.size:
        return 0, -1
    return int(np.floor(known.min() / period)), int(np.floor(known.max() / period))


def _surrounds(level: Frame, lattice: Lattice, shift: float) -> bool:
    """Whether the whole grid is inside: no position is farther out than the nodes around it."""
    # Rounding may put a position a little beyond its nodes.
    return bool(
        lattice.x.min() - shift >= _TIE
        and lattice.x.max() - shift < level.width - _TIE
        and lattice.y.min() >= _TIE
        and lattice.y.max() < level.height - _TIE
    )


def _inside(cols: Floats, rows: Floats, level: Frame) -> Bools:
    with np.errstate(invalid="ignore"):  # NaN is outside, as it should be
        found: Bools = (cols >= 0) & (cols < level.width) & (rows >= 0) & (rows < level.height)
    return found


def _piece(inside: Bools, cols: Floats, rows: Floats, shift: float) -> Piece:
    some = np.unravel_index(inside.argmax(), inside.shape)
    cols, rows = np.where(inside, cols, cols[some]), np.where(inside, rows, rows[some])
    return Piece(inside, cols.astype(np.intp), rows.astype(np.intp), shift)


def take(block: NDArray[Any], flat_indices: NDArray[np.intp]) -> NDArray[Any]:
    """Returns values of a block (bands, h, w) at flat indices, as (bands, *indices.shape)."""
    return np.take(block.reshape(len(block), -1), flat_indices, axis=1)


def resample_smooth(
    data: NDArray[Any],
    valid: Bools,
    window: tuple[int, int, int, int],
    level: Frame,
    piece: Piece,
    grid: Grid,
    resampling: Resampling,
) -> tuple[NDArray[Any], Bools]:
    """Resamples a window to the grid by GDAL; returns data (bands, h, w) and validity (h, w).

    Invalid source pixels have no weight. A pixel is valid if its centre is in the raster and at
    least half of its weight is of valid pixels, so that all resamplings have about the same edge.
    """
    # int8 cannot hold an opaque alpha.
    source = data.astype(np.int16) if data.dtype == np.int8 else data
    alpha = np.where(valid, _OPAQUE, 0).astype(source.dtype)
    out = np.zeros((len(source) + 1, grid.height, grid.width), source.dtype)
    # No AWS session: given credentials in the environment, rasterio would make one each time.
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
    if resampling == "sum":  # alpha is summed, too
        _, real = resample_smooth(data[:1], valid, window, level, piece, grid, "average")
    else:
        real = piece.inside & (out[-1] >= _OPAQUE / 2)
    return np.where(real, out[:-1], 0).astype(data.dtype), real
