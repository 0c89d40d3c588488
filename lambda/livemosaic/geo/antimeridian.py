"""The antimeridian: lines, polygons and boxes where x repeats with each turn around the world.

`world` is the length of one turn, in units of x: 360 in degrees.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.model.raster import BBox, Grid

_DEGREES: Final = 360.0
_MAP: Final = box(-180, -90, 180, 90)
_WHOLE: Final = 1e-5
"""Part of a turn: coordinates of requests this close to a whole turn mean one."""


def continuous(
    line: BaseGeometry, world: float = _DEGREES, tolerance: float = 0.0
) -> NDArray[np.float64]:
    """The vertices of a line, x running on past the edge of the world instead of jumping there.

    Returns shape (n, 2). A step of more than half a turn is a jump (RFC 7946, 3.1.9), but a step of
    a whole turn, within `tolerance` of it, is none: it is as wide as the map.
    """
    xy: NDArray[np.float64] = shapely.get_coordinates(line)
    steps = np.diff(xy[:, 0])
    whole = np.abs(np.abs(steps) - world) <= tolerance * world
    jumps = (np.abs(steps) > world / 2) & ~whole
    xy[1:, 0] -= world * np.cumsum(np.where(jumps, np.sign(steps), 0))
    return xy


def enclosed(ring: BaseGeometry) -> Polygon:
    """The inside of a ring in degrees, with longitudes that run on past ±180.

    A ring around the globe encloses the nearer pole: winding, which should decide, is wrong in too
    many catalogues.
    """
    xy = continuous(ring)
    if len(xy) == 0 or abs(xy[0, 0] - xy[-1, 0]) <= _DEGREES / 2:
        return Polygon(xy)
    pole = math.copysign(90, xy[:, 1].mean())
    return Polygon([*xy, (xy[-1, 0], pole), (xy[0, 0], pole)])


def wrapped(geometry: BaseGeometry) -> BaseGeometry:
    """A geometry on any turn around the globe, in longitudes within ±180."""
    west, south, east, north = geometry.bounds
    if geometry.is_empty or (west >= -180 and east <= 180):
        return geometry
    if east - west > 2 * _DEGREES:
        return box(-180, south, 180, north)
    turns = range(math.floor((west + 180) / _DEGREES), math.ceil((east + 180) / _DEGREES))
    return shapely.union_all([_shifted(geometry, -_DEGREES * n).intersection(_MAP) for n in turns])


def eastwards(polygons: MultiPolygon) -> MultiPolygon:
    """Polygons on both sides of the antimeridian, the western half moved to follow the eastern."""
    parts = polygons.geoms
    return MultiPolygon([_shifted(p, _DEGREES) if p.bounds[2] <= 0 else p for p in parts])


def in_one_piece(geometry: BaseGeometry, world: float) -> BaseGeometry:
    """Polygons or lines, with parts on both sides of the edge of the world joined if nearer so."""
    parts = [_unwrapped(part, world) for part in shapely.get_parts(geometry)]
    whole = together(parts)
    left, _, right, _ = whole.bounds
    beyond = together([_shifted(part, world * (_middle(part) < 0)) for part in parts])
    west, _, east, _ = beyond.bounds
    return beyond if east - west < right - left else whole


def beside(geometry: BaseGeometry, world: float, x: float) -> BaseGeometry:
    """Polygons or lines, each part on the turn around the world on which it is nearest to `x`."""
    parts = [_unwrapped(part, world) for part in shapely.get_parts(geometry)]
    return together([_shifted(part, _turns(part, world, x)) for part in parts])


def together(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    """Polygons as a MultiPolygon, or lines as a MultiLineString."""
    return (MultiPolygon if isinstance(parts[0], Polygon) else MultiLineString)(parts)


def lonlat_boxes(bbox: BBox) -> list[BaseGeometry]:
    """A box in longitude and latitude as polygons; two where it crosses ±180 (west > east)."""
    west, south, east, north = bbox
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return [box(w, south, e, north) for w, e in spans]


def worlds(grid: Grid) -> list[float]:
    """The columns from the world of ±180° to each further one that a grid reaches."""
    if grid.world is None:
        return []
    left, _, right, _ = grid.bounds
    pixels = grid.world / grid.transform.a
    return [-pixels] * (left < -grid.world / 2) + [pixels] * (right > grid.world / 2)


def _unwrapped(part: Polygon | LineString, world: float) -> BaseGeometry:
    """A line that runs on instead of jumping; a polygon of such lines, its holes inside it."""
    if isinstance(part, LineString):
        return LineString(continuous(part, world, _WHOLE))
    shell = Polygon(continuous(part.exterior, world, _WHOLE))
    holes = [Polygon(continuous(ring, world, _WHOLE)) for ring in part.interiors]
    inside = [_shifted(hole, _turns(hole, world, _middle(shell))).exterior for hole in holes]
    return Polygon(shell.exterior, inside)


def _turns(part: BaseGeometry, world: float, x: float) -> float:
    """How far around the world a part must move to be nearest to `x`."""
    return float(world * np.round((x - _middle(part)) / world))


def _middle(part: BaseGeometry) -> float:
    left, _, right, _ = part.bounds
    return float(left + right) / 2


def _shifted(part: BaseGeometry, x: float) -> BaseGeometry:
    return shapely.transform(part, lambda xy: np.add(xy, (x, 0))) if x else part
