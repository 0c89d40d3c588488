"""The grid of index cells: tiles of the mosaic's TileMatrixSet.

A cell is one tile of a quadtree TileMatrixSet, written as its quadkey.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import morecantile
import numpy as np
import shapely
from morecantile import TileMatrixSet
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.geo.crs import LONLAT, transformer
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.raster import BBox

SEGMENTS: Final = 32
"""An edge is cut so that its ends lie at most this part of the footprint's extent apart, and at
most one degree: a straight line in longitude and latitude bends in the projection."""

Ring = NDArray[np.float64]
"""Shape (n, 2): x, y."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One tile of the index grid."""

    zoom: int
    x: int
    y: int

    @property
    def quadkey(self) -> str:
        """One digit per zoom, 0 to 3; empty at zoom 0."""
        return "".join(
            str((self.x >> bit & 1) | (self.y >> bit & 1) << 1)
            for bit in range(self.zoom - 1, -1, -1)
        )

    @classmethod
    def of(cls, quadkey: str) -> "Cell":
        """Returns the cell of a quadkey."""
        x = y = 0
        for digit in quadkey:
            x, y = x << 1 | int(digit) & 1, y << 1 | int(digit) >> 1
        return cls(len(quadkey), x, y)


@dataclass(frozen=True)
class CellGrid:
    """The quadtree of a TileMatrixSet."""

    tms: TileMatrixSet
    crs: CRS
    root: BBox
    """Bounds of the tile 0/0/0, in `crs`."""

    @classmethod
    def of(cls, tms_id: str) -> "CellGrid":
        """Makes the grid of a TileMatrixSet; raises `InvalidRequestError` if it is no quadtree."""
        tms = tile_matrix_set(tms_id)
        if not tms.is_quadtree:
            raise InvalidRequestError(
                f"TileMatrixSet {tms_id!r} is not a quadtree, so it has no quadkeys; tiles can be "
                "asked for in it, but a mosaic's own must be one, like WebMercatorQuad"
            )
        left, bottom, right, top = tms.xy_bounds(morecantile.Tile(0, 0, 0))
        return cls(tms, tms.rasterio_crs, (left, bottom, right, top))

    def bounds(self, cell: Cell) -> BBox:
        """Returns left, bottom, right, top of a cell in `crs`."""
        left, _, right, top = self.root
        span = (right - left) / (1 << cell.zoom)
        x, y = left + cell.x * span, top - cell.y * span
        return x, y - span, x + span, y

    def project(self, footprint: BaseGeometry) -> BaseGeometry:
        """Projects a polygon in degrees to `crs`, clipped to what the grid can show."""
        inside = footprint.intersection(self._domain)
        if inside.is_empty:
            return inside
        west, south, east, north = inside.bounds
        longest = max(east - west, north - south) / SEGMENTS
        inside = shapely.segmentize(inside, min(1.0, longest) or 1.0)
        projected = shapely.transform(inside, self._project_xy)
        return projected if projected.is_valid else shapely.make_valid(projected)

    def cells_of(self, bounds: BBox, zoom: int) -> list[Cell]:
        """Returns the cells that a box in `crs` shares area with."""
        columns, rows = self._spans(bounds, zoom)
        return [Cell(zoom, x, y) for y in rows for x in columns]

    def count(self, bounds: BBox, zoom: int) -> int:
        """Returns the number of cells that `cells_of` would give."""
        columns, rows = self._spans(bounds, zoom)
        return len(columns) * len(rows)

    def _spans(self, bounds: BBox, zoom: int) -> tuple[range, range]:
        left, _, right, top = self.root
        span = (right - left) / (1 << zoom)
        last = (1 << zoom) - 1
        columns = _span((bounds[0] - left) / span, (bounds[2] - left) / span, last)
        return columns, _span((top - bounds[3]) / span, (top - bounds[1]) / span, last)

    def zoom_of(self, bounds: BBox) -> float:
        """Returns the fractional zoom at which a cell is as wide as the longest side of a box."""
        longest = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
        return math.log2((self.root[2] - self.root[0]) / longest) if longest > 0 else math.inf

    def from_lonlat(self, bbox: BBox) -> list[BBox]:
        """Projects a box in longitude and latitude to boxes in `crs`; two where west > east."""
        projected = map(self._project_box, lonlat_boxes(bbox))
        return [part.bounds for part in projected if not part.is_empty]

    def _project_box(self, part: BaseGeometry) -> BaseGeometry:
        if part.area > 0:
            return self.project(part)
        # A point or a line: GEOS takes a polygon without area for an empty one.
        inside = part.envelope.intersection(self._domain)
        return shapely.transform(inside, self._project_xy)

    def _project_xy(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        to_crs = transformer(LONLAT, self.crs)
        return np.column_stack(to_crs.transform(lonlat[:, 0], lonlat[:, 1]))

    @cached_property
    def _domain(self) -> BaseGeometry:
        west, south, east, north = self.tms.bbox
        if west <= east:
            return box(max(west, -180), south, min(east, 180), north)
        return MultiPolygon([box(west, south, 180, north), box(-180, south, east, north)])


@lru_cache(64)
def cell_grid(tms_id: str) -> CellGrid:
    """Returns the cached cell grid of a registered TileMatrixSet; there are about a dozen."""
    return CellGrid.of(tms_id)


def _span(first: float, end: float, last: int) -> range:
    """Returns the cells that share length with an interval, in cells, or that a point touches."""
    nudge = 1e-9 if end > first else -1e-9
    start, stop = math.floor(first + nudge), math.floor(end - nudge)
    return range(min(last, max(0, start)), min(last, max(0, stop)) + 1)
