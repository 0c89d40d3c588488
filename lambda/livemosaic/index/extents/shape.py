"""The union of footprints in a cell, as stored: never too small, sometimes larger. Pure."""

from collections.abc import Iterable
from functools import reduce
from typing import Final

import shapely
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.cells import Cell, CellGrid
from livemosaic.geo.covering import WHOLE, decode, packed
from livemosaic.model.raster import BBox

_MARGIN: Final = 2.0**-29
"""Part of a cell by which a union is widened: eight units of what is stored, which rounds corners
to one. So nothing is cut off, and a footprint that comes again is found inside."""
_MAX_CORNERS: Final = 400
"""Beyond it a union becomes its hull: 3 KB."""


def united(grid: CellGrid, quadkey: str, known: bytes | None, footprints: Iterable[bytes]) -> bytes:
    """Returns the union of a known extent of a cell and footprints stored in it, as they are.

    It is `known` where that has all of them; holes are filled.
    """
    stored = {*footprints}
    if known == WHOLE or WHOLE in stored:
        return WHOLE
    bounds = _local(grid, quadkey)
    new = shapely.union_all([_shape(grid, quadkey, each) for each in sorted(stored)])
    before = Polygon() if known is None else _shape(grid, quadkey, known)
    if known is not None and before.covers(new):
        return known
    both = before.union(new)
    found = _packed(both.buffer(_MARGIN * bounds[2], join_style="mitre"), bounds)
    return found if found == WHOLE or _shape(grid, quadkey, found).covers(both) else WHOLE


def _shape(grid: CellGrid, quadkey: str, stored: bytes) -> BaseGeometry:
    """The polygons of a stored footprint; the upper left corner of the cell is their origin."""
    left, _, _, top = grid.bounds(Cell.of(quadkey))
    rings = [ring - (left, top) for ring in decode(grid, quadkey, stored)]
    polygons = [shapely.make_valid(Polygon(ring)) for ring in rings if len(ring) > 2]
    return reduce(BaseGeometry.union, polygons, Polygon())


def _local(grid: CellGrid, quadkey: str) -> BBox:
    left, bottom, right, top = grid.bounds(Cell.of(quadkey))
    return 0.0, bottom - top, right - left, 0.0


def _packed(shape: BaseGeometry, bounds: BBox) -> bytes:
    cell = box(*bounds)
    inside = _filled(shape.intersection(cell))
    if shapely.get_num_coordinates(inside) > _MAX_CORNERS:
        inside = inside.convex_hull
    return WHOLE if inside.covers(cell) else packed(inside, bounds)


def _filled(shape: BaseGeometry) -> BaseGeometry:
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, Polygon)]
    return shapely.union_all([Polygon(part.exterior) for part in parts])
