"""Index cells: which tiles of the mosaic's TileMatrixSet a footprint covers, and with what part.

A cell is one tile of a quadtree TileMatrixSet, written as its quadkey. A footprint is projected
once, then clipped down the quadtree, so a cell costs one clip of what is left of its parent.

The part of a footprint inside a cell is stored as rings in the cell's own unit square, each
coordinate a 32-bit fraction: 8 bytes a vertex, exact to a billionth of a cell at any zoom. Rings
fill by the even-odd rule, so holes need no mark. No bytes at all mean the whole cell.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
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
from livemosaic.model import MAX_ROWS_PER_SCENE, BBox, Grid
from livemosaic.projection import transformer

WHOLE: Final = b""
"""The stored footprint of a cell that is covered entirely."""

_STEP: Final = 2
"""Zooms between two rungs of the ladder: rows per scene against rows read in vain. A tile between
two rungs reads a cell of at most 4 times its area."""
_TOP: Final = 3
"""The coarsest rung with rows of its own: of each scene two rows less than down to zoom 0, for
tiles below it that read its 4, 16 or 64 cells; there are 21 of them in the world."""
_UNIT: Final = 2**32 - 1
_TOLERANCE: Final = 2.0**-18
"""Vertices that move an edge by less than this part of a cell are dropped: a quarter of a pixel
eight zooms below the cell."""
_MAX_VERTICES: Final = 1000
_MAX_RINGS: Final = 100
"""Of a part with more vertices than that: simplifying takes none away."""
_SLIVER: Final = 1e-12
"""A clip with less than this part of the cell, or of the footprint, only touches an edge."""
_SAMPLES: Final = 33
"""Points along each axis of a raster that decide its extent in longitude and latitude."""
_LONLAT: Final = CRS.from_epsg(4326)
SEGMENTS: Final = 32
"""An edge is cut so that its ends lie at most this part of the footprint's extent apart, and at
most one degree: a straight line in longitude and latitude bends in the projection."""

Ring = NDArray[np.float64]
"""Shape (n, 2): x, y."""


def ladder(quadkey_zoom: int) -> tuple[int, ...]:
    """The zooms at which cells may exist, deepest first, down to 0."""
    return (*range(quadkey_zoom, 0, -_STEP), 0)


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
        """The cell of a quadkey."""
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
        """The grid of a registered TileMatrixSet; `InvalidRequestError` if it is no quadtree."""
        tms = tile_matrix_set(tms_id)
        if not tms.is_quadtree:
            raise InvalidRequestError(
                f"TileMatrixSet {tms_id!r} is not a quadtree, so it has no quadkeys; tiles can be "
                "asked for in it, but a mosaic's own must be one, like WebMercatorQuad"
            )
        left, bottom, right, top = tms.xy_bounds(morecantile.Tile(0, 0, 0))
        return cls(tms, tms.rasterio_crs, (left, bottom, right, top))

    def bounds(self, cell: Cell) -> BBox:
        """Left, bottom, right, top in `crs`."""
        left, _, right, top = self.root
        span = (right - left) / (1 << cell.zoom)
        x, y = left + cell.x * span, top - cell.y * span
        return x, y - span, x + span, y

    def project(self, footprint: BaseGeometry) -> BaseGeometry:
        """A polygon in longitude and latitude, in `crs`, without what the grid cannot show."""
        inside = footprint.intersection(self._domain)
        if inside.is_empty:
            return inside
        west, south, east, north = inside.bounds
        longest = max(east - west, north - south) / SEGMENTS
        inside = shapely.segmentize(inside, min(1.0, longest) or 1.0)
        projected = shapely.transform(inside, self._project_xy)
        return projected if projected.is_valid else shapely.make_valid(projected)

    def cells_of(self, bounds: BBox, zoom: int) -> list[Cell]:
        """The cells that a box in `crs` shares area with."""
        columns, rows = self._spans(bounds, zoom)
        return [Cell(zoom, x, y) for y in rows for x in columns]

    def count(self, bounds: BBox, zoom: int) -> int:
        """How many `cells_of` would give, without making them."""
        columns, rows = self._spans(bounds, zoom)
        return len(columns) * len(rows)

    def _spans(self, bounds: BBox, zoom: int) -> tuple[range, range]:
        left, _, right, top = self.root
        span = (right - left) / (1 << zoom)
        last = (1 << zoom) - 1
        columns = _span((bounds[0] - left) / span, (bounds[2] - left) / span, last)
        return columns, _span((top - bounds[3]) / span, (top - bounds[1]) / span, last)

    def zoom_of(self, bounds: BBox) -> float:
        """The zoom, fractional, at which a cell is as large as the box is at its longest side."""
        longest = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
        return math.log2((self.root[2] - self.root[0]) / longest) if longest > 0 else math.inf

    def from_lonlat(self, bbox: BBox) -> list[BBox]:
        """A box in longitude and latitude as boxes in `crs`; two where west > east."""
        projected = map(self._project_box, lonlat_boxes(bbox))
        return [part.bounds for part in projected if not part.is_empty]

    def _project_box(self, part: BaseGeometry) -> BaseGeometry:
        if part.area > 0:
            return self.project(part)
        # A point or a line: GEOS takes a polygon without area for an empty one.
        inside = part.envelope.intersection(self._domain)
        return shapely.transform(inside, self._project_xy)

    def _project_xy(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        to_crs = transformer(_LONLAT, self.crs)
        return np.column_stack(to_crs.transform(lonlat[:, 0], lonlat[:, 1]))

    @cached_property
    def _domain(self) -> BaseGeometry:
        west, south, east, north = self.tms.bbox
        if west <= east:
            return box(max(west, -180), south, min(east, 180), north)
        return MultiPolygon([box(west, south, 180, north), box(-180, south, east, north)])


@lru_cache(64)
def cell_grid(tms_id: str) -> CellGrid:
    """The cell grid of a registered TileMatrixSet; there are about a dozen."""
    return CellGrid.of(tms_id)


def lonlat_boxes(bbox: BBox) -> list[BaseGeometry]:
    """A box in longitude and latitude as polygons; two where it crosses ±180 (west > east)."""
    west, south, east, north = bbox
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return [box(w, south, e, north) for w, e in spans]


def lonlat_bounds(grid: Grid) -> BBox:
    """West, south, east, north of a raster in any CRS, in degrees; west > east across ±180.

    From points all over it, not from its corners: a box around a pole has the pole inside and all
    longitudes. Grown by the distance between points, so nothing between two of them is lost.
    """
    left, bottom, right, top = grid.bounds
    x, y = np.meshgrid(np.linspace(left, right, _SAMPLES), np.linspace(bottom, top, _SAMPLES))
    lon, lat = transformer(grid.crs, _LONLAT).transform(x.ravel(), y.ravel())
    seen = np.isfinite(lon) & np.isfinite(lat)
    if not seen.any():
        raise InvalidRequestError("that place is not on the globe")
    lon, lat = lon[seen], lat[seen]
    lon = np.sort(np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon))  # of boxes across ±180
    grow = 1.5 * float(np.ptp(lat)) / _SAMPLES
    south, north = max(-90.0, float(lat.min()) - grow), min(90.0, float(lat.max()) + grow)
    gaps = np.diff(np.append(lon, lon[0] + 360))
    widest = int(gaps.argmax())
    if gaps[widest] < 30 or any(_holds_pole(grid, pole) for pole in (-90.0, 90.0)):
        return -180.0, _reach(grid, -90.0, south), 180.0, _reach(grid, 90.0, north)
    west, east = float(lon[(widest + 1) % len(lon)]), float(lon[widest])
    grow = 1.5 * ((east - west) % 360) / _SAMPLES
    if west <= east:
        return max(-180.0, west - grow), south, min(180.0, east + grow), north
    return west - grow, south, east + grow, north


def _holds_pole(grid: Grid, latitude: float) -> bool:
    # A geographic CRS has a whole edge for a pole, which a box there may only touch.
    if grid.crs.is_geographic:
        return False
    x, y = transformer(_LONLAT, grid.crs).transform(0.0, latitude)
    left, bottom, right, top = grid.bounds
    return bool(left <= x <= right and bottom <= y <= top)


def _reach(grid: Grid, pole: float, latitude: float) -> float:
    return pole if _holds_pole(grid, pole) else latitude


@lru_cache(64)
def tile_matrix_set(tms_id: str) -> TileMatrixSet:
    """A registered TileMatrixSet; `InvalidRequestError` names the known ones.

    Kept, as morecantile copies it deeply each time. Do not change it.
    """
    if tms_id not in morecantile.tms.list():
        raise InvalidRequestError(
            f"unknown TileMatrixSet {tms_id[:80]!r}; known are {', '.join(morecantile.tms.list())}"
        )
    return morecantile.tms.get(tms_id)


def _span(first: float, end: float, last: int) -> range:
    """The cells that share length with an interval, in cells; those that a point touches."""
    nudge = 1e-9 if end > first else -1e-9
    start, stop = math.floor(first + nudge), math.floor(end - nudge)
    return range(min(last, max(0, start)), min(last, max(0, stop)) + 1)


@dataclass(frozen=True)
class Cover:
    """The cells of one footprint at its level, and at the coarser rungs above it."""

    grid: CellGrid
    projected: BaseGeometry = field(repr=False)
    cells: tuple[str, ...] = ()
    """Quadkeys at the level; none where the grid cannot show the footprint."""
    coarse: tuple[str, ...] = ()
    """Quadkeys of their ancestors on the coarse rungs, down to the mosaic's floor."""
    clips: Mapping[str, BaseGeometry] = field(default_factory=dict, repr=False)
    """The footprint inside each of those cells, in the grid's CRS."""

    @property
    def level(self) -> int | None:
        """The zoom of `cells`; None where there are none."""
        return len(self.cells[0]) if self.cells else None

    def part(self, quadkey: str) -> bytes | None:
        """The footprint inside any cell, as stored; None where it has no area there."""
        bounds = self.grid.bounds(Cell.of(quadkey))
        clipped = self.clips.get(quadkey)
        if clipped is None:
            clipped = _clip(self.projected, bounds, self.projected.area)
        return None if clipped is None else _encode(clipped, bounds)


