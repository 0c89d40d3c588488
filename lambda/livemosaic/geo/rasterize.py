"""Rasterizes footprints: the pixels of a grid that they cover, how much of each, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize, shapes
from rasterio.session import DummySession
from shapely.geometry import shape as geometry
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import worlds
from livemosaic.geo.cells import SEGMENTS, Ring
from livemosaic.geo.crs import transformer
from livemosaic.model.raster import Grid, Mask, Runs

Line = NDArray[np.float64]

_PIECE: Final = 2048
"""Parts of pixels that are rasterized together, along an edge."""
_WIDE: Final = 20.0
"""Degrees across a ring from which on its outline may not be the one of its pixels on a grid."""
_DEGREE: Final = 100_000.0
"""Metres."""
_LOOKED_AT: Final = 128
"""Pixels along an edge of a grid whose places are compared with a wide ring."""
_MAX_PARTS: Final = 1_000_000_000
"""Parts of pixels of one grid, which take a second or two."""
Windows = NDArray[np.int64]
"""Shape (n, 4), or (4,) of one: first column, first row, one past the last column, and last row."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Rings on a grid, in its pixels; filled by the even-odd rule."""

    lines: Sequence[tuple[Line, Line]]
    """Columns and rows of each ring's corners."""
    height: int
    width: int
    found: Mask | None = None
    """Shape (height, width): pixels known to be inside, whatever lines say. A wide ring may pass
    where the CRS of the grid has no place, or another one."""

    @classmethod
    def of(cls, rings: Sequence[Ring], crs: CRS, grid: Grid) -> "Outline":
        """Projects rings from `crs` to a grid, with edges cut first where the CRS is another."""
        same = crs is grid.crs or crs == grid.crs
        to_pixel = grid.to_pixel
        lines = [to_pixel @ tuple((r if same else _reproject(r, crs, grid.crs)).T) for r in rings]
        lines += [(x + world, y) for world in worlds(grid) for x, y in lines]
        wide = [] if same else [ring for ring in rings if _is_wide(ring, crs)]
        found = _found(wide, crs, grid) if wide else None
        return cls(lines, grid.height, grid.width, found)

    def runs(self) -> Runs:
        """Returns the pixels whose centres lie inside."""
        crossings = [_crossings(self.height, self.width, x, y) for x, y in self.lines]
        ends = np.concatenate(crossings) if crossings else np.zeros(0, np.int64)
        ends.sort()
        drawn = Runs(_joined(ends))
        return drawn if self.found is None else Runs.union([drawn, Runs.of(self.found)])

    def burn(self) -> Mask:
        """Returns the pixels whose centres lie inside; shape (height, width)."""
        return self.runs().mask(self.height, self.width)


