"""Coverings: the index cells that a footprint covers, and its part in each.

A footprint is projected once, then clipped down the quadtree, so a cell costs one clip of what is
left of its parent.

The part of a footprint inside a cell is stored as rings in the cell's own unit square, each
coordinate a 32-bit fraction: 8 bytes a vertex, exact to a billionth of a cell at any zoom. Rings
fill by the even-odd rule, so holes need no mark. No bytes at all mean the whole cell.

The first and the last row of a Mercator grid also hold what lies beyond 85.06°, for tiles in other
projections: its rings follow, in a unit square of their own.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Final

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.cells import Cell, CellGrid, Ring
from livemosaic.model.mosaic import MAX_ROWS_PER_SCENE
from livemosaic.model.raster import BBox

WHOLE: Final = b""
"""The stored footprint of a cell that is covered entirely."""

_BEYOND: Final = b"\0\0"
"""A ring without vertices: marks that the next rings lie beyond the edge of a Mercator grid."""
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
"""Rings of a part with too many vertices: simplifying removes no ring."""
_SLIVER: Final = 1e-12
"""A clip with less than this part of the cell, or of the footprint, only touches an edge."""


def ladder(quadkey_zoom: int) -> tuple[int, ...]:
    """The zooms at which cells may exist, deepest first, down to 0."""
    return (*range(quadkey_zoom, 0, -_STEP), 0)


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
    """The footprint inside each of these cells, in the grid's CRS."""
    _parts: dict[str, bytes | None] = field(default_factory=dict, repr=False, compare=False)
    """What `part` found."""

    @property
    def level(self) -> int | None:
        """The zoom of `cells`; None where there are none."""
        return len(self.cells[0]) if self.cells else None

    def part(self, quadkey: str) -> bytes | None:
        """The footprint inside any cell, as stored; None where it has no area there."""
        if quadkey not in self._parts:
            self._parts[quadkey] = self._part(quadkey)
        return self._parts[quadkey]

    def _part(self, quadkey: str) -> bytes | None:
        cell = Cell.of(quadkey)
        clipped = self.clips.get(quadkey)
        if clipped is None:
            clipped = _clip(self.projected, self.grid.reach(cell), self.projected.area)
        return None if clipped is None else _encode(self.grid, cell, clipped)


@cache
def coarse_rungs(quadkey_zoom: int) -> tuple[int, ...]:
    """The zooms of coarse cells, deepest first: the ladder without the rungs next to the top."""
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
    projected = grid.hold(footprint)
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
    clipped = _clip(projected, grid.reach(cell), projected.area)
    return [] if clipped is None else [(cell, clipped)]


def _children(
    grid: CellGrid, cell: Cell, part: BaseGeometry, whole_area: float
) -> Iterable[tuple[Cell, BaseGeometry]]:
    west, south, east, north = part.bounds
    for dy in (0, 1):
        for dx in (0, 1):
            child = Cell(cell.zoom + 1, 2 * cell.x + dx, 2 * cell.y + dy)
            left, bottom, right, top = bounds = grid.reach(child)
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
    clipped = _fast_clip(geometry, bounds)
    if clipped is None or not clipped.is_valid:
        clipped = shapely.make_valid(geometry).intersection(box(*bounds))
    area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    return clipped if clipped.area > _SLIVER * min(area, whole_area) else None


def _fast_clip(geometry: BaseGeometry, bounds: BBox) -> BaseGeometry | None:
    """Clips by GEOS's fast way, which may leave touching rings; None where it leaves a broken one.

    It fails where a lone corner reaches into the bounds by no more than rounding.
    """
    try:
        return shapely.clip_by_rect(geometry, *bounds)
    except shapely.GEOSException:
        return None


def _encode(grid: CellGrid, cell: Cell, part: BaseGeometry) -> bytes:
    bounds, strips = grid.bounds(cell), _strips(grid, cell)
    beyond = _encode_beyond(part, strips, bounds[2] - bounds[0])
    if not beyond:
        return _encode_within(part, bounds)
    within = _clip(part, bounds, part.area)
    if within is None:
        return beyond
    # No bytes would mean that there is nothing but the whole cell.
    return (_encode_within(within, bounds) or packed(box(*bounds), bounds)) + beyond


