"""The antimeridian: lines, polygons and boxes where x repeats with each turn around the world.

`world` is the length of one turn, in units of x: 360 in degrees.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import reduce
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.polygons.even_odd import even_odd
from livemosaic.model.raster import BBox, Grid, LonLat

_DEGREES: Final = 360.0
_MAP: Final = box(-180, -90, 180, 90)
_WHOLE: Final = 1e-5
"""Part of a turn: coordinates of requests this close to a whole turn mean one."""
_NEARLY: Final = 11 / 12
"""Part of a turn from which on bounds are the whole turn: a world without a gap at its seam."""
_AT_POLE: Final = 1e-7
"""Degrees; a centimetre."""
_NEAR_EQUATOR: Final = 30.0
"""Latitude that a ring around the globe must come within to be taken for a hemisphere's."""
_CONVEX: Final = 0.98
_STAR: Final = 0.03
"""Parts of a hull: a shape that fills as much is convex; one that fills so much less is not."""
_BALANCED: Final = 0.1
"""Mean sine of latitude of a ring that leaves about half of the globe on either side."""

PoleHint = Callable[[], float | None]
"""Gives the latitude of the pole that a footprint holds, 90 or -90, if something names it."""
Span = tuple[float, float]
"""West and east; west > east across ±180."""


def no_hint() -> float | None:
    """Knows nothing of poles."""
    return None


def continuous(
    line: BaseGeometry, world: float = _DEGREES, tolerance: float = 0.0
) -> NDArray[np.float64]:
    """The vertices of a line, x running on past the edge of the world instead of jumping there.

    Returns shape (n, 2). A step of more than half a turn is a jump (RFC 7946, 3.1.9), but a step of
    a whole turn, within `tolerance` of it, is none: it is as wide as the map. With a negative
    `tolerance` it is a jump, too.
    """
    xy: NDArray[np.float64] = shapely.get_coordinates(line)
    steps = np.diff(xy[:, 0])
    whole = np.abs(np.abs(steps) - world) <= tolerance * world
    jumps = (np.abs(steps) > world / 2) & ~whole
    xy[1:, 0] -= world * np.cumsum(np.where(jumps, np.sign(steps), 0))
    return xy


def enclosed(ring: BaseGeometry, held: PoleHint = no_hint) -> Polygon:
    """The inside of a ring in degrees, with longitudes that run on past ±180.

    A ring around the globe encloses the pole whose latitude `held` gives (which is asked for such
    rings only), else the one that its shape makes likely.
    """
    line = _along_poles(ring)
    xy = continuous(line, tolerance=-1.0 if _changes_side(line) else 0.0)
    if len(xy) == 0 or abs(xy[0, 0] - xy[-1, 0]) <= _DEGREES / 2:
        return Polygon(xy)
    pole = held() or _likely_pole(xy)
    return Polygon([*xy, (xy[-1, 0], pole), (xy[0, 0], pole)])


def _changes_side(ring: BaseGeometry) -> bool:
    """Whether 180 becomes -180 along a ring where it means the same meridian.

    It does so an odd number of times; a band around the globe, as wide as the map, does so twice.
    Along a pole it means nothing.
    """
    xy = shapely.get_coordinates(ring)
    turns = np.abs(np.diff(xy[:, 0])) == _DEGREES
    at_pole = np.abs(xy[:-1, 1]) >= 90 - _AT_POLE
    return bool(turns.sum() % 2 and not (turns & at_pole).any())


def _along_poles(ring: BaseGeometry) -> BaseGeometry:
    """A ring with two vertices for a pole that it touches, on the meridians beside it.

    A pole has all longitudes, and its vertex has any of them.
    """
    xy = shapely.get_coordinates(ring)[:-1]
    at_pole = np.abs(xy[:, 1]) >= 90 - _AT_POLE
    if not at_pole.any() or at_pole.all():
        return ring
    start = -int(at_pole.argmin())  # begin beside a pole, not at one
    xy, at_pole = np.roll(xy, start, axis=0), np.roll(at_pole, start)
    xy = np.vstack([xy, xy[:1]])
    edges = np.flatnonzero(np.diff(at_pole.astype(int), append=0))
    for before, last in reversed(list(zip(edges[::2], edges[1::2], strict=True))):
        ends, beside = xy[[before + 1, last]], xy[[before, last + 1], 0]
        if np.abs(ends[:, 0] - beside).max() > _AT_POLE:
            corners = np.column_stack([beside, ends[:, 1]])
            xy = np.vstack([xy[: before + 1], corners, xy[last + 1 :]])
    return shapely.linearrings(xy)