def coarse_rungs(quadkey_zoom: int) -> tuple[int, ...]:
    """The zooms of coarse cells, deepest first: of the ladder, less what is next to the top."""
    return (*(z for z in ladder(quadkey_zoom) if z > _TOP + 1), min(quadkey_zoom, _TOP))


def floor_rung(quadkey_zoom: int, minzoom: int) -> int:
    """The deepest coarse rung at or above `minzoom`, or else the top: nothing coarser is read."""
    rungs = coarse_rungs(quadkey_zoom)
    return max((zoom for zoom in rungs if zoom <= minzoom), default=rungs[-1])


def cover(
    grid: CellGrid, footprint: MultiPolygon, *, quadkey_zoom: int, minzoom: int, max_cells: int
) -> Cover:
    """Cover a footprint (longitude, latitude) at the deepest rung with at most `max_cells` cells.

    All rows of a scene, coarse ones included, number at most `MAX_ROWS_PER_SCENE`, so that one
    transaction can replace them.
    """
    projected = grid.project(footprint)
    floor = floor_rung(quadkey_zoom, minzoom)
    best = Cover(grid, projected)
    clips: dict[str, BaseGeometry] = {}
    parts = _root(grid, projected)
    for zoom in range(quadkey_zoom + 1):
        if zoom > 0:
            children = (child for part in parts for child in _children(grid, *part, projected.area))
            parts = list(islice(children, max_cells + 1) if best.cells else children)
        if not parts or (best.cells and len(parts) > max_cells):
            break  # a deeper zoom never has fewer cells
        if zoom not in ladder(quadkey_zoom):
            continue
        here = {cell.quadkey: clipped for cell, clipped in parts}
        coarse = tuple(_ancestors(tuple(here), quadkey_zoom, floor))
        if best.cells and len(here) + len(coarse) > MAX_ROWS_PER_SCENE:
            break
        clips |= here
        best = Cover(grid, projected, tuple(here), coarse, clips)
    return best