def _joined(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Joins runs that go on where the one before ends, as rows do that are inside all along."""
    apart = ends[1:-1:2] < ends[2::2]
    if apart.all():
        return ends
    kept = np.ones(len(ends), np.bool_)
    kept[1:-1:2] = kept[2::2] = apart
    return ends[kept]


def _crossings(height: int, width: int, x: Line, y: Line) -> NDArray[np.int64]:
    """The first pixel centre right of each edge, on each row that it crosses, as of `Runs.ends`.

    Each row has an even number of them.
    """
    x2, y2 = _ends(x), _ends(y)
    above = np.minimum(np.maximum(np.ceil(y - 0.5), 0), height).astype(np.int64)
    above2 = _ends(above)
    first, stop = np.minimum(above, above2), np.maximum(above, above2)
    counts = stop - first
    edge = np.arange(len(x)).repeat(counts)
    row = np.arange(len(edge)) - (counts.cumsum() - stop)[edge]
    at = (row + 0.5 - y[edge]) / (y2 - y)[edge]
    crossing = x[edge] + at * (x2 - x)[edge]
    column = np.minimum(np.maximum(np.ceil(crossing - 0.5), 0), width)
    flat: NDArray[np.int64] = row * width + column.astype(np.int64)
    return flat


def _ends(starts: NDArray[Any]) -> NDArray[Any]:
    """Returns the end of each edge of a ring. `np.roll` takes ten times as long."""
    return np.concatenate((starts[1:], starts[:1]))


def _is_wide(ring: Ring, crs: CRS) -> bool:
    return bool(np.ptp(ring, axis=0).max() > (_WIDE if crs.is_geographic else _WIDE * _DEGREE))


def _found(rings: Sequence[Ring], crs: CRS, grid: Grid) -> Mask:
    """Returns pixels that lie in rings, and some around them, by their places in the other CRS.

    Of some pixels in each direction one is looked at.
    """
    rows, columns = _looked_at(grid.height), _looked_at(grid.width)
    at = grid.transform @ tuple(np.meshgrid(columns + 0.5, rows + 0.5))
    x, y = transformer(grid.crs, crs).transform(*at)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    polygons = [shapely.make_valid(shapely.Polygon(ring)) for ring in rings]
    inside = known & np.logical_xor.reduce([shapely.contains_xy(p, x, y) for p in polygons])
    near = np.pad(inside, 1)
    parts = [near[i : i + len(rows), j : j + len(columns)] for i in range(3) for j in range(3)]
    row_of = np.searchsorted(rows, np.arange(grid.height))
    column_of = np.searchsorted(columns, np.arange(grid.width))
    found: Mask = np.logical_or.reduce(parts)[np.ix_(row_of, column_of)]
    return found


def _looked_at(size: int) -> NDArray[np.int64]:
    """Returns the indices of pixels along an edge that are looked at, both ends among them."""
    return np.unique(np.linspace(0, size - 1, min(size, _LOOKED_AT)).astype(np.int64))


def _reproject(ring: Ring, source: CRS, target: CRS) -> Ring:
    closed = shapely.linearrings(ring)
    west, south, east, north = closed.bounds
    fine = shapely.segmentize(closed, max(east - west, north - south) / SEGMENTS)
    x, y = transformer(source, target).transform(*shapely.get_coordinates(fine)[:-1].T)
    finite = np.isfinite(x) & np.isfinite(y)
    return np.column_stack([x[finite], y[finite]])


def coverage(shape: BaseGeometry, grid: Grid, scale: int) -> NDArray[np.float32]:
    """Returns how much of each pixel a shape covers, 0 to 1; shape (height, width).

    The shape is valid polygons or lines in the grid's CRS. Counts like rio-tiler's
    `ImageData.get_coverage_array`: pixels along the edge are divided into `scale` × `scale` parts,
    of which the touched ones count.
    """
    covered = np.zeros((grid.height, grid.width), np.float32)
    shapely.prepare(shape)
    inside, edges = _sorted(shape, grid, max(1, _PIECE // scale))
    _refuse_too_many(edges, scale)
    for left, top, right, bottom in inside.tolist():
        covered[top:bottom, left:right] = 1
    with rasterio.Env(DummySession()):
        for window in edges.tolist():
            left, top, right, bottom = window
            covered[top:bottom, left:right] = _divided(shape, grid, window, scale)
    return covered


def traced(valid: Mask, transform: Affine, *, connectivity: int = 4) -> list[BaseGeometry]:
    """Returns an area for each part of a mask whose pixels are connected, with its holes.

    `valid` has the shape (height, width); `transform` leads from corners of pixels, columns and
    rows, to the areas' coordinates. With a `connectivity` of 8, pixels that share a corner are
    connected, too.
    """
    with rasterio.Env(DummySession()):
        found: Any = shapes(
            valid.view(np.uint8), mask=valid, connectivity=connectivity, transform=transform
        )
        return [geometry(each) for each, _ in found]


def _sorted(shape: BaseGeometry, grid: Grid, most: int) -> tuple[Windows, Windows]:
    """Returns the windows inside a shape, and at its edge, these at most `most` pixels wide."""
    inside, edges = [], []
    windows: Windows = np.array([[0, 0, grid.width, grid.height]])
    while len(windows):
        boxes = shapely.box(*_bounds(grid, windows))
        whole = shapely.contains_properly(shape, boxes)
        crossed = windows[shapely.intersects(shape, boxes) & ~whole]
        small = (crossed[:, 2:] - crossed[:, :2]).max(axis=1, initial=0) <= most
        inside.append(windows[whole])
        edges.append(crossed[small])
        windows = _quartered(crossed[~small])
    return np.concatenate(inside), np.concatenate(edges)


def _quartered(windows: Windows) -> Windows:
    left, top, right, bottom = windows.T
    x, y = (left + right) // 2, (top + bottom) // 2
    quarters = [(left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)]
    parts = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    return parts[(parts[:, 0] < parts[:, 2]) & (parts[:, 1] < parts[:, 3])]


def _bounds(grid: Grid, windows: Windows) -> tuple[Any, Any, Any, Any]:
    left, top, right, bottom = windows.T
    west, north = grid.transform @ (left, top)
    east, south = grid.transform @ (right, bottom)
    return west, south, east, north


def _refuse_too_many(windows: Windows, scale: int) -> None:
    parts = int((windows[:, 2:] - windows[:, :2]).prod(axis=1).sum()) * scale**2
    if parts > _MAX_PARTS:
        raise InvalidRequestError(
            f"cover_scale {scale} divides the pixels along the edge of the area into {parts:,} "
            f"parts, at most {_MAX_PARTS:,} are looked at; lower it, or ask for fewer pixels"
        )


def _divided(
    shape: BaseGeometry, grid: Grid, window: tuple[int, int, int, int], scale: int
) -> NDArray[np.float32]:
    left, top, right, bottom = window
    part = Affine.scale(1 / scale)
    parts = rasterize(
        [(_clipped(shape, grid, window), 1)],
        out_shape=((bottom - top) * scale, (right - left) * scale),
        transform=grid.transform @ Affine.translation(left, top) @ part,
        all_touched=True,
        dtype="uint8",
    ).reshape(bottom - top, scale, right - left, scale)
    touched: NDArray[np.float32] = parts.sum(axis=(1, 3), dtype=np.float32) / scale**2
    return touched


def _clipped(shape: BaseGeometry, grid: Grid, window: tuple[int, int, int, int]) -> BaseGeometry:
    """Clips a shape to a window and a pixel around it: a coast has very many vertices."""
    west, south, east, north = map(float, _bounds(grid, np.add(window, (-1, -1, 1, 1))))
    return shapely.clip_by_rect(shape, west, south, east, north)