def _likely_pole(xy: NDArray[np.float64]) -> float:
    """The latitude of the pole that a ring around the globe encloses, by its shape.

    The nearer pole, by area, with two exceptions. A raster of a hemisphere may reach far beyond the
    equator with its corners, but it is convex around its pole and a star around the other. Along
    the equator winding decides (RFC 7946, 3.1.6), which is wrong in too many catalogues elsewhere.
    """
    height, steps = np.sin(np.radians(xy[:, 1])), np.diff(xy[:, 0])
    mean = float(((height[1:] + height[:-1]) / 2 * steps).sum() / steps.sum())
    near = math.copysign(90, mean)
    if np.abs(xy[:, 1]).min() > _NEAR_EQUATOR:
        return near
    here, beyond = _convexity(xy, near), _convexity(xy, -near)
    if max(here, beyond) > _CONVEX and abs(here - beyond) > _STAR:
        return near if here > beyond else -near
    return near if abs(mean) > _BALANCED else math.copysign(90, steps.sum())


def _convexity(xy: NDArray[np.float64], pole: float) -> float:
    """The part of its convex hull that a ring fills, in an equal-area projection from a pole.

    0 for one that crosses itself too often to be filled.
    """
    lon, radius = np.radians(xy[:, 0]), 2 * np.sin(np.radians(np.abs(pole - xy[:, 1])) / 2)
    flat = Polygon(np.column_stack([radius * np.cos(lon), radius * np.sin(lon)]))
    with suppress(InvalidRequestError):
        return float(even_odd(flat).area / flat.convex_hull.area)
    return 0.0


def wrapped(geometry: BaseGeometry, world: float = _DEGREES) -> BaseGeometry:
    """A geometry on any turn around the globe, in longitudes within ±180: x within half a world."""
    west, south, east, north = geometry.bounds
    half = world / 2
    if geometry.is_empty or (west >= -half and east <= half):
        return geometry
    if east - west > 2 * world:
        return box(-half, south, half, north)
    turns = range(math.floor((west + half) / world), math.ceil((east + half) / world))
    turn = _MAP if world == _DEGREES else box(-half, -world, half, world)
    return shapely.union_all([_shifted(geometry, -world * n).intersection(turn) for n in turns])


def extent(polygons: BaseGeometry) -> BBox:
    """The bounds of polygons within ±180, in degrees; west > east across it (RFC 7946, 5.2)."""
    boxes: list[BBox] = [part.bounds for part in shapely.get_parts(polygons)]
    boxes.sort(key=lambda box: min(180 + box[0], 180 - box[2]))  # first across ±180
    return reduce(united, boxes)


def united(one: BBox, other: BBox) -> BBox:
    """The bounds of two boxes in degrees; west > east across ±180.

    Boxes on both sides of ±180 are joined across it where they meet there, or where that is less
    than half as wide as the way around.
    """
    west, east = _joined((one[0], one[2]), (other[0], other[2]))
    return west, min(one[1], other[1]), east, max(one[3], other[3])


def union(boxes: Iterable[BBox | None]) -> BBox | None:
    """The bounds of all boxes that there are, as `united` joins two; None without any."""
    found = [box for box in boxes if box is not None]
    return reduce(united, found) if found else None


def holds(one: BBox, other: BBox) -> bool:
    """Whether a box in degrees holds all of another one; west > east across ±180."""
    return united(one, other) == one


def is_smaller(one: BBox, other: BBox) -> bool:
    """Whether a box in degrees is smaller than another one; west > east across ±180."""
    sizes = (_width((west, east)) * (north - south) for west, south, east, north in (one, other))
    return next(sizes) < next(sizes)


def middle(bbox: BBox) -> LonLat:
    """The centre of a box in degrees, whose west may exceed its east."""
    west, south, east, north = bbox
    lon = west + _width((west, east)) / 2
    return lon - _DEGREES if lon > 180 else lon, (south + north) / 2


def _joined(one: Span, other: Span) -> Span:
    ends = [(w, e) for w in (one[0], other[0]) for e in (one[1], other[1])]
    holding = [span for span in ends if _holds(span, one) and _holds(span, other)]
    crossing = one[0] > one[1] or other[0] > other[1]
    plain = (-180.0, 180.0) if crossing else (min(one[0], other[0]), max(one[1], other[1]))
    narrowest = min(holding, key=_width, default=plain)
    if narrowest[0] <= narrowest[1]:
        return narrowest
    meet = crossing or (-180 in (one[0], other[0]) and 180 in (one[1], other[1]))
    return narrowest if _width(narrowest) < _width(plain) * (_NEARLY if meet else 0.5) else plain


def _holds(span: Span, part: Span) -> bool:
    return (part[0] - span[0]) % _DEGREES + _width(part) <= _width(span) + _AT_POLE


def _width(span: Span) -> float:
    west, east = span
    return east - west if west <= east else east - west + _DEGREES


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
