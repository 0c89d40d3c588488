"""Depth of each pixel within a footprint, the weight of blending. Pure.

It is measured in the whole footprint, not in a cell's part, and the image's edge does not count: an
image over several tiles has the same pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon

from livemosaic.geo.antimeridian import worlds
from livemosaic.geo.cells import CellGrid, Ring
from livemosaic.geo.covering import rings_of
from livemosaic.geo.crs import transformer
from livemosaic.geo.rasterize import Outline
from livemosaic.model.raster import Grid

LEAST: Final = 1 / 64
"""Depth at the edge and outside: a scene's pixels there count only where it is alone."""
_DEEPEST: Final = 2.0**16
_AT_ONCE: Final = 1 << 15
"""Distances between pixels and edges in memory at once."""
_FEW: Final = 16
"""Blocks with so few edges, or `_SMALL` pixels, are not divided for speed."""
_SMALL: Final = 64

Edges = NDArray[np.float64]
"""Shape (n, 4): x, y of one end, x, y of the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Feather:
    """A footprint's edges on a grid, from which depths are measured."""

    grid: Grid
    crs: CRS
    """CRS of the rings."""
    rings: Sequence[Ring]
    edges: Edges
    """In pixels of the grid."""

    @classmethod
    def of(cls, footprint: MultiPolygon, cells: CellGrid, grid: Grid) -> "Feather":
        """Makes the feather of a footprint in longitude and latitude."""
        # Long edges were cut to be projected; straight ones are joined again.
        straight = grid.transform.a * LEAST / 4 if grid.crs == cells.crs else 0.0
        rings = rings_of(cells.project(footprint).simplify(straight))
        ends = [np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in rings]
        edges = np.concatenate([np.zeros((0, 4)), *ends])
        return cls(grid, cells.crs, rings, _in_pixels(edges, cells, grid))

    def depth(self, rows: slice) -> NDArray[np.float32]:
        """Returns pixel centers' distances to the footprint's edge, in pixels, shape (rows, width).

        Rounded to steps of `LEAST`, so that two grids agree on a pixel that they share.
        """
        inside = Outline.of(self.rings, self.crs, _strip(self.grid, rows)).burn()
        distances = np.zeros(inside.shape)
        _measure(distances, inside, self.edges, rows.start, 0)
        steps = np.clip(np.rint(distances / LEAST) * LEAST, LEAST, _DEEPEST)
        return np.where(inside, steps, LEAST).astype(np.float32)


def _strip(grid: Grid, rows: slice) -> Grid:
    left, _, right, _ = grid.bounds
    _, top = grid.transform @ (0, rows.start)
    _, bottom = grid.transform @ (0, rows.stop)
    return replace(grid, bounds=(left, bottom, right, top), height=rows.stop - rows.start)


def _in_pixels(edges: Edges, cells: CellGrid, grid: Grid) -> Edges:
    """Returns edges in pixels, without the cells' outer bounds; at ±180° footprints continue."""
    x, y = edges[:, ::2], edges[:, 1::2]
    left, bottom, right, top = cells.root
    limits = (x, left), (x, right), (y, bottom), (y, top)
    width = right - left
    cuts = [(np.abs(at - limit) < 1e-9 * width).all(axis=1) for at, limit in limits]
    kept = ~np.logical_or.reduce(cuts)
    turns = (0.0, -width, width) if cuts[0].any() and cuts[1].any() else (0.0,)
    x, y = np.concatenate([x[kept] + turn for turn in turns]), np.tile(y[kept], (len(turns), 1))
    if cells.crs != grid.crs:
        x, y = transformer(cells.crs, grid.crs).transform(x, y)
    column, row = ~grid.transform @ (x, y)
    found: Edges = np.stack([column, row], axis=2).reshape(-1, 4)
    found = found[np.isfinite(found).all(axis=1)]
    return np.concatenate([found, *(np.add(found, (x, 0, x, 0)) for x in worlds(grid))])


def _measure(
    out: NDArray[np.float64], inside: NDArray[np.bool_], edges: Edges, row: int, column: int
) -> None:
    """Writes distances to edges of a block's pixels, the first of which is at row and column.

    A large block is divided into quarters, each with only the edges near enough to matter.
    """
    if not inside.any():
        return
    y, x = (start + 0.5 + np.arange(n) for start, n in zip((row, column), out.shape, strict=True))
    few = len(edges) <= _FEW or out.size <= _SMALL
    if few and len(edges) * out.size <= _AT_ONCE:
        out[:] = np.sqrt(_squares(edges, x, y).min(axis=0, initial=_DEEPEST**2))
        return
    half = [(n + 1) // 2 for n in out.shape]
    for rows in (slice(half[0]), slice(half[0], None)):
        for columns in (slice(half[1]), slice(half[1], None)):
            part = out[rows, columns], inside[rows, columns]
            if part[0].size:
                near = _near(edges, x[columns], y[rows])
                _measure(*part, near, row + (rows.start or 0), column + (columns.start or 0))


def _near(edges: Edges, x: NDArray[np.float64], y: NDArray[np.float64]) -> Edges:
    """Returns the edges that may be nearest to some point of a block."""
    center_x, center_y = (x[0] + x[-1]) / 2, (y[0] + y[-1]) / 2
    radius = np.hypot(x[-1] - center_x, y[-1] - center_y)
    squares = _squares(edges, np.array([center_x]), np.array([center_y]))
    distances = np.sqrt(squares[:, 0, 0])
    near: Edges = edges[distances <= distances.min(initial=np.inf) + 2 * radius]
    return near


def _squares(edges: Edges, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns squared distances to each edge, shape (edges, y, x)."""
    ax, ay, bx, by = edges.T[:, :, np.newaxis, np.newaxis]
    dx, dy = bx - ax, by - ay
    square = dx**2 + dy**2
    square[square == 0] = 1
    from_x, from_y = x - ax, y[:, np.newaxis] - ay
    along = np.clip(from_x * (dx / square) + from_y * (dy / square), 0, 1)
    squares: NDArray[np.float64] = (from_x - along * dx) ** 2 + (from_y - along * dy) ** 2
    return squares
