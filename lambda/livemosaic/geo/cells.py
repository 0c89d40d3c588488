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
from livemosaic.geo.crs import NoTransformError, lonlat_of, transformer
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
    @lru_cache(maxsize=1024)
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
        return cls.of_tms(tile_matrix_set(tms_id))

    @classmethod
    def of_tms(cls, tms: TileMatrixSet) -> "CellGrid":
        """Makes the grid of a TileMatrixSet that may be registered nowhere."""
        if not tms.is_quadtree:
            raise InvalidRequestError(
                f"TileMatrixSet {tms.id!r} is not a quadtree, so it has no quadkeys; tiles can be "
                "asked for in it, but a mosaic's own must be one, like WebMercatorQuad"
            )
        left, bottom, right, top = tms.xy_bounds(morecantile.Tile(0, 0, 0))
        return cls(tms, tms.rasterio_crs, (left, bottom, right, top))

    def bounds(self, cell: Cell) -> BBox:
        """Returns left, bottom, right, top of a cell in `crs`.

        Neighbours have the same number where they meet: what lies there is in one of them.
        """
        left, _, right, top = self.root
        span = (right - left) / (1 << cell.zoom)
        x, y = cell.x, cell.y
        return left + x * span, top - (y + 1) * span, left + (x + 1) * span, top - y * span

    @cached_property
    def lonlat(self) -> CRS:
        """Longitude and latitude on the body of the grid."""
        return lonlat_of(self.crs)

    @cached_property
    def edge(self) -> float | None:
        """Latitude beyond which a Mercator grid shows nothing, but holds scenes in its last rows.

        None for other grids. Beyond it `crs` is extended: y grows evenly up to the pole.
        """
        to_crs = transformer(self.lonlat, self.crs)
        x, _ = to_crs.transform([90.0, 90.0], [0.0, 60.0])
        north = self.tms.bbox[3]
        return north if x[0] == x[1] and north < 90 and not self.crs.is_geographic else None

    def reach(self, cell: Cell) -> BBox:
        """Returns the bounds of a cell; cells at the edge include all that lies beyond it."""
        left, bottom, right, top = self.bounds(cell)
        if self.edge is None:
            return left, bottom, right, top
        beyond = (90 - self.edge) * self._degree
        top += beyond if cell.y == 0 else 0.0
        bottom -= beyond if cell.y == (1 << cell.zoom) - 1 else 0.0
        return left, bottom, right, top

    def to_lonlat(self, rings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns places beyond the edge, shape (n, 2), in longitude and latitude."""
        left, _, right, top = self.root
        edge = self.edge or 90.0
        lon = (rings[:, 0] - left) / (right - left) * 360 - 180
        height = (np.abs(rings[:, 1]) - top) / self._degree
        return np.column_stack([lon, np.sign(rings[:, 1]) * (edge + height)])

    @property
    def _degree(self) -> float:
        """Units of y for a degree beyond the edge: as many as just within it."""
        around = self.root[2] - self.root[0]
        return around / 360 / math.cos(math.radians(self.edge or 0.0))

    def project(self, footprint: BaseGeometry) -> BaseGeometry:
        """Projects a polygon in degrees to `crs`, clipped to what the grid can show."""
        return self._projected(footprint.intersection(self._domain))

    def hold(self, footprint: BaseGeometry) -> BaseGeometry:
        """Projects a polygon in degrees to `crs`, extended beyond the edge."""
        _, south, _, north = footprint.bounds
        beyond = self.edge is not None and max(-south, north) > self.edge
        return self._projected(footprint) if beyond else self.project(footprint)

    def _projected(self, inside: BaseGeometry) -> BaseGeometry:
        if inside.is_empty:
            return inside
        west, south, east, north = inside.bounds
        longest = max(east - west, north - south) / SEGMENTS
        inside = shapely.segmentize(inside, min(1.0, longest) or 1.0)
        projected = shapely.transform(inside, self.places)
        if not np.isfinite(shapely.get_coordinates(projected)).all():
            raise NoTransformError("parts of it have no place in the grid")
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
        if max(-bounds[1], bounds[3]) > self.root[3] and self.edge is not None:
            longest = bounds[3] - bounds[1]  # around a pole, widths tell nothing of the scale
        return math.log2((self.root[2] - self.root[0]) / longest) if longest > 0 else math.inf

    def from_lonlat(self, bbox: BBox) -> list[BBox]:
        """Projects a box in longitude and latitude to boxes in `crs`; two where west > east."""
        projected = map(self._project_box, lonlat_boxes(bbox))
        return [part.bounds for part in projected if not part.is_empty]

    def _project_box(self, part: BaseGeometry) -> BaseGeometry:
        if part.area > 0:
            try:
                return self.hold(part)
            except NoTransformError:
                return box(*self.root)  # the grid may show any part of it
        # A point or a line: GEOS takes a polygon without area for an empty one.
        inside = part.envelope if self.edge else part.envelope.intersection(self._domain)
        return shapely.transform(inside, self.places)

    def places(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Projects places in longitude and latitude, shape (n, 2), to `crs`, beyond the edge too.

        Infinite where a projection has no place for them.
        """
        to_crs, (lon, lat) = transformer(self.lonlat, self.crs), lonlat.T
        if self.edge is None:
            return np.column_stack(to_crs.transform(lon, lat))
        x, y = to_crs.transform(lon, np.clip(lat, -self.edge, self.edge))
        beyond = np.sign(lat) * np.maximum(np.abs(lat) - self.edge, 0) * self._degree
        return np.column_stack([x, y + beyond])

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