def _encode_beyond(part: BaseGeometry, strips: Sequence[BBox], width: float) -> bytes:
    """Encodes what lies in strips beyond the edge of a grid, each after a mark; none if nothing."""
    clips = [_clip(part, strip, part.area) for strip in strips]
    if all(clip is None for clip in clips):
        return b""
    stored = [
        b"" if clip is None else packed(_simplified(clip, width), strip)
        for clip, strip in zip(clips, strips, strict=True)
    ]
    return b"".join(_BEYOND + rings for rings in stored)


def _strips(grid: CellGrid, cell: Cell) -> list[BBox]:
    """Returns what a cell at the edge of its grid holds beyond it: north of it, then south."""
    left, bottom, right, top = grid.bounds(cell)
    _, lowest, _, highest = grid.reach(cell)
    strips = [(left, top, right, highest), (left, lowest, right, bottom)]
    return [strip for strip in strips if strip[1] < strip[3]]


def _encode_within(part: BaseGeometry, bounds: BBox) -> bytes:
    left, bottom, right, top = bounds
    width, height = right - left, top - bottom
    if part.area >= (1 - 1e-9) * width * height:
        return WHOLE
    return packed(_simplified(part, width), bounds)


def packed(part: BaseGeometry, bounds: BBox) -> bytes:
    """Encodes the rings of a shape inside the bounds of a cell, none of them left out."""
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
    """Simplifies to at most `_MAX_VERTICES`; to the hull where there are too many rings."""
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
    """Encodes a footprint in longitude and latitude as if the cell of zoom 0 held it.

    For scenes read without their cells. None where the grid holds nothing of the footprint.
    """
    projected = grid.hold(footprint)
    if projected.area == 0:
        return None
    left, bottom, right, top = projected.bounds
    width = max(right - left, top - bottom)
    within = _clip(projected, grid.root, projected.area)
    stored = b"" if within is None else packed(_simplified(within, width), grid.root)
    return stored + _encode_beyond(projected, _strips(grid, Cell(0, 0, 0)), width) or None


def decode(grid: CellGrid, quadkey: str, stored: bytes) -> list[Ring]:
    """The rings of a stored footprint, in the grid's CRS, without what lies beyond its edge."""
    cell = Cell.of(quadkey)
    if stored == WHOLE:
        left, bottom, right, top = grid.bounds(cell)
        return [np.array([(left, top), (right, top), (right, bottom), (left, bottom)])]
    return next(_decoded([grid.bounds(cell)], stored))


def decode_beyond(grid: CellGrid, quadkey: str, stored: bytes) -> list[Ring]:
    """The rings of a stored footprint beyond the edge of a grid, in longitude and latitude.

    None of rows that were written before they were kept.
    """
    cell = Cell.of(quadkey)
    strips = _strips(grid, cell)
    if stored == WHOLE or not strips:
        return []
    _, *beyond = _decoded([grid.bounds(cell), *strips], stored)
    rings = [shapely.linearrings(grid.to_lonlat(ring)) for part in beyond for ring in part]
    return [shapely.get_coordinates(shapely.segmentize(ring, 1))[:-1] for ring in rings]


def _decoded(places: Sequence[BBox], stored: bytes) -> Iterator[list[Ring]]:
    """Yields the rings of each place in turn; a mark leads to the next."""
    offset = 0
    for left, bottom, right, top in places:
        scale = np.array([(right - left) / _UNIT, (bottom - top) / _UNIT])
        rings = []
        while offset < len(stored):
            (count,) = struct.unpack_from("<H", stored, offset)
            offset += 2
            if count == 0:
                break
            units = np.frombuffer(stored, "<u4", 2 * count, offset).reshape(count, 2)
            ring = units * scale + (left, top)
            at_end = units == _UNIT
            if at_end.any():  # exactly, as the next cell has it
                ring = np.where(at_end, (right, bottom), ring)
            rings.append(ring)
            offset += 8 * count
        yield rings