def _root(grid: CellGrid, projected: BaseGeometry) -> list[tuple[Cell, BaseGeometry]]:
    cell = Cell(0, 0, 0)
    clipped = _clip(projected, grid.bounds(cell), projected.area)
    return [] if clipped is None else [(cell, clipped)]


def _children(
    grid: CellGrid, cell: Cell, part: BaseGeometry, whole_area: float
) -> Iterable[tuple[Cell, BaseGeometry]]:
    west, south, east, north = part.bounds
    for dy in (0, 1):
        for dx in (0, 1):
            child = Cell(cell.zoom + 1, 2 * cell.x + dx, 2 * cell.y + dy)
            left, bottom, right, top = bounds = grid.bounds(child)
            if west >= right or east <= left or south >= top or north <= bottom:
                continue
            if west >= left and east <= right and south >= bottom and north <= top:
                yield child, part
                return
            clipped = _clip(part, bounds, whole_area)
            if clipped is not None:
                yield child, clipped


def _ancestors(quadkeys: Sequence[str], quadkey_zoom: int, floor: int) -> list[str]:
    level = len(quadkeys[0])
    zooms = [zoom for zoom in coarse_rungs(quadkey_zoom) if floor <= zoom < level]
    return sorted({quadkey[:zoom] for zoom in zooms for quadkey in quadkeys})


