"""Where the pixels of a grid lie in a raster, and nearest-neighbour resampling. No I/O.

Nearest is done here, not by GDAL: PROJ transforms the nodes of a lattice, positions between them
are interpolated and checked, and each output pixel takes the source pixel that contains its centre.
`rasterio.warp.reproject` interpolates over whole rows with an error of up to 1/8 pixel, which
cannot be lowered: a systematic shift of up to 0.06 source pixels over a UTM tile. The smooth
resamplings are GDAL's, in one step: see `smooth`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.cog.overviews import WindowTuple
from livemosaic.geo.crs import transformer
from livemosaic.geo.frame import Frame, around
from livemosaic.model.raster import Grid

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Number = TypeVar("Number", np.float64, np.intp)

_SPACINGS: Final = (16, 4)
"""Output pixels between the nodes of the lattice: the first accurate spacing is used."""
MAX_ERROR: Final = 0.02
"""Largest error of interpolation, in source pixels or output pixels, whichever is larger."""
_RASTER_NODES: Final = 9
"""Points along each side of a raster that tell where on a grid it lies."""
_BULGE: Final = 0.15
"""Part of its size by which a raster may reach beyond these points."""
_STRIP: Final = 32
"""Rows interpolated at once."""
_TIE: Final = 1e-6
"""A center this close below a pixel's edge counts as beyond it, so that noise does not decide."""


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
        self, part: "Part", dtype: type[Number]
    ) -> tuple[NDArray[Number], NDArray[Number]]:
        """Returns x and y at the centre of each pixel of a part, in its shape.

        As integers they are the floor, and require positions that are not negative.
        """
        if all(at[-1] - at[0] == len(at) - 1 for at in (self.px, self.py)):  # a node a pixel
            return self.x[part.slices].astype(dtype), self.y[part.slices].astype(dtype)
        px, py = np.arange(part.left, part.right) + 0.5, np.arange(part.top, part.bottom) + 0.5
        x, y = (_between(values, self.px, self.py, px, py, dtype) for values in (self.x, self.y))
        return x, y

    def around(self, level: Frame, shift: float) -> "Part | None":
        """Returns a part outside of which no pixel lies in a level, by the nodes around each.

        `shift` is subtracted from x before.
        """
        if 1 in self.x.shape:
            left, top, right, bottom = 0, 0, len(self.px) - 1, len(self.py) - 1
        else:
            beyond = _beyond(self.x - shift, level.width) | _beyond(self.y, level.height)
            rows, cols = np.nonzero(~beyond.all(axis=1))[0], np.nonzero(~beyond.all(axis=0))[0]
            if not rows.size:
                return None
            left, top, right, bottom = cols[0], rows[0], cols[-1] + 1, rows[-1] + 1
        return Part(
            int(self.px[left]),
            int(self.py[top]),
            math.ceil(self.px[right] + 0.5),
            math.ceil(self.py[bottom] + 0.5),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A grid's positions in a CRS, which all rasters in that CRS share."""

    area: float
    """Median area of a pixel of the grid, in CRS units squared; NaN if there is none."""
    coarse: Lattice | None
    """Lattice of the first spacing; None if it has holes, or the grid is too small for it."""
    miss: tuple[float, float]
    """Error of the lattice halfway between its nodes, in x and in y, in CRS units."""


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a grid's pixels."""

    left: int
    top: int
    right: int
    """One past the last column."""
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the part in an array of shape (height, width) of the grid."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def moved(self, cols: int, rows: int) -> "Part":
        """Returns the same rectangle farther right and farther down."""
        return Part(self.left + cols, self.top + rows, self.right + cols, self.bottom + rows)

    def of(self, grid: Grid) -> Grid:
        """Returns the part as a grid."""
        x, y = grid.transform @ (self.left, self.top), grid.transform @ (self.right, self.bottom)
        size = self.right - self.left, self.bottom - self.top
        return Grid(grid.crs, (x[0], y[1], y[0], x[1]), *size, grid.world)


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Centres of a grid's pixels in a raster, in pixels of its full resolution."""

    grid: Grid
    part: Part
    """Outside of it no pixel lies in the raster."""
    lattice: Lattice
    """Of the part's pixels. Columns as x, rows as y; 0.5 is the centre of the first."""
    step: float
    """Source pixels per output pixel, the root of the ratio of areas."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The part of a grid that lies in a raster without crossing the edge of the world."""

    part: Part
    """Outside of it no pixel of the grid lies in the piece."""
    inside: Bools
    """Shape of the part; the pixels whose centres lie in the raster."""
    cols: NDArray[np.intp]
    """Shape of the part: the source column of each pixel; arbitrary, but valid, outside."""
    rows: NDArray[np.intp]
    shift: float
    """Columns to add to the raster's to meet the grid: a multiple of the world's circumference."""

    def window(self, level: Frame, pad: int) -> WindowTuple:
        """Returns first column, first row, width and height of the window to read of a level."""
        left, right = max(self.cols.min() - pad, 0), min(self.cols.max() + pad + 1, level.width)
        top, bottom = max(self.rows.min() - pad, 0), min(self.rows.max() + pad + 1, level.height)
        return int(left), int(top), int(right - left), int(bottom - top)

    def flat_indices(self, window: WindowTuple) -> NDArray[np.intp]:
        """Returns each pixel's flat index into an array that fills a window."""
        left, top, width, _ = window
        flat = self.rows * width
        flat += self.cols
        flat -= top * width + left
        return flat


Nodes = Callable[[Floats, Floats], Lattice]
"""Gives positions where columns and rows of a grid cross."""


def locate(grid: Grid, frame: Frame) -> Positions:
    """Locates the grid's pixels in a raster; NoTransformError if PROJ has no transformation."""
    if frame.gcps is None:
        to_pixel = ~frame.transform
        ground = _ground(grid, frame.crs, frame.period is not None)
        step = _step(ground.area * abs(to_pixel.determinant))
        if ground.coarse and _in_pixels(ground.miss, to_pixel) <= MAX_ERROR * max(1.0, step):
            whole = Part(0, 0, grid.width, grid.height)
            return Positions(grid, whole, ground.coarse.transformed(to_pixel), step)
    return _locate_in_part(grid, frame)


def _step(area: float) -> float:
    return float(np.sqrt(area)) if np.isfinite(area) else 1.0


def _in_pixels(miss: tuple[float, float], to_pixel: Affine) -> float:
    x, y = miss
    return max(abs(to_pixel.a) * x + abs(to_pixel.b) * y, abs(to_pixel.d) * x + abs(to_pixel.e) * y)


# Scenes of one tile often share a CRS, and PROJ is the expensive part. The arrays are of nodes: an
# entry takes 5 KB for 256 × 256 pixels. Entries never go stale: their keys are values.
@lru_cache(maxsize=512)
def _ground(grid: Grid, crs: CRS, wraps: bool) -> Ground:
    nodes, turn = partial(_lattice, grid, crs), around(crs) if wraps else None
    coarse, miss = _checked(nodes, grid, _SPACINGS[0], turn) or (None, (np.inf, np.inf))
    return Ground(_area(nodes, grid, turn), coarse, miss)


def _locate_in_part(grid: Grid, frame: Frame) -> Positions:
    """Locates the pixels of the part of a grid where a raster lies: a few, if it is far away."""
    part = _part(grid, frame)
    there = part.of(grid)
    nodes, turn = partial(raster_lattice, there, frame), frame.period
    step = _step(_area(nodes, there, turn))
    for spacing in _SPACINGS:
        found = _checked(nodes, there, spacing, turn)
        if found and max(found[1]) <= MAX_ERROR * max(1.0, step):
            return Positions(grid, part, found[0], step)
    return Positions(grid, part, nodes(*_centres(there)), step)


def _part(grid: Grid, frame: Frame) -> Part:
    """Returns the part of a grid in which a raster lies: all of it where that is hard to say."""
    whole = Part(0, 0, grid.width, grid.height)
    along, down = (np.linspace(0, side, _RASTER_NODES) for side in (frame.width, frame.height))
    x, y = frame.to_map(*np.meshgrid(along, down))
    world, turn = around(frame.crs), around(grid.crs)
    if world and np.ptp(x) > world / 2:
        return whole
    if frame.crs != grid.crs:
        x, y = transformer(frame.crs, grid.crs).transform(x, y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return whole
    if turn:
        x = x.flat[0] + _shortest(x - x.flat[0], turn)
        if np.ptp(x) > turn / 2:
            return whole
    cols, rows = ~grid.transform @ (x, y)
    shift = 0.0 if turn is None else turn / grid.transform.a
    return _around(grid, cols, rows, shift)


def _around(grid: Grid, cols: Floats, rows: Floats, shift: float) -> Part:
    """Returns the part of a grid around some pixels, and around them on other turns of the world.

    Between the pixels the raster may bulge.
    """
    left, right = cols.min() - _BULGE * np.ptp(cols) - 2, cols.max() + _BULGE * np.ptp(cols) + 2
    top, bottom = rows.min() - _BULGE * np.ptp(rows) - 2, rows.max() + _BULGE * np.ptp(rows) + 2
    turns = [0] if not shift else range(-2, 3)
    spans = [(left + n * shift, right + n * shift) for n in turns]
    met = [(w, e) for w, e in spans if e > 0 and w < grid.width] or [(0, 0)]
    wests, easts = zip(*met, strict=True)
    first, last = _clamped(min(wests), max(easts), grid.width)
    upper, lower = _clamped(top, bottom, grid.height)
    return Part(first, upper, last, lower)


def _clamped(first: float, end: float, size: int) -> tuple[int, int]:
    """Returns a range within 0 to `size`, of one pixel at least."""
    start = int(np.clip(np.floor(first), 0, size - 1))
    return start, int(np.clip(np.ceil(end), start + 1, size))


def raster_lattice(grid: Grid, frame: Frame, px: Floats, py: Floats) -> Lattice:
    """Returns the positions in a raster where the grid's columns `px` and rows `py` cross."""
    at = _lattice(grid, frame.crs, px, py)
    return Lattice(px, py, *frame.to_pixel(at.x, at.y))


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


def _area(nodes: Nodes, grid: Grid, turn: float | None) -> float:
    """Returns the median area of an output pixel, in square units of the positions."""
    samples = min(5, grid.width, grid.height)
    px = np.linspace(0.5, grid.width - 0.5, samples) if samples > 1 else np.array([grid.width / 2])
    py = np.linspace(0.5, grid.height - 0.5, samples) if samples > 1 else np.array([0.5])
    pairs = np.stack([px - 0.5, px + 0.5], 1).ravel(), np.stack([py - 0.5, py + 0.5], 1).ravel()
    at = nodes(*pairs)
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
    nodes: Nodes, grid: Grid, spacing: int, turn: float | None
) -> tuple[Lattice, tuple[float, float]] | None:
    """Returns a lattice and its error at midpoints; None if it has holes or the grid is small."""
    if grid.width * grid.height <= 4 * spacing * spacing or 1 in (grid.width, grid.height):
        return None
    px, py = _nodes(grid.width, spacing), _nodes(grid.height, spacing)
    mx, my = (px[1:] + px[:-1]) / 2, (py[1:] + py[:-1]) / 2
    at, true = nodes(px, py), nodes(mx, my)
    if not (np.isfinite(at.x).all() and np.isfinite(true.x).all()):
        return None
    x = at.x
    if turn is not None:
        x = np.unwrap(np.unwrap(x, period=turn, axis=1), period=turn, axis=0)
    off_x = _shortest(_between(x, px, py, mx, my, np.float64) - true.x, turn)
    off_y = _between(at.y, px, py, mx, my, np.float64) - true.y
    miss = float(np.abs(off_x).max()), float(np.abs(off_y).max())
    return Lattice(px, py, x, at.y), miss


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
    grid, part, period = positions.grid, positions.part, level.period
    there = part.moved(-part.left, -part.top)
    first, last = (0, 0) if period is None else _turns(lattice.x, period)
    shift = first * (period or 0.0)
    is_whole = there.shape == (grid.height, grid.width)
    if first == last and is_whole and _surrounds(level, lattice, shift):  # as most large scenes do
        cols, rows = lattice.transformed(Affine.translation(-shift, 0)).interpolate(there, np.intp)
        yield Piece(there, np.ones(cols.shape, np.bool_), cols, rows, shift)
        return
    for turn in range(first, last + 1):
        shift = turn * (period or 0.0)
        around = lattice.around(level, shift)
        if around is None:
            continue
        x, y = lattice.interpolate(around, np.float64)
        inside = _inside(x - shift, y, level)
        if period is not None:
            inside &= np.floor(x / period) == turn
        if inside.any():
            yield _piece(around.moved(part.left, part.top), inside, x - shift, y, shift)


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


def _beyond(nodes: Floats, size: int) -> Bools:
    """Whether all positions between four nodes are outside of 0 to `size`; NaN may be inside."""
    corners = nodes[:-1, :-1], nodes[1:, :-1], nodes[:-1, 1:], nodes[1:, 1:]
    # Rounding may put a position a little beyond its nodes.
    found: Bools = np.maximum.reduce(corners) < -_TIE
    found |= np.minimum.reduce(corners) > size + _TIE
    return found


def _inside(cols: Floats, rows: Floats, level: Frame) -> Bools:
    with np.errstate(invalid="ignore"):  # NaN is outside, as it should be
        found: Bools = (cols >= 0) & (cols < level.width) & (rows >= 0) & (rows < level.height)
    return found


def _piece(part: Part, inside: Bools, cols: Floats, rows: Floats, shift: float) -> Piece:
    """Returns the piece of what lies in the raster, in the smallest part that holds it."""
    down, along = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    held = Part(int(along[0]), int(down[0]), int(along[-1]) + 1, int(down[-1]) + 1)
    inside, cols, rows = inside[held.slices], cols[held.slices], rows[held.slices]
    if not inside.all():
        some = np.unravel_index(inside.argmax(), inside.shape)
        cols, rows = np.where(inside, cols, cols[some]), np.where(inside, rows, rows[some])
    whole = held.moved(part.left, part.top)
    return Piece(whole, inside, cols.astype(np.intp), rows.astype(np.intp), shift)


def take(block: NDArray[Any], flat_indices: NDArray[np.intp]) -> NDArray[Any]:
    """Returns values of a block (bands, h, w) at flat indices, as (bands, *indices.shape)."""
    return np.take(block.reshape(len(block), -1), flat_indices, axis=1)