def _clip(geometry: BaseGeometry, bounds: BBox, whole_area: float) -> BaseGeometry | None:
    clipped = shapely.clip_by_rect(geometry, *bounds)
    if not clipped.is_valid:  # rare: GEOS's fast clip may leave touching rings
        clipped = shapely.make_valid(geometry).intersection(box(*bounds))
    area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    return clipped if clipped.area > _SLIVER * min(area, whole_area) else None


def _encode(part: BaseGeometry, bounds: BBox) -> bytes:
    left, bottom, right, top = bounds
    width, height = right - left, top - bottom
    if part.area >= (1 - 1e-9) * width * height:
        return WHOLE
    return _packed(_simplified(part, width), bounds)


def _packed(part: BaseGeometry, bounds: BBox) -> bytes:
    left, bottom, right, top = bounds
    scale = np.array([_UNIT / (right - left), -_UNIT / (top - bottom)])
    return b"".join(
        struct.pack("<H", len(ring)) + ring.tobytes()
        for ring in (
            np.clip(np.rint((xy - (left, top)) * scale), 0, _UNIT).astype("<u4")
            for xy in rings_of(part)
        )
    )


def _simplified(part: BaseGeometry, width: float) -> BaseGeometry:
    """With at most `_MAX_VERTICES`; the hull where too many rings are in the way of that."""
    tolerance = _TOLERANCE * width
    simple = part.simplify(tolerance)
    while shapely.get_num_coordinates(simple) > _MAX_VERTICES:
        if tolerance > width or len(rings_of(simple)) > _MAX_RINGS:
            return _simplified(part.convex_hull, width)
        tolerance *= 2
        simple = part.simplify(tolerance)
    return simple


def rings_of(geometry: BaseGeometry) -> list[Ring]:
    """All rings of the polygons of a geometry, without their closing vertex."""
    polygons = [p for p in shapely.get_parts(geometry, return_index=False) if p.area > 0]
    rings = (ring for p in polygons for ring in (p.exterior, *p.interiors))
    return [shapely.get_coordinates(ring)[:-1] for ring in rings]


def uncut(grid: CellGrid, footprint: MultiPolygon) -> bytes | None:
    """A footprint in longitude and latitude, stored as if the cell of zoom 0 held it.

    For who meets a scene without its cells. None where the grid shows nothing of it.
    """
    projected = grid.project(footprint)
    if projected.area == 0:
        return None
    left, bottom, right, top = projected.bounds
    return _packed(_simplified(projected, max(right - left, top - bottom)), grid.root)


def decode(grid: CellGrid, quadkey: str, stored: bytes) -> list[Ring]:
    """The rings of a stored footprint, in the grid's CRS."""
    left, bottom, right, top = grid.bounds(Cell.of(quadkey))
    if stored == WHOLE:
        return [np.array([(left, top), (right, top), (right, bottom), (left, bottom)])]
    scale = np.array([(right - left) / _UNIT, (bottom - top) / _UNIT])
    rings, offset = [], 0
    while offset < len(stored):
        (count,) = struct.unpack_from("<H", stored, offset)
        units = np.frombuffer(stored, "<u4", 2 * count, offset + 2).reshape(count, 2)
        rings.append(units * scale + (left, top))
        offset += 2 + 8 * count
    return rings
